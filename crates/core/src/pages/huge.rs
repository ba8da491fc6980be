//! Transparent huge pages, under option `huge_pages`.
//!
//! A region is as large as a huge page and aligned to one. Where memory is given back in part, huge pages are in the way: the
//! kernel frees nothing of one until it is split, fills the holes again when it looks for memory to join (khugepaged), and
//! backs units that nobody uses. So a region that loses a part of its pages is *sparse* from then on: no huge page, and the one
//! that is there is split first. What of it is free counts as dirty, since the huge page backed it. Dense regions are left as
//! the system is set. Where huge pages come unasked, a sparse region that is all free and given back becomes one like any other.
//!
//! Where the system gives huge pages only to those who ask (`madvise`, the default of most distributions), a region is asked for when
//! its first slab begins, if the heap is large and dense by then (`policy::is_dense`): one is left half empty at most. Of large
//! objects, and their ends, a program may use as little as it likes; those that fill whole regions are asked for as long as the ones that
//! ended were full (`Dense`).
//!
//! Cost: a call when a region is asked for, ~0.5 us, which saves 511 page faults. Two when it becomes sparse, ~3 us, with a huge page
//! to split ~100 us. Each may be a mapping of its own until it is free again, so there are `MOST_SPARSE` at most; where huge pages come
//! only if asked for, all that were not asked for are forbidden together, and `MOST_ROWS` rows of regions are asked for at most.

mod pace;

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

/// What the kernel was told of a region, the lower bits of [`super::heap::Shared::huge`]: nothing, it is as the system is set.
const PLAIN: u8 = 0;
/// Huge pages were asked for.
const ASKED: u8 = 1;
/// And forbidden: pages of it, or of a region beside it, were given back in part.
const FORBIDDEN: u8 = 2;
const TOLD: u8 = 3;
/// Another bit: it was asked for, and the huge page may be there.
const WHOLE: u8 = 4;

/// One past the highest region that was asked for. None below is asked for again: the kernel does not join mappings that were apart when
/// their first pages came, so a program that runs for long would have more and more of them.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Rows of regions that are asked for, and how many there are at most: each is a mapping of its own.
static ROWS: AtomicUsize = AtomicUsize::new(0);
const MOST_ROWS: usize = 16;
/// And for slabs: each region that was passed by (`pace`) ends a row, and large objects are to have theirs all the same.
const ROWS_OF_SLABS: usize = MOST_ROWS / 2;

/// Regions that are FORBIDDEN and not WHOLE.
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

/// Regions from `first` on were made writable, and nobody knows of them yet.
pub fn committed(first: usize, regions: usize) {
    let tell = |huge| {
        let at = space::address_of(first * UNITS_PER_REGION);
        // SAFETY: whole regions of ours. A kernel without huge pages refuses, which is right.
        unsafe { memory::want_huge(at, regions * REGION, huge) }.is_ok()
    };
    match config::get(Key::huge_pages) {
        ALWAYS => _ = tell(true),
        NEVER => _ = tell(false),
        AUTO if SYSTEM.load(Relaxed) != 2 => {
            // Told what their neighbour was told they become part of its mapping. Later they would not: the kernel joins nothing whose
            // first pages came while it lay apart.
            let beside = first
                .checked_sub(1)
                .filter(|r| *r < TOP.load(Acquire) && shared(*r).known());
            let told = beside.map_or(PLAIN, told);
            if told == PLAIN || told == ASKED && !tell(true) || !tell(false) {
                return;
            }
            for r in first..first + regions {
                shared(r).huge.store(FORBIDDEN, Relaxed);
            }
            SPARSE.fetch_add(regions, Relaxed);
        }
        _ => {}
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
        && asks()
        && r >= NEXT.load(Relaxed)
        && pace::is_turn()
        && ask(r..r + 1, ROWS_OF_SLABS)
    {
        // SAFETY: the caller's run, and nobody touched it: it is zero.
        unsafe { pace::try_first(space::address_of(run.first)) };
    }
}

/// Huge pages are to be asked for, and not refused.
fn asks() -> bool {
    config::get(Key::huge_pages) == AUTO && SYSTEM.load(Relaxed) != 2 && !REFUSED.load(Relaxed)
}

/// Asks for huge pages for `regions`, which nobody uses yet: one call for each row of them that has not been asked for, as long as there are less than
/// `most_rows`. True if any was.
#[unsafe(link_section = ".text.unknown.later")]
fn ask(regions: Range<usize>, most_rows: usize) -> bool {
    if !asks() {
        return false;
    }
    let mut asked = false;
    let (mut r, end) = (regions.start.max(NEXT.load(Relaxed)), regions.end);
    if r < end {
        NEXT.store(end, Relaxed);
    }
    while r < end {
        let n = (r..end).take_while(|r| told(*r) != ASKED).count();
        asked |= n > 0 && ask_row(r, n, most_rows);
        r += n.max(1);
    }
    asked
}

/// What the kernel was told of region `r`.
fn told(r: usize) -> u8 {
    // ORDERING: Acquire, pairs with Release in `Heap::commit`.
    if r < TOP.load(Acquire) {
        shared(r).huge.load(Relaxed) & TOLD
    } else {
        PLAIN
    }
}

/// Asks for `n` regions from `r` on; not if that would make too many rows.
fn ask_row(r: usize, n: usize, most_rows: usize) -> bool {
    let before = r.checked_sub(1).is_some_and(|r| told(r) == ASKED);
    let joined = before as usize + (told(r + n) == ASKED) as usize;
    // ORDERING: Relaxed everywhere: two threads at once may make a row more.
    if joined == 0 && ROWS.load(Relaxed) >= most_rows {
        return false;
    }
    let at = space::address_of(r * UNITS_PER_REGION);
    // SAFETY: regions of ours; contents do not change.
    if unsafe { memory::want_huge(at, n * REGION, true) }.is_err() {
        REFUSED.store(true, Relaxed);
        return false;
    }
    ROWS.fetch_add(1usize.wrapping_sub(joined), Relaxed);
    for r in r..r + n {
        if shared(r).huge.swap(ASKED | WHOLE, Relaxed) == FORBIDDEN {
            SPARSE.fetch_sub(1, Relaxed);
        }
    }
    true
}

/// Forbids huge pages for region `r`, for the row that was asked for with it, and, where that changes nothing else, for what lies beside it up
/// to the next row: so that all of it is one mapping. Huge pages that are there stay. False if the system refuses.
fn forbid(r: usize) -> bool {
    let asked = told(r) == ASKED;
    let only_asked = SYSTEM.load(Relaxed) == 1;
    let (mut first, mut end) = (r, r + 1);
    for (joins, what) in [(asked, true), (only_asked, false)] {
        let is_like = |r: usize| joins && shared(r).known() && (told(r) == ASKED) == what;
        while first > 0 && is_like(first - 1) {
            first -= 1;
        }
        // ORDERING: Acquire, pairs with Release in `Heap::commit`.
        while end < TOP.load(Acquire) && is_like(end) {
            end += 1;
        }
    }
    let at = space::address_of(first * UNITS_PER_REGION);
    // SAFETY: regions of ours; contents do not change.
    if unsafe { memory::want_huge(at, (end - first) * REGION, false) }.is_err() {
        REFUSED.store(true, Relaxed);
        return false;
    }
    if asked {
        ROWS.fetch_sub(1, Relaxed);
    }
    for r in first..end {
        let g = shared(r);
        let before = g.huge.load(Relaxed);
        g.huge.store(FORBIDDEN | before & WHOLE, Relaxed);
        if before == PLAIN {
            SPARSE.fetch_add(1, Relaxed);
        }
    }
    true
}

/// The kernel made new mappings for `run`, which are as the system is set: it is told again.
#[unsafe(link_section = ".text.unknown.later")]
pub fn renewed(run: &Run) {
    let end = run.first + run.units;
    let mut at = run.first;
    while at < end {
        let now = told(at / UNITS_PER_REGION);
        let mut next = at;
        while next < end && told(next / UNITS_PER_REGION) == now {
            next = (next / UNITS_PER_REGION + 1) * UNITS_PER_REGION;
        }
        let units = next.min(end) - at;
        if now != PLAIN {
            // SAFETY: units of the caller; contents do not change. Refused, it stays as the system is set.
            let _ = unsafe { memory::want_huge(space::address_of(at), units * UNIT, now == ASKED) };
        }
        at = next;
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
/// Places in each page that are looked at.
const LOOKS: usize = 8;
/// So many times the largest of them, and half as many times their sum, is the most that is asked for.
const GROWTH: usize = 8;
/// Pages of an object that are looked at.
const SAMPLES: usize = 8;

/// A large object of `bytes` bytes is about to have `run`: huge pages, if such objects get full.
#[unsafe(link_section = ".text.unknown.later")]
pub fn large_begins(run: &Run, bytes: usize) {
    // ORDERING: Relaxed everywhere: figures for a policy.
    let full = DENSE.full.load(Relaxed);
    let (most, sum) = (DENSE.most.load(Relaxed), DENSE.sum.load(Relaxed));
    // Nothing much larger than what was seen: a table that doubles while the one before it is there has seen a quarter of itself, and an eighth.
    if bytes < REGION || full < FULL || bytes / GROWTH > most || bytes / GROWTH * 2 > sum {
        return;
    }
    DENSE.full.store(full + 1, Relaxed);
    if full.is_multiple_of(TRIAL) {
        return;
    }
    let mut regions = whole_regions(run.first, bytes);
    regions.start = regions.start.max(NEXT.load(Relaxed));
    if regions.is_empty() || !asks() {
        return;
    }
    // The first alone, to see how quickly it comes; what was used before has pages.
    if run.clean {
        let first = regions.start;
        regions.start += 1;
        let quick = pace::is_turn() && ask(first..first + 1, MOST_ROWS) && {
            // SAFETY: the caller's run, all of this region, and nobody touched it: it is zero.
            unsafe { pace::try_first(space::address_of(first * UNITS_PER_REGION)) }
        };
        if !quick {
            return;
        }
    }
    ask(regions, MOST_ROWS);
}

/// A large object of `bytes` bytes at unit `first` is about to end: did the program use all of it?
#[unsafe(link_section = ".text.unknown.later")]
pub fn large_ends(first: usize, bytes: usize) {
    let Some(r) = whole_regions(first, bytes).next() else {
        return;
    };
    if config::get(Key::huge_pages) != AUTO || told(r) == ASKED {
        return; // a huge page says nothing
    }
    let pages = bytes / PAGE;
    let at = space::address_of(first);
    // No system call tells it that every filter allows. A page that says nothing but zero in these places counts as unused: the places of a hash
    // table that nobody has taken are zero too.
    let is_used = |i: usize| {
        let page = at.wrapping_add((pages * (2 * i + 1) / (2 * SAMPLES)) * PAGE);
        (0..LOOKS).any(|look| {
            // SAFETY: a line of a page of the object, which is the caller's.
            let line = unsafe {
                page.add(look * (PAGE / LOOKS))
                    .cast::<[u64; 8]>()
                    .read_volatile()
            };
            line != [0; 8]
        })
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
        (AUTO, _) if shared(r).huge.load(Relaxed) & WHOLE != 0 => Some(true),
        (AUTO, 0) => Some(false),
        _ => None,
    }
}

/// Pages of these units are about to be given back: of regions that keep others, the huge page goes first.
#[unsafe(link_section = ".text.unknown.later")]
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
    // What goes as a whole has no huge page afterwards.
    for r in (head..=last).filter(|r| whole(*r)) {
        let huge = &shared(r).huge;
        if huge.load(Relaxed) == FORBIDDEN | WHOLE {
            huge.store(FORBIDDEN, Relaxed);
            SPARSE.fetch_add(1, Relaxed);
        }
    }
}

/// Somebody makes a region sparse; another one who wants to leaves the huge page as it is.
static BUSY: AtomicBool = AtomicBool::new(false);

/// A fork's child: whoever did does not exist here.
pub fn reset() {
    BUSY.store(false, Relaxed);
}

#[cold]
#[unsafe(link_section = ".text.unknown.later")]
fn make_sparse(r: usize, surely: bool) {
    let full = SPARSE.load(Relaxed) >= MOST_SPARSE && SYSTEM.load(Relaxed) != 1;
    if REFUSED.load(Relaxed) || full || BUSY.swap(true, Acquire) {
        return;
    }
    let g = shared(r);
    if !is_sparse(r) && (told(r) == FORBIDDEN || forbid(r)) {
        if g.huge.swap(FORBIDDEN, Relaxed) != FORBIDDEN {
            SPARSE.fetch_add(1, Relaxed);
        }
        let at = space::address_of(r * UNITS_PER_REGION);
        // SAFETY: a region of ours; contents do not change.
        unsafe { memory::split_huge(at, space::os_page()) };
        if surely {
            DIRTY.fetch_add(UNITS_PER_REGION, Relaxed);
            let more = g.word.soil_free();
            DIRTY.fetch_sub(UNITS_PER_REGION - more, Relaxed);
            // ORDERING: Release, pairs with Acquire in `Heap::settle`.
            STALE.store(true, Release);
        }
    }
    // ORDERING: Release, pairs with Acquire above: the states are seen.
    BUSY.store(false, Release);
}

/// A sparse region that is all free again is to become one like any other: where the system gives huge pages unasked.
pub fn is_renewed(r: usize) -> bool {
    is_sparse(r) && (SYSTEM.load(Relaxed) != 1 || config::get(Key::huge_pages) == ALWAYS)
}

/// Region `r`, which the caller has as a whole, becomes one like any other, without its pages.
pub fn renew(r: usize) -> Moved {
    // SAFETY: the caller's region; nobody needs its contents.
    let moved = unsafe { memory::renew(space::address_of(r * UNITS_PER_REGION), REGION) };
    if moved == Moved::Yes {
        let wish = config::get(Key::huge_pages);
        if wish == ALWAYS || wish == NEVER {
            let at = space::address_of(r * UNITS_PER_REGION);
            // SAFETY: as above; contents do not change.
            let _ = unsafe { memory::want_huge(at, REGION, wish == ALWAYS) };
        }
        if shared(r).huge.swap(PLAIN, Relaxed) == FORBIDDEN {
            SPARSE.fetch_sub(1, Relaxed);
        }
        super::purge::count(REGION);
    }
    moved
}
