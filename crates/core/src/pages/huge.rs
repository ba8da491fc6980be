//! Transparent huge pages, under option `huge_pages`.
//!
//! A region is as large as a huge page and aligned to one. Where memory is given back in part, huge pages are in the way: the
//! kernel frees nothing of one until it is split, fills the holes again when it looks for memory to join (khugepaged), and
//! backs units that nobody uses. So a region that loses a part of its pages is *sparse* from then on: no huge page, and the one
//! that is there is split first. What of it is free counts as dirty, since the huge page backed it. Dense regions are left as
//! the system is set. When all of a sparse region is free and given back it becomes one like any other.
//!
//! Cost: two calls when a region becomes sparse, ~3 us, with a huge page to split ~100 us. Each may be a mapping of its own until
//! it is free again, so there are `MOST_SPARSE` at most.

use super::heap::{DIRTY, STALE, TOP, shared};
use crate::config;
use crate::space;
use crate::sync::{AtomicBool, AtomicU8, AtomicUsize, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::units::{REGION, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Moved};

/// Values of the option.
const AUTO: usize = 0;
const ALWAYS: usize = 2;
const NEVER: usize = 3;

/// Most sparse regions at a time: 8 GiB, and an eighth of the mappings that the kernel allows by default.
const MOST_SPARSE: usize = 4096;

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

/// Huge pages may be there: surely, perhaps, or not.
fn expected() -> Option<bool> {
    match (config::get(Key::huge_pages), SYSTEM.load(Relaxed)) {
        (ALWAYS, _) | (AUTO, 2) => Some(true),
        (AUTO, 0) => Some(false),
        _ => None,
    }
}

/// Pages of these units are about to be given back: of regions that keep others, the huge page goes first.
pub fn loosen(first: usize, units: usize) {
    let Some(surely) = expected() else { return };
    let (head, last) = (
        first / UNITS_PER_REGION,
        (first + units - 1) / UNITS_PER_REGION,
    );
    let whole =
        |r: usize| first <= r * UNITS_PER_REGION && (r + 1) * UNITS_PER_REGION <= first + units;
    for r in [head, last] {
        // ORDERING: Acquire, pairs with Release in `Heap::commit`.
        if !whole(r) && r < TOP.load(Acquire) && !shared(r).sparse.load(Relaxed) {
            make_sparse(r, surely);
        }
    }
}

#[cold]
fn make_sparse(r: usize, surely: bool) {
    let g = shared(r);
    if REFUSED.load(Relaxed) || SPARSE.load(Relaxed) >= MOST_SPARSE || g.sparse.swap(true, Relaxed)
    {
        return;
    }
    SPARSE.fetch_add(1, Relaxed);
    let at = space::address_of(r * UNITS_PER_REGION);
    // SAFETY: a region of ours; neither call changes contents.
    unsafe {
        if memory::want_huge(at, REGION, false).is_err() {
            REFUSED.store(true, Relaxed);
            g.sparse.store(false, Relaxed);
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
        shared(r).sparse.store(false, Relaxed);
        SPARSE.fetch_sub(1, Relaxed);
        super::purge::count(REGION);
    }
    moved
}
