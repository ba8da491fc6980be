//! The rules of the page heap, checked under its lock. Changes nothing but what purgers left to be put right; no purger may
//! be at work meanwhile.

use super::{DIRTY, Heap, TOP, longest_run, shared};
use crate::rule::{Checked, equal, holds};
use crate::sync::Ordering::*;
use aethalloc_base::units::UNITS_PER_REGION;

impl Heap {
    /// Checks masks, bins, the dirty list and the sums; `used`: units in use by the count kept beside the heap.
    pub fn check(&mut self, used: usize) -> Checked {
        self.settle();
        let top = TOP.load(Relaxed);
        let (mut known, mut binned, mut in_use, mut dirty, mut dirty_regions) = (0, 0, 0, 0, 0);
        for r in 0..top {
            let g = shared(r);
            let (used, dirty_mask) = (g.word.used(), g.word.dirty());
            holds(
                "region: no unit is used and dirty",
                r,
                used & dirty_mask == 0,
            )?;
            holds(
                "region: on the dirty list = has dirty units",
                r,
                g.on_dirty.load(Relaxed) == (dirty_mask != 0),
            )?;
            if !g.known.load(Relaxed) {
                let empty = used == 0 && dirty_mask == 0 && g.longest.load(Relaxed) == 0;
                holds("region: a gap between arenas holds nothing", r, empty)?;
                continue;
            }
            let longest = longest_run(!used);
            equal(
                "region: its bin = its longest free run",
                r,
                g.longest.load(Relaxed) as usize,
                longest,
            )?;
            known += 1;
            binned += (longest != 0) as usize;
            in_use += used.count_ones() as usize;
            dirty += dirty_mask.count_ones() as usize;
            dirty_regions += (dirty_mask != 0) as usize;
        }
        equal("bin 0 is empty", 0, self.bin_head(0) as usize, 0)?;
        let mut listed = 0;
        for n in 1..=UNITS_PER_REGION {
            let head = self.bin_head(n);
            holds(
                "mask: bit = bin is not empty",
                n,
                (self.mask >> n & 1 == 1) == (head != 0),
            )?;
            let (mut at, mut before) = (head, 0);
            while at != 0 {
                let r = at as usize - 1;
                listed += 1;
                holds("bin: a list ends", n, listed <= top && r < top)?;
                let longest = shared(r).longest.load(Relaxed) as usize;
                equal("bin: its regions have such a run", r, longest, n)?;
                let links = self.links(r);
                equal("bin: links back", r, links.prev as usize, before as usize)?;
                (before, at) = (at, links.next);
            }
        }
        equal(
            "bins: every region with a free unit is in one",
            0,
            listed,
            binned,
        )?;
        let (mut at, mut before, mut seen) = (self.dirty_head, 0, 0);
        while at != 0 {
            let r = at as usize - 1;
            seen += 1;
            holds("dirty list: it ends", r, seen <= top && r < top)?;
            let dirty_mask = shared(r).word.dirty();
            holds(
                "dirty list: its regions have dirty units",
                r,
                dirty_mask != 0,
            )?;
            let g = self.links(r);
            equal(
                "dirty list: links back",
                r,
                g.dirty_prev as usize,
                before as usize,
            )?;
            (before, at) = (at, g.dirty_next);
        }
        equal(
            "dirty list: its tail is its end",
            0,
            self.dirty_tail as usize,
            before as usize,
        )?;
        equal(
            "dirty list: every region with dirty units is on it",
            0,
            seen,
            dirty_regions,
        )?;
        equal(
            "dirty units = ones of the dirty masks",
            0,
            DIRTY.load(Relaxed),
            dirty,
        )?;
        equal(
            "committed units = those of the regions",
            0,
            self.committed_units,
            known * UNITS_PER_REGION,
        )?;
        equal("used units = ones of the used masks", 0, used, in_use)
    }

    /// Number, used mask and dirty mask of every region in an arena.
    pub fn each_region(&mut self, f: &mut dyn FnMut(usize, u32, u32)) {
        for r in 0..TOP.load(Relaxed) {
            let g = shared(r);
            if g.known.load(Relaxed) {
                f(r, g.word.used(), g.word.dirty());
            }
        }
    }

    /// The regions with dirty units, newest first.
    pub fn each_dirty(&mut self, f: &mut dyn FnMut(usize)) {
        let mut at = self.dirty_head;
        while at != 0 {
            f(at as usize - 1);
            at = self.links(at as usize - 1).dirty_next;
        }
    }
}
