//! A slab: one or more units cut into equal blocks, described out of line.
//!
//! ```text
//! descriptor (metadata):  | header, 64 B | state bytes of unit 0: 1 a block | state bytes of unit 1 | … |
//! state byte:  0 OUT      handed out, an object lives in it
//!              0x80 FREE  may be handed out; malloc of the holder stores OUT
//!              1 RESERVED nobody's to hand out: waits in a thread's stash or in the bin of a cold class, or no block at all (tails)
//! ```
//! The state byte is the only truth about a block. `free`, on whatever thread, stores FREE where it found OUT, and does
//! nothing else; anything but OUT there is a second free. Free blocks are found by looking at the bytes, 64 at a time.
//!
//! # Roles
//! Holder: hands out free blocks of the group it reserved. Whoever has the slab's lock: hands out blocks of a slab that nobody
//! holds; links; purge. Anyone: frees.
//! # Orderings
//! A free is Release, looking for free blocks is Acquire: the block's last use comes before its next.
//! Only OUT -> FREE happens without exclusion, and only by the block's one owner; FREE -> OUT or RESERVED only by the
//! holder or under the slab's lock while nobody holds the slab. So plain stores do, and neighbours never interfere.

use super::claim::Claim;
pub use super::shape::{Shape, shape};
use super::states;
use crate::space::{self, meta};
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*};
use aethalloc_base::class::{self, Class};

/// State byte: an object lives in the block.
pub const OUT: u8 = 0;
/// State byte: the block may be handed out.
pub const FREE: u8 = 0x80;
/// State byte: nobody's to hand out but the thread's that took it.
pub const RESERVED: u8 = 1;
/// Owner of slabs that belong to nobody: blocks leave them by whole line groups only.
pub const COMMON: u32 = 0xff_ffff;
/// [`Slab::taker`]: several threads, or one that is gone.
pub const MIXED: u32 = u32::MAX;

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
    /// Its owner's list of the rest (held, or resting).
    Rest = 3,
    /// The class's list of resting slabs.
    Resting = 4,
}

/// The header.
#[repr(C, align(64))]
pub struct Slab {
    /// See [`Claim`].
    pub claim: Claim,
    /// Blocks of the claimed group that its holder reserved: bits are taken off by nobody, so some may be out by now.
    pub reserved: AtomicU64,
    /// The first unit it describes.
    pub unit: AtomicU32,
    /// Owner id or [`COMMON`]. Changes under the lock of the old one; see `central::lists`.
    pub owner: AtomicU32,
    /// Links, under the slab's lock.
    pub next: AtomicU32,
    /// Links, under the slab's lock.
    pub prev: AtomicU32,
    /// Which list, under the slab's lock.
    pub list: AtomicU32,
    /// Group where the last reservation was (holder, or slab's lock).
    pub cursor: AtomicU16,
    /// 1: pages that are `clean` may be there nevertheless, by a huge page (its maker; then whoever froze the slab).
    pub whole: AtomicU16,
    /// Common slabs: serial of the one thread that ever took blocks, 0 none, [`MIXED`] several. Under the slab's lock.
    pub taker: AtomicU32,
    /// OS pages of each unit that hold nothing: never touched since the unit was clean, or given back. Bits are cleared
    /// by whoever hands out a block there, set by a purge.
    pub clean: [AtomicU16; 8],
    /// Groups before this one were used since the slab's life began (holder, or slab's lock).
    pub frontier: AtomicU16,
}
const _: () = assert!(size_of::<Slab>() <= HEADER);

/// Bytes of the header.
pub const HEADER: usize = 64;

/// Bytes of a descriptor of class `c`: whole lines, so that 64 state bytes can be read from the start of any group.
pub const fn descriptor_size(c: Class) -> usize {
    HEADER + (class::row(c) * class::units(c)).next_multiple_of(64)
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

impl Slab {
    /// The slab whose descriptor is `r`.
    #[inline]
    pub fn at(r: u32) -> &'static Slab {
        // SAFETY: references are made by `reference` from descriptors; metadata stays mapped for ever and every field
        // is atomic, so that even a stale reference reads something harmless.
        unsafe { &*meta::resolve(r).cast::<Slab>() }
    }

    /// The slab of class `c` whose unit `part` has its state bytes at `state` (from the page map).
    #[inline]
    pub fn of_entry(c: Class, part: usize, state: usize) -> &'static Slab {
        let p = meta::base().wrapping_add(state - HEADER - part * shape(c).row());
        // SAFETY: as in `at`; `state_offset` is the inverse.
        unsafe { &*p.cast::<Slab>() }
    }

    /// Its reference.
    #[inline]
    pub fn reference(&self) -> u32 {
        meta::reference(core::ptr::from_ref(self).cast())
    }

    /// Where its memory begins.
    #[inline]
    pub fn address(&self) -> *mut u8 {
        space::address_of(self.unit.load(Relaxed) as usize)
    }

    /// Offset of the state bytes of unit `part` from the metadata's start: a multiple of 8.
    pub fn state_offset(&self, c: Class, part: usize) -> usize {
        core::ptr::from_ref(self).addr() - meta::base().addr() + HEADER + part * shape(c).row()
    }

    /// Its state bytes.
    #[inline]
    fn states(&self) -> *mut u8 {
        // The descriptor is one object of the metadata; the reference covers only its header.
        let at = core::ptr::from_ref(self).addr() + HEADER;
        meta::base().with_addr(at)
    }

    /// State byte `i` of unit `part`.
    #[inline]
    pub fn state(&self, c: Class, part: usize, i: usize) -> &'static AtomicU8 {
        let at = self.states().wrapping_add(part * shape(c).row() + i);
        // SAFETY: inside the descriptor (callers pass a block of the slab), mapped for ever, always accessed as an atomic.
        unsafe { &*at.cast::<AtomicU8>() }
    }

    /// The state bytes of group `g`: where the holder's `malloc` stores.
    #[inline]
    pub fn group_states(&self, c: Class, g: usize) -> *mut u8 {
        self.states().wrapping_add(shape(c).group_states(g))
    }

    /// Free blocks of group `g`, lowest first.
    #[inline]
    pub fn free_mask(&self, c: Class, g: usize) -> u64 {
        let s = shape(c);
        // SAFETY: the state bytes of a group of a slab of this shape.
        unsafe { s.free_at(self.group_states(c, g)) }
    }

    /// Of a slab of several units: those of its state bytes that say FREE, which are one line.
    #[inline(always)]
    fn free_line(&self) -> u64 {
        // SAFETY: the descriptor is whole lines long, and the states begin at one.
        unsafe { states::free_in_line(self.states()) }
    }

    /// The first group from `g` on of which the blocks that may be handed out are worth a reservation: its number, the
    /// blocks, how many they are.
    #[inline]
    pub fn next_worth(&self, c: Class, mut g: usize, single: bool) -> Option<(usize, u64, usize)> {
        let s = shape(c);
        if g >= s.groups() {
            return None;
        }
        if s.units() > 1 {
            // One free block makes a unit worth it. No loop: how many groups it would pass is what the CPU cannot foresee.
            let shift = s.row().trailing_zeros();
            let free = self.free_line() >> (g << shift);
            if free == 0 {
                return None;
            }
            let skipped = free.trailing_zeros() >> shift;
            let free = free >> (skipped << shift) & ((1 << s.row()) - 1);
            return Some((g + skipped as usize, free, free.count_ones() as usize));
        }
        let mut at = self.group_states(c, g);
        while g < s.groups() {
            // SAFETY: as in `free_mask`.
            let free = unsafe { states::free_in_line(at) };
            if free != 0 {
                let free = eligible(free, s.line(), single);
                let n = free.count_ones() as usize;
                if n >= s.worth() {
                    return Some((g, free, n));
                }
            }
            g += 1;
            at = at.wrapping_add(64);
        }
        None
    }

    /// Where to reserve instead of at group `g`, with `n` blocks `free`, if that lies beyond the groups that were used so far: at the first of these
    /// when half of their blocks are free again. So a thread that has a few blocks of a class keeps to a few groups, whose lines and pages
    /// are warm, instead of going through the whole slab. Else a few groups more are used from now on: the more, the more there were,
    /// so that a slab that fills up is looked through about ten times.
    #[inline(never)]
    #[unsafe(link_section = ".text.unknown.later")]
    pub fn at_frontier(
        &self,
        c: Class,
        (g, free, n): (usize, u64, usize),
        single: bool,
    ) -> (usize, u64, usize) {
        let s = shape(c);
        let (mut all, mut first) = (0, None);
        for h in 0..g {
            let free = eligible(self.free_mask(c, h), s.line(), single);
            let n = free.count_ones() as usize;
            all += n;
            if first.is_none() && n >= s.worth() {
                first = Some((h, free, n));
            }
        }
        if all * 2 >= g * s.group_blocks(0)
            && let Some(first) = first
        {
            return first;
        }
        self.frontier.store((g + 1 + g / 4) as u16, Relaxed);
        (g, free, n)
    }

    /// Every block is free.
    pub fn all_free(&self, c: Class) -> bool {
        let s = shape(c);
        if s.units() > 1 {
            return self.free_line().count_ones() as usize == s.blocks();
        }
        (0..s.groups()).all(|g| self.free_mask(c, g) == s.group_mask(g))
    }

    /// Number of free blocks.
    pub fn free_count(&self, c: Class) -> usize {
        let s = shape(c);
        if s.units() > 1 {
            return self.free_line().count_ones() as usize;
        }
        (0..s.groups())
            .map(|g| self.free_mask(c, g).count_ones() as usize)
            .sum()
    }

    /// Number of blocks out.
    pub fn out_count(&self, c: Class) -> usize {
        let s = shape(c);
        let out =
            |k: usize| (0..s.per_unit()).filter(move |i| self.state(c, k, *i).load(Relaxed) == OUT);
        (0..s.units()).map(|k| out(k).count()).sum()
    }

    /// Sets all states of a new slab: every block free, tails and padding reserved.
    pub fn clear(&self, c: Class) {
        let s = shape(c);
        let at = self.states();
        // SAFETY: the descriptor is new: its `descriptor_size` bytes are the caller's alone.
        unsafe {
            at.write_bytes(RESERVED, descriptor_size(c) - HEADER);
            for k in 0..s.units() {
                at.add(k * s.row()).write_bytes(FREE, s.per_unit());
            }
        }
    }

    /// Pages of the blocks of `bits` of group `g`, not none, that hold nothing yet.
    #[inline]
    pub fn clean_pages(&self, c: Class, g: usize, bits: u64) -> u16 {
        let s = shape(c);
        let part = if s.units() > 1 { g } else { 0 };
        let Some(clean) = self.clean.get(part) else {
            return 0;
        };
        let clean = clean.load(Relaxed);
        if clean == 0 {
            return 0;
        }
        let at = if s.units() > 1 { 0 } else { s.group_offset(g) };
        let first = at + bits.trailing_zeros() as usize * s.size();
        let last = at + (64 - bits.leading_zeros() as usize) * s.size() - 1;
        let (first, last) = (first / 4096, last / 4096);
        let pages = (2u32 << last) - (1u32 << first);
        clean & pages as u16
    }

    /// Notes that the blocks of `bits` of group `g`, whose clean pages are `fresh`, are about to be touched.
    #[inline]
    pub fn soil(&self, c: Class, g: usize, fresh: u16) {
        let part = if shape(c).units() > 1 { g } else { 0 };
        if fresh != 0
            && let Some(clean) = self.clean.get(part)
        {
            clean.store(clean.load(Relaxed) & !fresh, Relaxed);
        }
    }
}

/// The free blocks of a group that may be handed out: all with `single`, else those of whole line groups of `line` blocks.
#[inline]
pub fn eligible(v: u64, line: usize, single: bool) -> u64 {
    if single || line == 1 {
        return v;
    }
    if line == 2 {
        let pairs = v & v >> 1 & 0x5555_5555_5555_5555;
        pairs * 3
    } else {
        let pairs = v & v >> 1;
        let quads = pairs & pairs >> 2 & 0x1111_1111_1111_1111;
        quads * 15
    }
}

/// About `want` of the `n` bits `v`, the lowest: those in a stretch of the group that would hold so many if they were spread evenly. And how
/// many they are.
#[inline]
pub fn some(v: u64, n: usize, want: usize) -> (u64, usize) {
    if n <= want {
        return (v, n);
    }
    let width = aethalloc_base::policy::per(want * 64, n); // 1..64
    let some = v & (((1u64 << width) - 1) << v.trailing_zeros());
    (some, some.count_ones() as usize)
}
