//! Pointers of other allocators.
//!
//! A process may hold memory that another allocator handed out (before this library was loaded, or by a library that
//! is linked to its own). Such pointers are handed on to their owner, whose functions were looked up once at start.

use crate::sync::{AtomicBool, AtomicPtr, Ordering::*};
use crate::violation::{self, Line, Verb};
use aethalloc_base::options::Key;
use aethalloc_base::safety::Profile;
use core::ptr::null_mut;

/// `free`.
pub type Free = unsafe extern "C" fn(*mut u8);
/// `realloc`.
pub type Realloc = unsafe extern "C" fn(*mut u8, usize) -> *mut u8;
/// `malloc_usable_size`.
pub type UsableSize = unsafe extern "C" fn(*mut u8) -> usize;
/// True if the other allocator ever held memory.
pub type HoldsMemory = fn() -> bool;

static FREE: AtomicPtr<()> = AtomicPtr::new(null_mut());
static REALLOC: AtomicPtr<()> = AtomicPtr::new(null_mut());
static USABLE: AtomicPtr<()> = AtomicPtr::new(null_mut());
static HOLDS: AtomicPtr<()> = AtomicPtr::new(null_mut());
static WARNED: AtomicBool = AtomicBool::new(false);
/// The other allocator has held memory.
static HELD: AtomicBool = AtomicBool::new(false);
/// Another allocator may exist (false: every pointer outside the arenas is misuse).
static POSSIBLE: AtomicBool = AtomicBool::new(true);

/// Registers the other allocator's functions.
#[cold]
pub fn register(
    free: Option<Free>,
    realloc: Option<Realloc>,
    usable: Option<UsableSize>,
    holds: HoldsMemory,
) {
    FREE.store(free.map_or(null_mut(), |f| f as *mut ()), Relaxed);
    REALLOC.store(realloc.map_or(null_mut(), |f| f as *mut ()), Relaxed);
    USABLE.store(usable.map_or(null_mut(), |f| f as *mut ()), Relaxed);
    HOLDS.store(holds as *mut (), Release);
}

/// Says that no other allocator's pointers can come here (a Rust global allocator gets back only what it gave).
#[cold]
pub fn rule_out() {
    POSSIBLE.store(false, Relaxed);
}

/// Ends the process if nobody can own `p`.
#[cold]
fn judge(verb: Verb, p: usize) {
    let holds = HOLDS.load(Acquire);
    if !POSSIBLE.load(Relaxed) || crate::config::get(Key::safety) == Profile::Hardened as usize {
        violation::not_ours(verb, p);
    }
    if !holds.is_null() {
        // SAFETY: only `register` sets it, from a `HoldsMemory`.
        let holds: HoldsMemory = unsafe { core::mem::transmute(holds) };
        // Asked until the first yes: glibc walks all its free lists to answer.
        if !HELD.load(Relaxed) {
            if !holds() {
                violation::not_ours(verb, p);
            }
            HELD.store(true, Relaxed);
        }
    }
}

#[cold]
fn warn(p: usize) {
    if !WARNED.swap(true, Relaxed) {
        Line::new()
            .text("a pointer of another allocator is left alone: ")
            .address(p)
            .print();
    }
}

/// `free` of a pointer outside all arenas.
#[cold]
#[inline(never)]
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "passed on, not dereferenced here"
)]
pub fn free(p: *mut u8) {
    judge(Verb::Free, p.addr());
    let f = FREE.load(Relaxed);
    if f.is_null() {
        return warn(p.addr());
    }
    // SAFETY: only `register` sets it, from a `Free`; the pointer is not ours, so it is the other allocator's.
    unsafe { core::mem::transmute::<*mut (), Free>(f)(p) }
}

/// `realloc` of a pointer outside all arenas.
#[cold]
#[inline(never)]
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "passed on, not dereferenced here"
)]
pub fn reallocate(p: *mut u8, size: usize) -> *mut u8 {
    judge(Verb::Realloc, p.addr());
    let f = REALLOC.load(Relaxed);
    if f.is_null() {
        warn(p.addr());
        return null_mut();
    }
    // SAFETY: as in `free`.
    unsafe { core::mem::transmute::<*mut (), Realloc>(f)(p, size) }
}

/// `malloc_usable_size` of a pointer outside all arenas.
#[cold]
#[inline(never)]
pub fn usable_size(p: *const u8) -> usize {
    judge(Verb::UsableSize, p.addr());
    let f = USABLE.load(Relaxed);
    if f.is_null() {
        return 0;
    }
    // SAFETY: as in `free`.
    unsafe { core::mem::transmute::<*mut (), UsableSize>(f)(p.cast_mut()) }
}
