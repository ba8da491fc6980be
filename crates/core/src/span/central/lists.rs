//! The lists of slabs of each class, and the locks that guard them.
//!
//! A slab belongs to a thread (`Slab::owner` is its id) or to nobody (`COMMON`). Slabs of nobody are on the class's
//! lists under the class's lock, those of a thread on its lists under one of `SHARDS` locks a class, chosen by the
//! id. So threads that take from their own slabs do not meet, up to as many as there are shards.
//!
//! *The slab's lock* is the lock of its class and owner. The owner changes only under the lock of the old one, or, of a
//! descriptor without a life, under that of the new one (`Claim::lock_by` relies on both).

use crate::span::chain::Chain;
use crate::span::claim::State;
use crate::span::owners;
use crate::span::slab::{COMMON, List, Slab};
use crate::sync::{AtomicU32, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_sys::lock::{Held, Lock};

/// Resting slabs that one search looks at, at most.
pub const MOST_LOOKS: u32 = 32;

/// What belongs to all threads of one class.
pub struct Central {
    pub(super) lock: Lock,
    /// Slabs of nobody with free blocks.
    pub(super) partial: Chain,
    /// Slabs of nobody that nobody holds, and in which no free blocks were noticed.
    pub(super) resting: Chain,
    /// Resting slabs that the next search looks at: fewer while searches find nothing (the heap grows).
    pub(super) looks: AtomicU32,
    /// Slabs of this class (for statistics; changed with Relaxed adds).
    pub slabs: AtomicU32,
}

static CENTRAL: [Central; class::COUNT] = [const {
    Central {
        lock: Lock::new(),
        partial: Chain::new(),
        resting: Chain::new(),
        looks: AtomicU32::new(MOST_LOOKS),
        slabs: AtomicU32::new(0),
    }
}; class::COUNT];

/// The central part of class `c`.
#[inline]
pub fn of(c: Class) -> &'static Central {
    debug_assert!(c < class::COUNT);
    // SAFETY: classes are below COUNT wherever they come from (tables, page-map entries, claim words checked).
    unsafe { CENTRAL.get_unchecked(c) }
}

/// Locks of each class for the slabs of threads.
const SHARDS: usize = 32;

/// The locks of the threads whose ids leave the same rest, on lines of their own.
#[repr(align(64))]
struct Shard([Lock; class::COUNT]);
static LOCKS: [Shard; SHARDS] = [const { Shard([const { Lock::new() }; class::COUNT]) }; SHARDS];

/// Every lock of slabs that may have been taken, for a caller that holds the registry's (fork).
pub fn each_lock(mut f: impl FnMut(&Lock)) {
    for c in class::FIRST..class::COUNT {
        f(&of(c).lock);
    }
    for shard in LOCKS.iter().take(owners::top() as usize) {
        shard.0.iter().for_each(&mut f);
    }
}

/// Takes the lock of `owner`'s slabs of class `c`.
#[inline]
pub(super) fn lock(c: Class, owner: u32) -> Held<'static> {
    let shard = LOCKS.get(owner as usize % SHARDS);
    match shard.and_then(|shard| shard.0.get(c)) {
        Some(lock) if owner != COMMON => lock.take(),
        _ => of(c).lock.take(),
    }
}

/// Takes the lock of `slab`, and tells what the slab is: of class `c`, or gone.
#[inline]
pub fn lock_slab(c: Class, slab: &Slab) -> (Held<'static>, State) {
    slab.claim.lock_by(c, &slab.owner, |owner| lock(c, owner))
}

/// A thread's lists of its own slabs of one class, under their lock.
#[derive(Default)]
pub struct Owned {
    /// With free blocks.
    pub(super) partial: Chain,
    /// The rest: held, or resting.
    pub(super) rest: Chain,
}

/// Takes a slab off the list it is on, if any (slab's lock held).
pub(super) fn unlink(c: Class, slab: &Slab) {
    let list = slab.list.load(Relaxed);
    if list == List::Central as u32 {
        of(c).partial.remove(slab);
    } else if list == List::Resting as u32 {
        of(c).resting.remove(slab);
    } else if list != List::None as u32
        && let Some(owned) = owners::owned(slab.owner.load(Relaxed), c)
    {
        if list == List::Partial as u32 {
            owned.partial.remove(slab);
        } else {
            owned.rest.remove(slab);
        }
    }
    slab.claim.set_listed(false);
}

/// Puts a slab that has free blocks and no holder on the right list (slab's lock held).
pub(super) fn enlist(c: Class, slab: &Slab) {
    unlink(c, slab);
    match owners::owned(slab.owner.load(Relaxed), c) {
        Some(owned) => owned.partial.append(slab, List::Partial),
        None => of(c).partial.append(slab, List::Central),
    }
    slab.claim.set_listed(true);
}

/// A slab that is on no list, held or resting, goes on its owner's list of the rest if it has an owner, else, resting, on
/// the class's (slab's lock held).
pub(super) fn rest(c: Class, slab: &Slab, held: bool) {
    match owners::owned(slab.owner.load(Relaxed), c) {
        Some(owned) => owned.rest.append(slab, List::Rest),
        None if held => {}
        None => of(c).resting.append(slab, List::Resting),
    }
}

/// `holder` holds a listed or resting slab from now on (slab's lock held).
pub(super) fn hold(c: Class, slab: &Slab, holder: u32) {
    unlink(c, slab);
    rest(c, slab, true);
    slab.cursor.store(0, Relaxed);
    slab.claim.hold(holder);
}
