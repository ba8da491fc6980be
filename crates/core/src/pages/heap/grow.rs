//! More regions: made writable at the end of the growing arena, or of a new one.

use super::super::huge;
use super::{Heap, TOP, shared};
use crate::space::{self, entry, meta};
use crate::sync::Ordering::*;
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Access};

/// Regions committed at a time while the heap is small and when it is large.
const STEPS: [usize; 3] = [32, 8, 1];

impl Heap {
    pub fn add_arena(&mut self, first: usize, end: usize) {
        self.next_region = first.div_ceil(UNITS_PER_REGION);
        self.end_region = end / UNITS_PER_REGION;
    }

    /// `k` new free regions in a row, counting free ones at the end of the growing arena.
    pub(super) fn grow_contiguous(&mut self, k: usize) -> Option<usize> {
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
    pub(super) fn grow(&mut self, k: usize) -> bool {
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
        huge::committed(first, n);
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
}
