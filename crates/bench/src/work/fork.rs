//! A process with a large heap forks and the parent frees a random half of its blocks, as a server does
//! while a child writes a snapshot. Every heap page the frees write to is copied.

use crate::heap::Block;
use crate::params::{self, Params};
use crate::proc;
use crate::report::{Report, timed};
use crate::rng::{self, Rng};
use crate::table::Table;

/// `blocks=2500000 size=160`. `copied_share` is the share of the heap's pages (blocks x size) that the
/// parent holds privately after freeing, beyond those it held right after the fork.
///
/// The pointer table is only read after the fork, so nothing of the program's own is copied with it.
pub fn run(params: &mut Params) -> Report {
    let count = params.need("blocks") as usize;
    let size = params.need("size");
    let mut rng = Rng::new(160, 0);
    let blocks = Table::new(count, |_| {
        std::mem::ManuallyDrop::new(Block::filled(size, rng.next() as u32))
    });
    let full = proc::memory();
    // SAFETY: the child only waits for its end.
    let child = unsafe { libc::fork() };
    if child < 0 {
        params::fail("fork failed");
    }
    if child == 0 {
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    let forked = proc::memory();
    let (sum, seconds) = timed(|| free_half(&blocks, 0));
    let after = proc::memory();
    // SAFETY: our own child, ended and reaped once.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    let checksum = sum.wrapping_add(free_half(&blocks, 1));
    let copied_kib = after
        .private_dirty_kib
        .saturating_sub(forked.private_dirty_kib) as f64;
    let heap_kib = count as f64 * size as f64 / 1024.0;
    let mut report = Report::new(checksum, count as u64, seconds);
    report.mark("full", full);
    report.mark("forked", forked);
    report.mark("half", after);
    report.extra("copied_kib", copied_kib);
    report.extra("copied_share", copied_kib / heap_kib);
    report
}

/// Frees the blocks whose index hashes to `half`, in an order that jumps over the whole table.
fn free_half(blocks: &[std::mem::ManuallyDrop<Block>], half: u64) -> u64 {
    let count = blocks.len();
    let mut sum = 0u64;
    let mut index = 0;
    for _ in 0..count {
        index = (index + STRIDE) % count;
        if rng::mix(index as u64) & 1 == half {
            // SAFETY: the stride shares no factor with the count, so each index comes once per call, and
            // the two calls take disjoint halves: every block is taken out once.
            let block = unsafe { std::ptr::read(&*blocks[index]) };
            sum = sum.wrapping_add(block.release());
        }
    }
    sum
}

/// A prime larger than any table here.
const STRIDE: usize = 1_000_000_007;
