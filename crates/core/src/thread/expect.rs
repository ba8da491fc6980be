//! What threads that ended lately took, as a hint for those that begin: a program that starts a thread for each piece of work starts the
//! like of it again and again.
//!
//! Cost: a byte for each class is looked at when a thread with bins ends, two when a cold class takes blocks.
//!
//! # Who may touch which field when
//! Anybody, everything: each is a hint of its own, and a store that another one overwrites is lost.
//! # Orderings
//! Relaxed everywhere: they steer a policy.

use crate::apart::Apart;
use crate::sync::{AtomicU8, Ordering::*};
use aethalloc_base::class::{COUNT, Class};

struct Hints {
    /// How many of the threads that ended last took many blocks, 0 to 3.
    busy: AtomicU8,
    /// Blocks of each class that such a thread took, on average.
    uses: [AtomicU8; COUNT],
}

static HINTS: Apart<Hints> = Apart(Hints {
    busy: AtomicU8::new(0),
    uses: [const { AtomicU8::new(0) }; COUNT],
});

/// Threads that begin now will take many blocks, as far as one can tell.
pub fn is_busy() -> bool {
    HINTS.busy.load(Relaxed) >= 2
}

/// Blocks of class `c` that a thread that begins now will take.
pub fn uses(c: Class) -> usize {
    HINTS.uses.get(c).map_or(0, |uses| uses.load(Relaxed)) as usize
}

/// A thread ends; `many`: it took many blocks.
pub fn ended(many: bool) {
    let was = HINTS.busy.load(Relaxed);
    let now = if many {
        (was + 1).min(3)
    } else {
        was.saturating_sub(1)
    };
    if now != was {
        HINTS.busy.store(now, Relaxed);
    }
}

/// It took `uses` blocks of class `c`.
pub fn learn(c: Class, uses: u8) {
    if let Some(known) = HINTS.uses.get(c) {
        let was = known.load(Relaxed);
        let now = was / 2 + uses / 2 + (was & uses & 1);
        if now != was {
            known.store(now, Relaxed);
        }
    }
}
