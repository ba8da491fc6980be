//! Where a region is found: the bins by longest free run, and the list of those that hold free pages.

use super::super::region::longest_run;
use super::{Heap, Links, Record, STALE, TOP, shared};
use crate::space::meta;
use crate::sync::Ordering::*;

impl Heap {
    pub(super) fn links(&mut self, r: usize) -> &mut Links {
        // SAFETY: records below TOP are writable, others are never asked for; the borrow of `self` keeps two references
        // from living at once, and all access to this half is under the page heap's lock.
        unsafe { &mut (*meta::region_record(r).cast::<Record>()).links }
    }

    pub(super) fn bin_head(&self, n: usize) -> u32 {
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
    pub(super) fn rebin(&mut self, r: usize) {
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
    pub(super) fn relist_dirty(&mut self, r: usize) {
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

    /// What purgers changed since the last call; true if there was anything.
    pub(super) fn settle(&mut self) -> bool {
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
}
