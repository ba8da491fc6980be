//! The slabs of hardened objects: slots in random order, a guard behind each slab.
//!
//! ```text
//! heap (one for each class, four times: threads are spread over them): partial -> slab -> slab …
//! slab, one unit: | block | block | …… | not opened yet | guard page |
//! ```
//! A slab's blocks are opened page by page: a free one among the opened is chosen at random, so that few pages are touched.
//!
//! # Roles
//! The heap's lock guards lists, bits and counts (`slab`).

use super::super::{COUNTS, count};
use super::life;
use super::slab::{Block, Slab, size};
use crate::config;
use crate::space::entry::{self, Kind};
use crate::space::{self, pool};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use crate::violation;
use aethalloc_base::class::{self, Class};
use aethalloc_base::options::Key;
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

const SHARDS: usize = 4;

/// The slabs of one class.
#[repr(C)]
pub struct Heap {
    /// Zero, as in [`Slab`].
    _no_claim: u64,
    /// Guards everything here, and the lists, bits and counts of the slabs.
    pub lock: Lock,
    random: AtomicU64,
    partial: AtomicPtr<Slab>,
    /// Quarantine of blocks freed by callers without magazines, a ring; under the lock.
    kept: [AtomicUsize; KEPT],
    /// Its next place, and how many are used.
    kept_at: AtomicU32,
    kept_used: AtomicU32,
}
/// Blocks of a heap's own quarantine.
const KEPT: usize = 64;
const POOL: usize = pool::pool_for(size_of::<Heap>());

static HEAPS: [AtomicPtr<Heap>; SHARDS * class::COUNT] =
    [const { AtomicPtr::new(null_mut()) }; SHARDS * class::COUNT];

/// Guards the making of heaps: while fork handlers hold it, those that they walk are all there are.
static MAKING: Lock = Lock::new();

/// The lock under which heaps are made.
pub fn making_lock() -> &'static Lock {
    &MAKING
}

/// The heap that `slab`, by whatever is there now, says to be of; `None` if there is no such heap.
#[cold]
pub fn named(slab: &Slab) -> Option<&'static Heap> {
    let said = slab.heap.load(Relaxed);
    let known = |h: &AtomicPtr<Heap>| core::ptr::eq(h.load(Acquire), said);
    if said.is_null() || !HEAPS.iter().any(known) {
        return None;
    }
    // SAFETY: one of the heaps, which stay for ever.
    Some(unsafe { &*said })
}

/// Every heap there is.
#[cold]
pub fn each(mut f: impl FnMut(Class, &'static Heap)) {
    for (i, h) in HEAPS.iter().enumerate() {
        let h = h.load(Acquire);
        if !h.is_null() {
            // SAFETY: heaps stay for ever.
            f(i % class::COUNT, unsafe { &*h });
        }
    }
}

/// The calling thread's heap of class `c`.
#[cold]
pub fn of(c: Class) -> Option<&'static Heap> {
    let me = aethalloc_sys::lock::me() >> 12;
    let shard = (me ^ me >> 5 ^ me >> 11) % SHARDS;
    let slot = HEAPS.get(shard * class::COUNT + c)?;
    let mut h = slot.load(Acquire);
    if h.is_null() {
        let _held = MAKING.take();
        h = slot.load(Acquire);
        if h.is_null() {
            let (place, _) = pool::take(POOL)?;
            h = place.as_ptr().cast::<Heap>();
            // SAFETY: the place is ours and large enough; all-zero is an empty heap.
            unsafe {
                place.as_ptr().write_bytes(0, size_of::<Heap>());
                (*h).random
                    .store(aethalloc_sys::process::random() | 1, Relaxed);
            }
            // ORDERING: Release, pairs with the Acquire loads: the heap is made before it is seen.
            slot.store(h, Release);
        }
    }
    // SAFETY: heaps stay for ever.
    Some(unsafe { &*h })
}

impl Heap {
    /// A number for choosing slots; under the lock.
    fn random(&self) -> u64 {
        let mut v = self.random.load(Relaxed);
        v ^= v << 13;
        v ^= v >> 7;
        v ^= v << 17;
        self.random.store(v, Relaxed);
        v.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Fills `into` with random free blocks of class `c`, as they were left: NEW or FREED. Returns how many there were memory for.
    #[cold]
    pub fn take(&'static self, c: Class, into: &mut [Block]) -> usize {
        let mut n = 0;
        loop {
            {
                let _held = self.lock.take();
                while n < into.len() {
                    let p = self.partial.load(Relaxed);
                    if p.is_null() {
                        break;
                    }
                    // SAFETY: a listed slab lives while the lock is held.
                    let slab = unsafe { &*p };
                    n += self.choose(c, slab, into.get_mut(n..).unwrap_or(&mut []));
                }
            }
            if n > 0 || into.is_empty() {
                return n;
            }
            let Some(slab) = life::begin(self, c) else {
                return 0;
            };
            let _held = self.lock.take();
            self.link(slab);
        }
    }

    /// Fills `into`, not empty, with blocks of a slab that has some, from a random one on among the 64 of a random word of its bits;
    /// how many. Under the lock.
    #[inline]
    fn choose(&self, c: Class, slab: &'static Slab, into: &mut [Block]) -> usize {
        let (limit, opened) = (slab.limit.load(Relaxed), slab.opened.load(Relaxed));
        let chunk = (space::os_page() / size(c)).max(4) as u32;
        // Opening early keeps the choice wide.
        if slab.free.load(Relaxed) <= chunk / 2 && opened < limit {
            let to = (opened + chunk).min(limit);
            let (mut i, end) = (opened as usize, to as usize);
            while i < end {
                let n = (64 - i % 64).min(end - i);
                let word = slab.word(i / 64);
                let more = u64::MAX >> (64 - n) << (i % 64);
                word.store(word.load(Relaxed) | more, Relaxed);
                i += n;
            }
            slab.opened.store(to, Relaxed);
            slab.free.fetch_add(to - opened, Relaxed);
        }
        let words = slab.opened().div_ceil(64).max(1);
        let r = self.random();
        let mut w = (r >> 32) as usize % words;
        while slab.word(w).load(Relaxed) == 0 {
            w = if w + 1 == words { 0 } else { w + 1 };
        }
        let turn = r as u32 % 64;
        let (start, size) = (slab.start().addr(), slab.size());
        let mut bits = slab.word(w).load(Relaxed).rotate_right(turn);
        let mut n = 0;
        for slot in into {
            let b = bits.trailing_zeros();
            if b == 64 {
                break;
            }
            bits &= bits - 1;
            *slot = Block(start + (w * 64 + (b + turn) as usize % 64) * size);
            n += 1;
        }
        slab.word(w).store(bits.rotate_left(turn), Relaxed);
        let free = slab.free.load(Relaxed) - n as u32;
        slab.free.store(free, Relaxed);
        if free == 0 && slab.opened() as u32 == limit {
            self.unlink(slab);
        }
        n
    }

    /// Puts a free block back into its slab; the slab, unlisted, if that is empty now. Under the lock.
    #[cold]
    fn put(&self, slab: &'static Slab, i: usize) -> Option<&'static Slab> {
        let (word, bit) = (slab.word(i / 64), 1 << (i % 64));
        let bits = word.load(Relaxed);
        if bits & bit != 0 {
            // Two threads freed it at the same instant.
            violation::double_free(slab.block(i).addr(), slab.size());
        }
        word.store(bits | bit, Relaxed);
        let free = slab.free.load(Relaxed) + 1;
        slab.free.store(free, Relaxed);
        if slab.listed.load(Relaxed) == 0 {
            self.link(slab);
        }
        let only =
            core::ptr::eq(self.partial.load(Relaxed), slab) && slab.next.load(Relaxed).is_null();
        if free == slab.opened.load(Relaxed) && !only {
            self.unlink(slab);
            entry::store(
                slab.unit.load(Relaxed) as usize,
                Kind::Freed {
                    class: slab.class(),
                },
            );
            return Some(slab);
        }
        None
    }

    #[cold]
    fn link(&self, slab: &'static Slab) {
        let new = core::ptr::from_ref(slab).cast_mut();
        let old = self.partial.load(Relaxed);
        slab.next.store(old, Relaxed);
        slab.prev.store(null_mut(), Relaxed);
        slab.listed.store(1, Relaxed);
        if !old.is_null() {
            // SAFETY: a listed slab lives while the lock is held.
            unsafe { (*old).prev.store(new, Relaxed) };
        }
        self.partial.store(new, Relaxed);
    }

    #[cold]
    fn unlink(&self, slab: &Slab) {
        let (next, prev) = (slab.next.load(Relaxed), slab.prev.load(Relaxed));
        // SAFETY: as in `link`.
        unsafe {
            if !next.is_null() {
                (*next).prev.store(prev, Relaxed);
            }
            if prev.is_null() {
                self.partial.store(next, Relaxed);
            } else {
                (*prev).next.store(next, Relaxed);
            }
        }
        slab.listed.store(0, Relaxed);
    }
}

/// Keeps a free block of a slab of class `c` from reuse for a while, for a caller without magazines.
#[cold]
pub fn keep(c: Class, block: Block) {
    count(&COUNTS.quarantined);
    let Some((slab, _)) = block.place() else {
        return;
    };
    let heap = slab.heap();
    let room = config::get(Key::quarantine)
        .checked_div(size(c))
        .unwrap_or(0);
    let room = room.clamp(1, KEPT) as u32;
    let oldest = {
        let _held = heap.lock.take();
        let at = heap.kept_at.load(Relaxed);
        let used = heap.kept_used.load(Relaxed);
        heap.kept_at
            .store(if at + 1 >= room { 0 } else { at + 1 }, Relaxed);
        let Some(slot) = heap.kept.get(at as usize) else {
            return;
        };
        let old = slot.swap(block.0, Relaxed);
        if used < room {
            heap.kept_used.store(used + 1, Relaxed);
            return;
        }
        Block(old)
    };
    put(&[oldest]);
}

/// Puts free blocks back into their slabs.
#[cold]
pub fn put(blocks: &[Block]) {
    let mut rest = blocks.iter().filter_map(|b| b.place());
    let mut next = rest.next();
    while let Some((slab, i)) = next {
        let heap = slab.heap();
        let (mut slab, mut i) = (slab, i);
        let mut empty = None;
        {
            let _held = heap.lock.take();
            while empty.is_none() {
                empty = heap.put(slab, i);
                next = rest.next();
                match next {
                    Some(other) if core::ptr::eq(other.0.heap(), heap) => (slab, i) = other,
                    _ => break,
                }
            }
        }
        if let Some(slab) = empty {
            life::end(slab);
        }
    }
}
