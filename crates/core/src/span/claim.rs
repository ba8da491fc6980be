//! The claim word: one word per slab says who may do what with it.
//!
//! ```text
//! | 63      56 | 55    48 | 47            24 | 23 … 18 | 17 LISTED | 16 HELD | 15          0 |
//! |   class    |    0     | holder's id      |    0    |           |         |  blocks out   |
//! ```
//! # States
//! ```text
//!             acquire                      let go, free blocks left
//!   (zero) ------------> HELD ---------------------------------------> LISTED
//!     ^  ^                |  ^   hold                                    |  |
//!     |  | last block out |  +-------------------------------------------+  |
//!     |  | put by another |                                                 |
//!     |  +----------------+ let go, all out           last block put        |
//!     +---- resting <-----+   (resting: neither held nor listed)            |
//!     |        |  some block put: -> LISTED                                 |
//!     +--------+------------------------------------------------------------+
//! ```
//! # Roles
//! The holder (one thread) takes blocks. Anyone puts blocks back. The class lock's owner changes class and flags.
//! # Who may touch what, when
//! Blocks out: the holder adds *before* it takes bits ([`Claim::reserve`]), so that a slab whose holder is at work is
//! never seen empty; anyone subtracts after setting bits. A held slab with no block out may be released by anyone
//! under the class lock: its holder may be asleep for ever, and finds out at its next reserve.
//! # Orderings
//! `put` is AcqRel: whoever brings the count to zero has seen every other thread's bits and last uses, so the slab may
//! be reused. `reserve` is Acquire: it sees what a release before it did. The rest is ordered by the class lock.

use crate::sync::{AtomicU64, Ordering::*};

/// A thread takes blocks from the slab.
pub const HELD: u64 = 1 << 16;
/// The slab is on a list of slabs with free blocks.
pub const LISTED: u64 = 1 << 17;
const OUT: u64 = 0xffff;
const HOLDER: u64 = 0xff_ffff << 24;

const fn holder_bits(id: u32) -> u64 {
    (id as u64) << 24 & HOLDER
}
const fn class_bits(class: usize) -> u64 {
    (class as u64) << 56
}

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
    /// Unlink it if it is on a list, then release it; the word is zero already.
    Release,
}

/// The word.
#[repr(transparent)]
pub struct Claim(AtomicU64);

impl Claim {
    /// A word of no slab.
    pub const fn new() -> Self {
        Claim(AtomicU64::new(0))
    }

    /// A new life: of `class`, held by `holder`, one block reserved. That one keeps judges of an earlier life of the
    /// same descriptor away until the slab is complete; [`Claim::unreserve`] ends it.
    pub fn acquire(&self, class: usize, holder: u32) {
        // ORDERING: Relaxed: the page-map entry publishes the slab.
        self.0
            .store(class_bits(class) | holder_bits(holder) | HELD | 1, Relaxed);
    }

    /// Under the class lock: a slab just acquired is listed instead of held, no block out.
    pub fn acquire_listed(&self, class: usize) {
        self.0.store(class_bits(class) | LISTED, Relaxed);
    }

    /// The class of the present life, 0: none.
    pub fn class(&self) -> usize {
        (self.0.load(Relaxed) >> 56) as usize
    }

    /// Blocks out, now.
    pub fn out(&self) -> usize {
        (self.0.load(Relaxed) & OUT) as usize
    }

    /// A thread takes from it, now.
    pub fn is_held(&self) -> bool {
        self.0.load(Relaxed) & HELD != 0
    }

    /// The holder is about to take up to `n` blocks: false if it is not the holder any more.
    pub fn reserve(&self, class: usize, holder: u32, n: usize) -> bool {
        let mine = class_bits(class) | holder_bits(holder) | HELD;
        let mut now = self.0.load(Relaxed);
        loop {
            if now & !OUT != mine {
                return false;
            }
            // ORDERING: Acquire, pairs with Release in `put`: the bits counted as free are visible.
            match self
                .0
                .compare_exchange_weak(now, now + n as u64, Acquire, Relaxed)
            {
                Ok(_) => return true,
                Err(v) => now = v,
            }
        }
    }

    /// The holder took `n` blocks fewer than it reserved.
    pub fn unreserve(&self, n: usize) {
        // ORDERING: Release, pairs with Acquire in `judge`: whoever releases the slab sees what its holder wrote.
        self.0.fetch_sub(n as u64, Release);
    }

    /// The class lock's owner took `n` blocks of a listed slab.
    pub fn took(&self, n: usize) {
        // ORDERING: Relaxed: adding can not make the slab releasable, and the class lock excludes a release.
        self.0.fetch_add(n as u64, Relaxed);
    }

    /// `n` blocks were put back by thread `me` (0: one without an id): their bits are set.
    pub fn put(&self, n: usize, me: u32) -> After {
        // ORDERING: AcqRel, pairs with itself: the last to put sees all bits and uses before.
        let now = self.0.fetch_sub(n as u64, AcqRel) - n as u64;
        let nothing = if now & HELD != 0 {
            now & OUT != 0 || (me != 0 && now & HOLDER == holder_bits(me))
        } else {
            now & LISTED != 0 && now & OUT != 0
        };
        if nothing {
            After::Nothing
        } else {
            After::Judge
        }
    }

    /// Under the lock of `class`: what to do with a slab after [`After::Judge`]. The slab may have begun another life.
    pub fn judge(&self, class: usize) -> Verdict {
        // ORDERING: Acquire, pairs with Release in `put` of others.
        let mut now = self.0.load(Acquire);
        loop {
            if now >> 56 != class as u64 {
                return Verdict::Leave;
            }
            let (new, verdict) = if now & OUT == 0 {
                (0, Verdict::Release)
            } else if now & (LISTED | HELD) == 0 {
                (now | LISTED, Verdict::List)
            } else {
                return Verdict::Leave;
            };
            // ORDERING: AcqRel: after a release nothing of this life is touched again; `reserve` fails from here on.
            match self.0.compare_exchange(now, new, AcqRel, Acquire) {
                Ok(_) => return verdict,
                Err(v) => now = v,
            }
        }
    }

    /// Under the class lock: a listed slab becomes held by `holder`.
    pub fn hold(&self, holder: u32) {
        // ORDERING: Acquire, pairs with Release in `put`: the bits counted as free are visible.
        self.0.fetch_add(
            HELD.wrapping_sub(LISTED).wrapping_add(holder_bits(holder)),
            Acquire,
        );
    }

    /// Under the class lock: `holder` lets go. `full` blocks make a slab full; a slab with free blocks is listed.
    /// `listable` false (no whole line group free): it rests until a block comes back. Leaves a slab alone that is not
    /// the holder's any more.
    pub fn let_go(&self, class: usize, holder: u32, full: usize, listable: bool) -> Verdict {
        let mine = class_bits(class) | holder_bits(holder) | HELD;
        let mut now = self.0.load(Acquire);
        loop {
            if now & !OUT != mine {
                return Verdict::Leave;
            }
            let rest = now & !(HELD | HOLDER);
            let (new, verdict) = match (now & OUT) as usize {
                0 => (0, Verdict::Release),
                n if n < full && listable => (rest | LISTED, Verdict::List),
                _ => (rest, Verdict::Leave),
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
