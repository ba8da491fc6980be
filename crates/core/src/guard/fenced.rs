//! Objects of 32 KiB to 2 MiB under `guard`: each ends at a guard page that stays where it is while the memory is reused.
//!
//! ```text
//! run of n units: | unused, less than a unit | object, whole pages ................ | guard page |
//! ```
//! The guard is the run's last page and the object ends there, so that any object that needs n units fits a run of n units whose guard
//! is in place already. Runs that were freed are kept for that, as many bytes as the bound on retained memory allows (beside what the page
//! heap retains), of runs above 256 KiB a quarter of that, or one run; the longest go first, and a purge gives all back.
//!
//! The object begins inside its first unit, whose page-map entry says how many pages it has: from that follows everything else.
//!
//! # Orderings
//! The entry is exchanged at the free: of two frees one wins. Kept runs are under the lock.
//!
//! Cost: a lock and an exchange; two system calls when no run of the size is kept.

use super::runs::Runs;
use super::{COUNTS, Objects, count, pages};
use crate::out::FENCED;
use crate::pages::{Run, give, take};
use crate::space;
use crate::space::entry::{self, Kind};
use crate::sync::Ordering::*;
use crate::violation::{self, Verb};
use aethalloc_base::bounds;
use aethalloc_base::units::{PAGE, UNIT, UNITS_PER_REGION, units_for};
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

static KEPT: Runs = Runs::new();

/// The lock of the kept runs.
pub fn lock() -> &'static Lock {
    KEPT.lock()
}

/// Bytes of live objects of this kind.
pub fn live_bytes() -> usize {
    FENCED.load(Relaxed)
}

/// Units of the run of an object of `pages` pages.
#[cold]
pub fn run_units(pages: usize) -> usize {
    units_for(pages * PAGE + self::pages::size())
}

/// Where the object of `pages` pages begins whose run begins at unit `first`.
#[cold]
pub fn start(first: usize, pages: usize) -> *mut u8 {
    let end = run_units(pages) * UNIT - self::pages::size();
    space::address_of(first).wrapping_add(end - pages * PAGE)
}

/// Objects whose guard stays.
pub struct Fenced;

impl Objects for Fenced {
    /// First unit, and pages of the object.
    type Place = (usize, usize);

    #[cold]
    fn allocate(size: usize, zeroed: bool) -> *mut u8 {
        let page = pages::size();
        let Some((bytes, align)) = bounds::run(size) else {
            return null_mut();
        };
        if page == 0 || align > PAGE {
            return null_mut();
        }
        let units = units_for(bytes + page);
        if units > UNITS_PER_REGION || !space::ready() {
            return null_mut();
        }
        let (first, clean) = match KEPT.pop(units) {
            Some(first) => (first, false),
            None => {
                let Some(run) = take(units) else {
                    return null_mut();
                };
                let guard = space::address_of(run.first).wrapping_add(units * UNIT - page);
                // SAFETY: the run's end, which no object needs.
                if !unsafe { pages::put(guard, page) } {
                    give(run);
                    return null_mut();
                }
                (run.first, run.clean)
            }
        };
        let pages = bytes / PAGE;
        let p = start(first, pages);
        if zeroed && !clean {
            // SAFETY: inside the run, which is this call's.
            unsafe { p.write_bytes(0, bytes) };
        }
        entry::store(first, Kind::Fenced { pages });
        FENCED.fetch_add(bytes, Relaxed);
        count(&COUNTS.guarded);
        space::narrow(p, bytes)
    }

    #[cold]
    fn deallocate((first, pages): (usize, usize), p: usize, _size: Option<usize>) {
        if p != start(first, pages).addr() {
            violation::inside_large(Verb::Free, p);
        }
        if !entry::take_fenced(first, pages) {
            violation::used_after_free(Verb::Free, p, 0);
        }
        FENCED.fetch_sub(pages * PAGE, Relaxed);
        let units = run_units(pages);
        while let Some((first, units)) = KEPT.longest_beyond(units) {
            release(first, units);
        }
        if !KEPT.push(first, units) {
            release(first, units);
        }
    }

    #[cold]
    fn usable_size((first, pages): (usize, usize), p: usize, verb: Verb) -> usize {
        if p != start(first, pages).addr() {
            violation::inside_large(verb, p);
        }
        pages * PAGE
    }
}

#[cold]
fn release(first: usize, units: usize) {
    let page = pages::size();
    let guard = space::address_of(first).wrapping_add(units * UNIT - page);
    // SAFETY: the run is the caller's, and its guard was put there.
    if unsafe { pages::take_off(guard, page, 1) } {
        give(Run {
            first,
            units,
            clean: false,
        });
    }
}

/// Gives back what is kept beyond the bound.
#[cold]
pub fn trim() {
    KEPT.trim(release);
}

/// Gives the kept runs back to the page heap; whether there were some.
#[cold]
pub fn purge() -> bool {
    KEPT.purge(release)
}
