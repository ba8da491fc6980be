//! Lists of slabs, oldest first: doubly linked through the descriptors, under the slab's lock.

use super::slab::{List, Slab};
use crate::sync::{AtomicU32, Ordering::*};

/// A list's ends: references of slabs, 0 where it is empty.
#[derive(Default)]
pub struct Chain {
    first: AtomicU32,
    last: AtomicU32,
}

impl Chain {
    /// Empty.
    pub const fn new() -> Self {
        Chain {
            first: AtomicU32::new(0),
            last: AtomicU32::new(0),
        }
    }

    /// The slab that has waited longest, 0 if there is none.
    pub fn first(&self) -> u32 {
        self.first.load(Relaxed)
    }

    /// Appends a slab that is on no list.
    pub fn append(&self, slab: &Slab, list: List) {
        let (r, old) = (slab.reference(), self.last.load(Relaxed));
        slab.prev.store(old, Relaxed);
        slab.next.store(0, Relaxed);
        slab.list.store(list as u32, Relaxed);
        if old != 0 {
            Slab::at(old).next.store(r, Relaxed);
        } else {
            self.first.store(r, Relaxed);
        }
        self.last.store(r, Relaxed);
    }

    /// Takes a slab that is on this list out of it.
    pub fn remove(&self, slab: &Slab) {
        let (next, prev) = (slab.next.load(Relaxed), slab.prev.load(Relaxed));
        if next != 0 {
            Slab::at(next).prev.store(prev, Relaxed);
        } else {
            self.last.store(prev, Relaxed);
        }
        if prev != 0 {
            Slab::at(prev).next.store(next, Relaxed);
        } else {
            self.first.store(next, Relaxed);
        }
        slab.list.store(List::None as u32, Relaxed);
    }
}
