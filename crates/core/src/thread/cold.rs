//! Cold classes: blocks are taken one by one from slabs that all threads share, or a few at a time by threads that take many.
//!
//! A class that shares lines is handed out by whole line groups: what is left of a group waits in the thread's stash,
//! so that no other thread gets its neighbours.

use super::bins::{self, Bins};
use super::cache::Cache;
use super::expect;
use crate::guard;
use crate::span::central::{self, Taken};
use crate::span::slab::{OUT, shape};
use crate::sync::{AtomicU32, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_base::policy;
use aethalloc_base::units::LINE;
use core::ptr::null_mut;

/// A block of cold class `c`; null when memory is out.
#[inline(never)]
pub fn alloc(cache: &mut Cache, c: Class) -> *mut u8 {
    let c = cold_class(c);
    if let Some(stash) = cache.stash.get_mut(c)
        && *stash & 15 != 0
    {
        let p = pop(stash, c);
        cache.count_taken(1, class::size(c) as isize);
        return hand_out(p, c);
    }
    let Some(mut taken) = take_common(c, cache.serial, 1) else {
        return null_mut();
    };
    let (size, n) = (class::size(c), taken.bits.count_ones());
    let first = taken.hand_out(size);
    if n > 1
        && let Some(stash) = cache.stash.get_mut(c)
    {
        // A group's blocks are neighbours from its first on.
        *stash = first | ((1 << n) - 2);
    }
    cache.count_taken(1, size as isize);
    crate::space::object(first, size)
}

/// As [`alloc`], for a thread that has bins: several blocks at a time, the more the oftener it used the class; they wait in the bin, RESERVED. The
/// bin is empty, and the thread holds no slab of the class.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn alloc_several(cache: &mut Cache, bins: &mut Bins, c: Class) -> *mut u8 {
    let from = cold_class(c);
    if cache.stash.get(from).is_some_and(|stash| *stash & 15 != 0) {
        return alloc(cache, c);
    }
    let s = shape(from);
    let want = policy::cold_reservation(s.size(), cache.uses(c).max(expect::uses(c)));
    let Some(taken) = take_common(from, cache.serial, want.div_ceil(s.line())) else {
        return null_mut();
    };
    let n = taken.bits.count_ones() as usize;
    cache.count_taken(n as u64, (n * s.size()) as isize);
    cache.count_reservation();
    cache.used(c, n - 1);
    bins.put_common(c, s.size(), &taken);
    bins::take(bins.bin(c))
}

/// As [`central::take_common`]; before memory is out, what is kept for objects with guards goes back.
fn take_common(c: Class, serial: u32, lines: usize) -> Option<Taken> {
    let take = || central::take_common(c, serial, lines);
    take().or_else(|| guard::after_purge(take))
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
    substitute(line).unwrap_or(line)
}

/// Blocks that came from a larger class than theirs.
static SUBSTITUTED: AtomicU32 = AtomicU32::new(0);
/// How many may: what a small program needs of each class at its start.
const SUBSTITUTES: u32 = 64;

/// A class of up to twice the size that has a slab, for a class that has none: the slab's page and descriptor cost a program
/// with a few blocks more than the rest of each block does. Only at the start, up to 1 KiB: a bounded number of
/// blocks, at most 64 KiB in all.
fn substitute(c: Class) -> Option<Class> {
    let has_slab = |c| central::of(c).slabs.load(Relaxed) != 0;
    if c >= class::SHARING_COUNT || has_slab(c) || SUBSTITUTED.load(Relaxed) >= SUBSTITUTES {
        return None;
    }
    // Whoever asked for blocks of a multiple of some power of two may count on their alignment.
    let (size, most) = (class::size(c), class::class_of(class::size(c) * 2));
    let align = (size & size.wrapping_neg()).max(LINE);
    let found = (c + 1..=most).find(|o| class::size(*o).is_multiple_of(align) && has_slab(*o))?;
    SUBSTITUTED.fetch_add(1, Relaxed);
    Some(found)
}

fn pop(stash: &mut usize, c: Class) -> usize {
    let (base, mask) = (*stash & !15, *stash & 15);
    let i = mask.trailing_zeros() as usize;
    *stash = base | mask & (mask - 1);
    base + i * class::size(c)
}

/// A stashed block becomes an object.
fn hand_out(p: usize, c: Class) -> *mut u8 {
    if let Some(state) = central::state_of(p) {
        state.store(OUT, Relaxed);
    }
    crate::space::object(p, class::size(c))
}

/// Puts the rest of the stashed group of class `c` back.
#[unsafe(link_section = ".text.unknown.later")]
pub fn unstash(cache: &mut Cache, c: Class) {
    while let Some(stash) = cache.stash.get_mut(c)
        && *stash & 15 != 0
    {
        central::put_back(pop(stash, c));
    }
}

/// A block without any cache (a thread that is starting or over): one block, the rest of its group goes back. Nobody
/// else gets those while this one is out, since groups leave whole.
pub fn alloc_uncached(c: Class) -> *mut u8 {
    let Some(mut taken) = take_common(c, 0, 1) else {
        return null_mut();
    };
    let first = taken.hand_out(class::size(c));
    for i in 1..=taken.bits.count_ones() as usize {
        central::put_back(first + i * class::size(c));
    }
    crate::span::live::change(class::size(c) as isize);
    crate::space::object(first, class::size(c))
}
