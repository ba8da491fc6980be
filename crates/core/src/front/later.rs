//! Frees that have to wait: of objects other than blocks, by a signal handler that interrupted a slow path of its own thread.
//!
//! The address waits in a table until any thread's next slow path. When the table is full the object is lost: the memory
//! leaks, nothing is done twice.

use crate::sync::{AtomicBool, AtomicUsize, Ordering::*};

/// Frees that can wait.
const PLACES: usize = 64;

static PENDING: AtomicBool = AtomicBool::new(false);
static TABLE: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];

/// The object at `p` ends later.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn put(p: usize) {
    // ORDERING: Release, pairs with Acquire in `take_all`: the object's last use comes before its end.
    let free = |place: &AtomicUsize| place.compare_exchange(0, p, Release, Relaxed).is_ok();
    if TABLE.iter().any(free) {
        PENDING.store(true, Release);
    }
}

/// Something may wait.
#[inline]
pub fn is_pending() -> bool {
    PENDING.load(Relaxed)
}

/// Ends what waits.
#[inline]
pub fn settle(end: fn(usize)) {
    if PENDING.load(Relaxed) {
        take_all(end);
    }
}

#[cold]
#[inline(never)]
fn take_all(end: fn(usize)) {
    // ORDERING: Acquire, pairs with Release in `put`; whoever comes after this sets it again.
    if PENDING.swap(false, Acquire) {
        for place in &TABLE {
            let p = place.swap(0, Acquire);
            if p != 0 {
                end(p);
            }
        }
    }
}
