//! The page heap: runs of units out of 2 MiB regions.
//!
//! ```text
//! region: used mask (32 units) | dirty mask (free units that still hold pages) | list links
//! bins[n]: regions whose longest free run is n units        dirty list: regions with dirty units, newest first
//! ```
//! Called when a class needs or returns a slab and for large objects. Dirty units are preferred (no page faults), of
//! their runs the shortest that fits; then the region with the shortest free run that fits, so that full hugepages fill up and sparse ones drain.
//! Cost: one lock, ~30-60 ns, plus page faults of what is touched first.
//!
//! Accounting: `used + dirty <= committed`, in units. Without a support thread `dirty` is at most
//! `policy::retained_limit` of `used`, enforced by the frees themselves ([`give`]), and more only after memory given back was
//! missed (`missed`). With one, used and dirty together may reach what was used lately and a quarter, and it gives back what
//! demand does not ask for ([`purge::excess`]).

mod heap;
pub mod huge;
pub mod inspect;
pub mod limit;
pub mod purge;
mod region;

use crate::bell;
use crate::missed::Missed;
use crate::sync::{AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::lock::Lock;
use core::cell::UnsafeCell;
use heap::Heap;

struct Guarded(UnsafeCell<Heap>);
// SAFETY: touched only under LOCK.
unsafe impl Sync for Guarded {}
static HEAP: Guarded = Guarded(UnsafeCell::new(Heap::new()));
static LOCK: Lock = Lock::new();

/// Units in use, kept beside the heap so that policies read it without the lock.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Units taken since the start.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// The most units in use since the support thread last looked.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What was given back and needed again, where no support thread watches.
static MISSED: Missed = Missed::new(UNIT);

/// A fork's child: no other thread is about to give anything back.
pub fn reset() {
    MISSED.reset();
    huge::reset();
}

/// The page heap's lock (the fork handlers take it).
pub fn lock() -> &'static Lock {
    &LOCK
}

/// Contiguous units with one owner. Not `Copy`: losing one is a leak that can be seen.
#[derive(Debug)]
#[must_use]
pub struct Run {
    /// First unit.
    pub first: usize,
    /// Number of units.
    pub units: usize,
    /// Every byte is known to be zero.
    pub clean: bool,
}

fn with<R>(f: impl FnOnce(&mut Heap) -> R) -> R {
    let _held = LOCK.take();
    // SAFETY: under LOCK, and no closure passed here calls back into this module.

    f(unsafe { &mut *HEAP.0.get() })
}

/// A run of `units` units (> 0), `None` when the system grants no more, or the option `limit`.
pub fn take(units: usize) -> Option<Run> {
    let run = with(|h| h.take(units))?;
    if !count_used(units) {
        refuse(run.first, run.units, run.clean);
        return None;
    }
    Some(run)
}

/// Units that were taken and must not be used go back, without their pages: they count no more.
#[cold]
fn refuse(first: usize, units: usize, clean: bool) {
    let clean = clean || purge::discard(first, units).is_some();
    with(|h| h.give(first, units, !clean));
}

/// `units` units more are in use; false, and they are not, if the limit is against it.
fn count_used(units: usize) -> bool {
    let used = USED.fetch_add(units, Relaxed) + units;
    if limit::is_set() && !limit::admits() {
        USED.fetch_sub(units, Relaxed);
        return false;
    }
    TAKEN.fetch_add(units, Relaxed);
    if used > PEAK.load(Relaxed) {
        PEAK.store(used, Relaxed);
    }
    true
}

/// Gives a run back; its pages stay until the bound on retained memory needs them.
#[unsafe(link_section = ".text.unknown.later")]
pub fn give(run: Run) {
    USED.fetch_sub(run.units, Relaxed);
    let mut run = run;
    let more = if run.clean { 0 } else { run.units };
    let allowed = allowed_units(dirty_units() + more);
    let mut freed = 0;
    // A run as large as a region goes back to the system first when it would break the bound on its own.
    if more >= UNITS_PER_REGION
        && more + dirty_units() > allowed
        && purge::discard(run.first, run.units).is_some()
    {
        run.clean = true;
        freed = run.units;
    }
    with(|h| h.give(run.first, run.units, !run.clean));
    let dirty = dirty_units();
    if dirty > allowed {
        let limit = limit_units();
        // Well below, so that the next free does not come here again; but what demand asks for stays.
        let target = if allowed > limit {
            allowed / 8 * 7
        } else {
            limit / 2
        };
        freed += purge::to(target) / UNIT;
    } else if dirty * UNIT > policy::SETTLED {
        bell::ring();
    }
    if freed > 0 {
        MISSED.gave(freed, USED.load(Relaxed) + dirty_units());
    }
}

/// Extends a run in place to `units` units; false if what follows is not free.
pub fn extend(run: &mut Run, units: usize) -> bool {
    let more = units - run.units;
    let Some(clean) = with(|h| h.take_at(run.first + run.units, more)) else {
        return false;
    };
    if !count_used(more) {
        refuse(run.first + run.units, more, clean);
        return false;
    }
    run.units = units;
    run.clean &= clean;
    true
}

/// Cuts a run down to its first `units` units and gives the rest back.
pub fn shrink(run: &mut Run, units: usize) {
    let rest = Run {
        first: run.first + units,
        units: run.units - units,
        clean: run.clean,
    };
    run.units = units;
    if rest.units > 0 {
        give(rest);
    }
}

/// Most dirty units that may stay for ever: what the frees enforce when nobody else does.
pub fn limit_units() -> usize {
    limit_with(1)
}

/// Most units that a safety mode keeps with their guards, of each kind: system calls made them what they are, so the floor is higher.
pub fn guarded_limit_units() -> usize {
    limit_with(4)
}

/// The bound on retained memory, its floor that many `times` the option's.
fn limit_with(times: usize) -> usize {
    // Not the runs in use: many of a sparse heap's pages were given back, and what lives in them asks for little.
    let live = crate::out::bytes().min(USED.load(Relaxed) * UNIT);
    policy::retained_limit(
        live,
        crate::config::get(Key::retain).saturating_mul(times),
        crate::config::get(Key::retain_share),
    ) / UNIT
}

/// Most dirty units that a free which would leave `dirty` of them leaves, now.
fn allowed_units(dirty: usize) -> usize {
    let (limit, used) = (limit_units(), USED.load(Relaxed));
    if dirty <= limit {
        return limit;
    }
    let demand = match bell::allowed() {
        0 => match MISSED.keep(take_peak(), used) {
            Some(0) => 0, // nothing was missed: the formula alone counts
            Some(units) => with_scatter(used + units).saturating_sub(used),
            None => dirty, // another thread is about to do what is needed
        },
        n => with_scatter(n.max(PEAK.load(Relaxed))).saturating_sub(used),
    };
    limit.max(demand)
}

/// What `units` of demand need while memory is taken and given: free runs lie scattered, and a long one may not be found
/// among them.
fn with_scatter(units: usize) -> usize {
    units + scatter(units)
}

/// The part of that beyond the demand itself.
pub fn scatter(units: usize) -> usize {
    units / 4
}

/// Units taken since the start (wraps).
pub fn taken_units() -> usize {
    TAKEN.load(Relaxed)
}

/// Free units that still hold pages.
pub fn dirty_units() -> usize {
    heap::DIRTY.load(Relaxed)
}

/// The most units in use since the last call.
pub fn take_peak() -> usize {
    PEAK.swap(USED.load(Relaxed), Relaxed)
}

/// Sets the clock by which regions remember when they became dirty.
pub fn set_stamp(stamp: u32) {
    heap::STAMP.store(stamp, Relaxed);
}

/// Figures of the page heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageStats {
    /// Bytes in runs in use.
    pub used: usize,
    /// Bytes free and not yet given back.
    pub dirty: usize,
    /// Bytes made writable.
    pub committed: usize,
    /// Purge calls.
    pub purges: u64,
    /// Bytes purged.
    pub purged: u64,
}

/// A snapshot.
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn stats() -> PageStats {
    let committed = with(|h| h.committed_units());
    PageStats {
        used: USED.load(Relaxed) * UNIT,
        dirty: dirty_units() * UNIT,
        committed: committed * UNIT,
        purges: purge::PURGES.load(Relaxed),
        purged: purge::PURGED.load(Relaxed),
    }
}

/// Units in use.
pub fn used_units() -> usize {
    USED.load(Relaxed)
}

/// One past the highest unit that was ever in use: what a walk over the page map needs to visit.
pub fn top_unit() -> usize {
    heap::TOP.load(Acquire) * UNITS_PER_REGION
}
