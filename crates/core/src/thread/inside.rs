//! Whether the thread is in the allocator already: what a signal handler that allocates has to know.
//!
//! ```text
//! the handler interrupted          word `bins`   word `inside`   its malloc                         its free of a large object
//! other code                       the bins      0               as ever                            as ever
//! malloc's fast path               empty set     0               from common slabs, like a cold one as ever
//! a slow path                      empty set     not 0           spare memory (`front::spare`)      later (`front::later`)
//! ```
//! The fast path of `malloc` puts the empty set into the thread's word while it takes a block, so every `malloc` of a handler
//! that interrupts it comes to the slow path; there the word says, without a look at locks, what may be touched. In the
//! fast path no lock is held and nothing is half changed but one bin: everything but the bins may be used, and the slabs
//! that they take from stay held by this thread. In a slow path anything may be locked or half changed: nothing of it
//! is used. The fast path of `free` needs nothing: what it changes it changes by one store each.
//!
//! # Who may touch which field when
//! The thread and its signal handlers, which run while the thread does not: a handler leaves the words as it found them.
//!
//! # A handler that does not return
//! It may jump (`siglongjmp`) out of the allocator. Where that is seen, because a slow path begins further up the stack than the
//! one that is said to be under way, and not on an alternate stack, the latter is over. A lock that it held stays
//! taken, as in the C library. A fast path that was left so costs the thread its bins, nothing else.
//!
//! Cost: ~12 instructions for each slow path.

use super::bins::{self, BINS};
use super::cache::Cache;
use super::tls::{Life, Tls};
use crate::sync::Ordering::*;
use core::sync::atomic::compiler_fence;

/// The calling thread is in a slow path until this is dropped.
#[must_use]
pub struct Inside {
    t: Tls,
    /// What goes back into the word.
    bins: *mut BINS,
    fast: bool,
}

impl Inside {
    /// Enters a slow path; `None`: the caller is a signal handler that interrupted one, and may touch nothing that a lock guards.
    #[inline]
    pub fn enter(t: Tls) -> Option<Inside> {
        let mark = 0u8;
        let at = (&raw const mark).addr();
        let under_way = t.inside();
        if under_way != 0 && !is_over(t, under_way, at) {
            return None;
        }
        t.set_inside(at);
        // ORDERING: signal handlers of this thread, and a fork's child that copies its memory as the thread had written it, see
        // the words; no other thread does.
        compiler_fence(SeqCst);
        let bins = t.bins();
        t.set_bins(bins::none());
        let mut fast = false;
        if t.life() == Life::Live {
            // SAFETY: a live thread's cache is its own.
            let cache = unsafe { &*t.cache() };
            cache.owner.busy.begin();
            fast = bins == bins::none() && !cache.bins.load(Relaxed).is_null();
        }
        compiler_fence(SeqCst);
        Some(Inside { t, bins, fast })
    }

    /// As [`Inside::enter`], for the commonest case: `cache` is that of the thread, which lives, is in no slow path and has `bins` at hand; else `None`.
    #[inline(always)]
    pub fn enter_plainly(t: Tls, cache: &Cache, bins: *mut BINS) -> Option<Inside> {
        if t.inside() != 0 || t.bins() != bins {
            return None;
        }
        let mark = 0u8;
        t.set_inside((&raw const mark).addr());
        compiler_fence(SeqCst);
        t.set_bins(bins::none());
        cache.owner.busy.begin();
        compiler_fence(SeqCst);
        Some(Inside {
            t,
            bins,
            fast: false,
        })
    }

    /// The caller interrupted the fast path of `malloc`: the thread's bins, and the slabs they take from, are not to be touched.
    #[inline]
    pub fn interrupts_malloc(&self) -> bool {
        self.fast
    }

    /// The thread has these bins afterwards.
    pub fn leave_with(&mut self, bins: *mut BINS) {
        self.bins = bins;
    }

    /// Runs what may come back to the allocator (a call of the C library): meanwhile the thread is not inside. It holds no lock.
    pub fn outside<T>(t: Tls, f: impl FnOnce() -> T) -> T {
        let was = t.inside();
        t.set_inside(0);
        compiler_fence(SeqCst);
        let r = f();
        compiler_fence(SeqCst);
        t.set_inside(was);
        r
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        if self.t.life() == Life::Live {
            // SAFETY: a live thread's cache is its own.
            unsafe { (*self.t.cache()).owner.busy.end() };
        }
        self.t.set_bins(self.bins);
        compiler_fence(SeqCst);
        self.t.set_inside(0);
    }
}

/// The slow path that was under way at `under_way` on the stack cannot be any more, now that one begins at `at`.
#[cold]
#[inline(never)]
fn is_over(t: Tls, under_way: usize, at: usize) -> bool {
    if at < under_way || aethalloc_sys::signal::on_alternate_stack() {
        return false;
    }
    if t.life() == Life::Live && crate::guard::allows_caches() {
        // SAFETY: a live thread's cache is its own.
        let cache = unsafe { &mut *t.cache() };
        if let Some(bins) = bins::existing(cache) {
            t.set_bins(bins.table());
        }
    }
    true
}
