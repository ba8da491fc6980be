//! Blocks allocated by some threads and freed by others.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::ring::{self, Ring};
use crate::rng::Rng;
use crate::table::Table;

/// `producers=P consumers=C low=A high=B queue=N ops=N` (blocks per producer): one bounded queue per pair.
pub fn run(params: &mut Params) -> Report {
    let producers = params.need("producers") as usize;
    let consumers = params.need("consumers") as usize;
    let (low, high) = (params.need("low"), params.need("high"));
    let capacity = params.need("queue") as usize;
    let ops = params.need("ops");
    let rings = Table::new(producers * consumers, |_| Ring::new(capacity));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for producer in 0..producers {
                let mine = &rings[producer * consumers..(producer + 1) * consumers];
                scope.spawn(move || {
                    let mut rng = Rng::new(8, producer as u64);
                    for op in 0..ops {
                        let block = Block::new(rng.octaves(low, high), rng.next() as u32);
                        mine[op as usize % consumers].push(block);
                    }
                    mine.iter().for_each(Ring::close);
                });
            }
            for consumer in 0..consumers {
                let (rings, checksum) = (&rings, &checksum);
                scope.spawn(move || {
                    let sum = ring::free_all(rings.iter().skip(consumer).step_by(consumers));
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        producers as u64 * ops,
        seconds,
    )
}

/// `pairs=P low=A high=B batch=N ops=N` (batches per pair): a thread allocates a whole batch and hands it over;
/// the other frees it, oldest first (after xmalloc-test).
pub fn batches(params: &mut Params) -> Report {
    type Batch = Table<Option<Block>>;
    let pairs = params.need("pairs");
    let (low, high) = (params.need("low"), params.need("high"));
    let batch = params.need("batch") as usize;
    let ops = params.need("ops");
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for pair in 0..pairs {
                // Full batches go one way, their empty tables come back: nothing but blocks is allocated.
                let (full_in, full_out) = std::sync::mpsc::sync_channel::<Batch>(4);
                let (empty_in, empty_out) = std::sync::mpsc::sync_channel::<Batch>(4);
                for _ in 0..4 {
                    let _ = empty_in.send(Table::new(batch, |_| None));
                }
                let checksum = &checksum;
                scope.spawn(move || {
                    let mut rng = Rng::new(9, pair);
                    for _ in 0..ops {
                        let Ok(mut table) = empty_out.recv() else {
                            return;
                        };
                        for slot in table.iter_mut() {
                            *slot = Some(Block::new(rng.between(low, high), rng.next() as u32));
                        }
                        if full_in.send(table).is_err() {
                            return;
                        }
                    }
                });
                scope.spawn(move || {
                    let mut sum = 0u64;
                    while let Ok(mut table) = full_out.recv() {
                        sum = sum.wrapping_add(crate::single::empty(&mut table));
                        let _ = empty_in.try_send(table);
                    }
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        pairs * ops * batch as u64,
        seconds,
    )
}
