//! False sharing: do two threads get blocks on one cache line? (After cache-scratch and cache-thrash.)

use std::sync::atomic::{AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::table::Table;

/// `threads=T size=N ops=N writes=N passive=0|1`: each thread allocates, writes `writes` times, frees.
/// With `passive=1` (cache-scratch) each thread first frees a block that the main thread allocated next to
/// the others', and an allocator that hands it the same line again makes all threads share it. Below 16 bytes there is
/// no room for a stamp: every byte is written and read instead.
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads") as usize;
    let size = params.need("size");
    let ops = params.need("ops");
    let writes = params.need("writes");
    let passive = params.number("passive", 0) != 0;
    if size < 16 {
        return bytes(threads, size as usize, ops, writes, passive);
    }
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

/// A block of a few bytes.
struct Few(*mut u8);

// SAFETY: exclusively owned memory from malloc.
unsafe impl Send for Few {}

impl Few {
    fn new(size: usize) -> Few {
        // SAFETY: any size may be asked for.
        let at = unsafe { libc::malloc(size) }.cast::<u8>();
        if at.is_null() {
            crate::params::fail("malloc returned null");
        }
        Few(at)
    }

    fn release(self) {
        // SAFETY: the pointer came from malloc and is given up here.
        unsafe { libc::free(self.0.cast()) };
    }

    /// Counts each byte up, `times` over; returns their sum at the end.
    fn count(&mut self, size: usize, times: u64) -> u64 {
        let mut sum = 0u64;
        for offset in 0..size {
            // SAFETY: inside the block. Volatile: each write must happen.
            unsafe { self.0.add(offset).write_volatile(0) };
        }
        for _ in 0..times {
            for offset in 0..size {
                // SAFETY: as above.
                unsafe {
                    let byte = self.0.add(offset);
                    byte.write_volatile(byte.read_volatile().wrapping_add(1));
                }
            }
        }
        for offset in 0..size {
            // SAFETY: as above.
            sum += u64::from(unsafe { self.0.add(offset).read_volatile() });
        }
        sum
    }
}

fn bytes(threads: usize, size: usize, ops: u64, writes: u64, passive: bool) -> Report {
    let mut given = Table::new(threads, |_| passive.then(|| Few::new(size)));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for given in given.iter_mut() {
                let checksum = &checksum;
                scope.spawn(move || {
                    if let Some(given) = given.take() {
                        given.release();
                    }
                    let mut sum = 0u64;
                    for _ in 0..ops {
                        let mut block = Few::new(size);
                        sum += block.count(size, writes);
                        block.release();
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
