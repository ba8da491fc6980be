//! The gate of an outbox: its owner enters cheaply, others may stop it and go in instead.
//!
//! # Roles
//! Owner: one thread, enters before it touches the outbox. Drainer: anyone, one at a time (`stop` is a lock).
//! # States
//! busy 0/1 (owner inside), stop 0/1 (a drainer wants in or is in).
//! # Orderings
//! Store-buffering (Dekker): the owner stores busy and loads stop, the drainer stores stop and loads busy; one of them
//! must see the other. The drainer's barrier runs on every thread of the process (membarrier), so the owner's side
//! needs no fence instruction, only that the compiler keeps the order. Where membarrier is refused, nobody drains.

use crate::sync::{AtomicU32, Ordering::*};

/// The gate.
pub struct Gate {
    busy: AtomicU32,
    stop: AtomicU32,
}

impl Gate {
    /// Open, nobody inside.
    pub const fn new() -> Self {
        Gate {
            busy: AtomicU32::new(0),
            stop: AtomicU32::new(0),
        }
    }

    /// The owner enters; false while a drainer is (or wants) inside: the owner then does without its outbox.
    #[inline]
    pub fn enter(&self, light_fence: impl Fn()) -> bool {
        self.busy.store(1, Relaxed);
        // The other half is the drainer's heavy barrier.
        light_fence();
        // ORDERING: Acquire, pairs with Release in `reopen`: the drainer's changes are seen.
        if self.stop.load(Acquire) == 0 {
            return true;
        }
        self.busy.store(0, Release);
        false
    }

    /// The owner leaves.
    #[inline]
    pub fn leave(&self) {
        // ORDERING: Release, pairs with Acquire in `close`: the drainer sees the owner's changes.
        self.busy.store(0, Release);
    }

    /// A drainer closes the gate: true if it is alone inside now; false if another drains, or the owner is inside
    /// (it is at work, so it will flush by itself).
    pub fn close(&self, heavy_fence: impl Fn() -> bool) -> bool {
        // ORDERING: Acquire, pairs with Release in `reopen` of the previous drainer.
        if self.stop.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            return false;
        }
        // ORDERING: Acquire, pairs with Release in `leave`.
        if heavy_fence() && self.busy.load(Acquire) == 0 {
            return true;
        }
        self.stop.store(0, Release);
        false
    }

    /// The drainer opens the gate again.
    pub fn reopen(&self) {
        // ORDERING: Release, pairs with Acquire in `enter`.
        self.stop.store(0, Release);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
