//! A small futex lock that survives fork.
//!
//! # Roles
//! Any thread takes and releases. While a fork is in progress, its thread holds every lock and is admitted again
//! wherever it already holds one (other libraries' fork handlers allocate under ours).
//!
//! # States
//! `0` free, `1` taken, `2` taken and someone may sleep.
//!
//! # Orderings
//! Acquire on taking pairs with Release on giving back: what the last holder wrote is seen by the next.
//!
//! Cost: one locked instruction to take, one to give back; a system call only when contended.

use crate::process::{futex_wait, futex_wake};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

/// Identity (see [`me`]) of the thread that forks, 0 when none does.
static FORKING: AtomicUsize = AtomicUsize::new(0);

/// A page that reads zero in a child of a raw `clone` or `_Fork`, which run no fork handlers; null until set.
static WIPED: core::sync::atomic::AtomicPtr<AtomicU32> =
    core::sync::atomic::AtomicPtr::new(core::ptr::null_mut());

/// The calling thread's identity: its thread pointer.
#[inline]
pub fn me() -> usize {
    let tp: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86_64 ABI keeps the thread pointer at fs:0.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) tp, options(nostack, readonly, preserves_flags, pure));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) tp, options(nostack, nomem, preserves_flags, pure));
    }
    tp
}

/// The lock.
pub struct Lock(AtomicU32);

/// Proof that the lock is taken; gives it back when dropped.
#[must_use]
pub struct Held<'a>(Option<&'a Lock>);

impl Lock {
    /// A free lock.
    pub const fn new() -> Self {
        Lock(AtomicU32::new(0))
    }

    /// Takes the lock.
    #[inline]
    pub fn take(&self) -> Held<'_> {
        // ORDERING: Acquire, pairs with Release in `give`.
        if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            return Held(Some(self));
        }
        self.take_slow()
    }

    #[cold]
    #[inline(never)]
    #[unsafe(link_section = ".text.unknown.later")]
    fn take_slow(&self) -> Held<'_> {
        // ORDERING: Relaxed: only this thread can have written its own identity.
        if FORKING.load(Relaxed) == me() {
            return Held(None);
        }
        if in_unprepared_child() {
            crate::lock::reset_hook();
        }
        for _ in 0..100 {
            core::hint::spin_loop();
            // ORDERING: as in `take`.
            if self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok()
            {
                return Held(Some(self));
            }
        }
        // ORDERING: Acquire as in `take`; 2 makes the holder wake us.
        while self.0.swap(2, Acquire) != 0 {
            futex_wait(&self.0, 2);
        }
        Held(Some(self))
    }

    fn give(&self) {
        // ORDERING: Release, pairs with Acquire in `take`.
        if self.0.swap(0, Release) == 2 {
            futex_wake(&self.0, 1);
        }
    }

    /// Keeps the lock beyond this call (the fork handlers): [`Lock::reopen`] gives it back.
    pub fn close(&self) {
        core::mem::forget(self.take());
    }

    /// Gives back a closed lock.
    pub fn reopen(&self) {
        self.give();
    }

    /// Makes the lock free whoever had it: only in a child, where that thread does not exist.
    pub fn reset(&self) {
        self.0.store(0, Release);
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(lock) = self.0 {
            lock.give();
        }
    }
}

/// Says that this thread forks now: it passes every lock it already holds.
pub fn fork_begins() {
    FORKING.store(me(), Relaxed);
}

/// Says that the fork is over (in the parent or in the child).
pub fn fork_ended() {
    FORKING.store(0, Relaxed);
}

/// What resets all locks in a child that ran no fork handlers.
static RESET: core::sync::atomic::AtomicPtr<()> =
    core::sync::atomic::AtomicPtr::new(core::ptr::null_mut());

/// Registers the page that is wiped on fork and the function that repairs such a child.
pub fn watch_raw_forks(wiped: &'static AtomicU32, repair: fn()) {
    wiped.store(1, Relaxed);
    RESET.store(repair as *mut (), Relaxed);
    // ORDERING: Release, pairs with Acquire in `in_unprepared_child`: the word's value before its address.
    WIPED.store(core::ptr::from_ref(wiped).cast_mut(), Release);
}

/// True in a child that was made without fork handlers and not yet repaired.
pub fn in_unprepared_child() -> bool {
    let wiped = WIPED.load(Acquire);
    // SAFETY: only `watch_raw_forks` sets it, to a static.
    !wiped.is_null() && unsafe { (*wiped).load(Relaxed) } == 0
}

/// Says that this process's state fits its threads again.
pub fn mark_repaired() {
    let wiped = WIPED.load(Acquire);
    if !wiped.is_null() {
        // SAFETY: as in `in_unprepared_child`.
        unsafe { (*wiped).store(1, Relaxed) };
    }
}

/// Repairs a child that was made without fork handlers, for a caller that met something other than a lock which nobody
/// will ever give back.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn repair_child() {
    if in_unprepared_child() {
        reset_hook();
    }
}

fn reset_hook() {
    let f = RESET.load(Relaxed);
    if !f.is_null() {
        // SAFETY: only `watch_raw_forks` sets it, from a `fn()`.
        let f: fn() = unsafe { core::mem::transmute(f) };
        f();
    }
}
