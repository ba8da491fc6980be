//! The page heap's structure: everything here runs under the page heap's lock.
//!
//! Purgers change a region's word without the lock ([`super::region`]). What the lists say of a region may therefore be
//! out of date: it looks fuller than it is (a purger gave units back: [`STALE`]), or dirtier. Both are put right when
//! they are met, at the latest before the heap grows.
//!
//! Links between regions are region numbers + 1 (0: none), so that all-zero records are empty.

mod inspect;

use super::Run;
use super::region::{Word, find_run, longest_run, mask};
use crate::space::{self, entry, meta};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Access};

/// One region, [`meta::REGION_RECORD`] bytes.
#[repr(C)]
struct Record {
    shared: Shared,
    links: Links,
}
const _: () = assert!(size_of::<Record>() == meta::REGION_RECORD);

/// The part of a region that purgers reach without the lock; all atomics.
#[repr(C)]
pub struct Shared {
    /// Its units.
    pub word: Word,
    /// When units of it last became dirty, on the support thread's clock.
    pub stamp: AtomicU32,
    /// Longest run of free units = the bin it is in, 0: in none. Under the lock.
    longest: AtomicU8,
    /// On the dirty list. Under the lock.
    on_dirty: AtomicBool,
    /// Belongs to an arena (gaps between arenas do not).
    known: AtomicBool,
    /// The kernel backs it by no huge page: pages were given back in part ([`super::huge`]).
    pub sparse: AtomicBool,
}

/// The part under the lock.
#[repr(C)]
struct Links {
    next: u32,
    prev: u32,
    dirty_next: u32,
    dirty_prev: u32,
}

/// Free units that hold pages, in all regions.
pub static DIRTY: AtomicUsize = AtomicUsize::new(0);
/// One past the highest region that was ever committed.
pub static TOP: AtomicUsize = AtomicUsize::new(0);
/// A purger gave units back to some region whose place in the lists may be out of date.
pub static STALE: AtomicBool = AtomicBool::new(false);
/// What [`Shared::stamp`] is set to.
pub static STAMP: AtomicU32 = AtomicU32::new(0);

/// The shared part of region `r`, below [`TOP`].
pub fn shared(r: usize) -> &'static Shared {
    // SAFETY: records below TOP are writable for ever (`Heap::commit`) and all-zero ones are valid; only atomics.
    unsafe { &*meta::region_record(r).cast::<Shared>() }
}

/// The heap.
pub struct Heap {
    bins: [u32; UNITS_PER_REGION + 1],
    /// Bit n: bin n is not empty.
    mask: u64,
    dirty_head: u32,
    dirty_tail: u32,
    committed_units: usize,
    /// The arena that still grows: next region and end.
    next_region: usize,
    end_region: usize,
    /// Map entries and records made writable up to here.
    mapped_units: usize,
}

/// Regions committed at a time while the heap is small and when it is large.
const STEPS: [usize; 3] = [32, 8, 1];
/// Regions of the dirty list that are looked at for a run.
const PROBES: usize = 16;

impl Heap {
    pub const fn new() -> Self {
        Heap {
            bins: [0; UNITS_PER_REGION + 1],
            mask: 0,
            dirty_head: 0,
            dirty_tail: 0,
            committed_units: 0,
            next_region: 0,
            end_region: 0,
            mapped_units: 0,
        }
    }

    pub fn committed_units(&self) -> usize {
        self.committed_units
    }

    pub fn add_arena(&mut self, first: usize, end: usize) {
        self.next_region = first.div_ceil(UNITS_PER_REGION);
        self.end_region = end / UNITS_PER_REGION;
    }

    fn links(&mut self, r: usize) -> &mut Links {
        // SAFETY: records below TOP are writable, others are never asked for; the borrow of `self` keeps two references
        // from living at once, and all access to this half is under the page heap's lock.
        unsafe { &mut (*meta::region_record(r).cast::<Record>()).links }
    }

    fn bin_head(&self, n: usize) -> u32 {
        self.bins.get(n).copied().unwrap_or(0)
    }
    fn set_bin_head(&mut self, n: usize, v: u32) {
        if let Some(b) = self.bins.get_mut(n) {
            *b = v;
        }
        if v == 0 {
            self.mask &= !(1 << n);
        } else {
            self.mask |= 1 << n;
        }
    }

    /// Moves region `r` to the bin of its longest free run.
    fn rebin(&mut self, r: usize) {
        let (g, id) = (shared(r), r as u32 + 1);
        let old = g.longest.load(Relaxed) as usize;
        let now = longest_run(!g.word.used());
        if old == now {
            return;
        }
        if old != 0 {
            let Links { next, prev, .. } = *self.links(r);
            if prev == 0 {
                self.set_bin_head(old, next);
            } else {
                self.links(prev as usize - 1).next = next;
            }
            if next != 0 {
                self.links(next as usize - 1).prev = prev;
            }
        }
        if now != 0 {
            let head = self.bin_head(now);
            if head != 0 {
                self.links(head as usize - 1).prev = id;
            }
            let l = self.links(r);
            (l.next, l.prev) = (head, 0);
            self.set_bin_head(now, id);
        }
        g.longest.store(now as u8, Relaxed);
    }

    /// Keeps the dirty list: a region with dirty units is on it; the newest is at the head.
    fn relist_dirty(&mut self, r: usize) {
        let (g, id) = (shared(r), r as u32 + 1);
        let wants = g.word.dirty() != 0;
        if g.on_dirty.load(Relaxed) == wants {
            return;
        }
        if wants {
            let head = self.dirty_head;
            if head != 0 {
                self.links(head as usize - 1).dirty_prev = id;
            } else {
                self.dirty_tail = id;
            }
            let l = self.links(r);
            (l.dirty_next, l.dirty_prev) = (head, 0);
            self.dirty_head = id;
        } else {
            let l = self.links(r);
            let (next, prev) = (l.dirty_next, l.dirty_prev);
            if prev == 0 {
                self.dirty_head = next;
            } else {
                self.links(prev as usize - 1).dirty_next = next;
            }
            if next == 0 {
                self.dirty_tail = prev;
            } else {
                self.links(next as usize - 1).dirty_prev = prev;
            }
        }
        g.on_dirty.store(wants, Relaxed);
    }

    /// Takes `bits` of region `r`: true if none was dirty; `None` if a purger has one of them.
    fn use_bits(&mut self, r: usize, bits: u32) -> Option<bool> {
        let dirty = shared(r).word.take(bits)?.count_ones() as usize;
        DIRTY.fetch_sub(dirty, Relaxed);
        self.rebin(r);
        self.relist_dirty(r);
        Some(dirty == 0)
    }

    /// What purgers changed since the last call; true if there was anything.
    fn settle(&mut self) -> bool {
        // ORDERING: Acquire, pairs with Release in `purge`: the words it gave back to are seen.
        if !STALE.swap(false, Acquire) {
            return false;
        }
        for r in 0..TOP.load(Relaxed) {
            if shared(r).known.load(Relaxed) {
                self.rebin(r);
                self.relist_dirty(r);
            }
        }
        true
    }

    pub fn take(&mut self, units: usize) -> Option<Run> {
        if units > UNITS_PER_REGION {
            self.take_regions(units)
        } else {
            self.take_in_region(units)
        }
    }

    fn take_in_region(&mut self, n: usize) -> Option<Run> {
        let (mut at, mut probes) = (self.dirty_head, 0);
        while at != 0 && probes < PROBES {
            let r = at as usize - 1;
            at = self.links(r).dirty_next;
            let dirty = shared(r).word.dirty();
            if dirty == 0 {
                self.relist_dirty(r);
                continue;
            }
            probes += 1;
            if let Some(b) = find_run(dirty, n)
                && let Some(run) = self.take_bits(r, b, n)
            {
                return Some(run);
            }
        }
        loop {
            // ORDER: the shortest run that fits, so that fuller regions fill first.
            let fits = self.mask >> n << n;
            if fits != 0 {
                let r = self.bin_head(fits.trailing_zeros() as usize) as usize - 1;
                let found = find_run(!shared(r).word.used(), n);
                match found.and_then(|b| self.take_bits(r, b, n)) {
                    Some(run) => return Some(run),
                    None => self.rebin(r), // a purger has some of it
                }
            } else if !self.settle() && !self.grow(1) {
                return None;
            }
        }
    }

    fn take_bits(&mut self, r: usize, b: u32, n: usize) -> Option<Run> {
        let clean = self.use_bits(r, mask(b, n))?;
        Some(Run {
            first: r * UNITS_PER_REGION + b as usize,
            units: n,
            clean,
        })
    }

    /// Whole regions in a row; the last one's tail stays free.
    fn take_regions(&mut self, units: usize) -> Option<Run> {
        let k = units.div_ceil(UNITS_PER_REGION);
        self.settle();
        loop {
            let first = match self.dirtiest_regions(k) {
                Some(r) => r,
                None => self.grow_contiguous(k)?,
            };
            let first = first * UNITS_PER_REGION;
            // `None`: a purger was faster somewhere; its regions are passed over in the next round.
            if let Some(clean) = self.take_at(first, units) {
                return Some(Run {
                    first,
                    units,
                    clean,
                });
            }
        }
    }

    /// Of all free regions, `k` in a row that hold the most pages: what they hold costs no page faults.
    fn dirtiest_regions(&mut self, k: usize) -> Option<usize> {
        if self.mask >> UNITS_PER_REGION & 1 == 0 {
            return None;
        }
        let dirty = |r| shared(r).word.dirty().count_ones() as usize;
        // A window of `k` free regions slides over all.
        let (mut free, mut sum) = (0, 0);
        let mut best: Option<(usize, usize)> = None;
        for r in 0..TOP.load(Relaxed) {
            if !shared(r).known.load(Relaxed) || shared(r).word.used() != 0 {
                (free, sum) = (0, 0);
                continue;
            }
            free += 1;
            sum += dirty(r);
            if free > k {
                // A purger may have taken some since.
                sum = sum.saturating_sub(dirty(r - k));
            }
            if free >= k && best.is_none_or(|(_, most)| sum > most) {
                best = Some((r + 1 - k, sum));
            }
        }
        best.map(|(first, _)| first)
    }

    /// `k` new free regions in a row, counting free ones at the end of the growing arena.
    fn grow_contiguous(&mut self, k: usize) -> Option<usize> {
        let mut have = 0;
        while have < k && self.next_region > have && self.next_region <= TOP.load(Relaxed) {
            let g = shared(self.next_region - 1 - have);
            if !(g.known.load(Relaxed) && g.word.used() == 0) {
                break;
            }
            have += 1;
        }
        if self.next_region + (k - have) > self.end_region {
            have = 0;
        }
        self.grow(k - have).then(|| self.next_region - k)
    }

    /// Commits at least `k` more regions in a row at the end of the growing arena, or of a new arena.
    fn grow(&mut self, k: usize) -> bool {
        if self.next_region + k > self.end_region {
            let Some((first, units)) = space::another_arena(k) else {
                return false;
            };
            // What is left of the old arena is too short for this run, but not for others.
            let rest = self.end_region - self.next_region;
            if rest > 0 {
                self.commit(rest);
            }
            self.add_arena(first, first + units);
        }
        let left = self.end_region - self.next_region;
        // Steps follow the heap's size: a small program commits little, a large one makes few calls.
        let wish = (self.committed_units / UNITS_PER_REGION / 8).clamp(2, STEPS[0]);
        for step in [wish, STEPS[1].min(wish), STEPS[2]] {
            let n = step.max(k).min(left);
            if self.commit(n) {
                return true;
            }
            if n == k {
                break;
            }
        }
        false
    }

    fn commit(&mut self, n: usize) -> bool {
        let (first, end) = (self.next_region, self.next_region + n);
        if end * UNITS_PER_REGION > self.mapped_units {
            if !entry::make_writable(first * UNITS_PER_REGION, end * UNITS_PER_REGION)
                || !meta::extend_regions(end)
            {
                return false;
            }
            self.mapped_units = (end * UNITS_PER_REGION).next_multiple_of(8192);
        } else if !meta::extend_regions(end) {
            return false;
        }
        let at = space::address_of(first * UNITS_PER_REGION);
        // SAFETY: the regions belong to the growing arena and were never accessible.
        if unsafe { memory::protect(at, n * UNITS_PER_REGION * UNIT, Access::Write) }.is_err() {
            return false;
        }
        super::huge::committed(first, n);
        self.committed_units += n * UNITS_PER_REGION;
        self.next_region = end;
        for r in first..end {
            shared(r).known.store(true, Relaxed);
        }
        // ORDERING: Release, pairs with Acquire in `purge` and in walks over the page map: the records are writable.
        TOP.fetch_max(end, Release);
        for r in (first..end).rev() {
            self.rebin(r);
        }
        true
    }

    /// Gives units back. Their regions go to the head of the dirty list if the units are dirty.
    pub fn give(&mut self, first: usize, units: usize, dirty: bool) {
        if dirty {
            // Before the bits, so that the count is never short of them.
            DIRTY.fetch_add(units, Relaxed);
        }
        for (r, bits) in pieces(first, units) {
            let g = shared(r);
            g.word.give(bits, dirty);
            if dirty {
                g.stamp.store(STAMP.load(Relaxed), Relaxed);
            }
            self.rebin(r);
            self.relist_dirty(r);
        }
    }

    /// Takes exactly units `first..first + units` if all are free; whether none was dirty.
    pub fn take_at(&mut self, first: usize, units: usize) -> Option<bool> {
        let top = TOP.load(Relaxed);
        let free = |(r, bits): (usize, u32)| {
            r < top && shared(r).known.load(Relaxed) && shared(r).word.used() & bits == 0
        };
        if !pieces(first, units).all(free) {
            return None;
        }
        let (mut clean, mut taken) = (true, 0);
        for (r, bits) in pieces(first, units) {
            match self.use_bits(r, bits) {
                Some(c) => clean &= c,
                None => {
                    // A purger has some of it. What was taken goes back as if it were dirty: that is never wrong.
                    self.give(first, taken, true);
                    return None;
                }
            }
            taken += bits.count_ones() as usize;
        }
        Some(clean)
    }

    /// The longest dirty run of the region that has been dirty for longest, taken out of the heap.
    pub fn take_dirty(&mut self) -> Option<(usize, usize)> {
        if self.dirty_tail == 0 {
            self.settle();
        }
        while self.dirty_tail != 0 {
            let r = self.dirty_tail as usize - 1;
            let dirty = shared(r).word.dirty();
            let n = longest_run(dirty);
            if let Some(b) = find_run(dirty, n)
                && n > 0
                && self.use_bits(r, mask(b, n)).is_some()
            {
                return Some((r * UNITS_PER_REGION + b as usize, n));
            }
            self.relist_dirty(r);
        }
        None
    }
}

/// Units `first..first + units` by region: its number and the bits in it.
fn pieces(first: usize, units: usize) -> impl Iterator<Item = (usize, u32)> {
    let (mut at, end) = (first, first + units);
    core::iter::from_fn(move || {
        if at == end {
            return None;
        }
        let (r, b) = (at / UNITS_PER_REGION, at % UNITS_PER_REGION);
        let n = (UNITS_PER_REGION - b).min(end - at);
        at += n;
        Some((r, mask(b as u32, n)))
    })
}
