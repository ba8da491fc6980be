//! `malloc` and `free` under `safety:hardened`, and small objects of the tagging modes: how they get at what the thread has.
//!
//! A call of a live thread that is not inside the allocator already goes the short way ([`allocate`], [`deallocate`]), which enters it by
//! three stores: the thread has no bins, so nothing has to be hidden from signal handlers. Everything else goes the long way.

use super::{later, small};
use crate::config;
use crate::guard::BLOCK_MAX;
use crate::guard::hardened::magazines::Magazines;
use crate::guard::hardened::slab::LARGEST;
use crate::guard::hardened::{Hardened, fast};
use crate::sync::Ordering::*;
use crate::thread::bins;
use crate::thread::cache::{self, Cache};
use crate::thread::inside::Inside;
use crate::thread::tls::Tls;
use aethalloc_base::class;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::compiler_fence;

/// `malloc`.
#[inline(never)]
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn allocate(size: usize) -> *mut u8 {
    if size <= BLOCK_MAX {
        let p = of_class(class::of_small(bins::bin_of(), Hardened::whole(size)), size);
        if !p.is_null() {
            return p;
        }
    }
    small::allocate_long(size)
}

/// An object of `size` bytes at a multiple of `align`, at most a page; null: by the long way.
#[inline(never)]
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    if !Hardened::serves(size) {
        return null_mut();
    }
    let whole = class::aligned(Hardened::whole(size), align);
    if whole > LARGEST {
        return null_mut();
    }
    of_class(class::of_small(bins::bin_of(), whole), size)
}

/// An object of `size` bytes in a block of class `c`, which serves it; null: by the long way.
#[inline(always)]
fn of_class(c: class::Class, size: usize) -> *mut u8 {
    let t = cache::me();
    let Some((cache, m)) = enter(t) else {
        return null_mut();
    };
    let made = fast::allocate(m, c, size);
    if made.is_some() {
        // Only this thread writes it.
        cache.taken.store(cache.taken.load(Relaxed) + 1, Relaxed);
    }
    leave(t, cache);
    made.map_or(null_mut(), NonNull::as_ptr)
}

/// `free`.
#[inline(never)]
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn deallocate(ptr: *mut u8) {
    if !ended(ptr, None) {
        small::deallocate_long(ptr);
    }
}

/// `free` by a caller that says how many bytes the object has.
#[inline(never)]
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn deallocate_sized(ptr: *mut u8, size: usize) {
    if !ended(ptr, Some(size)) {
        small::deallocate_sized_long(ptr, size);
    }
}

/// Ends the object at `ptr` the short way; false: by the long one.
#[inline(always)]
fn ended(ptr: *mut u8, size: Option<usize>) -> bool {
    let t = cache::me();
    let Some((cache, m)) = enter(t) else {
        return false;
    };
    let ended = fast::deallocate(m, ptr.addr(), size);
    leave(t, cache);
    ended
}

/// Enters the allocator; what the calling thread has of hardened blocks, until [`leave`]. `None`: it has none, or is inside already.
/// What waits to be settled (`later`) waits for the long way, which every 256th free takes at the latest.
#[inline(always)]
fn enter<'a>(t: Tls) -> Option<(&'a Cache, &'a Magazines)> {
    if t.inside() != 0 {
        return None;
    }
    // SAFETY: a thread's cache is its own, and so are its magazines.
    let cache = unsafe { t.cache().as_ref() }?;
    // SAFETY: as above.
    let magazines = unsafe { cache.magazines.as_ref() }?;
    t.set_inside(here());
    // ORDERING: as in `Inside::enter`.
    compiler_fence(SeqCst);
    cache.owner.busy.begin();
    compiler_fence(SeqCst);
    Some((cache, magazines))
}

/// Leaves it again.
#[inline(always)]
fn leave(t: Tls, cache: &Cache) {
    compiler_fence(SeqCst);
    cache.owner.busy.end();
    compiler_fence(SeqCst);
    t.set_inside(0);
}

/// An address on the stack below the caller's frame's start.
#[inline(always)]
fn here() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let sp: usize;
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags))
        };
        sp
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mark = 0u8;
        (&raw const mark).addr()
    }
}

/// A hardened object; null if no class serves it. Inside.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn allocate_slowly(t: Tls, size: usize, align: usize) -> *mut u8 {
    if !crate::space::ready() {
        return null_mut();
    }
    let p = with_magazines(t, |m| Hardened::allocate_from(m, size, align));
    if !p.is_null()
        && let Some(cache) = cache::current(t)
    {
        cache.count_taken(1, 0);
    }
    p
}

/// Runs `f` with what the calling thread has of hardened blocks, if it has. Inside.
fn with_magazines<R>(t: Tls, f: impl FnOnce(Option<&Magazines>) -> R) -> R {
    let Some(cache) = cache::current(t) else {
        return f(None);
    };
    if config::get(aethalloc_base::options::Key::cache) == 0 {
        return f(None);
    }
    // SAFETY: the calling thread's place; the borrow ends with `f`.
    f(unsafe { Magazines::of(&mut cache.magazines) })
}

/// Ends the object at `p` in the slab `slab`.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn end(p: usize, slab: usize, size: Option<usize>) {
    let t = cache::me();
    let Some(_inside) = Inside::enter(t) else {
        return later::put(p);
    };
    later::settle(small::end_object);
    end_inside(t, p, slab, size);
}

/// As [`end`], inside.
pub fn end_inside(t: Tls, p: usize, slab: usize, size: Option<usize>) {
    with_magazines(t, |m| Hardened::deallocate_to(m, slab, p, size));
}
