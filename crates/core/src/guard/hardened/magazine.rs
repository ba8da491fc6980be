//! What a thread has of hardened blocks of one class: some that are ready to be handed out, and its quarantine.
//!
//! ```text
//! allocate <-- ready (random one) <---------------- oldest -- quarantine (ring) <-- free
//!                 ^ |                                            |
//!          refill | | too many: half of them                     | the thread ends: all
//!                 | v                                            v
//!              others' (`depot`), slabs of the class (`heap`, under its lock)
//! ```
//! A magazine is made when a thread first uses the class ([`magazines`](super::magazines)): 2 KiB.
//!
//! # Who may touch which field when
//! The thread itself, inside a slow path (`Cache::busy`); in a fork's child whoever ends the threads that do not exist there. The
//! blocks' states stay NEW or FREED until they are handed out, so that a second free and the sweep see what they are.
//!
//! Cost: no lock and no locked instruction, but one lock for some sixteen blocks where a thread does not reuse what it freed.

use super::depot;
use super::heap;
use super::slab::{self, Block, states_at};
use crate::apart::Apart;
use crate::space::pool;
use crate::sync::{AtomicBool, Ordering::*};
use crate::{bell, config};
use aethalloc_base::class::{self, Class};
use aethalloc_base::options::Key;

/// Blocks that may be ready.
pub(super) const READY: usize = 32;
/// Blocks that the quarantine holds at most.
pub(super) const RING: usize = 216;
/// Blocks that it holds at least, however large they are.
const RING_LEAST: usize = 4;
/// Bytes of blocks that may be ready, but for `READY_LEAST` blocks.
const READY_BYTES: usize = 32 << 10;
/// With fewer, every few frees or requests in random order would find none or too many.
const READY_LEAST: usize = 8;

/// Whether threads had something to do beyond their magazines since [`take_tick`].
static TICKED: Apart<AtomicBool> = Apart(AtomicBool::new(false));

/// Whether threads used hardened blocks since the last call.
pub fn take_tick() -> bool {
    TICKED.load(Relaxed) && TICKED.swap(false, Relaxed)
}

/// Threads use blocks: the support thread, which sweeps, is told. Read often and seldom written: no line is fought for.
#[cold]
pub(super) fn tick() {
    if !TICKED.load(Relaxed) {
        TICKED.store(true, Relaxed);
    }
    bell::ring();
}

/// One class's.
#[repr(C)]
pub(super) struct Magazine {
    /// Zero: shares its pool with descriptors whose first word is a claim.
    _no_claim: u64,
    random: u64,
    /// Blocks in `ready`, and how many may be.
    pub(super) count: u32,
    pub(super) most: u32,
    /// The next place of `ring`, and how many places are used.
    pub(super) at: u32,
    pub(super) room: u32,
    /// Of the class: bytes of a block, its reciprocal, where state bytes begin in what describes a slab.
    pub(super) size: u32,
    pub(super) reciprocal: u32,
    pub(super) states: u32,
    pub(super) class: u32,
    _pad: [u32; 4],
    pub(super) ready: [Block; READY],
    /// [`Block::NONE`] where nothing was put yet.
    pub(super) ring: [Block; RING],
}
const POOL: usize = pool::pool_for(size_of::<Magazine>());
const _: () = assert!(size_of::<Magazine>() == 2048);

impl Magazine {
    /// A number below `n`, at random.
    #[inline(always)]
    fn below(&mut self, n: u32) -> usize {
        // The upper half of such a number is as good as this needs.
        self.random = self
            .random
            .wrapping_mul(0x5851_f42d)
            .wrapping_add(0x1405_7b7f);
        (((self.random >> 32) * n as u64) >> 32) as usize
    }

    /// Takes a random one of the ready blocks.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Block> {
        let n = self.count;
        if n == 0 {
            return None;
        }
        let at = self.below(n);
        self.count = n - 1;
        // SAFETY: `at < n`, which is at most `READY`.
        unsafe {
            let last = *self.ready.get_unchecked(n as usize - 1);
            Some(core::mem::replace(self.ready.get_unchecked_mut(at), last))
        }
    }

    /// Puts `block` into the quarantine; the one that waited longest, if there are too many: to be made [`Magazine::ready`].
    #[inline(always)]
    pub(super) fn swap(&mut self, block: Block) -> Option<Block> {
        let at = self.at;
        // SAFETY: below `room`, which is at most `RING`.
        let slot = unsafe { self.ring.get_unchecked_mut(at as usize) };
        let oldest = core::mem::replace(slot, block);
        self.at = if at + 1 >= self.room { 0 } else { at + 1 };
        (oldest != Block::NONE).then_some(oldest)
    }

    /// Whether [`Magazine::make_ready`] has nothing else to do than that.
    #[inline(always)]
    pub(super) fn has_place(&self) -> bool {
        self.count < self.most
    }

    /// A block that waited long enough may be handed out.
    #[inline(always)]
    pub(super) fn make_ready(&mut self, block: Block) {
        if self.count >= self.most {
            self.put_half();
        }
        let n = self.count;
        prefetch(block.0, self.size as usize);
        // SAFETY: below `most`, which is at most `READY`.
        unsafe { *self.ready.get_unchecked_mut(n as usize) = block };
        self.count = n + 1;
    }

    /// Gives half of the ready blocks to others.
    #[cold]
    #[inline(never)]
    fn put_half(&mut self) {
        tick();
        let half = self.most / 2;
        if let Some(rest) = self.ready.get(half as usize..self.count as usize) {
            let left = depot::put(self.class as usize, rest);
            heap::put(rest.get(..left).unwrap_or(&[]));
        }
        self.count = half;
    }

    /// Gets ready blocks, of which there are none.
    #[cold]
    #[inline(never)]
    pub(super) fn refill(&mut self) {
        tick();
        let c = self.class as usize;
        let n = (self.most / 2) as usize;
        let Some(into) = self.ready.get_mut(..n) else {
            return;
        };
        let mut n = depot::take(c, into);
        if n == 0
            && let Some(heap) = heap::of(c)
        {
            n = heap.take(c, into);
        }
        // Nobody used them lately, or another thread did.
        for block in into.iter().take(n) {
            prefetch(block.0, self.size as usize);
        }
        self.count = n as u32;
    }
}

/// Has lines of a block that waited long brought near: they are looked at when it is handed out.
#[inline(always)]
fn prefetch(block: usize, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = |at: usize| crate::space::pointer(at).cast::<i8>().cast_const();
        // SAFETY: a hint, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line(block));
            _mm_prefetch::<_MM_HINT_T0>(line(block + 64));
            _mm_prefetch::<_MM_HINT_T0>(line(block + bytes - 1));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (block, bytes);
}

/// Gives everything in `m` back, and `m` itself.
///
/// # Safety
/// It came from [`new`], and nobody uses it any more.
#[cold]
pub(super) unsafe fn end(m: *mut Magazine) {
    // SAFETY: the caller's promise.
    unsafe {
        heap::put((*m).ready.get(..(*m).count as usize).unwrap_or(&[]));
        for block in (*m).ring.iter().take((*m).room as usize) {
            if *block != Block::NONE {
                heap::put(core::slice::from_ref(block));
            }
        }
        pool::give(POOL, m.cast());
    }
}

/// An empty one of class `c`.
#[cold]
pub(super) fn new(c: Class) -> Option<*mut Magazine> {
    let size = slab::size(c);
    let bytes = config::get(Key::quarantine);
    let room = (bytes / size).clamp(if bytes == 0 { 1 } else { RING_LEAST }, RING);
    let zeroed = core::mem::offset_of!(Magazine, ring) + room * size_of::<Block>();
    let m = make(POOL, zeroed)?.cast::<Magazine>();
    // SAFETY: the place is ours and large enough; places of the ring beyond `room` are never read.
    unsafe {
        (*m).random = aethalloc_sys::process::random() | 1;
        (*m).most = (READY_BYTES / size).clamp(READY_LEAST, READY) as u32;
        (*m).room = room as u32;
        (*m).size = size as u32;
        (*m).reciprocal = class::RECIPROCALS.get(c).copied().unwrap_or(0);
        (*m).states = states_at(c) as u32;
        (*m).class = c as u32;
    }
    Some(m)
}

/// A place whose first `zeroed` bytes are zero.
#[cold]
pub(super) fn make(pool: usize, zeroed: usize) -> Option<*mut u8> {
    let (place, zero) = pool::take(pool)?;
    if !zero {
        // SAFETY: the place is ours and has so many bytes.
        unsafe { place.as_ptr().write_bytes(0, zeroed) };
    }
    Some(place.as_ptr())
}
