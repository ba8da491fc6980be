//! What waits in a bin: blocks that a thread reserved and has not handed out, as whoever purges its slab sees them.
//!
//! A reservation may be old: a thread that sleeps has handed most of it out, and those blocks may be free again. Which still
//! wait is in the bin, a word that only the thread changes. Whoever froze the slab may read it:
//!
//! ```text
//! thread   busy = 1   reserve (claim word)   bits = reserved   busy = 0   state = OUT   bits = bits - block   …
//! purge    freeze (claim word)   busy?   bits   states
//! ```
//! # Roles
//! The thread: everything. Who froze the slab: reads [`Busy`], then [`Waiting`], then the state bytes.
//! # States
//! While the slab is frozen no block is added to the bits, or they are those of another slab, and then the thread let go of
//! this one: nothing of it waits.
//! # Orderings
//! Who sees a reservation (the freeze is Acquire) sees at least its `busy = 1`. A 0 that was stored after it is Release, so the
//! bits are those of this reservation or what is left of them. A block is OUT before it leaves the bits, by Release: who finds
//! it gone from them sees it OUT, or what became of it since.

use crate::sync::{AtomicU32, AtomicU64, Ordering::*};

/// Whether a slow path of the thread is under way.
#[repr(transparent)]
pub struct Busy(AtomicU32);

impl Busy {
    /// It is not.
    pub const fn new() -> Self {
        Busy(AtomicU32::new(0))
    }

    /// The thread: one begins.
    #[inline]
    pub fn begin(&self) {
        self.0.store(1, Relaxed);
    }

    /// The thread: it ends.
    #[inline]
    pub fn end(&self) {
        // ORDERING: Release, pairs with Acquire in `is`: the bins are complete before.
        self.0.store(0, Release);
    }

    /// One is under way, or was when the thread stopped to exist.
    pub fn is(&self) -> bool {
        // ORDERING: Acquire, pairs with Release in `end`.
        self.0.load(Acquire) != 0
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self::new()
    }
}

/// The bits of a bin.
#[repr(transparent)]
pub struct Waiting(AtomicU64);

impl Waiting {
    /// No block.
    pub const fn new() -> Self {
        Waiting(AtomicU64::new(0))
    }

    /// The thread, in a slow path: these blocks wait from now on.
    pub fn set(&self, bits: u64) {
        self.0.store(bits, Relaxed);
    }

    /// The thread hands out the first block, of which there is one: `out` stores OUT into its state. (The C face of x86_64 does it in
    /// instructions, whose stores are seen in their order.)
    #[inline(always)]
    pub fn take(&self, out: impl FnOnce(u32)) -> u32 {
        let bits = self.0.load(Relaxed);
        let first = bits.trailing_zeros();
        out(first);
        // ORDERING: Release, pairs with Acquire in `seen`.
        self.0.store(bits & bits.wrapping_sub(1), Release);
        first
    }

    /// Who froze the slab of a thread that was not busy afterwards: no other block of it can be handed out.
    pub fn seen(&self) -> u64 {
        // ORDERING: Acquire, pairs with Release in `take`.
        self.0.load(Acquire)
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self::new()
    }
}
