//! The rules of the page heap, checked under its lock. Read only.

use super::{Heap, longest_run};
use crate::rule::{Checked, equal, holds};
use aethalloc_base::units::UNITS_PER_REGION;

impl Heap {
    /// Checks masks, bins, the dirty list and the sums; `used`: units in use by the count kept beside the heap.
    pub fn check(&mut self, used: usize) -> Checked {
        let (mut known, mut binned, mut in_use, mut dirty, mut dirty_regions) = (0, 0, 0, 0, 0);
        for r in 0..self.top_region {
            let g = self.region(r);
            holds(
                "region: no unit is used and dirty",
                r,
                g.used & g.dirty == 0,
            )?;
            holds(
                "region: on the dirty list = has dirty units",
                r,
                g.on_dirty == (g.dirty != 0),
            )?;
            if !g.known {
                let empty = g.used == 0 && g.dirty == 0 && g.longest == 0;
                holds("region: a gap between arenas holds nothing", r, empty)?;
                continue;
            }
            let longest = longest_run(!g.used);
            equal(
                "region: its bin = its longest free run",
                r,
                g.longest as usize,
                longest,
            )?;
            known += 1;
            binned += (longest != 0) as usize;
            in_use += g.used.count_ones() as usize;
            dirty += g.dirty.count_ones() as usize;
            dirty_regions += (g.dirty != 0) as usize;
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
                holds(
                    "bin: a list ends",
                    n,
                    listed <= self.top_region && r < self.top_region,
                )?;
                let g = self.region(r);
                equal("bin: its regions have such a run", r, g.longest as usize, n)?;
                equal("bin: links back", r, g.prev as usize, before as usize)?;
                (before, at) = (at, g.next);
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
            holds(
                "dirty list: it ends",
                r,
                seen <= self.top_region && r < self.top_region,
            )?;
            let g = self.region(r);
            holds("dirty list: its regions have dirty units", r, g.dirty != 0)?;
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
            self.dirty_units,
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
        for r in 0..self.top_region {
            let g = self.region(r);
            if g.known {
                f(r, g.used, g.dirty);
            }
        }
    }

    /// The regions with dirty units, newest first.
    pub fn each_dirty(&mut self, f: &mut dyn FnMut(usize)) {
        let mut at = self.dirty_head;
        while at != 0 {
            f(at as usize - 1);
            at = self.region(at as usize - 1).dirty_next;
        }
    }
}
