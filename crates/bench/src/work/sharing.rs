//! False sharing: do two threads get blocks on one cache line? (After cache-scratch and cache-thrash.)

use std::sync::atomic::{AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::table::Table;

/// `threads=T size=N ops=N writes=N passive=0|1`: each thread allocates, writes `writes` times, frees.
/// With `passive=1` (cache-scratch) each thread first frees a block that the main thread allocated next to
/// the others', and an allocator that hands it the same line again makes all threads share it.
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads") as usize;
    let size = params.need("size").max(16);
    let ops = params.need("ops");
    let writes = params.need("writes");
    let passive = params.number("passive", 0) != 0;
    let mut given = Table::new(threads, |i| passive.then(|| Block::new(size, i as u32)));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for (thread, given) in given.iter_mut().enumerate() {
                let checksum = &checksum;
                scope.spawn(move || {
                    let mut sum = given.take().map_or(0, Block::release);
                    for op in 0..ops {
                        let mut block = Block::new(size, thread as u32);
                        for write in 0..writes {
                            block.poke(8, block.peek(8).wrapping_add((write ^ op) as u8));
                        }
                        sum = sum.wrapping_add(block.release());
                    }
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
