//! Threads that hand their live sets to successors, as a server replaces its workers (after Larson and Krishnan).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Scope;

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

struct Lane {
    table: Table<Option<Block>>,
    rng: Rng,
    generations: u64,
}

/// `threads=4 slots=1000 low=8 high=1000 generations=50 ops=N` (replacements per generation).
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let slots = params.need("slots") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let generations = params.need("generations");
    let ops = params.need("ops");
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let lane = Lane {
                    table: Table::new(slots, |_| None),
                    rng: Rng::new(7, thread),
                    generations,
                };
                let checksum = &checksum;
                scope.spawn(move || generation(scope, lane, ops, sizes, checksum));
            }
        });
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        threads * generations * ops,
        seconds,
    )
}

fn generation<'s>(
    scope: &'s Scope<'s, '_>,
    mut lane: Lane,
    ops: u64,
    sizes: (u64, u64),
    checksum: &'s AtomicU64,
) {
    let mut sum = 0u64;
    let slots = lane.table.len() as u64;
    for _ in 0..ops {
        let slot = &mut lane.table[lane.rng.below(slots) as usize];
        let fresh = Block::new(lane.rng.between(sizes.0, sizes.1), lane.rng.next() as u32);
        if let Some(old) = slot.replace(fresh) {
            sum = sum.wrapping_add(old.release());
        }
    }
    lane.generations -= 1;
    if lane.generations > 0 {
        scope.spawn(move || generation(scope, lane, ops, sizes, checksum));
    } else {
        sum = sum.wrapping_add(single::empty(&mut lane.table));
    }
    checksum.fetch_add(sum, Ordering::Relaxed);
}
