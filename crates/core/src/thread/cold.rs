//! Cold classes: blocks come and go one by one.
//!
//! A class that shares lines is handed out by whole line groups: what is left of a group waits in the thread's stash,
//! so that no other thread gets its neighbours.

use super::cache::{Cache, HEAT, warm};
use super::tls::Tls;
use crate::space::entry::Kind;
use crate::span::central::{self, block_of, lookup};
use crate::sync::Ordering::*;
use aethalloc_base::class::{self, Class};
use core::ptr::null_mut;

/// A block of cold class `c`; null when memory is out. The class may become hot here.
#[cold]
#[inline(never)]
pub fn alloc(t: Tls, cache: &mut Cache, c: Class) -> *mut u8 {
    let Some(heat) = cache.heat.get_mut(c) else {
        return null_mut();
    };
    *heat = heat.saturating_add(1);
    if *heat >= HEAT && warm(t, cache, c) {
        return super::magazine::refill(t, cache, c);
    }
    let c = cold_class(c);
    let Some(stash) = cache.stash.get_mut(c) else {
        return null_mut();
    };
    if *stash & 15 != 0 {
        return crate::space::pointer(pop(stash, c));
    }
    let mut out = [0usize; 4];
    let got = central::take_common(c, cache.serial, 1, out.as_mut_ptr());
    if got == 0 {
        return null_mut();
    }
    cache.taken.fetch_add(got as u64, Relaxed);
    if got > 1 {
        // A group's blocks are neighbours from its first on.
        *stash = out[0] | ((1 << got) - 2);
    }
    crate::space::pointer(out[0])
}

/// The class that serves a cold request of class `c`. Above 128 B the rest of a line group costs a thread with a few
/// objects more than the few bytes up to the next class of whole lines, which needs no group.
fn cold_class(c: Class) -> Class {
    let mut line = c;
    if class::size(c) > 128 {
        while !class::is_line(line) {
            line += 1;
        }
    }
    line
}

fn pop(stash: &mut usize, c: Class) -> usize {
    let (base, mask) = (*stash & !15, *stash & 15);
    let i = mask.trailing_zeros() as usize;
    *stash = base | mask & (mask - 1);
    base + i * aethalloc_base::class::size(c)
}

/// Puts the rest of a stashed group back.
pub fn unstash(cache: &mut Cache, c: Class) {
    let Some(stash) = cache.stash.get_mut(c) else {
        return;
    };
    while *stash & 15 != 0 {
        let p = pop(stash, c);
        put_address(p, cache.id);
        cache.put.fetch_add(1, Relaxed);
    }
    *stash = 0;
}

/// A block without any cache (a thread that is starting or over): one block, the rest of its group goes back. Nobody
/// else gets those while this one is out, since groups leave whole.
pub fn alloc_uncached(c: Class) -> *mut u8 {
    let mut out = [0usize; 4];
    let got = central::take_common(c, 0, 1, out.as_mut_ptr());
    if got == 0 {
        return null_mut();
    }
    for p in out.iter().take(got).skip(1) {
        put_address(*p, 0);
    }
    crate::space::pointer(out[0])
}

/// Puts one block, known by its address, back into its slab.
pub fn put_address(p: usize, me: u32) {
    if let Some((_, Kind::Slab { class, state, .. })) = lookup(p)
        && let Some((slab, i)) = block_of(class, state, p)
        && central::put_one(class, slab, i, me)
    {
        crate::violation::double_free(p, aethalloc_base::class::size(class));
    }
}
