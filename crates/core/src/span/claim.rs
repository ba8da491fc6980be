//! The claim word: one word per slab says who may hand out its blocks.
//!
//! ```text
//! | 63      56 | 55    48 | 47         24 | 23       8 | 7 … 3 | 2 FROZEN | 1 LISTED | 0 HELD |
//! |   class    |    0     | holder's id   | group + 1  |   0   |          |          |        |
//! ```
//! # States
//! ```text
//!             acquire                    let go with free blocks
//!   (none) ------------> HELD ---------------------------------> LISTED
//!     ^                   ^  |    hold                             ^ |  |
//!     |                   |  |  <----------------------------------+-+  |
//!     |                   |  | let go                            | found free blocks
//!     |                   |  +--------> resting -----------------+      |
//!     |                   |                |                            |
//!     +------ release: neither held, every block free ------------------+
//! ```
//! Which blocks are free is not in the word: that is in the slab's state bytes, which every `free` writes.
//!
//! # Roles
//! The holder (one thread) reserves free blocks of one group at a time ([`Claim::reserve`]) and hands them out without
//! telling anybody. Whoever has the slab's lock does everything else: acquires, lists, lets go, freezes, releases.
//! # Who may touch what, when
//! Two changes are made without the slab's lock: the holder's reservation, and the end of a freeze. [`Claim::freeze`] forbids
//! the next reservation, whoever holds the slab by then: who froze the slab knows which group's blocks may be handed out
//! meanwhile (the one in the word, of which [`super::slab::Slab::reserved`] has the blocks) and that no other block can be,
//! also after the slab's lock was given back: nobody takes blocks of a frozen slab, and nobody ends its life.
//! # Orderings
//! `reserve` is Release: whoever freezes the slab afterwards sees the reserved blocks it stored before; it is Acquire: the
//! holder sees what was done to the slab while it was frozen (`thaw`, Release). The rest is ordered by the slab's lock.

use crate::sync::{AtomicU32, AtomicU64, Ordering::*};

/// A thread takes from the slab.
const HELD: u64 = 1;
/// The slab is on a list of slabs with free blocks.
const LISTED: u64 = 1 << 1;
/// No reservation for now.
const FROZEN: u64 = 1 << 2;
const GROUP: u64 = 0xffff << 8;
const HOLDER: u64 = 0xff_ffff << 24;

const fn holder_bits(id: u32) -> u64 {
    (id as u64) << 24 & HOLDER
}
const fn class_bits(class: usize) -> u64 {
    (class as u64) << 56
}

/// What a reservation came to.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserved {
    /// The group is the holder's to hand out.
    Yes,
    /// The slab is frozen: take a block elsewhere.
    Frozen,
}

/// What a freeze came to.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frozen {
    /// The slab is the caller's to look through; the group whose reserved blocks may be handed out meanwhile.
    Now(Option<usize>),
    /// Somebody else froze it.
    Before,
}

/// What a slab is, to somebody with its lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not a slab of the class (any more).
    Gone,
    /// A thread takes from it.
    Held,
    /// On a list.
    Listed,
    /// Neither.
    Resting,
}

/// The word.
#[repr(transparent)]
pub struct Claim(AtomicU64);

impl Claim {
    /// A word of no slab.
    pub const fn new() -> Self {
        Claim(AtomicU64::new(0))
    }

    /// A new life: of `class`, held by `holder`. Nobody else can know the slab yet.
    pub fn begin(&self, class: usize, holder: u32) {
        // ORDERING: Release, pairs with Acquire in `state`: who sees the life sees its owner.
        self.0
            .store(class_bits(class) | holder_bits(holder) | HELD, Release);
    }

    /// Ends the life (slab's lock): the slab is not held, not frozen, every block is free, it is on no list.
    pub fn end(&self) {
        self.0.store(0, Relaxed);
    }

    /// What the slab is to somebody with the lock of `class`.
    pub fn state(&self, class: usize) -> State {
        // ORDERING: Acquire, pairs with Release in `begin`.
        let now = self.0.load(Acquire);
        if now >> 56 != class as u64 {
            State::Gone
        } else if now & HELD != 0 {
            State::Held
        } else if now & LISTED != 0 {
            State::Listed
        } else {
            State::Resting
        }
    }

    /// Takes the lock of the slab's owner (`lock` takes that of an id), and tells what the slab is to somebody with it.
    ///
    /// The owner changes only under the lock of the old one, or, of a descriptor without a life, under that of the new one.
    pub fn lock_by<H>(
        &self,
        class: usize,
        owner: &AtomicU32,
        lock: impl Fn(u32) -> H,
    ) -> (H, State) {
        loop {
            // ORDERING: Acquire, pairs with Release where an owner is set: what the old one's lock guarded is seen.
            let id = owner.load(Acquire);
            let held = lock(id);
            // The claim first: if it is a life's, the owner read after it is this life's or a later one's. If that is the one
            // whose lock is taken, it stays so: the life ends, and a new one of that owner begins, only under this lock.
            let state = self.state(class);
            if state == State::Gone || owner.load(Relaxed) == id {
                return (held, state);
            }
        }
    }

    /// Neither held nor listed, by a look without the lock: worth taking it.
    pub fn looks_resting(&self) -> bool {
        self.0.load(Relaxed) & (HELD | LISTED) == 0
    }

    /// A thread holds it, by a look without the lock.
    pub fn looks_held(&self) -> bool {
        self.0.load(Relaxed) & HELD != 0
    }

    /// `id` holds the slab.
    pub fn is_held_by(&self, id: u32) -> bool {
        self.0.load(Relaxed) & (HELD | HOLDER) == HELD | holder_bits(id)
    }

    /// The id of its holder, if it has one.
    pub fn holder(&self) -> u32 {
        ((self.0.load(Relaxed) & HOLDER) >> 24) as u32
    }

    /// The holder reserves blocks of group `group`, by one compare-and-swap; what it reserved before is used up.
    pub fn reserve(&self, group: usize) -> Reserved {
        let mut now = self.0.load(Relaxed);
        loop {
            if now & FROZEN != 0 {
                return Reserved::Frozen;
            }
            let new = now & !GROUP | (group as u64 + 1) << 8;
            // ORDERING: AcqRel, pairs with itself in `freeze` (which sees the blocks reserved) and with Release in `thaw`.
            match self.0.compare_exchange_weak(now, new, AcqRel, Relaxed) {
                Ok(_) => return Reserved::Yes,
                Err(v) => now = v,
            }
        }
    }

    /// Slab's lock: no reservation until [`Claim::thaw`], also when the lock was given back.
    pub fn freeze(&self) -> Frozen {
        // ORDERING: Acquire, pairs with Release in `reserve`: the blocks reserved are seen.
        let now = self.0.fetch_or(FROZEN, Acquire);
        let group = ((now & GROUP) >> 8) as usize;
        if now & FROZEN != 0 {
            Frozen::Before
        } else if now & HELD == 0 {
            Frozen::Now(None)
        } else {
            Frozen::Now(group.checked_sub(1))
        }
    }

    /// Who froze the slab is done.
    pub fn thaw(&self) {
        // ORDERING: Release, pairs with Acquire in `reserve` and `is_frozen`.
        self.0.fetch_and(!FROZEN, Release);
    }

    /// Slab's lock: somebody looks through the slab: no block of it is taken, its life does not end.
    pub fn is_frozen(&self) -> bool {
        // ORDERING: Acquire, pairs with Release in `thaw`: what was done to the pages comes before.
        self.0.load(Acquire) & FROZEN != 0
    }

    /// Slab's lock: a listed or resting slab is held by `holder` from now on.
    pub fn hold(&self, holder: u32) {
        // Nobody reserves meanwhile; a thaw may come.
        let mut now = self.0.load(Relaxed);
        loop {
            let new = now & (class_bits(0xff) | FROZEN) | holder_bits(holder) | HELD;
            match self.0.compare_exchange_weak(now, new, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(v) => now = v,
            }
        }
    }

    /// Slab's lock, by the holder or for a holder that does not exist any more: nobody holds it.
    pub fn let_go(&self) {
        self.0.fetch_and(class_bits(0xff) | FROZEN, Relaxed);
    }

    /// Slab's lock: it is on a list from now on, or is not.
    pub fn set_listed(&self, listed: bool) {
        // The bit changes under the slab's lock only.
        if (self.0.load(Relaxed) & LISTED != 0) == listed {
            return;
        }
        if listed {
            self.0.fetch_or(LISTED, Relaxed);
        } else {
            self.0.fetch_and(!LISTED, Relaxed);
        }
    }
}

impl Default for Claim {
    fn default() -> Self {
        Self::new()
    }
}
