//! A slab: one unit cut into equal blocks, described out of line.
//!
//! ```text
//! descriptor (metadata):  | header, 64 B | occupancy: 1 bit a block, 1 = free | state: 1 byte a block |
//! state byte: 0 out or never handed out · 1..=254 slot of the magazine it was last freed into · 255 back in the slab
//! ```
//! Counters: `blocks = out + ones(occupancy) + (blocks - fresh)`, where blocks from `fresh` on were never handed out.
//!
//! # Roles
//! Holder: takes blocks, moves `fresh` and `cursor`. Anyone: puts blocks back. Class lock's owner: links.
//! # Orderings
//! A put stores the state byte, then sets the bit with Release; a take clears the bit with Acquire, then stores the
//! state byte: the two never race for the byte.

use super::claim::Claim;
use crate::space::{self, meta};
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, Class};

/// State byte: the block is in its slab (or on its way there).
pub const FREE: u8 = 255;
/// [`Slab::taker`]: several threads, or one that is gone.
pub const MIXED: u32 = u32::MAX;
/// State byte: the block is out.
pub const OUT: u8 = 0;

/// Which list a slab is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum List {
    /// None.
    None = 0,
    /// The class's list of slabs with free blocks.
    Central = 1,
    /// Its owner's list of slabs with free blocks.
    Partial = 2,
    /// Its owner's list of the rest (full, or held).
    Full = 3,
}

/// The header.
#[repr(C, align(64))]
pub struct Slab {
    /// See [`Claim`].
    pub claim: Claim,
    /// The unit it describes.
    pub unit: AtomicU32,
    /// Owner id, or a tag of `entry`.
    pub owner: AtomicU32,
    /// Links, under the class lock.
    pub next: AtomicU32,
    /// Links, under the class lock.
    pub prev: AtomicU32,
    /// Which list, under the class lock.
    pub list: AtomicU32,
    /// First block never handed out (holder only).
    pub fresh: AtomicU32,
    /// Word where the last take ended (holder only).
    pub cursor: AtomicU32,
    /// Common slabs: serial of the one thread that ever took blocks, 0 none, [`MIXED`] several. Under the class lock.
    pub taker: AtomicU32,
}
const _: () = assert!(size_of::<Slab>() == 64);

/// Bytes of a descriptor of class `c`. Where a slab has a tail too short for a block, one more state byte says FREE for
/// it for ever, so that `free` of an address there is refused without a test of its own.
pub const fn descriptor_size(c: Class) -> usize {
    64 + class::words(c) * 8 + class::blocks(c) + has_tail(c) as usize
}

/// The unit is not a whole number of blocks.
pub const fn has_tail(c: Class) -> bool {
    class::blocks(c) * class::size(c) != aethalloc_base::units::UNIT
}

/// Pool of the descriptors of each class.
pub static POOLS: [u8; class::COUNT] = {
    let mut t = [0u8; class::COUNT];
    let mut c = 1;
    while c < class::COUNT {
        t[c] = space::pool::pool_for(descriptor_size(c)) as u8;
        c += 1;
    }
    t
};

/// Facts of a class that slab code needs, in one cache line or less.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Block size.
    pub size: usize,
    /// Blocks a slab.
    pub blocks: usize,
    /// Occupancy words.
    pub words: usize,
    /// Blocks a line group (a power of two).
    pub group: usize,
    /// See [`class::RECIPROCALS`].
    pub reciprocal: u32,
}

static SHAPES: [Shape; class::COUNT] = {
    let mut t = [Shape {
        size: 0,
        blocks: 0,
        words: 0,
        group: 1,
        reciprocal: 0,
    }; class::COUNT];
    let mut c = 1;
    while c < class::COUNT {
        t[c] = Shape {
            size: class::size(c),
            blocks: class::blocks(c),
            words: class::words(c),
            group: class::group(c),
            reciprocal: class::RECIPROCALS[c],
        };
        c += 1;
    }
    t
};

/// The shape of class `c` (a real class).
#[inline]
pub fn shape(c: Class) -> &'static Shape {
    debug_assert!(c < class::COUNT);
    // SAFETY: classes come from the tables of `base::class` or from page-map entries made from them: below COUNT.
    unsafe { SHAPES.get_unchecked(c) }
}

impl Slab {
    /// The slab whose descriptor is `r`.
    #[inline]
    pub fn at(r: u32) -> &'static Slab {
        // SAFETY: references are made by `reference` from descriptors; metadata stays mapped for ever and every field
        // is atomic, so that even a stale reference reads something harmless.
        unsafe { &*meta::resolve(r).cast::<Slab>() }
    }

    /// The slab of class `c` whose state bytes are at `state` (from its page-map entry).
    #[inline]
    pub fn of_entry(c: Class, state: usize) -> &'static Slab {
        let p = meta::base().wrapping_add(state - 64 - shape(c).words * 8);
        // SAFETY: as in `at`; `state_offset` is the inverse.
        unsafe { &*p.cast::<Slab>() }
    }

    /// Its reference.
    #[inline]
    pub fn reference(&self) -> u32 {
        meta::reference(core::ptr::from_ref(self).cast())
    }

    /// Offset of its state bytes in the metadata.
    pub fn state_offset(&self, c: Class) -> usize {
        core::ptr::from_ref(self).addr() - meta::base().addr() + 64 + shape(c).words * 8
    }

    /// Word `w` of the occupancy bitmap.
    #[inline]
    pub fn word(&self, w: usize) -> &AtomicU64 {
        let p = core::ptr::from_ref(self)
            .cast::<u8>()
            .wrapping_add(64)
            .cast::<AtomicU64>();
        // SAFETY: `w` is below the class's words (callers derive it from a block number); the descriptor's pool place
        // has room for them. The pointer keeps the metadata's provenance through `Slab::at`.
        unsafe { &*p.wrapping_add(w) }
    }

    /// State byte of block `i`.
    #[inline]
    pub fn state(&self, words: usize, i: usize) -> &AtomicU8 {
        let p = core::ptr::from_ref(self)
            .cast::<u8>()
            .wrapping_add(64 + words * 8 + i);
        // SAFETY: as in `word`.
        unsafe { &*p.cast::<AtomicU8>() }
    }

    /// Address of the slab's first block.
    #[inline]
    pub fn address(&self) -> *mut u8 {
        space::address_of(self.unit.load(Relaxed) as usize)
    }

    /// True if some whole line group (or, with `single`, some block) is free.
    pub fn has_free(&self, c: Class, single: bool) -> bool {
        let s = shape(c);
        let fresh = self.fresh.load(Relaxed) as usize;
        let group = if single { 1 } else { s.group };
        ((fresh + group - 1) & !(group - 1)) + group <= s.blocks
            || (0..s.words).any(|w| eligible(self.word(w).load(Relaxed), s.group, single) != 0)
    }

    /// `holder`, or for a listed slab the class lock's owner (0), takes up to `want` blocks: `sink` gets their
    /// addresses, lowest first within a word. `None`: the slab is not the holder's any more. With `single`, any block; else whole line groups only (`want` is then
    /// rounded down to groups, but at least one). Returns how many; the claim word counts them.
    pub fn take(
        &self,
        c: Class,
        holder: u32,
        want: usize,
        single: bool,
        mut sink: impl FnMut(usize),
    ) -> Option<usize> {
        let s = shape(c);
        let base = self.address().addr();
        let want = if single {
            want
        } else {
            (want & !(s.group - 1)).max(s.group)
        };
        if holder != 0 && !self.claim.reserve(c, holder, want) {
            return None;
        }
        let mut got = 0;
        let start = self.cursor.load(Relaxed) as usize;
        let mut w = if start < s.words { start } else { 0 };
        for _ in 0..s.words {
            let word = self.word(w);
            let mut bits = eligible(word.load(Relaxed), s.group, single);
            if bits != 0 {
                let room = want - got;
                if bits.count_ones() as usize > room {
                    bits = lowest(bits, room);
                }
                // ORDERING: Acquire, pairs with Release in `put_word`: the block's last user is done.
                // A purge takes bits too: only what was still there is ours.
                bits &= word.fetch_and(!bits, Acquire);
                while bits != 0 {
                    let i = w * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    self.state(s.words, i).store(OUT, Relaxed);
                    sink(base + i * s.size);
                    got += 1;
                }
                if got == want {
                    break;
                }
            }
            w = if w + 1 == s.words { 0 } else { w + 1 };
        }
        self.cursor.store(w as u32, Relaxed);
        let mut fresh = self.fresh.load(Relaxed) as usize;
        let mut n = (want - got).min(s.blocks - fresh);
        if !single && n > 0 {
            // An owner may have stopped inside a group: its rest waits for the group's other blocks.
            while fresh & (s.group - 1) != 0 && fresh < s.blocks {
                self.state(s.words, fresh).store(FREE, Relaxed);
                self.word(fresh / 64).fetch_or(1 << (fresh % 64), Relaxed);
                fresh += 1;
            }
            // A slab's last blocks may not fill a group; only an exclusive owner may have them.
            n = (want - got).min(s.blocks - fresh);
            n &= !(s.group - 1);
            self.fresh.store(fresh as u32, Relaxed);
        }
        for i in 0..n {
            sink(base + (fresh + i) * s.size);
        }
        if n > 0 {
            self.fresh.store((fresh + n) as u32, Relaxed);
        }
        got += n;
        if holder == 0 {
            self.claim.took(got);
        } else if got < want {
            self.claim.unreserve(want - got);
        }
        Some(got)
    }

    /// Sets the bits `bits` of word `w`: those blocks are back. The bits that were set already: double frees.
    #[inline]
    pub fn put_word(&self, w: usize, bits: u64) -> u64 {
        // ORDERING: Release, pairs with Acquire in `take`.
        self.word(w).fetch_or(bits, Release) & bits
    }
}

/// The free blocks of a word that may be handed out: all with `single`, else whole groups.
#[inline]
fn eligible(v: u64, group: usize, single: bool) -> u64 {
    if single || group == 1 {
        return v;
    }
    if group == 2 {
        let pairs = v & v >> 1 & 0x5555_5555_5555_5555;
        pairs * 3
    } else {
        let pairs = v & v >> 1;
        let quads = pairs & pairs >> 2 & 0x1111_1111_1111_1111;
        quads * 15
    }
}

/// The lowest `n` ones of `v`.
#[inline]
fn lowest(v: u64, n: usize) -> u64 {
    let mut rest = v;
    for _ in 0..n {
        rest &= rest - 1;
    }
    v & !rest
}
