//! Sizes, lifetimes and orders of freeing, each thread by itself.

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// `slots=N low=A high=B ops=N threads=T`: random slots are replaced; sizes by octaves. Each of the threads (one if not
/// said otherwise) has slots and operations of its own.
pub fn random(params: &mut Params) -> Report {
    let slots = params.need("slots") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let ops = params.need("ops");
    let threads = params.number("threads", 1);
    let mut tables = Table::new(threads as usize, |_| Table::new(slots, |_| None::<Block>));
    let (sum, seconds) = timed(|| match &mut tables[..] {
        // No thread is made for one: allocators may take shortcuts while a process has a single thread.
        [table] => replace(table, 0, sizes, ops),
        tables => std::thread::scope(|scope| {
            let handles: Vec<_> = tables
                .iter_mut()
                .zip(0..)
                .map(|(table, stream)| scope.spawn(move || replace(table, stream, sizes, ops)))
                .collect();
            handles
                .into_iter()
                .filter_map(|h| h.join().ok())
                .fold(0u64, u64::wrapping_add)
        }),
    });
    Report::new(sum, ops * threads, seconds)
}

fn replace(table: &mut [Option<Block>], stream: u64, (low, high): (u64, u64), ops: u64) -> u64 {
    let mut rng = Rng::new(1, stream);
    let mut sum = 0u64;
    let slots = table.len() as u64;
    for _ in 0..ops {
        let slot = &mut table[rng.below(slots) as usize];
        let fresh = Block::new(rng.octaves(low, high), rng.next() as u32);
        if let Some(old) = slot.replace(fresh) {
            sum = sum.wrapping_add(old.release());
        }
    }
    sum.wrapping_add(empty(table))
}

/// `blocks=N low=A high=B rounds=N order=fifo|lifo|shuffle`: a batch is allocated, then freed in the given order.
pub fn batch(params: &mut Params) -> Report {
    let blocks = params.need("blocks") as usize;
    let (low, high) = (params.need("low"), params.need("high"));
    let rounds = params.need("rounds");
    let order = params.word("order", "fifo");
    let mut rng = Rng::new(2, 0);
    let mut freeing = Table::new(blocks, |i| i as u32);
    match order.as_str() {
        "fifo" => {}
        "lifo" => freeing.reverse(),
        "shuffle" => {
            for i in (1..blocks).rev() {
                freeing.swap(i, rng.below(i as u64 + 1) as usize);
            }
        }
        other => crate::params::fail(&format!("order: fifo, lifo or shuffle, not '{other}'")),
    }
    let mut table = Table::new(blocks, |_| None::<Block>);
    let (sum, seconds) = timed(|| {
        let mut sum = 0u64;
        for _ in 0..rounds {
            for slot in table.iter_mut() {
                *slot = Some(Block::new(rng.between(low, high), rng.next() as u32));
            }
            for &index in freeing.iter() {
                if let Some(block) = table[index as usize].take() {
                    sum = sum.wrapping_add(block.release());
                }
            }
        }
        sum
    });
    Report::new(sum, rounds * blocks as u64, seconds)
}

/// `slots=N high=B ops=N`: buffers grow by halves through realloc until `high`, then start anew.
pub fn realloc(params: &mut Params) -> Report {
    let slots = params.need("slots") as usize;
    let high = params.need("high");
    let ops = params.need("ops");
    let mut table = Table::new(slots, |_| None::<Block>);
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(3, 0);
        let mut sum = 0u64;
        for _ in 0..ops {
            let slot = &mut table[rng.below(slots as u64) as usize];
            *slot = Some(match slot.take() {
                None => Block::new(16, rng.next() as u32),
                Some(block) if block.size() > high => {
                    sum = sum.wrapping_add(block.release());
                    Block::new(16, rng.next() as u32)
                }
                Some(block) => {
                    let size = block.size() + block.size() / 2;
                    block.resize(size)
                }
            });
        }
        sum.wrapping_add(empty(&mut table))
    });
    Report::new(sum, ops, seconds)
}

/// `slots=N low=A high=B ops=N`: as random, by calloc, checked to be zero.
pub fn calloc(params: &mut Params) -> Report {
    let slots = params.need("slots") as usize;
    let (low, high) = (params.need("low"), params.need("high"));
    let ops = params.need("ops");
    let mut table = Table::new(slots, |_| None::<Block>);
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(4, 0);
        let mut sum = 0u64;
        for _ in 0..ops {
            let slot = &mut table[rng.below(slots as u64) as usize];
            let fresh = Block::zeroed(rng.octaves(low, high), rng.next() as u32);
            if let Some(old) = slot.replace(fresh) {
                sum = sum.wrapping_add(old.release());
            }
        }
        sum.wrapping_add(empty(&mut table))
    });
    Report::new(sum, ops, seconds)
}

/// `slots=N ops=N`: blocks of 32 to 1000 bytes aligned to 32, 64, 128 or 4096.
pub fn aligned(params: &mut Params) -> Report {
    let slots = params.need("slots") as usize;
    let ops = params.need("ops");
    let mut table = Table::new(slots, |_| None::<Block>);
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(5, 0);
        let mut sum = 0u64;
        for _ in 0..ops {
            let slot = &mut table[rng.below(slots as u64) as usize];
            let align = match rng.below(64) {
                0 => 4096,
                n => 32 << (n % 3),
            };
            let fresh = Block::aligned(align, rng.between(32, 1000), rng.next() as u32);
            if let Some(old) = slot.replace(fresh) {
                sum = sum.wrapping_add(old.release());
            }
        }
        sum.wrapping_add(empty(&mut table))
    });
    Report::new(sum, ops, seconds)
}

/// `slots=N ops=N`: buffers of 1 to 64 MiB, every page written.
pub fn large(params: &mut Params) -> Report {
    let slots = params.need("slots") as usize;
    let ops = params.need("ops");
    let mut table = Table::new(slots, |_| None::<Block>);
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(6, 0);
        let mut sum = 0u64;
        for _ in 0..ops {
            let slot = &mut table[rng.below(slots as u64) as usize];
            if let Some(old) = slot.take() {
                sum = sum.wrapping_add(old.release());
            }
            *slot = Some(Block::new(
                rng.octaves(1 << 20, 64 << 20),
                rng.next() as u32,
            ));
        }
        sum.wrapping_add(empty(&mut table))
    });
    Report::new(sum, ops, seconds)
}

/// Frees what is left; returns the sum of the stamps.
pub fn empty(table: &mut [Option<Block>]) -> u64 {
    table
        .iter_mut()
        .filter_map(Option::take)
        .fold(0, |sum, block| sum.wrapping_add(block.release()))
}
