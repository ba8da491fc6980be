//! Many short threads: what starting and ending one costs an allocator, and what it leaves behind.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// `threads=10000 at_once=4 blocks=50 low=A high=B`: each thread frees what its predecessor left, allocates
/// its own blocks, frees half and leaves the rest.
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let at_once = params.need("at_once") as usize;
    let blocks = params.need("blocks") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let mut lanes = Table::new(at_once, |_| Table::new(blocks, |_| None::<Block>));
    let checksum = AtomicU64::new(0);
    let waves = threads / at_once as u64;
    let ((), seconds) = timed(|| {
        for wave in 0..waves {
            std::thread::scope(|scope| {
                for (lane, table) in lanes.iter_mut().enumerate() {
                    let checksum = &checksum;
                    scope.spawn(move || {
                        let mut sum = crate::single::empty(table);
                        let mut rng = Rng::new(12, wave << 8 | lane as u64);
                        for slot in table.iter_mut() {
                            *slot =
                                Some(Block::new(rng.octaves(sizes.0, sizes.1), rng.next() as u32));
                        }
                        let half = table.len() / 2;
                        sum = sum.wrapping_add(crate::single::empty(&mut table[..half]));
                        checksum.fetch_add(sum, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    let mut sum = checksum.load(Ordering::Relaxed);
    for table in lanes.iter_mut() {
        sum = sum.wrapping_add(crate::single::empty(table));
    }
    Report::new(sum, waves * at_once as u64, seconds)
}
