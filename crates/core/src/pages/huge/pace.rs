//! Whether huge pages come quickly enough to be asked for.
//!
//! One saves 511 page faults of 1 to 3 us. But a virtual machine may have given its free memory back to the host, large pieces first: then the
//! first touch of a huge page takes 2 to 5 ms, while pages of 4 KiB come from pieces that are still there (decision 0017). So the thread that asks
//! for one for a slab, or for the first of a large object, touches it at once and looks how long that took. After a slow one neither the rest of the object nor the
//! next [`FEW`] slabs' regions or objects get any, after another one twice as many, up to [`MANY`].
//!
//! CPU time of the thread is what is looked at, since others may run meanwhile. Cost: two system calls a region, 0.4 us.

use crate::config;
use crate::sync::{AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_sys::thread;

/// Regions of slabs, or large objects, that get none after the first slow huge page.
const FEW: usize = 16;
/// And at most.
const MANY: usize = 1024;

/// So many still get none.
static PASSED_BY: AtomicUsize = AtomicUsize::new(0);
/// How many do after the next slow one.
static NEXT: AtomicUsize = AtomicUsize::new(FEW);

/// The region, or the object, that begins may be asked for.
pub fn is_turn() -> bool {
    // ORDERING: Relaxed everywhere: two threads at once pass by one region less, or one more.
    let left = PASSED_BY.load(Relaxed);
    if left > 0 {
        PASSED_BY.store(left - 1, Relaxed);
    }
    left == 0 || config::get(Key::huge_page_us) == 0
}

/// Touches the huge page that was asked for at `at`, and remembers whether it was slow. True: it was not.
///
/// # Safety
/// The byte at `at` is the caller's, and zero.
#[unsafe(link_section = ".text.unknown.later")]
pub unsafe fn try_first(at: *mut u8) -> bool {
    let slow = config::get(Key::huge_page_us) as u64 * 1000;
    if slow == 0 {
        return true;
    }
    let before = thread::cpu_ns();
    // SAFETY: the caller's promise. A store: a load would bring the page of zeroes that all share.
    unsafe { at.write_volatile(0) };
    let took = thread::cpu_ns().wrapping_sub(before);
    let next = NEXT.load(Relaxed);
    if took > slow {
        PASSED_BY.store(next, Relaxed);
        NEXT.store((next * 2).min(MANY), Relaxed);
    } else if next != FEW {
        NEXT.store(FEW, Relaxed);
    }
    took <= slow
}
