//! A slab of hardened objects, and its blocks.
//!
//! ```text
//! descriptor (metadata):  | header, 64 B | bits: blocks that are in the slab | a state byte a block |
//! ```
//! The heap's lock guards lists, bits and counts. State bytes are atomic: whoever moves one from LIVE owns the block's end.
//!
//! # States of a block
//! ```text
//! NEW --hand out--> LIVE --free wins--> BUSY --zeroed--> FREED --hand out--> LIVE …
//! ```
//! A block that is NEW or FREED is all zero, and in its slab, in a thread's magazines (`magazine`) or between them: who hands it
//! out checks that.

use super::canary;
use super::heap::Heap;
use crate::guard::BLOCK_MAX;
use crate::space::entry::{self, Kind};
use crate::space::{self, meta, pool};
use crate::sync::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_base::units::UNIT;

/// Never handed out.
pub const NEW: u8 = 0;
/// Handed out.
pub const LIVE: u8 = 1;
/// Between states: somebody owns it.
pub const BUSY: u8 = 2;
/// Freed: in the quarantine or in its slab.
pub const FREED: u8 = 3;

/// The bits of a state byte that say so. In the others `safety:tags` keeps the tag of the block's next or present pointer.
pub const STATE: u8 = 3;
/// Where that tag begins.
pub const TAG_SHIFT: u32 = 2;

/// What describes a slab.
#[repr(C, align(64))]
pub struct Slab {
    /// Zero: slabs share their pools with descriptors whose first word is a claim.
    _no_claim: u64,
    pub(super) next: AtomicPtr<Slab>,
    pub(super) prev: AtomicPtr<Slab>,
    pub(super) heap: AtomicPtr<Heap>,
    pub(super) unit: AtomicU32,
    pub(super) class: AtomicU32,
    /// Blocks opened, of `limit`.
    pub(super) opened: AtomicU32,
    pub(super) limit: AtomicU32,
    /// Opened blocks that are in the slab.
    pub(super) free: AtomicU32,
    pub(super) guarded: AtomicU8,
    pub(super) listed: AtomicU8,
    /// Where the states begin, from the slab's start.
    pub(super) states: AtomicU16,
    /// Bytes of a block.
    pub(super) size: AtomicU32,
}
pub(super) const HEAD: usize = 64;
const _: () = assert!(size_of::<Slab>() == HEAD);

/// Largest block: what an object of [`BLOCK_MAX`] bytes and its canary need. One of them fits a slab before its guard.
pub const LARGEST: usize = class::size(class::class_of(BLOCK_MAX + canary::BYTES));
const _: () = assert!(LARGEST <= UNIT - UNIT / 4);

/// Bytes of a block; never 0, so that nothing here can panic.
pub const fn size(c: Class) -> usize {
    let size = class::size(c);
    if size < 16 { 16 } else { size }
}

/// Blocks in a unit.
pub(super) const fn per_unit(c: Class) -> usize {
    UNIT / size(c)
}

/// State bytes: one a block, and one for the tail of a unit, which says that no object is there.
pub(super) const fn states(c: Class) -> usize {
    UNIT.div_ceil(size(c))
}

/// Words of a slab's bits.
pub(super) const fn words(c: Class) -> usize {
    per_unit(c).div_ceil(64)
}

/// Pool of the descriptors of each class.
pub(super) static POOLS: [u8; class::COUNT] = {
    let mut t = [0u8; class::COUNT];
    let mut c = class::FIRST;
    while c < class::COUNT {
        t[c] = pool::pool_for(HEAD + words(c) * 8 + states(c)) as u8;
        c += 1;
    }
    t
};

impl Slab {
    /// The slab that an entry leads to.
    pub fn at(offset: usize) -> &'static Slab {
        let p = meta::base().wrapping_add(offset).cast::<Slab>();
        // SAFETY: an entry leads to a slab; metadata stays mapped for ever and every field is atomic.
        unsafe { &*p }
    }
    /// Its class.
    pub fn class(&self) -> Class {
        self.class.load(Relaxed) as usize
    }
    /// Blocks that may have been handed out.
    pub fn opened(&self) -> usize {
        self.opened.load(Relaxed) as usize
    }
    /// Blocks that it has room for.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed) as usize
    }
    /// Whether its last page is a guard.
    pub fn is_guarded(&self) -> bool {
        self.guarded.load(Relaxed) != 0
    }
    /// Where its blocks begin.
    pub fn start(&self) -> *mut u8 {
        space::address_of(self.unit.load(Relaxed) as usize)
    }
    /// Whether it is of `heap`; for a caller that holds that one's lock.
    pub fn belongs_to(&self, heap: &Heap) -> bool {
        core::ptr::eq(self.heap.load(Relaxed), heap)
    }
    /// Its heap, for a caller that knows that it exists.
    pub(super) fn heap(&self) -> &'static Heap {
        // SAFETY: set before the slab is published; heaps stay for ever.
        unsafe { &*self.heap.load(Relaxed) }
    }
    /// The number of the block that begins at `p`.
    pub fn block_at(&self, p: usize) -> Option<usize> {
        let reciprocal = *class::RECIPROCALS.get(self.class())?;
        let product = (p % UNIT) as u64 * reciprocal as u64;
        let i = (product >> 32) as usize;
        // Exact only at a block's start, as in the fast path of `free`.
        ((product as u32) < reciprocal && i < self.limit()).then_some(i)
    }
    /// Bytes of a block.
    #[inline]
    pub fn size(&self) -> usize {
        self.size.load(Relaxed) as usize
    }
    /// The address of block `i`.
    #[inline]
    pub fn block(&self, i: usize) -> *mut u8 {
        self.start().wrapping_add(i * self.size())
    }
    /// Blocks that are LIVE, by a caller without the lock: the slab may be gone, and something else be here.
    #[cold]
    pub fn live_count(&self, c: Class) -> usize {
        let states = self.after_head(words(c) * 8).cast::<AtomicU8>();
        (0..per_unit(c))
            // SAFETY: inside a place of the class's pool, whatever it is now.
            .filter(|i| unsafe { (*states.add(*i)).load(Relaxed) } & STATE == LIVE)
            .count()
    }
    fn after_head(&self, at: usize) -> *mut u8 {
        core::ptr::from_ref(self)
            .cast::<u8>()
            .cast_mut()
            .wrapping_add(HEAD + at)
    }
    pub(super) fn word(&self, w: usize) -> &AtomicU64 {
        // SAFETY: `w` is below the class's words, for which the pool place has room; the pointer keeps the metadata's
        // provenance through `Slab::at`.
        unsafe { &*self.after_head(w * 8).cast() }
    }
    /// State of block `i`.
    #[inline]
    pub fn state(&self, i: usize) -> &AtomicU8 {
        let at = self.states.load(Relaxed) as usize + i;
        let p = core::ptr::from_ref(self).cast::<u8>().wrapping_add(at);
        // SAFETY: as in `word`.
        unsafe { &*p.cast() }
    }
}

/// Where the state bytes of a slab of class `c` begin, from what describes it.
pub(super) const fn states_at(c: Class) -> usize {
    HEAD + words(c) * 8
}

/// A block, by its address; its slab is what the page map says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block(pub(super) usize);

impl Block {
    /// None: a place that nothing was put into.
    pub const NONE: Block = Block(0);

    /// Block `i` of `slab`.
    pub fn new(slab: &Slab, i: usize) -> Block {
        Block(slab.block(i).addr())
    }
    /// Its slab and its number there; `None` if there is no slab of ours, which cannot be while the block is out of it.
    #[inline]
    pub fn place(self) -> Option<(&'static Slab, usize)> {
        let Kind::Hardened { slab, .. } = entry::load(space::unit_of(self.0)?) else {
            return None;
        };
        let slab = Slab::at(slab);
        Some((slab, slab.block_at(self.0)?))
    }
}
