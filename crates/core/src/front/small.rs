//! The slow paths of small and medium sizes, and what a freed address turns out to be.

use super::large;
use crate::depot::window;
use crate::foreign;
use crate::guard::sampled::{Record, Sampled};
use crate::guard::{self, Objects};
use crate::space::entry::{self, Kind, SHARED};
use crate::span::central::{self, block_of, lookup};
use crate::span::slab::{FREE, Slab, shape};
use crate::sync::Ordering::*;
use crate::thread::cache::{self, Cache};
use crate::thread::tls::Tls;
use crate::thread::{cold, magazine, medium, outbox};
use crate::violation::{self, Verb};
use aethalloc_base::class::{self, Class, FAST_COUNT, SMALL_MAX};
use aethalloc_base::units::{GRANULE, PAGE, UNIT};
use core::ptr::null_mut;

/// What `malloc` does when no magazine serves it at once.
#[cold]
#[inline(never)]
pub extern "C" fn allocate_slow(size: usize) -> *mut u8 {
    if size > SMALL_MAX {
        return large::allocate(size, UNIT, false);
    }
    if !crate::space::ready() {
        return null_mut();
    }
    if guard::is_sampling() && guard::due() {
        let p = Sampled::allocate(size, false);
        if !p.is_null() {
            return p;
        }
    }
    let c = class::class_of(size);
    let t = cache::me();
    let Some(cache) = cache::current(t) else {
        return cold::alloc_uncached(c);
    };
    let _busy = cache::enter(cache);
    if cache.is_interrupted() {
        return cold::alloc_uncached(c);
    }
    if c >= FAST_COUNT {
        return medium::alloc(cache, c);
    }
    if t.tag(c) == 0 {
        return cold::alloc(t, cache, c);
    }
    // Hot: a request of 0 bytes comes here with blocks in the magazine.
    let top = t.top(c);
    // SAFETY: the top of a hot class is a slot of its window.
    let p = unsafe { crate::space::pointer(top * 8).cast::<usize>().read() };
    if p != 0 {
        t.set_top(c, top - 1);
        return crate::space::pointer(p);
    }
    let p = magazine::refill(t, cache, c);
    if guard::is_sampling() && t.limit() != 0 {
        guard::passed(magazine::loaded(t, cache, c));
    }
    p
}

/// What `free` does when the address is not plainly a block for this thread's magazine.
#[cold]
#[inline(never)]
pub extern "C" fn deallocate_slow(ptr: *mut u8) {
    if ptr.is_null() {
        return;
    }
    let p = ptr.addr();
    match lookup(p) {
        None => foreign::free(ptr),
        Some((_, Kind::Slab { class, tag, state })) => {
            let Some((slab, i)) = block_of(class, state, p) else {
                violation::interior(Verb::Free, p, shape(class).size);
            };
            free_block(class, tag, slab, i, p);
        }
        Some((unit, Kind::Large { pages, guarded })) if p.is_multiple_of(UNIT) => {
            if !large::free(unit, pages, guarded) {
                violation::used_after_free(Verb::Free, p, 0);
            }
        }
        Some((_, Kind::Sampled { record })) => Sampled::deallocate(record, p, None),
        Some((unit, _)) => nothing_here(Verb::Free, p, unit),
    }
}

fn free_block(c: Class, tag: u32, slab: &'static Slab, i: usize, p: usize) {
    let s = shape(c);
    let state = slab.state(s.words, i);
    let was = state.load(Relaxed);
    if was == FREE {
        violation::double_free(p, s.size);
    }
    let t = cache::me();
    let Some(cache) = cache::current(t) else {
        if central::put_one(c, slab, i, 0) {
            violation::double_free(p, s.size);
        }
        return;
    };
    let _busy = cache::enter(cache);
    if cache.is_interrupted() {
        if central::put_one(c, slab, i, 0) {
            violation::double_free(p, s.size);
        }
        return;
    }
    if c >= FAST_COUNT {
        if medium::free(cache, c, p) {
            violation::double_free(p, s.size);
        }
        return;
    }
    if t.tag(c) == entry::tag_word(c, tag) {
        if is_in_window(t, cache, c, was, p) {
            violation::double_free(p, s.size);
        }
        if push(t, cache, c, p, state) {
            return;
        }
    } else if tag == SHARED {
        // Cold in this thread; frees alone can warm it too.
        if let Some(heat) = cache.heat.get_mut(c) {
            *heat = heat.saturating_add(1);
            if *heat >= cache::HEAT && cache::warm(t, cache, c) && push(t, cache, c, p, state) {
                return;
            }
        }
    } else {
        state.store(FREE, Relaxed);
        if outbox::put(cache, p) {
            return;
        }
    }
    cache.put.fetch_add(1, Relaxed);
    if central::put_one(c, slab, i, cache.id) {
        violation::double_free(p, s.size);
    }
}

/// The sparse set: slot `was` of one of the class's two windows is in use and holds `p`.
fn is_in_window(t: Tls, cache: &Cache, c: Class, was: u8, p: usize) -> bool {
    let Some(hot) = cache::hot_of(cache) else {
        return false;
    };
    let (h, was) = (hot.class(c), was as usize);
    let (top, head) = (t.top(c), t.head(c));
    let incoming = (head & 255)..=(h.in_capacity as usize);
    let outgoing = (h.out_newest as usize)..=(top & 255);
    let holds =
        |number: usize| window::from_number((number * 8) & !(window::BYTES - 1)).get(was) == p;
    incoming.contains(&was) && holds(head) || outgoing.contains(&was) && holds(top)
}

fn push(t: Tls, cache: &mut Cache, c: Class, p: usize, state: &crate::sync::AtomicU8) -> bool {
    if (t.head(c) - 1) & 255 == 0 && !magazine::spill(t, cache, c) {
        return false;
    }
    let head = t.head(c) - 1;
    // SAFETY: the slot below a head that is not full belongs to the magazine.
    unsafe { crate::space::pointer(head * 8).cast::<usize>().write(p) };
    state.store(head as u8, Relaxed);
    t.set_head(c, head);
    true
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
            Kind::Large { .. } | Kind::Slab { .. } | Kind::Sampled { .. } => break,
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
