//! How a slab of hardened objects begins and ends: a unit with a guard as its last page, kept or of the page heap, and a descriptor.
//!
//! ```text
//! kept unit, or run of the page heap + guard --> slab --> kept unit, or (guard off) the page heap
//! descriptor's place: from its pool --------------'  `--> its pool
//! ```
//! Nobody knows of the slab before the beginning is over, nor when its end begins.
//!
//! Cost: a lock for each of unit and descriptor; two system calls and the page faults where no unit was kept.

use super::super::{COUNTS, count, has_canaries, is_tagging, pages, tagged};
use super::heap::Heap;
use super::kept;
use super::slab::{HEAD, POOLS, Slab, size, states, states_at, words};
use crate::guard;
use crate::pages::{Run, give};
use crate::space::entry::{self, Kind};
use crate::space::{self, meta, pool};
use crate::sync::Ordering::*;
use aethalloc_base::class::Class;
use aethalloc_base::units::UNIT;

/// A new slab of `heap`, all zero; `None` without memory. The caller holds no lock.
#[cold]
pub(super) fn begin(heap: &'static Heap, c: Class) -> Option<&'static Slab> {
    let pool = *POOLS.get(c)? as usize;
    let (place, _) = pool::take(pool)?;
    let recycled = kept::take();
    let run = match recycled {
        Some(first) => Some(Run {
            first,
            units: 1,
            clean: true,
        }),
        None => guard::take_run(1),
    };
    let Some(run) = run else {
        kept::put(0, false);
        // SAFETY: the place came from this pool.
        unsafe { pool::give(pool, place.as_ptr()) };
        return None;
    };
    let at = space::address_of(run.first);
    // SAFETY: the run is ours.
    if is_tagging() && !unsafe { tagged::prepare(at, UNIT) } {
        give(run);
        kept::put(0, false);
        // SAFETY: the place came from this pool.
        unsafe { pool::give(pool, place.as_ptr()) };
        return None;
    }
    // SAFETY: the run and the place are ours.
    let (slab, guarded) = unsafe {
        if !run.clean && aethalloc_sys::memory::discard(at, UNIT).is_err() {
            at.write_bytes(0, UNIT);
        }
        let bytes = HEAD + words(c) * 8 + states(c);
        place.as_ptr().write_bytes(0, bytes);
        let page = pages::size();
        let guarded = recycled.is_some()
            || page != 0 && page <= UNIT / 4 && pages::put(at.add(UNIT - page), page);
        (&*place.as_ptr().cast::<Slab>(), guarded)
    };
    let room = UNIT
        - if guarded {
            pages::size()
        } else {
            tagged::slab_end()
        };
    if guarded {
        count(&COUNTS.guarded);
    }
    slab.heap
        .store(core::ptr::from_ref(heap).cast_mut(), Relaxed);
    slab.unit.store(run.first as u32, Relaxed);
    slab.class.store(c as u32, Relaxed);
    slab.limit.store((room / size(c)) as u32, Relaxed);
    slab.guarded.store(guarded as u8, Relaxed);
    slab.states.store(states_at(c) as u16, Relaxed);
    slab.size.store(size(c) as u32, Relaxed);
    entry::store(
        run.first,
        Kind::Hardened {
            class: c,
            slab: place.as_ptr().addr() - meta::base().addr(),
        },
    );
    Some(slab)
}

/// Ends a slab that is on no list and in no entry. The caller holds no lock.
#[cold]
pub(super) fn end(slab: &'static Slab) {
    let run = Run {
        first: slab.unit.load(Relaxed) as usize,
        units: 1,
        clean: false,
    };
    let at = slab.start();
    let page = pages::size();
    let guarded = slab.guarded.load(Relaxed) != 0;
    // Free blocks are zero.
    let as_it_is = guarded && has_canaries();
    kept::put(run.first, as_it_is);
    // SAFETY: the unit is ours unless it is kept, and the guard was put there; the place came from its pool and nothing leads to it.
    unsafe {
        if is_tagging() {
            tagged::clear(at, UNIT);
        }
        if !as_it_is && (!guarded || pages::take_off(at.add(UNIT - page), page, 1)) {
            give(run);
        }
        let pool = POOLS.get(slab.class()).copied().unwrap_or(0) as usize;
        pool::give(pool, core::ptr::from_ref(slab).cast::<u8>().cast_mut());
    }
}
