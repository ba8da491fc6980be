//! What sampled objects leave when they end: records in the quarantine, and runs that are kept.
//!
//! ```text
//! free --> quarantine (the page map names the records) --> kept runs (large objects under `hardened`) --> the next object of the length
//!                                                      `-> page heap, without guards
//! ```
//! # Roles
//! The quarantine's lock guards its list, and that a record which the page map names is in use.
//!
//! Cost: two locks for each object that ends; two system calls where the run is not kept.

use super::pages;
use super::record::{POOL, Record};
use super::runs::Runs;
use super::{COUNTS, count, has_canaries};
use crate::pages::{Run, give};
use crate::space::entry::{self, Kind};
use crate::space::{self, pool};
use crate::sync::{AtomicPtr, AtomicU32, Ordering::*};
use aethalloc_base::units::UNIT;
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

/// Freed samples that stay unusable.
const KEPT: u32 = 256;
/// Freed records, oldest first.
struct Quarantine {
    lock: Lock,
    head: AtomicPtr<Record>,
    tail: AtomicPtr<Record>,
    count: AtomicU32,
}
static QUARANTINE: Quarantine = Quarantine {
    lock: Lock::new(),
    head: AtomicPtr::new(null_mut()),
    tail: AtomicPtr::new(null_mut()),
    count: AtomicU32::new(0),
};
/// Runs of large objects under `hardened`, nothing but guard from end to end: the next object of the length makes room for itself.
static GUARDED: Runs = Runs::new();

/// The lock of the runs that are kept.
#[cold]
pub fn runs_lock() -> &'static Lock {
    GUARDED.lock()
}

/// The quarantine's lock.
#[cold]
pub fn lock() -> &'static Lock {
    &QUARANTINE.lock
}

/// A run of `units` units that is nothing but guard, if one is kept.
#[cold]
pub(super) fn take(units: usize) -> Option<usize> {
    GUARDED.pop(units)
}

/// Keeps a freed record and its memory from reuse for a while; the oldest that was kept ends.
#[cold]
pub(super) fn keep(r: &'static Record) {
    if let Some(oldest) = swap(r) {
        release(oldest);
    }
}

/// Puts a freed record into the quarantine; the oldest one comes out if there are too many.
#[cold]
fn swap(r: &'static Record) -> Option<&'static Record> {
    count(&COUNTS.quarantined);
    let q = &QUARANTINE;
    let _held = q.lock.take();
    let new = core::ptr::from_ref(r).cast_mut();
    r.next.store(null_mut(), Relaxed);
    let tail = q.tail.swap(new, Relaxed);
    if tail.is_null() {
        q.head.store(new, Relaxed);
    } else {
        // SAFETY: records in the quarantine live until they are released.
        unsafe { (*tail).next.store(new, Relaxed) };
    }
    if q.count.fetch_add(1, Relaxed) < KEPT {
        return None;
    }
    q.count.fetch_sub(1, Relaxed);
    // SAFETY: as above; the list has more than one record.
    let oldest = unsafe { &*q.head.load(Relaxed) };
    q.head.store(oldest.next.load(Relaxed), Relaxed);
    forget(oldest);
    Some(oldest)
}

/// Takes a record out of the page map; under the quarantine's lock.
#[cold]
fn forget(r: &Record) {
    let first = r.unit.load(Relaxed) as usize;
    let front = r.body.load(Relaxed) - space::address_of(first).addr();
    // One unit of a large object, all of a small one.
    let units = if front == 0 { 1 } else { r.units() };
    for u in first..first + units {
        entry::store(u, Kind::None);
    }
}

/// Takes the guards off a run that is nothing but guard, and gives it back.
#[cold]
pub(super) fn give_guarded(first: usize, units: usize) {
    // SAFETY: the caller's run.
    if unsafe { pages::take_off(space::address_of(first), units * UNIT, 0) } {
        give(Run {
            first,
            units,
            clean: true,
        });
    }
}

/// Gives back what is kept beyond the bound.
#[cold]
pub fn trim() {
    GUARDED.trim(give_guarded);
}

/// Gives the kept runs back to the page heap; whether there were some.
#[cold]
pub fn purge() -> bool {
    GUARDED.purge(give_guarded)
}

/// Gives the run of a record that [`forget`] took out of the page map back, and the record.
#[cold]
fn release(r: &'static Record) {
    let (first, units) = (r.unit.load(Relaxed) as usize, r.units());
    let guards = r.guards.load(Relaxed) as usize;
    let at_start = r.body.load(Relaxed) == space::address_of(first).addr();
    // All of it is guarded: before the object, over it and behind it.
    let whole = guards == if at_start { 2 } else { 3 } && pages::drop_contents();
    // SAFETY: the run is ours; the place came from its pool and nothing leads to it any more.
    unsafe {
        if !(whole && at_start && has_canaries() && GUARDED.push(first, units))
            && pages::take_off(space::address_of(first), units * UNIT, guards)
        {
            give(Run {
                first,
                units,
                // The guards dropped what was written there.
                clean: whole,
            });
        }
        pool::give(POOL, core::ptr::from_ref(r).cast::<u8>().cast_mut());
    }
}
