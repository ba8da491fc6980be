//! The claim word: one word per slab says who may do what with it.
//!
//! ```text
//! | 31      24 | 23 … 19 | 18 FROZEN | 17 LISTED | 16 HELD | 15          0 |
//! |   class    |         |           |           |         |  blocks out   |
//! ```
//! # States
//! ```text
//!             acquire                      drop, free blocks left
//!   (zero) ------------> HELD ---------------------------------------> LISTED
//!     ^                   |  ^   take from list                          |  |
//!     |                   |  +-------------------------------------------+  |
//!     | last block back   | drop, all out            last block back        |
//!     +---- resting <-----+   (resting: neither held nor listed)            |
//!     |        |  some block back: -> LISTED                                |
//!     +--------+------------------------------------------------------------+
//! ```
//! # Roles
//! The holder (one thread) takes blocks. Anyone puts blocks back. The class lock's owner changes flags.
//! # Who may touch what, when
//! Flags and class: under the class lock. Blocks out: the holder adds after taking bits, anyone subtracts after
//! setting bits. While HELD nobody else releases, lists or takes, so the holder's sum may lag behind.
//! # Orderings
//! `put` is AcqRel: whoever brings the count to zero has seen every other thread's bits and last uses, so the slab may
//! be reused. Everything else is ordered by the class lock.

use crate::sync::{AtomicU32, Ordering::*};

/// A thread takes blocks from the slab.
pub const HELD: u32 = 1 << 16;
/// The slab is on a list of slabs with free blocks.
pub const LISTED: u32 = 1 << 17;
/// A purge or a compaction works on its pages.
pub const FROZEN: u32 = 1 << 18;
const OUT: u32 = 0xffff;

/// What a thread that put blocks back must do next.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Nothing: the holder or the list already takes care.
    Nothing,
    /// Take the class lock and [`Claim::judge`].
    Judge,
}

/// What the class lock's owner must do with a slab it judged.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing (held, another life, or already right).
    Leave,
    /// Put it on a list; the word says LISTED already.
    List,
    /// Unlink it if it was listed, then release it; the word is zero already.
    Release {
        /// It was on a list.
        listed: bool,
    },
}

/// The word.
#[repr(transparent)]
pub struct Claim(AtomicU32);

impl Claim {
    /// A word of no slab.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Claim(AtomicU32::new(0))
    }
    /// A word of no slab.
    #[cfg(loom)]
    pub fn new() -> Self {
        Claim(AtomicU32::new(0))
    }

    /// A new life: held, of `class`, no block out.
    pub fn acquire(&self, class: usize) {
        // ORDERING: Relaxed: the page-map entry publishes the slab.
        self.0.store((class as u32) << 24 | HELD, Relaxed);
    }

    /// A new life: listed, of `class`, no block out (the caller lists it under the class lock).
    pub fn acquire_listed(&self, class: usize) {
        self.0.store((class as u32) << 24 | LISTED, Relaxed);
    }

    /// The class of the present life, 0: none.
    pub fn class(&self) -> usize {
        (self.0.load(Relaxed) >> 24) as usize
    }

    /// Blocks out, now.
    pub fn out(&self) -> usize {
        (self.0.load(Relaxed) & OUT) as usize
    }

    /// The holder (or the class lock's owner, of a listed slab) took `n` blocks.
    pub fn took(&self, n: usize) {
        // ORDERING: Relaxed: adding can not make the slab releasable.
        self.0.fetch_add(n as u32, Relaxed);
    }

    /// `n` blocks were put back: their bits are set.
    pub fn put(&self, n: usize) -> After {
        // ORDERING: AcqRel, pairs with itself: the last to put sees all bits and uses before.
        let now = self.0.fetch_sub(n as u32, AcqRel) - n as u32;
        if now & HELD != 0 || (now & LISTED != 0 && now & OUT != 0) { After::Nothing } else { After::Judge }
    }

    /// Under the lock of `class`: what to do with a slab after [`After::Judge`]. The slab may have begun another life.
    pub fn judge(&self, class: usize) -> Verdict {
        // ORDERING: Acquire, pairs with Release in `put` of others.
        let mut now = self.0.load(Acquire);
        loop {
            if (now >> 24) as usize != class || now & (HELD | FROZEN) != 0 {
                return Verdict::Leave;
            }
            let (new, verdict) = if now & OUT == 0 {
                (0, Verdict::Release { listed: now & LISTED != 0 })
            } else if now & LISTED == 0 {
                (now | LISTED, Verdict::List)
            } else {
                return Verdict::Leave;
            };
            match self.0.compare_exchange(now, new, AcqRel, Acquire) {
                Ok(_) => return verdict,
                Err(v) => now = v,
            }
        }
    }

    /// Under the class lock: a listed slab becomes held by the caller.
    pub fn hold(&self) {
        // ORDERING: Acquire, pairs with Release in `put`: the bits counted as free are visible.
        self.0.fetch_add(HELD.wrapping_sub(LISTED), Acquire);
    }

    /// Under the class lock: the holder lets go. `full` blocks make a slab full; a slab with free blocks is listed.
    /// `listable` false (no whole line group free): it rests until a block comes back.
    pub fn let_go(&self, full: usize, listable: bool) -> Verdict {
        let mut now = self.0.load(Acquire);
        loop {
            let (new, verdict) = match (now & OUT) as usize {
                0 => (0, Verdict::Release { listed: false }),
                n if n < full && listable => (now & !HELD | LISTED, Verdict::List),
                _ => (now & !HELD, Verdict::Leave),
            };
            // ORDERING: AcqRel: as `put`; a put that comes before sees HELD and leaves the decision to this one.
            match self.0.compare_exchange(now, new, AcqRel, Acquire) {
                Ok(_) => return verdict,
                Err(v) => now = v,
            }
        }
    }

    /// Under the class lock: takes a listed slab off the lists without holding it (no whole group is free).
    pub fn unlist(&self) {
        self.0.fetch_and(!LISTED, Relaxed);
    }
}

impl Default for Claim {
    fn default() -> Self {
        Self::new()
    }
}
