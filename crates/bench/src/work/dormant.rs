//! Threads fill their share and fall asleep; the main thread frees everything. How much stays resident
//! although nobody who could clean up will ever call the allocator again?

use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use crate::heap::Block;
use crate::params::Params;
use crate::proc;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// `owners=8 bytes=40m low=16 high=1024 wait=12`: marks "start", "full", "freed", "1s" and "idle" (after `wait` seconds).
///
/// The pointer tables are the program's own mappings; each is unmapped when its blocks are freed, so from "freed" on
/// none is resident. `own_kib` is what the program was without them once its threads waited to begin, `above_1s_kib` and `above_idle_kib`
/// what is resident beyond that.
pub fn run(params: &mut Params) -> Report {
    let owners = params.need("owners") as usize;
    let bytes = params.need("bytes");
    let (low, high) = (params.need("low"), params.need("high"));
    let wait = params.need("wait").max(1);
    let most = (bytes / low.max(crate::heap::MIN)) as usize + 1;
    // Sized for the mean, not the worst case; filling stops when either is reached.
    let slots = most.min((bytes / ((low + high) / 2)) as usize * 5 / 4 + 16);
    let mut tables = Vec::with_capacity(owners);
    for _ in 0..owners {
        tables.push(Mutex::new(Some(Table::new(slots, |_| None::<Block>))));
    }
    let begin = Barrier::new(owners + 1);
    let filled = Barrier::new(owners + 1);
    let wake = Barrier::new(owners + 1);
    let table_kib = tables
        .iter()
        .filter_map(|t| t.lock().ok()?.as_ref().map(Table::resident_kib))
        .sum::<u64>();
    let mut checksum = 0u64;
    let mut count = 0u64;
    let mut marks = Vec::new();
    let mut start = proc::Memory::default();
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for (index, place) in tables.iter().enumerate() {
                let (begin, filled, wake) = (&begin, &filled, &wake);
                scope.spawn(move || {
                    begin.wait();
                    if let Ok(mut guard) = place.lock()
                        && let Some(table) = guard.as_mut()
                    {
                        fill(table, bytes, low, high, index as u64);
                    }
                    filled.wait();
                    wake.wait();
                });
            }
            // Threads that wait: each has touched its stack.
            std::thread::sleep(Duration::from_millis(20));
            start = proc::memory();
            begin.wait();
            filled.wait();
            marks.push(("full", proc::memory()));
            for place in &tables {
                let Some(mut table) = place.lock().ok().and_then(|mut t| t.take()) else {
                    continue;
                };
                for block in table.iter_mut().filter_map(Option::take) {
                    checksum = checksum.wrapping_add(block.release());
                    count += 1;
                }
                // The table goes here, with its mapping.
                drop(table);
            }
            let freed = Instant::now();
            marks.push(("freed", proc::memory()));
            std::thread::sleep(Duration::from_millis(950));
            marks.push(("1s", proc::memory()));
            std::thread::sleep(Duration::from_secs(wait).saturating_sub(freed.elapsed()));
            marks.push(("idle", proc::memory()));
            wake.wait();
        });
    });
    let own_kib = start.rss_kib.saturating_sub(table_kib);
    let mut report = Report::new(checksum, count, seconds);
    report.mark("start", start);
    report.extra("own_kib", own_kib as f64);
    report.extra("table_kib", table_kib as f64);
    for (name, memory) in marks {
        if matches!(name, "1s" | "idle") {
            let above = memory.rss_kib.saturating_sub(own_kib);
            report.extra(format!("above_{name}_kib"), above as f64);
        }
        report.mark(name, memory);
    }
    report
}

fn fill(table: &mut [Option<Block>], bytes: u64, low: u64, high: u64, stream: u64) {
    let mut rng = Rng::new(40, stream);
    let mut total = 0;
    for slot in table {
        if total >= bytes {
            break;
        }
        let size = rng.between(low, high);
        *slot = Some(Block::filled(size, rng.next() as u32));
        total += size;
    }
}
