//! The page heap: runs of units out of 2 MiB regions.
//!
//! ```text
//! region: used mask (32 units) | dirty mask (free units that still hold pages) | list links
//! bins[n]: regions whose longest free run is n units        dirty list: regions with dirty units, newest first
//! ```
//! Called when a class needs or returns a slab and for large objects. A slab prefers dirty units (no page faults), then
//! the region with the shortest free run that fits, so that full hugepages fill up and sparse ones drain.
//! Cost: one lock, ~30-60 ns, plus page faults of what is touched first.
//!
//! Accounting: `used + dirty <= committed`, in units; `dirty` is bounded by `policy::retained_limit` of `used`,
//! enforced by the frees themselves ([`give`]).

mod heap;
pub mod inspect;

use crate::sync::{AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::lock::Lock;
use aethalloc_sys::memory;
use core::cell::UnsafeCell;
use heap::Heap;

struct Guarded(UnsafeCell<Heap>);
// SAFETY: touched only under LOCK.
unsafe impl Sync for Guarded {}
static HEAP: Guarded = Guarded(UnsafeCell::new(Heap::new()));
static LOCK: Lock = Lock::new();

static PURGES: AtomicU64 = AtomicU64::new(0);
static PURGED: AtomicU64 = AtomicU64::new(0);
/// Units in use, kept beside the heap so that policies read it without the lock.
static USED: AtomicUsize = AtomicUsize::new(0);

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

/// A run of `units` units (> 0), `None` when the system grants no more.
pub fn take(units: usize) -> Option<Run> {
    let run = with(|h| h.take(units))?;
    USED.fetch_add(units, Relaxed);
    Some(run)
}

/// Gives a run back; its pages stay until the bound on retained memory needs them.
pub fn give(run: Run) {
    USED.fetch_sub(run.units, Relaxed);
    let mut run = run;
    // A run as large as a region goes back to the system first when it would break the bound on its own.
    if run.units >= UNITS_PER_REGION
        && !run.clean
        && run.units + with(|h| h.dirty_units()) > limit_units()
    {
        let _ = discard(run.first, run.units).map(|()| run.clean = true);
    }
    let dirty = with(|h| {
        h.give(run.first, run.units, !run.clean);
        h.dirty_units()
    });
    if dirty > limit_units() {
        purge_to(limit_units() / 2);
    }
}

/// Extends a run in place to `units` units; false if what follows is not free.
pub fn extend(run: &mut Run, units: usize) -> bool {
    let more = units - run.units;
    let Some(clean) = with(|h| h.take_at(run.first + run.units, more)) else {
        return false;
    };
    USED.fetch_add(more, Relaxed);
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

fn limit_units() -> usize {
    let live = USED.load(Relaxed) * UNIT;
    policy::retained_limit(
        live,
        crate::config::get(Key::retain),
        crate::config::get(Key::retain_share),
    ) / UNIT
}

fn discard(first: usize, units: usize) -> Option<()> {
    // SAFETY: the units belong to the caller's run; nobody needs their contents.
    unsafe { memory::discard(crate::space::address_of(first), units * UNIT) }.ok()?;
    PURGES.fetch_add(1, Relaxed);
    PURGED.fetch_add((units * UNIT) as u64, Relaxed);
    Some(())
}

/// Gives dirty units back until at most `target` are left, oldest regions first. Each piece is taken out of the heap
/// for its system call, so that nobody waits for it; interrupted, it leaks that piece. Returns bytes given back.
pub fn purge_to(target: usize) -> usize {
    let mut bytes = 0;
    loop {
        let Some((first, units)) = with(|h| {
            if h.dirty_units() > target {
                h.take_dirty()
            } else {
                None
            }
        }) else {
            return bytes;
        };
        let ok = discard(first, units).is_some();
        with(|h| h.give(first, units, !ok));
        if !ok {
            return bytes; // locked pages (EINVAL): they stay dirty
        }
        bytes += units * UNIT;
    }
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
pub fn stats() -> PageStats {
    let (dirty, committed) = with(|h| (h.dirty_units(), h.committed_units()));
    PageStats {
        used: USED.load(Relaxed) * UNIT,
        dirty: dirty * UNIT,
        committed: committed * UNIT,
        purges: PURGES.load(Relaxed),
        purged: PURGED.load(Relaxed),
    }
}

/// Units in use.
pub fn used_units() -> usize {
    USED.load(Relaxed)
}

/// One past the highest unit that was ever in use: what a walk over the page map needs to visit.
pub fn top_unit() -> usize {
    with(|h| h.top_unit())
}
