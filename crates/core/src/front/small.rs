//! The slow paths of small sizes, and what a freed address turns out to be.

use super::{hardened, large, later, spare};
use crate::foreign;
use crate::guard::fenced::{self, Fenced};
use crate::guard::hardened::Hardened;
use crate::guard::sampled::{Record, Sampled};
use crate::guard::{self, BLOCK_MAX, Objects, bare, pointer_bits};
use crate::space::entry::{self, Kind};
use crate::span::central::{block_of, lookup};
use crate::span::slab::{FREE, OUT, shape};
use crate::sync::Ordering::*;
use crate::thread::bins;
use crate::thread::cache;
use crate::thread::inside::Inside;
use crate::thread::tls::{Life, Tls};
use crate::thread::{cold, stock};
use crate::violation::{self, Verb};
use aethalloc_base::class::{self, SMALL_MAX};
use aethalloc_base::units::{GRANULE, PAGE, UNIT};
use core::ptr::null_mut;

/// What `malloc` does when the bin of the class is empty.
#[inline(never)]
pub extern "C" fn allocate_slow(size: usize) -> *mut u8 {
    if let Some(p) = refill(cache::me(), size) {
        return p;
    }
    if guard::has_canaries() {
        return hardened::allocate(size);
    }
    allocate_long(size)
}

/// The commonest case, the bin of a hot class is used up: what [`allocate_inside`] comes to, in 38 instructions less (63, before the refill itself). `None`: anything else.
#[inline(always)]
fn refill(t: Tls, size: usize) -> Option<*mut u8> {
    // First whether it is inside: then what its words lead to may not be its own any more.
    if t.inside() != 0 || t.life() != Life::Live || later::is_pending() {
        return None;
    }
    // SAFETY: a live thread's cache is its own.
    let cache = unsafe { &mut *t.cache() };
    // `safety:guard` leaves all blocks but samples as they are; what is larger got blocks before the mode began.
    if !guard::is_off() && (!guard::is_sampling() || size > BLOCK_MAX || cache.is_sample_near()) {
        return None;
    }
    let place = cache.bins.load(Relaxed);
    if place.is_null() {
        return None;
    }
    let _inside = Inside::enter_plainly(t, cache, place.cast())?;
    // Only now: a signal handler that came before may have made the class hot, and left blocks in its bin.
    // SAFETY: the live thread's own.
    let bins = unsafe { &mut *place };
    let c = class::of_small(bins::bin_of(), size);
    if !bins.is_hot(c) {
        return None;
    }
    // A request of 0 bytes comes here with blocks in the bin, too.
    let bin = bins.bin(c);
    if bin.bits != 0 {
        return Some(bins::take(bin));
    }
    Some(bins::refill(cache, bins, c))
}

/// As [`allocate_slow`], whatever the safety mode.
#[inline(never)]
pub fn allocate_long(size: usize) -> *mut u8 {
    let t = cache::me();
    let Some(inside) = Inside::enter(t) else {
        return spare::allocate(size, GRANULE, false);
    };
    later::settle(end_object);
    allocate_inside(inside, t, size)
}

#[inline]
fn allocate_inside(mut inside: Inside, t: Tls, size: usize) -> *mut u8 {
    if guard::is_hardened() && Hardened::serves(size) {
        return hardened::allocate_slowly(t, size, GRANULE);
    }
    // The few sizes whose canary has no room in the largest block are large too.
    if size > SMALL_MAX || guard::is_hardened() || guard::is_sampling() && size > BLOCK_MAX {
        return large::allocate(size, GRANULE, false);
    }
    if !crate::space::ready() {
        return null_mut();
    }
    let c = class::of_small(bins::bin_of(), size);
    let Some(cache) = cache::current(t) else {
        return cold::alloc_uncached(c);
    };
    if guard::is_sampling() && cache.is_sample_due() {
        let p = Sampled::allocate(size, false);
        if !p.is_null() {
            return p;
        }
    }
    if inside.interrupts_malloc() {
        return cold::alloc(cache, c);
    }
    if let Some(bins) = bins::existing(cache) {
        // A request of 0 bytes comes here with blocks in the bin.
        let bin = bins.bin(c);
        if bin.bits != 0 {
            return bins::take(bin);
        }
        if bins.is_hot(c) {
            return bins::refill(cache, bins, c);
        }
    }
    let hot = cache.heats(c);
    if (hot || cache.is_warm())
        && let Some(bins) = bins::of(&mut inside, cache)
    {
        if !hot {
            return cold::alloc_several(cache, bins, c);
        }
        cold::unstash(cache, c);
        bins.warm(c);
        return bins::refill(cache, bins, c);
    }
    cold::alloc(cache, c)
}

/// `free` by a caller that says the object has `size` bytes: only `hardened` compares.
#[cold]
#[inline(never)]
pub extern "C" fn deallocate_sized_slow(ptr: *mut u8, size: usize) {
    if guard::has_canaries() {
        return hardened::deallocate_sized(ptr, size);
    }
    deallocate_sized_long(ptr, size);
}

/// As [`deallocate_sized_slow`], whatever the safety mode.
#[cold]
#[inline(never)]
pub fn deallocate_sized_long(ptr: *mut u8, size: usize) {
    let p = ptr.addr();
    match lookup(bare(p)) {
        Some((_, Kind::Hardened { slab, .. })) => hardened::end(p, slab, Some(size)),
        Some((_, Kind::Sampled { .. })) => end_or_later(p, Some(size)),
        _ => deallocate_long(ptr),
    }
}

/// What `free` does when the address is not plainly a block that is out.
#[inline(never)]
pub extern "C" fn deallocate_slow(ptr: *mut u8) {
    if guard::has_canaries() {
        return hardened::deallocate(ptr);
    }
    deallocate_long(ptr);
}

/// As [`deallocate_slow`], whatever the safety mode.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn deallocate_long(ptr: *mut u8) {
    if ptr.is_null() {
        return;
    }
    let p = ptr.addr();
    match lookup(bare(p)) {
        None => {
            if !spare::free(p) {
                foreign::free(ptr);
            }
        }
        Some((
            _,
            Kind::Slab {
                class, part, state, ..
            },
        )) => {
            let size = shape(class).size();
            let Some((slab, i)) = block_of(class, part, state, p) else {
                violation::interior(Verb::Free, p, size);
            };
            pointer_bits::refuse(p, size, Verb::Free);
            let state = slab.state(class, part, i);
            if state.load(Relaxed) != OUT {
                violation::double_free(p, size);
            }
            // ORDERING: Release, as in the fast path.
            state.store(FREE, Release);
            let t = cache::me();
            t.set_budget(t.budget().wrapping_sub(size as i32));
            if t.budget() < 0 {
                stock::take_stock(ptr);
            }
        }
        // As `end_or_later`, which would look the address up again.
        Some((_, Kind::Hardened { slab, .. })) => hardened::end(p, slab, None),
        Some(_) => end_or_later(p, None),
    }
}

/// Ends the object at `p`, which is no block of a plain slab; `size`: what the caller says it is.
#[unsafe(link_section = ".text.unknown.later")]
fn end_or_later(p: usize, size: Option<usize>) {
    let Some(_inside) = Inside::enter(cache::me()) else {
        return later::put(p);
    };
    later::settle(end_object);
    end(p, size);
}

/// As `end_or_later`, inside.
pub fn end_object(p: usize) {
    end(p, None);
}

#[unsafe(link_section = ".text.unknown.later")]
fn end(p: usize, size: Option<usize>) {
    match lookup(bare(p)) {
        Some((unit, Kind::Large { pages, guarded })) if p.is_multiple_of(UNIT) => {
            pointer_bits::refuse(p, 0, Verb::Free);
            let ended = large::free(unit, pages, guarded);
            if !ended {
                violation::used_after_free(Verb::Free, p, 0);
            }
        }
        Some((unit, Kind::Fenced { pages })) => Fenced::deallocate((unit, pages), p, size),
        Some((_, Kind::Sampled { record })) => Sampled::deallocate(record, p, size),
        Some((_, Kind::Hardened { slab, .. })) => {
            hardened::end_inside(cache::me(), p, slab, size);
        }
        Some((unit, _)) => nothing_here(Verb::Free, p, unit),
        None => {}
    }
}

/// Ends the process: nothing begins at `p`, which lies in one of our arenas.
#[cold]
#[inline(never)]
pub fn nothing_here(verb: Verb, p: usize, unit: usize) -> ! {
    // A large object that covers the address begins at some unit before it.
    let mut u = unit;
    while unit - u < 1 << 20 {
        match entry::load(u) {
            Kind::Large { pages, .. } if u + (pages * PAGE).div_ceil(UNIT) > unit => {
                violation::inside_large(verb, p)
            }
            Kind::Sampled { record } if u + Record::at(record).units() > unit => {
                violation::inside_large(verb, p)
            }
            Kind::Fenced { pages } if u + fenced::run_units(pages) > unit => {
                violation::inside_large(verb, p)
            }
            Kind::Large { .. }
            | Kind::Fenced { .. }
            | Kind::Slab { .. }
            | Kind::Sampled { .. }
            | Kind::Hardened { .. } => break,
            _ if u == 0 => break,
            _ => u -= 1,
        }
    }
    if !p.is_multiple_of(GRANULE) {
        violation::not_ours(verb, p);
    }
    match entry::load(unit) {
        Kind::Freed { class } if (p % UNIT).is_multiple_of(class::size(class).max(1)) => {
            violation::used_after_free(verb, p, class::size(class))
        }
        Kind::Freed { class } => violation::interior(verb, p, class::size(class)),
        _ => violation::used_after_free(verb, p, 0),
    }
}
