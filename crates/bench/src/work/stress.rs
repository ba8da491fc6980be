//! Several threads with live sets, blocks changing hands (after mstress and rptest).

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::ring::Ring;
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

/// `threads=T slots=N shared=N ops=N`: a block in 8 is swapped through slots that all threads share; sizes
/// mostly small, a few of tens of KiB, one in some thousands up to 2 MiB.
pub fn mixed(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let slots = params.need("slots") as usize;
    let shared = params.need("shared") as usize;
    let ops = params.need("ops");
    let transfer = Table::new(shared, |_| AtomicPtr::<u8>::new(std::ptr::null_mut()));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (transfer, checksum) = (&transfer, &checksum);
                scope.spawn(move || {
                    let sum = swap_about(thread, slots, ops, transfer);
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
        let left = transfer.iter().filter_map(|place| exchange(place, None));
        let sum = left.fold(0u64, |sum, block| sum.wrapping_add(block.release()));
        checksum.fetch_add(sum, Ordering::Relaxed);
    });
    Report::new(checksum.load(Ordering::Relaxed), threads * ops, seconds)
}

fn swap_about(thread: u64, slots: usize, ops: u64, transfer: &[AtomicPtr<u8>]) -> u64 {
    let mut rng = Rng::new(10, thread);
    let mut table = Table::new(slots, |_| None::<Block>);
    let mut sum = 0u64;
    for _ in 0..ops {
        let size = match rng.below(4096) {
            0 => rng.octaves(64 << 10, 2 << 20),
            1..64 => rng.octaves(1 << 10, 64 << 10),
            _ => rng.octaves(16, 1024),
        };
        let fresh = Block::new(size, rng.next() as u32);
        let old = if rng.below(8) == 0 {
            exchange(
                &transfer[rng.below(transfer.len() as u64) as usize],
                Some(fresh),
            )
        } else {
            // A quarter of the set changes often, the rest seldom.
            let reach = if rng.below(8) == 0 { slots } else { slots / 4 };
            table[rng.below(reach as u64) as usize].replace(fresh)
        };
        if let Some(old) = old {
            sum = sum.wrapping_add(old.release());
        }
    }
    sum.wrapping_add(single::empty(&mut table))
}

fn exchange(place: &AtomicPtr<u8>, block: Option<Block>) -> Option<Block> {
    let fresh = block.map_or(std::ptr::null_mut(), Block::into_raw);
    // ORDERING: AcqRel: the taker must see what the giver wrote into the block.
    let old = place.swap(fresh, Ordering::AcqRel);
    // SAFETY: only into_raw's pointers are stored, and the swap took this one out for us alone.
    (!old.is_null()).then(|| unsafe { Block::from_raw(old) })
}

/// `threads=T blocks=N shared=N rounds=N`: in each round new threads allocate `blocks` each, swap some of them through
/// shared slots, keep a quarter for the next round's threads and free the rest; one in some thousands up to 4 MiB.
pub fn rounds(params: &mut Params) -> Report {
    let threads = params.need("threads") as usize;
    let blocks = params.need("blocks") as usize;
    let shared = params.need("shared") as usize;
    let rounds = params.need("rounds");
    let transfer = Table::new(shared, |_| AtomicPtr::<u8>::new(std::ptr::null_mut()));
    let mut kept = Table::new(threads, |_| Table::new(blocks, |_| None::<Block>));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        for round in 0..rounds {
            // Each thread gets what another one kept.
            kept.rotate_left(1);
            std::thread::scope(|scope| {
                for (thread, table) in kept.iter_mut().enumerate() {
                    let (transfer, checksum) = (&transfer, &checksum);
                    let rng = Rng::new(26, round << 8 | thread as u64);
                    scope.spawn(move || {
                        checksum.fetch_add(one_round(rng, table, transfer), Ordering::Relaxed);
                    });
                }
            });
        }
        let left = transfer.iter().filter_map(|place| exchange(place, None));
        let sum = left.fold(0u64, |sum, block| sum.wrapping_add(block.release()));
        checksum.fetch_add(sum, Ordering::Relaxed);
        for table in kept.iter_mut() {
            checksum.fetch_add(single::empty(table), Ordering::Relaxed);
        }
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        rounds * (threads * blocks) as u64,
        seconds,
    )
}

fn one_round(mut rng: Rng, table: &mut [Option<Block>], transfer: &[AtomicPtr<u8>]) -> u64 {
    let mut sum = 0u64;
    for slot in table.iter_mut() {
        let size = match rng.below(4096) {
            0 => rng.octaves(64 << 10, 4 << 20),
            1..40 => rng.octaves(1 << 10, 64 << 10),
            _ => rng.octaves(16, 1024),
        };
        let mut fresh = Some(Block::new(size, rng.next() as u32));
        if rng.below(4) == 0 {
            let place = &transfer[rng.below(transfer.len() as u64) as usize];
            fresh = exchange(place, fresh);
        }
        let old = std::mem::replace(slot, fresh);
        sum = sum.wrapping_add(old.map_or(0, Block::release));
    }
    let quarter = table.len() / 4;
    let first = rng.below((table.len() - quarter) as u64 + 1) as usize;
    sum = sum.wrapping_add(single::empty(&mut table[..first]));
    sum.wrapping_add(single::empty(&mut table[first + quarter..]))
}

/// `threads=T slots=N low=A high=B ops=N`: random replacement; every fourth block is freed by the next thread.
pub fn crossing(params: &mut Params) -> Report {
    let threads = params.need("threads") as usize;
    let slots = params.need("slots") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let ops = params.need("ops");
    let rings = Table::new(threads, |_| Ring::new(1024));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (rings, checksum) = (&rings, &checksum);
                scope.spawn(move || {
                    let next = &rings[(thread + 1) % rings.len()];
                    let sum = cross(thread as u64, slots, sizes, ops, &rings[thread], next);
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        threads as u64 * ops,
        seconds,
    )
}

fn cross(
    thread: u64,
    slots: usize,
    sizes: (u64, u64),
    ops: u64,
    incoming: &Ring,
    next: &Ring,
) -> u64 {
    let mut rng = Rng::new(11, thread);
    let mut table = Table::new(slots, |_| None::<Block>);
    let mut sum = 0u64;
    for op in 0..ops {
        if op % 64 == 0 {
            while let Some(block) = incoming.try_pop() {
                sum = sum.wrapping_add(block.release());
            }
        }
        let slot = &mut table[rng.below(slots as u64) as usize];
        let fresh = Block::new(rng.between(sizes.0, sizes.1), rng.next() as u32);
        let Some(old) = slot.replace(fresh) else {
            continue;
        };
        let kept = if op % 4 == 0 {
            next.try_push(old).err()
        } else {
            Some(old)
        };
        if let Some(old) = kept {
            sum = sum.wrapping_add(old.release());
        }
    }
    next.close();
    sum = sum.wrapping_add(single::empty(&mut table));
    sum.wrapping_add(crate::ring::free_all([incoming].into_iter()))
}
