//! The end of a thread, and the thread that a fork left behind: everything a cache holds goes back.

use super::bins::{self, Bins};
use super::cache::Cache;
use super::cold;
use super::inside::Inside;
use super::tls::{BUDGET, Life, Tls};
use crate::guard::hardened::magazines::Magazines;
use crate::space::pool;
use crate::span::owners;
use crate::span::{central, live};
use crate::sync::{AtomicU32, Ordering::*};
use aethalloc_base::class;
use aethalloc_sys::process;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// The calling thread ends: its cache goes back. Later calls of the thread do without one.
pub fn thread_ends(t: Tls) {
    if t.life() != Life::Live {
        return;
    }
    if t.inside() != 0 {
        // It ends out of a signal handler that interrupted the allocator. What it has is lost, and its stack, where its
        // words are, will be used again.
        // SAFETY: a live thread's cache is its own; an atomic.
        unsafe { (*t.cache()).tls.store(null_mut(), Relaxed) };
        t.set_bins(bins::none());
        t.set_cache(null_mut());
        t.set_life(Life::Over);
        t.set_inside(0);
        return;
    }
    if let Some(mut inside) = Inside::enter(t) {
        inside.leave_with(bins::none());
        end(t);
    }
}

/// As [`thread_ends`], inside a slow path of a live thread; it has no bins afterwards.
#[unsafe(link_section = ".text.unknown.later")]
pub fn end(t: Tls) {
    // SAFETY: a live thread's cache is its own.
    let cache = unsafe { &mut *t.cache() };
    crate::guard::fault::thread_ends();
    // For good: from here on a fork's child must not touch the cache. It is unregistered at the end.
    cache.owner.busy.begin();
    // What it frees from here on is counted when it takes stock without a cache.
    cache.count_freed(t);
    t.set_budget(BUDGET);
    cache.teach();
    abandon(cache);
    t.set_cache(null_mut());
    t.set_life(Life::Over);
    if owners::live() < 2 {
        crate::bell::poke(); // a process with one thread has no support thread
    }
}

/// Gives back everything that `cache` holds, and the cache itself. Its thread is the caller, or does not exist
/// (a fork's child).
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn abandon(cache: &'static mut Cache) {
    drain(cache);
    cache.settle_all();
    // Reads of its lists by others end with this: no slab bears the id afterwards.
    let bins = bins::existing(cache);
    central::disown(cache.id, |c| {
        bins.as_ref().is_some_and(|bins| bins.is_hot(c))
    });
    live::retire(
        cache.taken.load(Relaxed),
        cache.owner.reservations.load(Relaxed),
    );
    owners::unregister(cache.id);
    let bins = cache.bins.load(Relaxed);
    // SAFETY: unregistered: nobody else reaches them; each came from its pool.
    unsafe {
        if !cache.magazines.is_null() {
            Magazines::end(cache.magazines);
        }
        if !bins.is_null() {
            pool::give(Bins::POOL, bins.cast());
        }
        pool::give(Cache::POOL, core::ptr::from_mut(cache).cast());
    }
}

/// Empties everything the cache holds; it stays usable.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn drain(cache: &mut Cache) {
    if let Some(bins) = bins::existing(cache) {
        bins::drain(cache, bins);
    }
    for c in class::FIRST..cache.stash.len() {
        cold::unstash(cache, c);
    }
}

unsafe extern "C" {
    fn pthread_key_create(
        key: *mut u32,
        destructor: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int;
    fn pthread_setspecific(key: u32, value: *const c_void) -> c_int;
}

/// 0 none, 1 being made, key + 2.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Has the C library call us when the thread of `cache` ends; false if it cannot.
pub fn watch(cache: &mut Cache) -> bool {
    crate::guard::fault::thread_begins();
    let mut k = KEY.load(Acquire);
    if k == 0 && KEY.compare_exchange(0, 1, AcqRel, Acquire).is_ok() {
        let mut key = 0;
        // SAFETY: `key` outlives the call.
        let ok = unsafe { pthread_key_create(&mut key, Some(thread_exit)) } == 0;
        k = if ok { key + 2 } else { 0 };
        KEY.store(k, Release);
    }
    while k == 1 {
        process::yield_now();
        k = KEY.load(Acquire);
    }
    // SAFETY: the key exists; the value is not null, so that the destructor runs.
    k >= 2 && unsafe { pthread_setspecific(k - 2, core::ptr::from_mut(cache).cast()) } == 0
}

#[unsafe(link_section = ".text.unknown.later")]
unsafe extern "C" fn thread_exit(_cache: *mut c_void) {
    thread_ends(super::cache::me());
}
