//! Large objects: a run of units each, published in the page map by its first unit.
//!
//! Cost: the page heap's lock (~50 ns) and the page faults of what is touched. `realloc` grows in place where the next
//! units are free, else moves pages instead of bytes from `MOVE_BYTES` on.

use crate::guard::fenced::Fenced;
use crate::guard::sampled::{self, Sampled};
use crate::guard::{self, BLOCK_MAX, Objects};
use crate::out::LARGE;
use crate::pages::{self, Run};
use crate::space::entry::{self, Kind};
use crate::space::{self};
use crate::span::reclaim;
use crate::sync::{AtomicUsize, Ordering::*};
use crate::thread::cache::{self, Cache};
use aethalloc_base::bounds;
use aethalloc_base::options::Key;
use aethalloc_base::units::{PAGE, REGION, UNIT, UNITS_PER_REGION, units_for};
use aethalloc_sys::memory::{self, Moved};
use core::ptr::null_mut;

/// Objects moved by `realloc` from this size on have their pages moved.
const MOVE_BYTES: usize = 1 << 20;
/// Moved pages lie in a mapping of their own until the object ends, and the kernel allows 65530 by default: with so many
/// such objects, copy.
const MOST_MOVED: usize = 4096;
/// Objects that were moved and live, and ranges that could not be joined with their neighbours.
static MOVED: AtomicUsize = AtomicUsize::new(0);

/// Bytes and number of live large objects, and how many were ever made.
pub fn stats() -> (usize, usize, u64) {
    (
        LARGE.bytes.load(Relaxed),
        LARGE.count.load(Relaxed),
        LARGE.made.load(Relaxed),
    )
}

/// One object of `bytes` bytes in a run of `units` units lives.
fn count(bytes: usize, units: usize) {
    LARGE.bytes.fetch_add(bytes, Relaxed);
    LARGE.runs.fetch_add(units * UNIT, Relaxed);
    LARGE.count.fetch_add(1, Relaxed);
}

/// One of `pages` pages does not any more.
fn uncount(pages: usize, guarded: bool) {
    LARGE.bytes.fetch_sub(pages * PAGE, Relaxed);
    LARGE
        .runs
        .fetch_sub(run_units(pages, guarded) * UNIT, Relaxed);
    LARGE.count.fetch_sub(1, Relaxed);
}

/// An object of `size` bytes at a multiple of `align` (a power of two); null when memory is out.
#[unsafe(link_section = ".text.unknown.later")]
pub fn allocate(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let within_page = align <= PAGE;
    let align = align.max(UNIT);
    if guard::is_sampling() && align == UNIT && size > BLOCK_MAX {
        let due = cache::current(cache::me()).is_some_and(Cache::is_large_sample_due);
        let p = if due {
            Sampled::allocate(size, zeroed)
        } else if within_page {
            Fenced::allocate(size, zeroed)
        } else {
            null_mut()
        };
        if !p.is_null() {
            return p;
        }
    }
    if guard::is_hardened() && align == UNIT {
        let p = sampled::allocate(size, zeroed, true);
        if !p.is_null() {
            return p;
        }
    }
    place(size, align, zeroed)
}

/// As [`allocate`], at a multiple of [`UNIT`] or more, and so that it can grow in place.
#[unsafe(link_section = ".text.unknown.later")]
pub fn place(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let Some((bytes, own_align)) = bounds::run(size) else {
        return null_mut();
    };
    let align = align.max(own_align);
    if bytes > isize::MAX as usize || align > isize::MAX as usize || !space::ready() {
        return null_mut();
    }
    let tail = guard::pages::size();
    let units = units_for(bytes + tail);
    // Runs longer than a region begin at one.
    let extra = if units > UNITS_PER_REGION && align <= REGION {
        0
    } else {
        align / UNIT - 1
    };
    let Some(mut run) = reclaim::take(units + extra, guard::purge) else {
        return null_mut();
    };
    if extra > 0 {
        let at = space::address_of(run.first).addr();
        let skip = (at.next_multiple_of(align) - at) / UNIT;
        if skip > 0 {
            let head = Run {
                first: run.first,
                units: skip,
                clean: run.clean,
            };
            run = Run {
                first: run.first + skip,
                units: run.units - skip,
                clean: run.clean,
            };
            pages::give(head);
        }
        pages::shrink(&mut run, units);
    }
    let p = space::address_of(run.first);
    if run.clean {
        pages::purge::asked_again(bytes);
    }
    pages::huge::large_begins(&run, bytes);
    if zeroed && !run.clean {
        // SAFETY: the run is ours and at least `bytes` long.
        unsafe { p.write_bytes(0, bytes) };
    }
    let guarded = put_guard(&mut run, bytes);
    entry::store(
        run.first,
        Kind::Large {
            pages: bytes / PAGE,
            guarded,
        },
    );
    count(bytes, run_units(bytes / PAGE, guarded));
    LARGE.made.fetch_add(1, Relaxed);
    space::narrow(p, bytes)
}

/// Units of the run of an object of `pages` pages.
pub fn run_units(pages: usize, guarded: bool) -> usize {
    units_for(pages * PAGE + if guarded { guard::pages::size() } else { 0 })
}

/// What the guard behind `bytes` bytes covers: from where on, and how much. One page, because what it covers has to be faulted in again by the
/// next user; where it has a unit of its own, all of that, which holds nothing then.
#[cold]
fn guarded_range(bytes: usize) -> (usize, usize) {
    let page = guard::pages::size().max(1);
    let len = if bytes.is_multiple_of(UNIT) {
        UNIT
    } else {
        page
    };
    (bytes.next_multiple_of(page), len)
}

/// Puts a guard behind the first `bytes` bytes of the run. Without one, gives back what was kept for it.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
fn put_guard(run: &mut Run, bytes: usize) -> bool {
    if guard::pages::size() == 0 {
        return false;
    }
    let (from, len) = guarded_range(bytes);
    let at = space::address_of(run.first).wrapping_add(from);
    // SAFETY: the run's end, which no object needs.
    if unsafe { guard::pages::put(at, len) } {
        guard::COUNTS.guarded.fetch_add(1, Relaxed);
        return true;
    }
    pages::shrink(run, units_for(bytes));
    false
}

/// The run of an object at `unit`, its guard taken off; `None` if that is impossible: the run is lost.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
fn unguarded(unit: usize, pages: usize, guarded: bool) -> Option<Run> {
    let run = Run {
        first: unit,
        units: run_units(pages, guarded),
        clean: false,
    };
    if !guarded {
        return Some(run);
    }
    let (from, len) = guarded_range(pages * PAGE);
    let at = space::address_of(unit).wrapping_add(from);
    // SAFETY: the guard's range, as `put_guard` chose it.
    if !unsafe { guard::pages::take_off(at, len, 1) } {
        return None;
    }
    Some(run)
}

/// Ends the object of `pages` pages at `unit`; false if somebody else did.
#[unsafe(link_section = ".text.unknown.later")]
pub fn free(unit: usize, pages: usize, guarded: bool) -> bool {
    let Some(moved) = entry::take_large(unit, pages, guarded) else {
        return false;
    };
    uncount(pages, guarded);
    let Some(mut run) = unguarded(unit, pages, guarded) else {
        return true;
    };
    if !moved {
        pages::huge::large_ends(unit, pages * PAGE);
        if guarded && (pages * PAGE).is_multiple_of(UNIT) && guard::pages::drop_contents() {
            // Nothing but guard: without pages it is not the first that others get, and is there for the next object of the size.
            run.units -= 1;
            pages::give(Run {
                first: run.first + run.units,
                units: 1,
                clean: true,
            });
        }
        pages::give(run);
    } else if give_renewed(run) {
        MOVED.fetch_sub(1, Relaxed);
    }
    true
}

/// Gives back a run whose pages lie in, or were moved out of, a mapping of its own; true if that is gone. A run that is
/// lost stays taken for ever.
#[unsafe(link_section = ".text.unknown.later")]
fn give_renewed(mut run: Run) -> bool {
    // SAFETY: the caller's run; nobody needs its contents.
    match unsafe { memory::renew(space::address_of(run.first), run.units * UNIT) } {
        Moved::Yes => {
            pages::huge::renewed(&run);
            run.clean = true;
            pages::give(run);
            true
        }
        Moved::No => {
            pages::give(run);
            false
        }
        Moved::Lost => true,
    }
}

/// Resizes in place; false if the object has to move.
pub fn resize(unit: usize, pages: usize, guarded: bool, size: usize) -> bool {
    let Some((bytes, align)) = bounds::run(size) else {
        return false;
    };
    if !space::address_of(unit).addr().is_multiple_of(align) {
        return false;
    }
    if bytes == pages * PAGE {
        return true;
    }
    let tail = if guarded { guard::pages::size() } else { 0 };
    let (old, new) = (run_units(pages, guarded), units_for(bytes + tail));
    let mut run = Run {
        first: unit,
        units: old,
        clean: false,
    };
    if new > old && !pages::extend(&mut run, new) {
        return false;
    }
    let moved = entry::is_moved(unit);
    if guarded && unguarded(unit, pages, true).is_none() {
        return false; // what was added is lost with the guard that does not come off
    }
    // A shrink below half moves to a smaller run only through the caller; here the tail goes back.
    let tail = (new < old).then(|| {
        run.units = new;
        Run {
            first: unit + new,
            units: old - new,
            clean: false,
        }
    });
    let old_guarded = guarded;
    let guarded = guarded && put_guard(&mut run, bytes);
    entry::store(
        unit,
        Kind::Large {
            pages: bytes / PAGE,
            guarded,
        },
    );
    uncount(pages, old_guarded);
    count(bytes, run_units(bytes / PAGE, guarded));
    if moved {
        entry::mark_moved(unit);
    }
    if let Some(tail) = tail {
        if !moved {
            pages::give(tail);
        } else if !give_renewed(tail) {
            MOVED.fetch_add(1, Relaxed);
        }
    }
    true
}

/// Moves the object's pages to a larger run; null if that is not possible (the caller copies).
#[allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the live object that realloc was given"
)]
pub fn move_pages(from: *mut u8, unit: usize, pages: usize, guarded: bool, size: usize) -> *mut u8 {
    let old = pages * PAGE;
    if size <= old
        || old < MOVE_BYTES
        || MOVED.load(Relaxed) >= MOST_MOVED
        || crate::config::get(Key::remap) == 0
    {
        return null_mut();
    }
    let to = place(size, UNIT, false);
    if to.is_null() {
        return null_mut();
    }
    // SAFETY: two live objects of at least `old` bytes; nobody else uses either during realloc.
    match unsafe { memory::move_pages(from, to, old) } {
        Moved::Yes => {}
        Moved::No => {
            free_at(to);
            return null_mut();
        }
        Moved::Lost => {
            forget(to);
            return null_mut();
        }
    }
    MOVED.fetch_add(1, Relaxed);
    if let Some(u) = space::unit_of(to.addr()) {
        entry::mark_moved(u);
    }
    if let Some(moved) = entry::take_large(unit, pages, guarded) {
        uncount(pages, guarded);
        // Its pages are gone, but its mapping is another than its neighbours'.
        let joined = unguarded(unit, pages, guarded).is_none_or(give_renewed);
        // Its own count, or none: it was never moved.
        if joined && moved {
            MOVED.fetch_sub(1, Relaxed);
        } else if !joined && !moved {
            MOVED.fetch_add(1, Relaxed);
        }
    }
    to
}

/// Nothing is at `p` any more, and its run stays taken for ever.
#[cold]
fn forget(p: *mut u8) {
    if let Some(u) = space::unit_of(p.addr())
        && let Kind::Large { pages, guarded } = entry::load(u)
        && entry::take_large(u, pages, guarded).is_some()
    {
        uncount(pages, guarded);
    }
}

fn free_at(p: *mut u8) {
    if let Some(u) = space::unit_of(p.addr())
        && let Kind::Large { pages, guarded } = entry::load(u)
    {
        free(u, pages, guarded);
    }
}
