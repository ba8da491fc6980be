//! The page heap's structure: everything here runs under the page heap's lock.
//!
//! Links between regions are region numbers + 1 (0: none), so that all-zero records are empty.

mod inspect;

use super::Run;
use crate::space::{self, entry, meta};
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Access};

/// One region, [`meta::REGION_RECORD`] bytes.
#[repr(C)]
struct Region {
    used: u32,
    dirty: u32,
    next: u32,
    prev: u32,
    dirty_next: u32,
    dirty_prev: u32,
    /// Longest run of free units = the bin it is in, 0: in none.
    longest: u8,
    on_dirty: bool,
    /// Belongs to an arena (gaps between arenas do not).
    known: bool,
    _pad: [u8; 5],
}
const _: () = assert!(size_of::<Region>() == meta::REGION_RECORD);

/// The heap.
pub struct Heap {
    bins: [u32; UNITS_PER_REGION + 1],
    /// Bit n: bin n is not empty.
    mask: u64,
    dirty_head: u32,
    dirty_tail: u32,
    dirty_units: usize,
    committed_units: usize,
    /// The arena that still grows: next region and end.
    next_region: usize,
    end_region: usize,
    /// Map entries and records made writable up to here.
    mapped_units: usize,
    top_region: usize,
}

/// Regions committed at a time while the heap is small and when it is large.
const STEPS: [usize; 3] = [32, 8, 1];

impl Heap {
    pub const fn new() -> Self {
        Heap {
            bins: [0; UNITS_PER_REGION + 1],
            mask: 0,
            dirty_head: 0,
            dirty_tail: 0,
            dirty_units: 0,
            committed_units: 0,
            next_region: 0,
            end_region: 0,
            mapped_units: 0,
            top_region: 0,
        }
    }

    pub fn dirty_units(&self) -> usize {
        self.dirty_units
    }
    pub fn committed_units(&self) -> usize {
        self.committed_units
    }
    pub fn top_unit(&self) -> usize {
        self.top_region * UNITS_PER_REGION
    }

    pub fn add_arena(&mut self, first: usize, end: usize) {
        self.next_region = first.div_ceil(UNITS_PER_REGION);
        self.end_region = end / UNITS_PER_REGION;
    }

    fn region(&mut self, r: usize) -> &mut Region {
        // SAFETY: records below `top_region` are writable (see `grow`), others are never asked for; the borrow of
        // `self` keeps two references from living at once, and all access is under the page heap's lock.
        unsafe { &mut *meta::region_record(r).cast::<Region>() }
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
        let id = r as u32 + 1;
        let (old, now) = {
            let g = self.region(r);
            (g.longest as usize, longest_run(!g.used))
        };
        if old == now {
            return;
        }
        if old != 0 {
            let (next, prev) = {
                let g = self.region(r);
                (g.next, g.prev)
            };
            if prev == 0 {
                self.set_bin_head(old, next);
            } else {
                self.region(prev as usize - 1).next = next;
            }
            if next != 0 {
                self.region(next as usize - 1).prev = prev;
            }
        }
        if now != 0 {
            let head = self.bin_head(now);
            if head != 0 {
                self.region(head as usize - 1).prev = id;
            }
            let g = self.region(r);
            (g.next, g.prev) = (head, 0);
            self.set_bin_head(now, id);
        }
        self.region(r).longest = now as u8;
    }

    /// Keeps the dirty list: a region is on it exactly while it has dirty units; the newest is at the head.
    fn relist_dirty(&mut self, r: usize) {
        let id = r as u32 + 1;
        let (on, wants) = {
            let g = self.region(r);
            (g.on_dirty, g.dirty != 0)
        };
        if on == wants {
            return;
        }
        if wants {
            let head = self.dirty_head;
            if head != 0 {
                self.region(head as usize - 1).dirty_prev = id;
            } else {
                self.dirty_tail = id;
            }
            let g = self.region(r);
            (g.dirty_next, g.dirty_prev) = (head, 0);
            self.dirty_head = id;
        } else {
            let (next, prev) = {
                let g = self.region(r);
                (g.dirty_next, g.dirty_prev)
            };
            if prev == 0 {
                self.dirty_head = next;
            } else {
                self.region(prev as usize - 1).dirty_next = next;
            }
            if next == 0 {
                self.dirty_tail = prev;
            } else {
                self.region(next as usize - 1).dirty_prev = prev;
            }
        }
        self.region(r).on_dirty = wants;
    }

    /// Takes `bits` (free) of region `r`; true if none was dirty.
    fn use_bits(&mut self, r: usize, bits: u32) -> bool {
        let g = self.region(r);
        g.used |= bits;
        let dirty = (g.dirty & bits).count_ones() as usize;
        g.dirty &= !bits;
        self.dirty_units -= dirty;
        self.rebin(r);
        self.relist_dirty(r);
        dirty == 0
    }

    pub fn take(&mut self, units: usize) -> Option<Run> {
        if units > UNITS_PER_REGION {
            self.take_regions(units)
        } else {
            self.take_in_region(units)
        }
    }

    fn take_in_region(&mut self, n: usize) -> Option<Run> {
        let mut at = self.dirty_head;
        for _ in 0..4 {
            if at == 0 {
                break;
            }
            let r = at as usize - 1;
            let (dirty, next) = {
                let g = self.region(r);
                (g.dirty, g.dirty_next)
            };
            if let Some(b) = find_run(dirty, n) {
                return Some(self.take_bits(r, b, n));
            }
            at = next;
        }
        loop {
            // ORDER: the shortest run that fits, so that fuller regions fill first.
            let fits = self.mask >> n << n;
            if fits != 0 {
                let r = self.bin_head(fits.trailing_zeros() as usize) as usize - 1;
                let free = !self.region(r).used;
                let b = find_run(free, n)?;
                return Some(self.take_bits(r, b, n));
            }
            if !self.grow(1) {
                return None;
            }
        }
    }

    fn take_bits(&mut self, r: usize, b: u32, n: usize) -> Run {
        let clean = self.use_bits(r, mask(b, n));
        Run {
            first: r * UNITS_PER_REGION + b as usize,
            units: n,
            clean,
        }
    }

    /// Whole regions in a row; the last one's tail stays free.
    fn take_regions(&mut self, units: usize) -> Option<Run> {
        let k = units.div_ceil(UNITS_PER_REGION);
        let mut first = None;
        if self.mask >> UNITS_PER_REGION & 1 != 0 {
            let mut run = 0;
            for r in 0..self.top_region {
                let g = self.region(r);
                run = if g.known && g.used == 0 { run + 1 } else { 0 };
                if run == k {
                    first = Some(r + 1 - k);
                    break;
                }
            }
        }
        let first = match first {
            Some(r) => r,
            None => self.grow_contiguous(k)?,
        };
        let mut clean = true;
        for i in 0..k {
            let n = (units - i * UNITS_PER_REGION).min(UNITS_PER_REGION);
            clean &= self.use_bits(first + i, mask(0, n));
        }
        Some(Run {
            first: first * UNITS_PER_REGION,
            units,
            clean,
        })
    }

    /// `k` new free regions in a row, counting free ones at the end of the growing arena.
    fn grow_contiguous(&mut self, k: usize) -> Option<usize> {
        let mut have = 0;
        while have < k && self.next_region > have && self.next_region <= self.top_region {
            let g = self.region(self.next_region - 1 - have);
            if !(g.known && g.used == 0) {
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
        self.committed_units += n * UNITS_PER_REGION;
        self.next_region = end;
        self.top_region = self.top_region.max(end);
        for r in first..end {
            self.region(r).known = true;
        }
        for r in (first..end).rev() {
            self.rebin(r);
        }
        true
    }

    pub fn give(&mut self, first: usize, units: usize, dirty: bool) {
        let (mut at, end) = (first, first + units);
        while at < end {
            let (r, b) = (at / UNITS_PER_REGION, at % UNITS_PER_REGION);
            let n = (UNITS_PER_REGION - b).min(end - at);
            let bits = mask(b as u32, n);
            let g = self.region(r);
            g.used &= !bits;
            if dirty {
                g.dirty |= bits;
                self.dirty_units += n;
            }
            self.rebin(r);
            self.relist_dirty(r);
            at += n;
        }
    }

    /// Takes exactly units `first..first + units` if all are free; whether none was dirty.
    pub fn take_at(&mut self, first: usize, units: usize) -> Option<bool> {
        let (mut at, end) = (first, first + units);
        while at < end {
            let (r, b) = (at / UNITS_PER_REGION, at % UNITS_PER_REGION);
            if r >= self.top_region {
                return None;
            }
            let n = (UNITS_PER_REGION - b).min(end - at);
            let g = self.region(r);
            if !g.known || g.used & mask(b as u32, n) != 0 {
                return None;
            }
            at += n;
        }
        let (mut at, mut clean) = (first, true);
        while at < end {
            let (r, b) = (at / UNITS_PER_REGION, at % UNITS_PER_REGION);
            let n = (UNITS_PER_REGION - b).min(end - at);
            clean &= self.use_bits(r, mask(b as u32, n));
            at += n;
        }
        Some(clean)
    }

    /// The longest dirty run of the region that has been dirty for longest, taken out of the heap.
    pub fn take_dirty(&mut self) -> Option<(usize, usize)> {
        if self.dirty_tail == 0 {
            return None;
        }
        let r = self.dirty_tail as usize - 1;
        let dirty = self.region(r).dirty;
        let n = longest_run(dirty);
        let b = find_run(dirty, n)?;
        self.use_bits(r, mask(b, n));
        Some((r * UNITS_PER_REGION + b as usize, n))
    }
}

/// `n` bits from bit `b` on.
fn mask(b: u32, n: usize) -> u32 {
    if n >= 32 {
        u32::MAX
    } else {
        ((1u32 << n) - 1) << b
    }
}

/// Length of the longest run of ones.
fn longest_run(mut v: u32) -> usize {
    let mut n = 0;
    while v != 0 {
        v &= v >> 1;
        n += 1;
    }
    n
}

/// The lowest bit at which `n` ones begin.
fn find_run(v: u32, n: usize) -> Option<u32> {
    let mut starts = v;
    for i in 1..n {
        starts &= v.checked_shr(i as u32).unwrap_or(0);
    }
    (starts != 0).then(|| starts.trailing_zeros())
}
