//! Bins: of each class, the blocks that the thread may hand out without asking anybody.
//!
//! ```text
//! bin (32 B): | bits | base | states | size, want |
//! bit i of `bits`: block i of the group is this thread's to hand out; it begins at base + i * size, its state is states[i]
//! ```
//! `malloc` takes the lowest bit and stores OUT into the block's state: until then the block says FREE, so that a second
//! free of a block that waits here is noticed like any other. Frees never come here: they go to the state bytes, where the
//! next [`refill`] finds them.
//!
//! A cold class of a thread with bins has blocks of slabs of nobody in its bin, RESERVED instead of FREE (`cold::alloc_several`): such a slab is
//! not held (`Bin::slab` is 0), so that its state bytes say whose they are.
//!
//! # Who may touch which field when
//! The thread itself, everything; others read a bin racily for statistics; a fork's child, once its thread does not exist.
//! Interrupted between any two stores (a fork's child lets go of the slab) nothing is lost or doubled: what is free says so in
//! the state bytes, whatever the bits say.

use super::cache::Cache;
use super::inside::Inside;
use crate::guard;
use crate::span::ahead;
use crate::span::central::{self, Owned, Taken};
use crate::span::claim::Reserved;
use crate::span::slab::{FREE, OUT, RESERVED, Shape, Slab, shape, some};
use crate::span::waiting::Waiting;
use crate::sync::{AtomicU8, Ordering::*};
use aethalloc_base::class::{self, BIN_BYTES, BinOf, COUNT, Class};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::UNIT;
use core::ptr::null_mut;
use core::sync::atomic::compiler_fence;

/// One class's bin.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bin {
    /// Blocks of the group still to hand out.
    pub bits: u64,
    /// Address of the group's first block.
    pub base: usize,
    /// Its state bytes.
    pub states: *mut u8,
    /// Block size.
    pub size: u32,
    /// The slab it takes from, 0: none.
    pub slab: u32,
}
const _: () = assert!(size_of::<Bin>() == BIN_BYTES);

/// The bins by class; class 0 has none.
pub type BINS = [Bin; COUNT];

/// Bins that stay empty, and behind them the table that every `malloc` reads: one address leads to both.
#[repr(C, align(64))]
pub struct Empty {
    bins: BINS,
    bin_of: BinOf,
}
// SAFETY: never written.
unsafe impl Sync for Empty {}

/// Where the table lies in [`EMPTY`].
pub const BIN_OF_AT: usize = core::mem::offset_of!(Empty, bin_of);

/// What a thread begins with, and has while it is in the allocator: nothing to hand out in any class.
pub static EMPTY: Empty = Empty {
    bins: [Bin {
        bits: 0,
        base: 0,
        states: null_mut(),
        size: 0,
        slab: 0,
    }; COUNT],
    bin_of: class::BIN_OF,
};

/// See [`class::BIN_OF`].
#[inline]
pub fn bin_of() -> &'static BinOf {
    &EMPTY.bin_of
}

/// The empty set: what `malloc` gets in threads that have no bins.
pub fn none() -> *mut BINS {
    (&raw const EMPTY).cast_mut().cast()
}

/// A busy thread's bins and what belongs to them.
#[repr(C)]
pub struct Bins {
    bins: BINS,
    /// Its own slabs of each class, under their lock.
    owned: [Owned; COUNT],
    /// By how many the resting slabs that a search looks at are fewer than the most, see `central::acquire`.
    looks: [AtomicU8; COUNT],
    /// Blocks that the next reservation of a class may hold; 0: the class is cold.
    want: [u8; COUNT],
    /// Bytes that all reservations together may hold now.
    wanted: u32,
}

/// What all reservations of a thread may hold together.
const WANTED: u32 = 256 << 10;

impl Bins {
    /// Bytes of all of it.
    pub const BYTES: usize = size_of::<Bins>();
    /// The pool that they come from.
    pub const POOL: usize = crate::space::pool::pool_for(Bins::BYTES);

    /// The lists of own slabs.
    pub fn owned(&self) -> *const Owned {
        self.owned.as_ptr()
    }
    /// What `malloc` gets.
    pub fn table(&mut self) -> *mut BINS {
        &raw mut self.bins
    }
    /// The bin of class `c`.
    #[inline]
    pub fn bin(&mut self, c: Class) -> &mut Bin {
        debug_assert!(c < COUNT);
        // SAFETY: callers pass classes.
        unsafe { self.bins.get_unchecked_mut(c) }
    }
    /// The thread takes blocks of class `c` by groups.
    #[inline]
    pub fn is_hot(&self, c: Class) -> bool {
        self.want.get(c).is_some_and(|w| *w != 0)
    }
    /// From now on it does.
    pub fn warm(&mut self, c: Class) {
        let size = class::size(c);
        let first = policy::first_reservation(size);
        self.bin(c).size = size as u32;
        if let Some(w) = self.want.get_mut(c) {
            *w = first as u8;
        }
        // Blocks that are reserved singly whatever the others hold do not take from them.
        if size <= UNIT / 2 {
            self.wanted += (first * size) as u32;
        }
    }
    /// Blocks of a slab of nobody wait in the bin of class `c`, which is cold and whose bin is empty; they have `size` bytes.
    pub fn put_common(&mut self, c: Class, size: usize, taken: &Taken) {
        let bin = self.bin(c);
        bin.base = taken.base;
        bin.states = taken.states;
        bin.size = size as u32;
        compiler_fence(SeqCst);
        bin.bits = taken.bits;
    }

    /// How many blocks the next reservation may hold: twice as many each time, as long as all together stay small.
    #[inline]
    fn next_want(&mut self, c: Class, size: usize) -> usize {
        let Some(w) = self.want.get_mut(c) else {
            return 1;
        };
        let now = *w as usize;
        if now < 64 && self.wanted + (now * size) as u32 <= WANTED {
            let full = policy::full_reservation(size, crate::config::get(Key::batch_bytes))
                .min(crate::config::get(Key::batch_count));
            let more = (now * 2).min(full);
            if more > now {
                self.wanted += ((more - now) * size) as u32;
                *w = more as u8;
            }
        }
        *w as usize
    }
}

/// Most blocks of up to 2 KiB that a reservation may hold where their pages are there already, because the group was used before.
#[inline]
fn again(s: &Shape) -> usize {
    if s.size() > 2048 {
        return 0;
    }
    let bytes = crate::config::get(Key::batch_bytes) as u64;
    let n = (bytes * s.reciprocal() as u64) >> 32; // bytes / size, without dividing
    (n as usize).min(crate::config::get(Key::batch_count))
}

/// Bytes reserved and not handed out, roughly.
///
/// # Safety
/// `bins` belongs to a registered cache that stays so.
pub unsafe fn held_bytes(bins: *const Bins) -> usize {
    let table = bins.cast::<Bin>();
    (0..COUNT)
        .map(|c| {
            // SAFETY: the caller's promise; a racy read of one word.
            let bits = unsafe { (&raw const (*table.add(c)).bits).read_volatile() };
            bits.count_ones() as usize * class::size(c)
        })
        .sum()
}

/// Bins are empty for hot class `c`: reserves a group's free blocks and returns one; null when memory is out.
///
/// Goes through the groups of the slab once, from the first to the last (a group that fills up again while it is at hand is
/// taken again; before groups that were never used come those that are half free again), then lets go of it: what becomes free behind it
/// waits for the slab's next turn.
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
pub fn refill(cache: &mut Cache, bins: &mut Bins, c: Class) -> *mut u8 {
    let s = shape(c);
    let want = bins.next_want(c, s.size());
    let mut used_up = None;
    loop {
        if bins.bin(c).slab == 0 {
            let Some(looks) = bins.looks.get(c) else {
                return null_mut();
            };
            let Some(slab) = acquire(c, cache.id, cache.serial, looks, used_up.take()) else {
                return null_mut();
            };
            bins.bin(c).slab = slab.reference();
        }
        let slab = Slab::at(bins.bin(c).slab);
        let single = central::may_take_single(c, slab);
        let at = slab.cursor.load(Relaxed) as usize;
        if let Some(next) = slab.next_worth(c, at, single) {
            let used = slab.frontier.load(Relaxed) as usize;
            let (g, free, n) = if next.0 < used {
                next
            } else {
                slab.at_frontier(c, next, single)
            };
            let more = if g < used { again(s) } else { 0 };
            let (mut bits, mut n) = some(free, n, want.max(more));
            if more > want && slab.clean_pages(c, g, bits) != 0 {
                (bits, n) = some(bits, n, want);
            }
            // ORDERING: Release, pairs with Acquire in the purge: who sees these bits, also where the reservation is refused
            // now, sees OUT on the blocks of the earlier ones. Where they count, this thread is busy (`waiting`).
            slab.reserved.store(bits, Release);
            if slab.claim.reserve(g) == Reserved::Frozen {
                // In a child that ran no fork handlers that somebody does not exist.
                aethalloc_sys::lock::repair_child();
                // Somebody purges the slab, who may be kept from it for long: one block from elsewhere.
                return super::cold::alloc(cache, c);
            }
            slab.cursor.store(g as u16, Relaxed);
            let fresh = slab.clean_pages(c, g, bits);
            slab.soil(c, g, fresh);
            if fresh != 0 && ahead::is_worth(s.size()) {
                ahead::back(c, slab, g, fresh);
            }
            cache.count_taken(n as u64, (n * s.size()) as isize);
            cache.count_reservation();
            let bin = bins.bin(c);
            // A signal handler finds the empty set in the thread's word while this goes on (`thread::inside`). One that
            // never returns here leaves a bin that is empty until it is complete.
            bin.base = slab.address().addr() + s.group_offset(g);
            bin.states = slab.group_states(c, g);
            compiler_fence(SeqCst);
            bin.bits = bits;
            return take(bin);
        }
        bins.bin(c).slab = 0;
        used_up = Some(slab);
    }
}

/// As [`central::acquire`]; memory may be out but for what is kept for objects with guards. Not inlined, for the registers of [`refill`].
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
fn acquire(
    c: Class,
    id: u32,
    serial: u32,
    looks: &AtomicU8,
    used_up: Option<&'static Slab>,
) -> Option<&'static Slab> {
    central::acquire(c, id, serial, looks, used_up)
        .or_else(|| guard::after_purge(|| central::acquire(c, id, serial, looks, None)))
}

/// The lowest block of a bin that is not empty.
#[inline]
pub fn take(bin: &mut Bin) -> *mut u8 {
    let states = bin.states;
    // SAFETY: the same word; others only look at it.
    let waiting = unsafe { &*(&raw mut bin.bits).cast::<Waiting>() };
    let i = waiting.take(|i| {
        let state = states.wrapping_add(i as usize).cast::<AtomicU8>();
        // SAFETY: the state byte of a block that this thread reserved.
        unsafe { &*state }.store(OUT, Relaxed);
    });
    let size = bin.size as usize;
    crate::space::object(bin.base + i as usize * size, size)
}

/// Gives up what the bins hold and the slabs they take from (thread exit, purge, a fork's child). The classes stay hot.
pub fn drain(cache: &mut Cache, bins: &mut Bins) {
    for c in class::FIRST..COUNT {
        let bin = bins.bin(c);
        let (bits, slab) = (bin.bits, bin.slab);
        if bits == 0 && slab == 0 {
            continue;
        }
        bin.bits = 0;
        bin.slab = 0;
        let left = bits.count_ones() as usize;
        cache.count_given_back(left as u64, left as isize * bin.size as isize);
        if slab == 0 {
            put_back(bin.states, bits);
        } else {
            central::let_go(c, Slab::at(slab), cache.id, true);
        }
    }
    cache.settle();
}

/// Blocks of a slab of nobody that waited in a bin may be handed out by others again.
fn put_back(states: *mut u8, mut bits: u64) {
    while bits != 0 {
        let state = states.wrapping_add(bits.trailing_zeros() as usize);
        bits &= bits - 1;
        // SAFETY: the state byte of a block that this thread took, or one that does not exist any more (a fork's child).
        let state = unsafe { &*state.cast::<AtomicU8>() };
        // Of a thread that a fork cut off the block may be OUT already: it is lost.
        if state.load(Relaxed) == RESERVED {
            // ORDERING: Release, as a free.
            state.store(FREE, Release);
        }
    }
}

/// The bins of the calling thread, made at the first call; `None` without memory, under `cache:off` and where a safety
/// mode has to see every call.
#[unsafe(link_section = ".text.unknown.later")]
pub fn of(inside: &mut Inside, cache: &mut Cache) -> Option<&'static mut Bins> {
    let mut p = cache.bins.load(Relaxed);
    if p.is_null() {
        if crate::config::get(Key::cache) == 0 || !crate::guard::allows_caches() {
            return None;
        }
        let (place, zero) = crate::space::pool::take(Bins::POOL)?;
        p = place.as_ptr().cast::<Bins>();
        if !zero {
            // SAFETY: the place is ours and large enough; all-zero is a valid, empty set.
            unsafe { place.as_ptr().write_bytes(0, Bins::BYTES) };
        }
        cache.bins.store(p, Release);
        // SAFETY: just made.
        let bins = unsafe { &mut *p };
        // ORDERING: Release, pairs with Acquire in `owners::owned`: the lists are zero before they are seen.
        cache.owner.lists.store(bins.owned().cast_mut(), Release);
        // ORDERING: Release, pairs with Acquire in `owners::waiting`.
        cache.owner.bins.store(p.cast(), Release);
        inside.leave_with(bins.table());
    }
    // SAFETY: this thread's; the returned borrow does not outlive the call of the slow path.
    Some(unsafe { &mut *p })
}

/// The bins of `cache` if there are any.
#[inline]
pub fn existing(cache: &Cache) -> Option<&'static mut Bins> {
    let p = cache.bins.load(Relaxed);
    // SAFETY: as in `of`.
    (!p.is_null()).then(|| unsafe { &mut *p })
}
