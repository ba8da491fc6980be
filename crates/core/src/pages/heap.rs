//! The page heap's structure: everything here runs under the page heap's lock.
//!
//! Purgers change a region's word without the lock ([`super::region`]). What the lists say of a region may therefore be
//! out of date: it looks fuller than it is (a purger gave units back: [`STALE`]), or dirtier. Both are put right when
//! they are met, at the latest before the heap grows.
//!
//! Links between regions are region numbers + 1 (0: none), so that all-zero records are empty.

mod grow;
mod inspect;
mod lists;

use super::Run;
use super::region::{Word, find_run, longest_run, mask, shortest_run};
use crate::space::meta;
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_base::units::UNITS_PER_REGION;

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
    /// Whether huge pages were asked for or forbidden ([`super::huge`]).
    pub huge: AtomicU8,
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

impl Shared {
    /// It belongs to an arena, and is writable.
    pub fn known(&self) -> bool {
        self.known.load(Relaxed)
    }
}

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

    /// Takes `bits` of region `r`: true if none was dirty; `None` if a purger has one of them.
    fn use_bits(&mut self, r: usize, bits: u32) -> Option<bool> {
        let dirty = shared(r).word.take(bits)?.count_ones() as usize;
        DIRTY.fetch_sub(dirty, Relaxed);
        self.rebin(r);
        self.relist_dirty(r);
        Some(dirty == 0)
    }

    pub fn take(&mut self, units: usize) -> Option<Run> {
        if units > UNITS_PER_REGION {
            self.take_regions(units)
        } else {
            self.take_in_region(units)
        }
    }

    fn take_in_region(&mut self, n: usize) -> Option<Run> {
        // ORDER: of the dirty runs looked at the shortest that fits, so that long ones stay for those who need them.
        let mut best: Option<(usize, u32, usize)> = None;
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
            if let Some((b, len)) = shortest_run(dirty, n)
                && best.is_none_or(|(_, _, least)| len < least)
            {
                best = Some((r, b, len));
                if len == n {
                    break;
                }
            }
        }
        if let Some((r, b, _)) = best
            && let Some(run) = self.take_bits(r, b, n)
        {
            return Some(run);
        }
        loop {
            // ORDER: the shortest run that fits, so that fuller regions fill first.
            let fits = self.mask >> n << n;
            if fits != 0 {
                let r = self.bin_head(fits.trailing_zeros() as usize) as usize - 1;
                let found = shortest_run(!shared(r).word.used(), n);
                match found.and_then(|(b, _)| self.take_bits(r, b, n)) {
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

    /// Whole regions in a row, but of the last one only the first units.
    fn take_regions(&mut self, units: usize) -> Option<Run> {
        let k = units.div_ceil(UNITS_PER_REGION);
        self.settle();
        loop {
            let first = match self.dirtiest_regions(units) {
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

    /// Of all places for `units` units (more than a region) from a region's beginning on, the lowest of those that hold the most pages: what
    /// they hold costs no page faults.
    fn dirtiest_regions(&mut self, units: usize) -> Option<usize> {
        if self.mask >> UNITS_PER_REGION & 1 == 0 {
            return None;
        }
        // So many free regions, and the first units of the next.
        let whole = units.div_ceil(UNITS_PER_REGION) - 1;
        let rest = mask(0, units - whole * UNITS_PER_REGION);
        let dirty = |r| shared(r).word.dirty().count_ones() as usize;
        if whole == 1 {
            return self.dirtiest_region(rest);
        }
        // A window of `whole` free regions slides over all.
        let (mut free, mut sum) = (0, 0);
        let mut best: Option<(usize, usize)> = None;
        for r in 0..TOP.load(Relaxed) {
            let g = shared(r);
            let used = if g.known() { g.word.used() } else { u32::MAX };
            if free >= whole && used & rest == 0 {
                let all = sum + (g.word.dirty() & rest).count_ones() as usize;
                if best.is_none_or(|(_, most)| all > most) {
                    best = Some((r - whole, all));
                }
            }
            if used != 0 {
                (free, sum) = (0, 0);
                continue;
            }
            free += 1;
            sum += dirty(r);
            if free > whole {
                // A purger may have taken some since.
                sum = sum.saturating_sub(dirty(r - whole));
            }
        }
        best.map(|(first, _)| first)
    }

    /// The same, of one region and the units `rest` of the next: free regions have a list.
    fn dirtiest_region(&mut self, rest: u32) -> Option<usize> {
        let mut best: Option<(usize, usize)> = None;
        let mut at = self.bin_head(UNITS_PER_REGION);
        while at != 0 {
            let r = at as usize - 1;
            at = self.links(r).next;
            if r + 1 >= TOP.load(Relaxed) {
                continue;
            }
            let (g, next) = (shared(r), shared(r + 1));
            if g.word.used() != 0 || !next.known() || next.word.used() & rest != 0 {
                continue; // or a purger has some of it
            }
            let dirty = g.word.dirty().count_ones() + (next.word.dirty() & rest).count_ones();
            let all = dirty as usize;
            if best.is_none_or(|(first, most)| all > most || all == most && r < first) {
                best = Some((r, all));
            }
        }
        best.map(|(first, _)| first)
    }

    /// Gives units back. Their regions go to the head of the dirty list if the units are dirty.
    #[unsafe(link_section = ".text.unknown.later")]
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
    #[unsafe(link_section = ".text.unknown.later")]
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
