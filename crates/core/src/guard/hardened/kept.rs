//! Units of slabs that ended, kept for the next slab of whatever class: all zero, their guard in place.
//!
//! ```text
//! slab ends --> kept --> fresh slab             no system call, no page fault
//!                 `----> page heap (guard off)  what nobody asks for
//! ```
//! As many stay as the bound on retained memory allows, or, while a support thread looks, as slabs had at the last peak, half a second to a second ago, if
//! that is more. What is beyond goes back when the next slab ends, when the support thread sweeps or ends, and on a purge.
//!
//! That such a unit is zero is not taken for granted: its blocks are looked at when they are handed out, as all are.
//!
//! # Roles
//! The lock guards everything here.
//!
//! Cost: a lock for each slab that begins or ends.

use super::super::pages;
use crate::bell;
use crate::clock;
use crate::pages::{Run, give, guarded_limit_units};
use crate::space;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::units::UNIT;
use aethalloc_sys::lock::Lock;

/// Units that are kept at most: 256 MiB.
const MOST: usize = 4096;
/// Ticks of the clock that a peak counts for, at least: about half a second.
const WINDOW: u64 = 1 << 30;

struct Kept {
    lock: Lock,
    count: AtomicUsize,
    units: [AtomicU32; MOST],
    /// Units of slabs that exist, and the most of this window and the last one.
    used: AtomicUsize,
    peaks: [AtomicUsize; 2],
    /// When this window began.
    begun: AtomicU64,
}
static KEPT: Kept = Kept {
    lock: Lock::new(),
    count: AtomicUsize::new(0),
    units: [const { AtomicU32::new(0) }; MOST],
    used: AtomicUsize::new(0),
    peaks: [const { AtomicUsize::new(0) }; 2],
    begun: AtomicU64::new(0),
};

/// The lock.
#[cold]
pub fn lock() -> &'static Lock {
    &KEPT.lock
}

impl Kept {
    /// Takes note of how many units are in use; under the lock.
    fn note(&self, used: usize) {
        self.used.store(used, Relaxed);
        let [this, last] = &self.peaks;
        let (now, begun) = (clock::now(), self.begun.load(Relaxed));
        if now.wrapping_sub(begun) > WINDOW {
            self.begun.store(now, Relaxed);
            last.store(this.swap(used, Relaxed), Relaxed);
        } else if used > this.load(Relaxed) {
            this.store(used, Relaxed);
        }
    }

    /// How many may stay; under the lock.
    fn allowed(&self) -> usize {
        if !bell::is_served() {
            // Nobody would look for what is beyond.
            return guarded_limit_units().min(MOST);
        }
        let [this, last] = self.peaks.each_ref().map(|p| p.load(Relaxed));
        let missed = this.max(last).saturating_sub(self.used.load(Relaxed));
        guarded_limit_units().max(missed).min(MOST)
    }

    /// One of them, if there are more than `most`; under the lock.
    fn pop(&self, most: usize) -> Option<usize> {
        let n = self.count.load(Relaxed);
        if n <= most {
            return None;
        }
        self.count.store(n - 1, Relaxed);
        Some(self.units.get(n - 1)?.load(Relaxed) as usize)
    }
}

/// A unit for a slab that begins, if one is kept; the slab counts either way.
#[cold]
pub fn take() -> Option<usize> {
    let _held = KEPT.lock.take();
    KEPT.note(KEPT.used.load(Relaxed) + 1);
    KEPT.pop(0)
}

/// The slab at unit `first`, which began after a [`take`], has ended; `kept`: it is all zero, and a guard is its last page. Whatever is too much goes back.
#[cold]
pub fn put(first: usize, kept: bool) {
    let more = {
        let _held = KEPT.lock.take();
        KEPT.note(KEPT.used.load(Relaxed).saturating_sub(1));
        let n = KEPT.count.load(Relaxed);
        let full = match KEPT.units.get(n) {
            _ if !kept => false,
            Some(slot) => {
                slot.store(first as u32, Relaxed);
                KEPT.count.store(n + 1, Relaxed);
                false
            }
            None => true,
        };
        // Two at a time, so that in the end no more are there than may be.
        let allowed = KEPT.allowed();
        match full {
            true => [Some(first), KEPT.pop(allowed)],
            false => [KEPT.pop(allowed), KEPT.pop(allowed)],
        }
    };
    for unit in more.into_iter().flatten() {
        release(unit);
    }
}

/// Gives back what is more than may stay now; whether time alone may make it more.
#[cold]
pub fn trim() -> bool {
    loop {
        let unit = {
            let _held = KEPT.lock.take();
            KEPT.note(KEPT.used.load(Relaxed));
            KEPT.pop(KEPT.allowed())
        };
        match unit {
            Some(unit) => release(unit),
            None => return KEPT.count.load(Relaxed) > guarded_limit_units(),
        }
    }
}

/// Gives all back.
#[cold]
pub fn purge() {
    purge_to(0);
}

/// Gives back all but `most`.
#[cold]
pub fn purge_to(most: usize) {
    loop {
        let unit = {
            let _held = KEPT.lock.take();
            KEPT.pop(most)
        };
        match unit {
            Some(unit) => release(unit),
            None => return,
        }
    }
}

/// Gives a unit with a guard back to the page heap.
#[cold]
fn release(first: usize) {
    let page = pages::size();
    let guard = space::address_of(first).wrapping_add(UNIT - page);
    // SAFETY: the unit is the caller's, and its guard was put there.
    if unsafe { pages::take_off(guard, page, 1) } {
        give(Run {
            first,
            units: 1,
            clean: false,
        });
    }
}
