//! The bell: what everybody knows of the support thread, and the one word by which they call it.
//!
//! Called by the page heap after a free left pages behind, by `span::live` after a fall, by threads that end. It costs a
//! fence of the compiler and one load, unless the support thread sleeps and has to be woken: a system call, at most once
//! per sleep.
//!
//! The word lies in a page that the kernel wipes on fork: a child, made with or without fork handlers, finds that it has no
//! support thread. No such page (an old kernel, valgrind): no support thread.

pub mod word;

use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_sys::process::futex_wake;
use core::ptr::null_mut;
use core::sync::atomic::compiler_fence;
use word::{After, Word};

/// What threads and support thread share; all zero means "there is none".
#[repr(C)]
pub struct Shared {
    /// See [`Word`].
    pub word: Word,
    /// Id of the support thread, cleared by the kernel when it is gone (its stack is free again).
    pub tid: AtomicU32,
    /// Units in use and dirty together that frees may leave; 0: only the formula counts.
    pub allowed: AtomicUsize,
    /// Its stack, kept for the next one.
    pub stack: AtomicPtr<u8>,
    /// Where its thread pointer is.
    pub thread: AtomicPtr<u8>,
    /// The registry of threads counts the threads of this process (not so in the child of a raw fork).
    pub counted: AtomicU32,
    /// Rounds of the support thread, begun and ended: odd while it is at work.
    pub rounds: AtomicU32,
    /// When somebody last thought of starting one (`clock::now`).
    pub tried: AtomicU64,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(null_mut());
/// What starts a support thread, if options and the machine allow: a `fn()`.
static START: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// What tests put between the support thread's steps: a `fn(step)`.
static PROBE: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// Has `f` called between the steps of what the support thread does (other threads that purge pass some of them too). For
/// tests: it may sleep, or end the support thread.
#[doc(hidden)]
pub fn probe_with(f: fn(u32)) {
    PROBE.store(f as *mut (), Relaxed);
}

/// Step `n` is done.
#[inline]
pub fn step(n: u32) {
    let f = PROBE.load(Relaxed);
    if !f.is_null() {
        // SAFETY: only `probe_with` sets it, from a `fn(u32)`.
        let f: fn(u32) = unsafe { core::mem::transmute(f) };
        f(n);
    }
}

/// Puts the shared part at `place` (zero, wiped on fork, mapped for ever) and names what starts a support thread.
pub fn install(place: &'static Shared, start: fn()) {
    START.store(start as *mut (), Relaxed);
    // ORDERING: Release, pairs with Acquire in `shared`.
    SHARED.store(core::ptr::from_ref(place).cast_mut(), Release);
}

/// This process's threads have been counted: a support thread may be started when there are two.
pub fn counted() {
    if let Some(s) = shared() {
        s.counted.store(1, Relaxed);
    }
}

/// The shared part, if there can be a support thread.
#[inline]
pub fn shared() -> Option<&'static Shared> {
    // ORDERING: Acquire, pairs with Release in `install`.
    let p = SHARED.load(Acquire);
    // SAFETY: null or what `install` got; all atomics.
    unsafe { p.as_ref() }
}

/// Something changed that the support thread may want to act on. The caller holds no lock.
#[inline]
pub fn ring() {
    if let Some(s) = shared() {
        match s.word.ring(|| compiler_fence(SeqCst)) {
            // Somebody ended it from outside: the kernel has cleared the id, but nobody the word.
            After::Nothing if s.tid.load(Relaxed) == 0 => bury(s),
            After::Nothing => {}
            after => answer(s, after),
        }
    }
}

#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
fn bury(s: &'static Shared) {
    if s.word.bury() {
        s.allowed.store(0, Relaxed);
    }
}

/// The support thread is to look now.
pub fn poke() {
    if let Some(s) = shared()
        && s.word.poke() == After::Wake
    {
        answer(s, After::Wake);
    }
}

#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
fn answer(s: &'static Shared, after: After) {
    match after {
        After::Wake => futex_wake(s.word.futex(), 1),
        After::Start => {
            let f = START.load(Relaxed);
            if !f.is_null() {
                // SAFETY: only `install` sets it, from a `fn()`.
                let f: fn() = unsafe { core::mem::transmute(f) };
                f();
            }
        }
        After::Nothing => {}
    }
}

/// True while a support thread looks after what frees leave behind.
#[inline]
pub fn is_served() -> bool {
    shared().is_some_and(|s| s.word.mode() >= word::AWAKE)
}

/// Rounds of the support thread, begun and ended: odd while it is at work and may have memory in hand; 0: there is none.
pub fn rounds() -> u32 {
    // ORDERING: Acquire, pairs with Release in `at_work`: what a round that ended gave back is seen.
    shared().map_or(0, |s| match s.tid.load(Relaxed) {
        0 => 0,
        _ => s.rounds.load(Acquire),
    })
}

/// Has the support thread count `work` as a round.
pub fn at_work<R>(s: &Shared, work: impl FnOnce() -> R) -> R {
    // Only the support thread writes it; one that was ended in a round leaves it odd.
    let n = s.rounds.load(Relaxed) | 1;
    s.rounds.store(n, Relaxed);
    let r = work();
    // ORDERING: Release, pairs with Acquire in `rounds`.
    s.rounds.store(n.wrapping_add(1), Release);
    r
}

/// Units in use and dirty together that frees may leave, 0: only the formula counts.
#[inline]
pub fn allowed() -> usize {
    shared().map_or(0, |s| s.allowed.load(Relaxed))
}
