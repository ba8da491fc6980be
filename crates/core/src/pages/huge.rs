//! Transparent huge pages, under option `huge_pages`.
//!
//! A region is as large as a huge page and aligned to one. Where memory is given back in part, huge pages are in the way: the
//! kernel frees nothing of one until it is split, fills the holes again when it looks for memory to join (khugepaged), and
//! backs units that nobody uses. So a region that loses a part of its pages is *sparse* from then on: no huge page, and the one
//! that is there is split first. What of it is free counts as dirty, since the huge page backed it. Dense regions are left as
//! the system is set. When all of a sparse region is free and given back it becomes one like any other.
//!
//! Where the system gives huge pages only to those who ask (`madvise`, the default of most distributions), a region is asked for when
//! its first slab begins, if the heap is large and dense by then (`policy::is_dense`): one is left half empty at most. Of large
//! objects, and their ends, a program may use as little as it likes; those that fill whole regions are asked for as long as the ones that
//! ended were full (`Dense`).
//!
//! Cost: a call when a region is asked for, ~0.5 us, which saves 511 page faults. Two when it becomes sparse, ~3 us, with a huge page
//! to split ~100 us. Each may be a mapping of its own until it is free again, so there are `MOST_SPARSE` at most.

use super::heap::{DIRTY, STALE, TOP, shared};
use super::region::mask;
use super::{Run, used_units};
use crate::config;
use crate::out;
use crate::space;
use crate::sync::{AtomicBool, AtomicU8, AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{PAGE, REGION, UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Moved};
use core::ops::Range;

/// Values of the option.
const AUTO: usize = 0;
const ALWAYS: usize = 2;
const NEVER: usize = 3;

/// Most sparse regions at a time: 8 GiB, and an eighth of the mappings that the kernel allows by default.
const MOST_SPARSE: usize = 4096;

/// States of a region ([`super::heap::Shared::huge`]): as the system is set.
const PLAIN: u8 = 0;
/// Huge pages were asked for.
const ASKED: u8 = 1;
/// And forbidden: pages were given back in part.
const FORBIDDEN: u8 = 2;

static SPARSE: AtomicUsize = AtomicUsize::new(0);
/// The system refused the advice: no more mappings, or no huge pages. No further try.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// How the system is set: 0 nobody has read it, 1 huge pages only where they are asked for, or none, 2 everywhere.
static SYSTEM: AtomicU8 = AtomicU8::new(0);

/// The support thread read how the system is set; `None`: it could not.
pub fn set_system(everywhere: Option<bool>) {
    SYSTEM.store(everywhere.map_or(0, |yes| 1 + yes as u8), Relaxed);
}

/// Sparse regions, now.
pub fn sparse() -> usize {
    SPARSE.load(Relaxed)
}

/// Regions from `first` on were made writable.
pub fn committed(first: usize, regions: usize) {
    let wish = config::get(Key::huge_pages);
    if wish == ALWAYS || wish == NEVER {
        let at = space::address_of(first * UNITS_PER_REGION);
        // SAFETY: whole regions of ours. A kernel without huge pages refuses, which is right.
        let _ = unsafe { memory::want_huge(at, regions * REGION, wish == ALWAYS) };
    }
}

/// A slab is about to have `run`, of which nobody touched anything: if it is the first in its region, the region may get a huge page.
pub fn slab_begins(run: &Run) {
    let r = run.first / UNITS_PER_REGION;
    // Others may come and go meanwhile: then it gets none, or all of it was untouched a moment ago.
    let alone = mask((run.first % UNITS_PER_REGION) as u32, run.units);
    let word = &shared(r).word;
    if word.used() == alone
        && word.dirty() == 0
        && policy::is_dense(out::bytes(), out::tails(), used_units() * UNIT)
    {
        ask(r..r + 1);
    }
}

/// Asks for huge pages for `regions`, which nobody uses yet: one call for each row of them that has not been asked for.
fn ask(regions: Range<usize>) {
    if config::get(Key::huge_pages) != AUTO || REFUSED.load(Relaxed) {
        return;
    }
    let everywhere = SYSTEM.load(Relaxed) == 2;
    let is_due = |r: usize| {
        let now = shared(r).huge.load(Relaxed);
        now == FORBIDDEN || now == PLAIN && !everywhere
    };
    let (mut r, end) = (regions.start, regions.end);
    while r < end {
        let n = (r..end).take_while(|r| is_due(*r)).count();
        if n == 0 {
            r += 1;
            continue;
        }
        let at = space::address_of(r * UNITS_PER_REGION);
        // SAFETY: regions of ours; contents do not change.
        if unsafe { memory::want_huge(at, n * REGION, true) }.is_err() {
            REFUSED.store(true, Relaxed);
            return;
        }
        for r in r..r + n {
            if shared(r).huge.swap(ASKED, Relaxed) == FORBIDDEN {
                SPARSE.fetch_sub(1, Relaxed);
            }
        }
        r += n;
    }
}

/// What large objects that ended say about those to come.
struct Dense {
    /// Objects in a row that were full at their end.
    full: AtomicUsize,
    /// Bytes of the largest of them.
    most: AtomicUsize,
    /// Bytes of all of them.
    sum: AtomicUsize,
}

static DENSE: Dense = Dense {
    full: AtomicUsize::new(0),
    most: AtomicUsize::new(0),
    sum: AtomicUsize::new(0),
};

/// So many full ones in a row, and large objects are asked for.
const FULL: usize = 2;
/// And every so many objects one is not, to see whether it still gets full.
const TRIAL: usize = 32;
/// Pages of an object that are looked at.
const SAMPLES: usize = 8;

/// A large object of `bytes` bytes is about to have `run`: huge pages, if such objects get full.
pub fn large_begins(run: &Run, bytes: usize) {
    // ORDERING: Relaxed everywhere: figures for a policy.
    let full = DENSE.full.load(Relaxed);
    let (most, sum) = (DENSE.most.load(Relaxed), DENSE.sum.load(Relaxed));
    // Nothing much larger than what was seen.
    if bytes < REGION || full < FULL || bytes / 4 > most || bytes > sum {
        return;
    }
    DENSE.full.store(full + 1, Relaxed);
    if full.is_multiple_of(TRIAL) {
        return;
    }
    ask(whole_regions(run.first, bytes));
}

/// A large object of `bytes` bytes at unit `first` is about to end: did the program use all of it?
pub fn large_ends(first: usize, bytes: usize) {
    let Some(r) = whole_regions(first, bytes).next() else {
        return;
    };
    if config::get(Key::huge_pages) != AUTO || shared(r).huge.load(Relaxed) == ASKED {
        return; // a huge page says nothing
    }
    let pages = bytes / PAGE;
    let at = space::address_of(first);
    // No system call tells it that every filter allows. A page that says nothing but zero where it begins counts as unused.
    let is_used = |i: usize| {
        let page = at.wrapping_add((pages * (2 * i + 1) / (2 * SAMPLES)) * PAGE);
        // SAFETY: the beginning of a page of the object, which is the caller's.
        let line = unsafe { page.cast::<[u64; 8]>().read_volatile() };
        line != [0; 8]
    };
    if (0..SAMPLES).all(is_used) {
        DENSE.full.fetch_add(1, Relaxed);
        DENSE.most.fetch_max(bytes, Relaxed);
        DENSE.sum.fetch_add(bytes, Relaxed);
    } else {
        DENSE.full.store(0, Relaxed);
        DENSE.most.store(0, Relaxed);
        DENSE.sum.store(0, Relaxed);
    }
}

/// The regions that lie inside `bytes` bytes from unit `first` on.
fn whole_regions(first: usize, bytes: usize) -> Range<usize> {
    first.div_ceil(UNITS_PER_REGION)..(first + bytes / UNIT) / UNITS_PER_REGION
}

/// Pages of region `r` were given back in part, and it has no huge page.
pub fn is_sparse(r: usize) -> bool {
    shared(r).huge.load(Relaxed) == FORBIDDEN
}

/// Pages of unit `unit` that nobody touched may be there nevertheless: the first touch of any brings a huge page.
pub fn is_whole(unit: usize) -> bool {
    let r = unit / UNITS_PER_REGION;
    !is_sparse(r) && expected(r) == Some(true)
}

/// Huge pages of region `r` may be there: surely, perhaps, or not.
fn expected(r: usize) -> Option<bool> {
    match (config::get(Key::huge_pages), SYSTEM.load(Relaxed)) {
        (ALWAYS, _) | (AUTO, 2) => Some(true),
        (AUTO, _) if shared(r).huge.load(Relaxed) == ASKED => Some(true),
        (AUTO, 0) => Some(false),
        _ => None,
    }
}

/// Pages of these units are about to be given back: of regions that keep others, the huge page goes first.
pub fn loosen(first: usize, units: usize) {
    let (head, last) = (
        first / UNITS_PER_REGION,
        (first + units - 1) / UNITS_PER_REGION,
    );
    let whole =
        |r: usize| first <= r * UNITS_PER_REGION && (r + 1) * UNITS_PER_REGION <= first + units;
    for r in [head, last] {
        // ORDERING: Acquire, pairs with Release in `Heap::commit`.
        if !whole(r)
            && r < TOP.load(Acquire)
            && !is_sparse(r)
            && let Some(surely) = expected(r)
        {
            make_sparse(r, surely);
        }
    }
}

#[cold]
fn make_sparse(r: usize, surely: bool) {
    let g = shared(r);
    if REFUSED.load(Relaxed) || SPARSE.load(Relaxed) >= MOST_SPARSE {
        return;
    }
    let before = g.huge.swap(FORBIDDEN, Relaxed);
    if before == FORBIDDEN {
        return;
    }
    SPARSE.fetch_add(1, Relaxed);
    let at = space::address_of(r * UNITS_PER_REGION);
    // SAFETY: a region of ours; neither call changes contents.
    unsafe {
        if memory::want_huge(at, REGION, false).is_err() {
            REFUSED.store(true, Relaxed);
            g.huge.store(before, Relaxed);
            SPARSE.fetch_sub(1, Relaxed);
            return;
        }
        memory::split_huge(at, space::os_page());
    }
    if surely {
        DIRTY.fetch_add(UNITS_PER_REGION, Relaxed);
        let more = g.word.soil_free();
        DIRTY.fetch_sub(UNITS_PER_REGION - more, Relaxed);
        // ORDERING: Release, pairs with Acquire in `Heap::settle`.
        STALE.store(true, Release);
    }
}

/// Region `r`, which the caller has as a whole, becomes one like any other, without its pages.
pub fn renew(r: usize) -> Moved {
    // SAFETY: the caller's region; nobody needs its contents.
    let moved = unsafe { memory::renew(space::address_of(r * UNITS_PER_REGION), REGION) };
    if moved == Moved::Yes {
        committed(r, 1);
        if shared(r).huge.swap(PLAIN, Relaxed) == FORBIDDEN {
            SPARSE.fetch_sub(1, Relaxed);
        }
        super::purge::count(REGION);
    }
    moved
}
