//! The magazines of a thread, one for each class that it uses, and the list of those of all threads.
//!
//! # Who may touch which field when
//! The thread itself, inside a slow path (`Cache::busy`); in a fork's child whoever ends the threads that do not exist there. The
//! counts are read by others, and the links belong to the list's lock.
//!
//! Cost: no lock but when a thread's first block is taken, when it ends, and when somebody asks for the counts.

use super::heap;
use super::magazine::{self, Magazine, make, tick};
use super::slab::{self, Block, Slab};
use crate::guard::{COUNTS, has_tags};
use crate::space::pool;
use crate::sync::{AtomicPtr, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

/// Every so many frees of a thread one goes the long way.
const TURN: u64 = 256;

/// A thread's.
#[repr(C)]
pub struct Magazines {
    _no_claim: u64,
    /// All that exist, under the lock of [`ALL`].
    next: AtomicPtr<Magazines>,
    prev: AtomicPtr<Magazines>,
    /// Blocks handed out and kept: written by the thread only.
    taken: AtomicU64,
    kept: AtomicU64,
    classes: [AtomicPtr<Magazine>; class::COUNT],
}
const POOL: usize = pool::pool_for(size_of::<Magazines>());

/// The magazines of all threads.
struct All {
    lock: Lock,
    first: AtomicPtr<Magazines>,
}
static ALL: All = All {
    lock: Lock::new(),
    first: AtomicPtr::new(null_mut()),
};

/// The lock of the list of all magazines.
pub fn lock() -> &'static Lock {
    &ALL.lock
}

impl Magazines {
    /// Those that `place` holds, made at the first call; `None` without memory.
    ///
    /// # Safety
    /// `place` is the calling thread's, and holds null or what an earlier call left there; the borrow ends before the slow path does.
    pub unsafe fn of<'a>(place: &mut *mut Magazines) -> Option<&'a Magazines> {
        if place.is_null() {
            *place = begin()?;
        }
        // SAFETY: made above: all-zero is an empty set.
        Some(unsafe { &**place })
    }

    /// The magazine of class `c`, null before its first use.
    #[inline(always)]
    pub(super) fn existing(&self, c: Class) -> *mut Magazine {
        self.classes.get(c).map_or(null_mut(), |m| m.load(Relaxed))
    }

    /// As [`Magazines::existing`], made at the first use.
    #[cold]
    fn of_class(&self, c: Class) -> Option<*mut Magazine> {
        let mut m = self.existing(c);
        if m.is_null() {
            m = magazine::new(c)?;
            self.classes.get(c)?.store(m, Relaxed);
        }
        Some(m)
    }

    /// One more block was handed out.
    #[inline(always)]
    pub(super) fn count_taken(&self) {
        self.taken.store(self.taken.load(Relaxed) + 1, Relaxed);
    }

    /// Whether the next free is one of those, a few in a thousand, that also do what waits and tell the support thread.
    #[inline(always)]
    pub(super) fn is_turn(&self) -> bool {
        self.kept.load(Relaxed) % TURN == TURN - 1
    }

    /// One more block was kept.
    #[inline(always)]
    pub(super) fn count_kept(&self) {
        self.kept.store(self.kept.load(Relaxed) + 1, Relaxed);
    }

    /// A random free block of class `c`.
    #[cold]
    fn take(&self, c: Class) -> Option<Block> {
        // SAFETY: made by `magazine::new`; only this thread reaches it, and only here for now.
        let m = unsafe { &mut *self.of_class(c)? };
        if m.count == 0 {
            m.refill();
        }
        let block = m.pop()?;
        self.count_taken();
        Some(block)
    }

    /// Keeps a block of class `c`, FREED and zero, from reuse for a while.
    #[cold]
    fn keep(&self, c: Class, block: Block) {
        if self.is_turn() {
            tick();
        }
        self.count_kept();
        let Some(m) = self.of_class(c) else {
            return heap::put(&[block]);
        };
        // SAFETY: as above.
        let m = unsafe { &mut *m };
        if let Some(oldest) = m.swap(block) {
            m.make_ready(oldest);
        }
    }

    /// Blocks that were looked at, and that were kept: tags are looked at when they come back.
    #[cold]
    fn counts(&self) -> [u64; 2] {
        let (taken, kept) = (self.taken.load(Relaxed), self.kept.load(Relaxed));
        [if has_tags() { kept } else { taken + kept }, kept]
    }

    /// Gives everything back, and the magazines themselves.
    ///
    /// # Safety
    /// `all` came from [`Magazines::of`]; its thread is the caller or does not exist, and nobody uses it afterwards.
    #[cold]
    pub unsafe fn end(all: *mut Magazines) {
        tick();
        // SAFETY: the caller's promise.
        let this = unsafe { &*all };
        {
            let _held = ALL.lock.take();
            let (next, prev) = (this.next.load(Relaxed), this.prev.load(Relaxed));
            // SAFETY: those in the list exist while the lock is held.
            unsafe {
                if let Some(next) = next.as_ref() {
                    next.prev.store(prev, Relaxed);
                }
                match prev.as_ref() {
                    Some(prev) => prev.next.store(next, Relaxed),
                    None => ALL.first.store(next, Relaxed),
                }
            }
            let [checked, kept] = this.counts();
            COUNTS.checked.fetch_add(checked, Relaxed);
            COUNTS.quarantined.fetch_add(kept, Relaxed);
        }
        let made = this.classes.iter().map(|m| m.load(Relaxed));
        for m in made.filter(|m| !m.is_null()) {
            // SAFETY: made by `magazine::new`; nobody else reaches it.
            unsafe { magazine::end(m) };
        }
        // SAFETY: as above.
        unsafe { pool::give(POOL, all.cast()) };
    }
}

/// How many blocks the threads that exist looked at, and kept.
#[cold]
pub fn counts() -> [u64; 2] {
    let _held = ALL.lock.take();
    let mut sum = [0; 2];
    let mut at = ALL.first.load(Relaxed);
    // SAFETY: those in the list exist while the lock is held.
    while let Some(m) = unsafe { at.as_ref() } {
        let [checked, kept] = m.counts();
        sum = [sum[0] + checked, sum[1] + kept];
        at = m.next.load(Relaxed);
    }
    sum
}

#[cold]
fn begin() -> Option<*mut Magazines> {
    let place = make(POOL, size_of::<Magazines>())?.cast::<Magazines>();
    // SAFETY: all-zero is an empty set; those in the list exist while the lock is held.
    unsafe {
        let _held = ALL.lock.take();
        let first = ALL.first.load(Relaxed);
        (*place).next.store(first, Relaxed);
        if let Some(first) = first.as_ref() {
            first.prev.store(place, Relaxed);
        }
        ALL.first.store(place, Relaxed);
    }
    Some(place)
}

/// A random free block of class `c` (0 or above [`slab::LARGEST`]: none has it), for a caller with magazines or without: its slab, and its number there.
#[inline]
pub fn take(magazines: Option<&Magazines>, c: Class) -> Option<(&'static Slab, usize)> {
    if c == 0 || slab::size(c) > slab::LARGEST {
        return None;
    }
    match magazines {
        Some(m) => m.take(c)?.place(),
        None => take_one(c)?.place(),
    }
}

/// Keeps a block of class `c` that its caller freed from reuse for a while, and counts that it was looked at.
#[inline]
pub fn keep(magazines: Option<&Magazines>, c: Class, freed: Block) {
    match magazines {
        Some(m) => m.keep(c, freed),
        None => {
            super::super::count(&COUNTS.checked);
            heap::keep(c, freed);
        }
    }
}

/// One block for a caller without magazines.
#[cold]
fn take_one(c: Class) -> Option<Block> {
    if !has_tags() {
        super::super::count(&COUNTS.checked);
    }
    let mut one = Block::NONE;
    (heap::of(c)?.take(c, core::slice::from_mut(&mut one)) == 1).then_some(one)
}
