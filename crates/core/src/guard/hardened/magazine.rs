//! What a thread has of hardened blocks: per class, some that are ready to be handed out, and its quarantine.
//!
//! ```text
//! allocate <-- ready (random one) <---------------- oldest -- quarantine (ring) <-- free
//!                 ^ |                                            |
//!          refill | | too many: half of them                     | the thread ends: all
//!                 | v                                            v
//!              slabs of the class (`heap`, under its lock)
//! ```
//! A magazine is made when a thread first uses the class: 2 KiB.
//!
//! # Who may touch which field when
//! The thread itself, inside a slow path (`Cache::busy`); in a fork's child whoever ends the threads that do not exist there. The
//! blocks' states stay NEW or FREED until they are handed out, so that a second free and the sweep see what they are.
//!
//! Cost: no lock and no locked instruction, but every eighth time or so one lock for some twelve blocks.

use super::heap;
use super::slab::{self, Block};
use crate::guard::COUNTS;
use crate::space::pool;
use crate::sync::{AtomicU64, Ordering::*};
use crate::{bell, config};
use aethalloc_base::class::{self, Class};
use aethalloc_base::options::Key;

/// Blocks that may be ready.
const READY: usize = 24;
/// Blocks that the quarantine holds at most.
const RING: usize = 224;
/// Bytes of blocks that may be ready, but for two blocks.
const READY_BYTES: usize = 32 << 10;
/// Checks counted before the process's counts learn of them, from the `EXACT`th on: a small program's counts are exact.
const UNSETTLED: u64 = 64;
const EXACT: u64 = 1024;

/// How often counts were told.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// A number that changes while threads use hardened blocks.
pub fn ticks() -> u64 {
    TICKS.load(Relaxed)
}

/// One class's.
#[repr(C)]
struct Magazine {
    /// Zero: shares its pool with descriptors whose first word is a claim.
    _no_claim: u64,
    random: u64,
    /// Blocks in `ready`, and how many may be.
    count: u32,
    most: u32,
    /// Blocks in `ring`, its next place, and how many places are used.
    used: u32,
    at: u32,
    room: u32,
    _pad: u32,
    ready: [Block; READY],
    ring: [Block; RING],
}
const MAGAZINE: usize = pool::pool_for(size_of::<Magazine>());

/// A thread's.
#[repr(C)]
pub struct Magazines {
    _no_claim: u64,
    checked: u64,
    quarantined: u64,
    /// Checks since the start.
    total: u64,
    classes: [*mut Magazine; class::COUNT],
}
const POOL: usize = pool::pool_for(size_of::<Magazines>());

impl Magazine {
    /// A number below `n`, at random.
    fn below(&mut self, n: u32) -> usize {
        let mut v = self.random;
        v ^= v << 13;
        v ^= v >> 7;
        v ^= v << 17;
        self.random = v;
        (((v & 0xffff_ffff) * n as u64) >> 32) as usize
    }

    /// Takes a random one of the ready blocks.
    fn pop(&mut self) -> Option<Block> {
        let n = self.count;
        let at = self.below(n);
        let last = *self.ready.get((n as usize).wrapping_sub(1))?;
        self.count = n - 1;
        let slot = self.ready.get_mut(at)?;
        Some(core::mem::replace(slot, last))
    }

    /// Puts `block` into the quarantine; the one that waited longest, if there are too many.
    fn swap(&mut self, block: Block) -> Option<Block> {
        let slot = self.ring.get_mut(self.at as usize)?;
        let oldest = core::mem::replace(slot, block);
        self.at = if self.at + 1 >= self.room {
            0
        } else {
            self.at + 1
        };
        if self.used < self.room {
            self.used += 1;
            return None;
        }
        Some(oldest)
    }
}

impl Magazines {
    /// Those that `place` holds, made at the first call; `None` without memory.
    ///
    /// # Safety
    /// `place` is the calling thread's, and holds null or what an earlier call left there; the borrow ends before the slow path does.
    pub unsafe fn of<'a>(place: &mut *mut Magazines) -> Option<&'a mut Magazines> {
        if place.is_null() {
            *place = make(POOL, size_of::<Magazines>())?.cast();
        }
        // SAFETY: made above: all-zero is an empty set.
        Some(unsafe { &mut **place })
    }

    fn of_class(&mut self, c: Class) -> Option<&mut Magazine> {
        let slot = self.classes.get_mut(c)?;
        if slot.is_null() {
            *slot = new_magazine(c)?;
        }
        // SAFETY: made by `new_magazine` and this thread's.
        Some(unsafe { &mut **slot })
    }

    /// A random free block of class `c`.
    fn take(&mut self, c: Class) -> Option<Block> {
        let m = self.of_class(c)?;
        if m.count == 0 {
            let n = (m.most / 2) as usize;
            m.count = heap::of(c)?.take(c, m.ready.get_mut(..n)?) as u32;
        }
        m.pop()
    }

    /// Keeps a block of class `c`, FREED and zero, from reuse for a while.
    fn keep(&mut self, c: Class, block: Block) {
        self.quarantined += 1;
        let Some(m) = self.of_class(c) else {
            return heap::put(&[block]);
        };
        let Some(oldest) = m.swap(block) else {
            return;
        };
        if m.count >= m.most {
            let left = m.most / 2;
            if let Some(rest) = m.ready.get(left as usize..m.count as usize) {
                heap::put(rest);
            }
            m.count = left;
        }
        if let Some(slot) = m.ready.get_mut(m.count as usize) {
            *slot = oldest;
            m.count += 1;
        }
    }

    /// Counts one block that was looked at.
    #[inline]
    fn count_checked(&mut self) {
        self.checked += 1;
        self.total += 1;
        if self.checked >= UNSETTLED || self.total < EXACT {
            self.settle();
        }
    }

    /// Tells the process's counts, and the support thread, which sweeps.
    #[cold]
    pub fn settle(&mut self) {
        TICKS.fetch_add(1, Relaxed);
        COUNTS
            .checked
            .fetch_add(core::mem::take(&mut self.checked), Relaxed);
        COUNTS
            .quarantined
            .fetch_add(core::mem::take(&mut self.quarantined), Relaxed);
        bell::ring();
    }

    /// Gives everything back, and the magazines themselves.
    ///
    /// # Safety
    /// `all` came from [`Magazines::of`]; its thread is the caller or does not exist, and nobody uses it afterwards.
    #[cold]
    pub unsafe fn end(all: *mut Magazines) {
        // SAFETY: the caller's promise.
        let this = unsafe { &mut *all };
        this.settle();
        for m in this.classes.iter().filter(|m| !m.is_null()) {
            // SAFETY: made by `new_magazine`; nobody else reaches it.
            unsafe {
                heap::put((**m).ready.get(..(**m).count as usize).unwrap_or(&[]));
                heap::put((**m).ring.get(..(**m).used as usize).unwrap_or(&[]));
                pool::give(MAGAZINE, m.cast());
            }
        }
        // SAFETY: as above.
        unsafe { pool::give(POOL, all.cast()) };
    }
}

#[cold]
fn new_magazine(c: Class) -> Option<*mut Magazine> {
    let m = make(MAGAZINE, core::mem::offset_of!(Magazine, ready))?.cast::<Magazine>();
    let size = slab::size(c);
    // SAFETY: the place is ours and large enough; blocks beyond the counts are never read.
    unsafe {
        (*m).random = aethalloc_sys::process::random() | 1;
        (*m).most = (READY_BYTES / size).clamp(2, READY) as u32;
        (*m).room = (config::get(Key::quarantine) / size).clamp(1, RING) as u32;
    }
    Some(m)
}

/// A place whose first `zeroed` bytes are zero.
#[cold]
fn make(pool: usize, zeroed: usize) -> Option<*mut u8> {
    let (place, zero) = pool::take(pool)?;
    if !zero {
        // SAFETY: the place is ours and has so many bytes.
        unsafe { place.as_ptr().write_bytes(0, zeroed) };
    }
    Some(place.as_ptr())
}

/// A random free block of class `c` (0: none has it), for a caller with magazines or without.
#[inline]
pub fn take(magazines: Option<&mut Magazines>, c: Class) -> Option<Block> {
    if c == 0 {
        return None;
    }
    match magazines {
        Some(m) => m.take(c),
        None => take_one(c),
    }
}

/// Keeps a block of class `c` that its caller freed from reuse for a while, and counts that it was looked at.
#[inline]
pub fn keep(mut magazines: Option<&mut Magazines>, c: Class, freed: Block) {
    match &mut magazines {
        Some(m) => m.keep(c, freed),
        None => heap::keep(freed),
    }
    // Afterwards: it may tell both counts.
    count_checked(&mut magazines);
}

/// Counts one block that was looked at.
#[inline]
pub fn count_checked(magazines: &mut Option<&mut Magazines>) {
    match magazines {
        Some(m) => m.count_checked(),
        None => super::super::count(&COUNTS.checked),
    }
}

/// One block for a caller without magazines.
#[cold]
fn take_one(c: Class) -> Option<Block> {
    let mut one = Block::NONE;
    (heap::of(c)?.take(c, core::slice::from_mut(&mut one)) == 1).then_some(one)
}
