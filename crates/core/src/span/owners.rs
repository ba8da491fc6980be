//! All thread caches by owner id.
//!
//! An id is in use while slabs may bear it: it is given back only after every slab of the thread became common
//! (`central::disown`). Slots: a cache's address, or `next free id << 1 | 1`.

use super::central::Owned;
use super::waiting::{Busy, Waiting};
use crate::space::meta::{self, OWNERS};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use aethalloc_base::class::{BIN_BYTES, COUNT, Class};
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

static LOCK: Lock = Lock::new();
/// First free id, 0: none.
static FREE: AtomicU32 = AtomicU32::new(0);
/// One past the largest id ever given.
static TOP: AtomicU32 = AtomicU32::new(1);
/// Caches registered now.
static LIVE: AtomicU32 = AtomicU32::new(0);

/// What a thread cache begins with: all that slabs need to know of their owner.
#[repr(C)]
pub struct Owner {
    /// Zero: caches share their pool with descriptors, whose first word is a claim; to a stale reader of one this place
    /// is no slab.
    _no_claim: u64,
    /// Lists of own slabs by class, null until the thread is busy.
    pub lists: AtomicPtr<Owned>,
    /// The bits of its first bin, null until then; those of class `c` lie `c * BIN_BYTES` after it.
    pub bins: AtomicPtr<Waiting>,
    /// Whether a slow path of the thread is under way. A fork's child leaves a busy cache alone: whatever it was about to do is
    /// lost, nothing is done twice.
    pub busy: Busy,
    /// Reservations since the start; only the thread changes it.
    pub reservations: AtomicU64,
    /// Of them, those that [`next_idle`] saw last, and [`RESTED`]. Under the registry's lock.
    seen: AtomicU64,
}

/// The thread was idle when it was last looked at.
const RESTED: u64 = 1 << 63;

/// The registry's lock (the fork handlers take it).
pub fn lock() -> &'static Lock {
    &LOCK
}

/// Registers a cache; its id.
pub fn register(owner: *mut Owner) -> Option<u32> {
    let _held = LOCK.take();
    let free = FREE.load(Relaxed);
    let id = if free != 0 { free } else { TOP.load(Relaxed) };
    if id >= OWNERS {
        return None;
    }
    let slot = meta::owner_slot(id as usize)?;
    if free != 0 {
        FREE.store((slot.load(Relaxed).addr() >> 1) as u32, Relaxed);
    } else {
        TOP.store(id + 1, Relaxed);
    }
    // ORDERING: Release, pairs with Acquire in `get`.
    slot.store(owner.cast(), Release);
    LIVE.fetch_add(1, Relaxed);
    Some(id)
}

/// Gives an id back. Nothing bears it any more.
pub fn unregister(id: u32) {
    let _held = LOCK.take();
    if let Some(slot) = meta::owner_slot(id as usize) {
        slot.store(
            null_mut::<u8>().with_addr((FREE.load(Relaxed) as usize) << 1 | 1),
            Release,
        );
        FREE.store(id, Relaxed);
        LIVE.fetch_sub(1, Relaxed);
    }
}

/// One past the largest id ever given.
pub fn top() -> u32 {
    TOP.load(Relaxed)
}

/// The cache with `id`, null if none.
#[inline]
pub fn get(id: u32) -> *mut Owner {
    if id == 0 || id >= TOP.load(Relaxed) {
        return null_mut();
    }
    // ORDERING: Acquire, pairs with Release in `register`. The slot was made writable before the id was given.
    let p = meta::owner_slot(id as usize).map_or(null_mut(), |s| s.load(Acquire));
    if p.addr() & 1 == 1 {
        null_mut()
    } else {
        p.cast()
    }
}

/// The lists of own slabs of thread `id` and class `c`; `None` for tags that are no thread.
#[inline]
pub fn owned(id: u32, c: Class) -> Option<&'static Owned> {
    let owner = get(id);
    if owner.is_null() || c >= COUNT {
        return None;
    }
    // SAFETY: a registered owner and its lists live until `unregister`, which comes after `disown`; callers hold the
    // slab's lock, and found the id in a slab of that class that `disown` has not reached yet, or are the thread.
    // Everything reached is atomic.
    unsafe {
        // ORDERING: Acquire, pairs with the thread's Release: the lists are zero before they are seen.
        let lists = (*owner).lists.load(Acquire);
        if lists.is_null() {
            None
        } else {
            Some(&*lists.add(c))
        }
    }
}

/// Of the blocks of class `c` that thread `id` reserved last, those that it has not handed out; `None`: it may be about to hand out
/// any of them. Meant for who froze the slab that they belong to (`waiting`).
pub fn waiting(id: u32, c: Class) -> Option<u64> {
    // Registered it stays while the lock is held, and its bins with it.
    let _held = LOCK.take();
    let owner = get(id);
    if owner.is_null() || c >= COUNT {
        return None;
    }
    // SAFETY: registered; all atomics. The bins are one object, of which the pointer is the start.
    unsafe {
        // ORDERING: Acquire, pairs with the thread's Release: the bins are zero before they are seen.
        let bins = (*owner).bins.load(Acquire);
        if bins.is_null() || (*owner).busy.is() {
            return None;
        }
        Some((*bins.byte_add(c * BIN_BYTES)).seen())
    }
}

/// Every registered cache, for statistics and a fork's child.
#[cold]
pub fn each(mut f: impl FnMut(*mut Owner)) {
    for id in 1..TOP.load(Acquire) {
        let cache = get(id);
        if !cache.is_null() {
            f(cache);
        }
    }
}

/// The first busy thread after `id` that reserved nothing since such a look came by last; once until it does again.
pub fn next_idle(id: u32) -> Option<u32> {
    let _held = LOCK.take();
    for id in id + 1..TOP.load(Relaxed) {
        let owner = get(id);
        if owner.is_null() {
            continue;
        }
        // SAFETY: registered, and stays so while the lock is held; all atomics.
        let owner = unsafe { &*owner };
        let (now, seen) = (owner.reservations.load(Relaxed), owner.seen.load(Relaxed));
        if seen & !RESTED != now {
            owner.seen.store(now, Relaxed);
        } else if seen & RESTED == 0 {
            owner.seen.store(now | RESTED, Relaxed);
            if !owner.lists.load(Relaxed).is_null() {
                return Some(id);
            }
        }
    }
    None
}

/// Runs `f` while the id of a thread that [`next_idle`] found is not given back; `None`: it was. Threads that begin or end wait
/// for it, so it is to be short.
pub fn while_idle<R>(id: u32, f: impl FnOnce() -> Option<R>) -> Option<R> {
    let _held = LOCK.take();
    let owner = get(id);
    // SAFETY: as above.
    if owner.is_null() || unsafe { (*owner).seen.load(Relaxed) } & RESTED == 0 {
        return None;
    }
    f()
}

/// A fork's child: `n` threads have a cache. Caches that could not be given back stay registered and count no more.
pub fn recount(n: u32) {
    LIVE.store(n, Relaxed);
}

/// Caches that ever were registered (wraps).
static EVER: AtomicU32 = AtomicU32::new(0);

/// One more cache was registered; how many there were before.
pub fn count_one() -> u32 {
    EVER.fetch_add(1, Relaxed)
}

/// Caches that ever were registered (wraps): another number means that there was company since.
pub fn ever() -> u32 {
    EVER.load(Relaxed)
}

/// Caches registered now.
pub fn live() -> usize {
    LIVE.load(Relaxed) as usize
}
