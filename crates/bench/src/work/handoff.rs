//! Producers replace random blocks of their live sets and hand the old ones to a thread that only frees.
//!
//! Live memory is constant, what is on its way is bounded by the queues; everything beyond is what the
//! allocator hoards.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::heap::Block;
use crate::params::Params;
use crate::proc;
use crate::report::{Report, timed};
use crate::ring::{self, Ring};
use crate::rng::Rng;
use crate::table::Table;

/// `producers=8 live=20000 size=592 queue=4096 ops=N` (replacements per producer).
pub fn run(params: &mut Params) -> Report {
    let producers = params.need("producers") as usize;
    let live = params.need("live") as usize;
    let size = params.need("size");
    let capacity = params.need("queue") as usize;
    let ops = params.need("ops");
    let rings = Table::new(producers, |_| Ring::new(capacity));
    let checksum = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let filled = Barrier::new(producers + 1);
    let finished = Barrier::new(producers + 1);
    let tables = Table::new(producers, |_| {
        std::sync::Mutex::new(Some(Table::new(live, |_| None::<Block>)))
    });
    let before = proc::memory().rss_kib;
    let mut peak_kib = 0;
    let mut queued = 0;
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for (index, ring) in rings.iter().enumerate() {
                let (checksum, filled, finished, tables) = (&checksum, &filled, &finished, &tables);
                scope.spawn(move || {
                    let table = tables[index].lock().ok().and_then(|mut t| t.take());
                    let Some(mut table) = table else { return };
                    let mut rng = Rng::new(592, index as u64);
                    for slot in table.iter_mut() {
                        *slot = Some(Block::filled(size, rng.next() as u32));
                    }
                    filled.wait();
                    for _ in 0..ops {
                        let slot = &mut table[rng.below(live as u64) as usize];
                        let fresh = Block::filled(size, rng.next() as u32);
                        if let Some(old) = slot.replace(fresh) {
                            ring.push(old);
                        }
                    }
                    ring.close();
                    finished.wait();
                    let sum = table
                        .iter_mut()
                        .filter_map(Option::take)
                        .fold(0u64, |s, b| s.wrapping_add(b.release()));
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
            let freer = scope.spawn(|| {
                let sum = ring::free_all(rings.iter());
                checksum.fetch_add(sum, Ordering::Relaxed);
                over.store(true, Ordering::Release);
            });
            filled.wait();
            while !over.load(Ordering::Acquire) {
                queued = queued.max(rings.iter().map(Ring::len).sum::<usize>());
                peak_kib = peak_kib.max(proc::memory().rss_kib);
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = freer.join();
            finished.wait();
        });
    });
    let wanted_kib = (producers * live + queued) as f64 * size as f64 / 1024.0;
    let resident_kib = peak_kib.saturating_sub(before) as f64;
    let mut report = Report::new(
        checksum.load(Ordering::Relaxed),
        producers as u64 * ops,
        seconds,
    );
    report.extra("resident_kib", resident_kib);
    report.extra("live_and_queued_kib", wanted_kib);
    report.extra("ratio", resident_kib / wanted_kib);
    report
}
