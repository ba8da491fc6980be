//! Free blocks on their way from threads that free to threads that allocate: of each class a stack, beside the slabs.
//!
//! ```text
//! magazine of a thread that has too many ---> depot ---> magazine of a thread that has none
//!                                    full: |            ^ empty: |
//!                                          v            |        v
//!                                          slabs of the class (`heap`)
//! ```
//! So a block that one thread allocates and another frees is moved by copying its address, half a magazine at a time. A depot holds at most
//! 256 KiB of blocks and keeps their slabs.
//!
//! # Roles
//! A depot's lock guards its blocks. Depots are made under one lock and stay for ever.
//!
//! Cost: a lock for some sixteen blocks. Memory: 1 KiB a class.

use super::slab::{self, Block};
use crate::space::pool;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_sys::lock::Lock;
use core::ptr::null_mut;

/// Blocks of a depot at most, and their bytes.
const ROOM: usize = 126;
const BYTES: usize = 256 << 10;

#[repr(C)]
struct Depot {
    /// Zero: shares its pool with descriptors whose first word is a claim.
    _no_claim: u64,
    lock: Lock,
    count: AtomicU32,
    blocks: [AtomicUsize; ROOM],
}
const POOL: usize = pool::pool_for(size_of::<Depot>());

static DEPOTS: [AtomicPtr<Depot>; class::COUNT] =
    [const { AtomicPtr::new(null_mut()) }; class::COUNT];
/// Guards the making of depots: while fork handlers hold it, those that they walk are all there are.
static MAKING: Lock = Lock::new();

/// Every lock here, outermost first.
#[cold]
pub fn each_lock(mut f: impl FnMut(&Lock)) {
    f(&MAKING);
    for depot in DEPOTS.iter().map(|d| d.load(Acquire)) {
        if !depot.is_null() {
            // SAFETY: depots stay for ever.
            f(unsafe { &(*depot).lock });
        }
    }
}

/// The depot of class `c`, if there is one.
fn existing(c: Class) -> Option<&'static Depot> {
    // ORDERING: Acquire, pairs with Release in `make`.
    let depot = DEPOTS.get(c)?.load(Acquire);
    // SAFETY: depots stay for ever.
    unsafe { depot.as_ref() }
}

#[cold]
fn make(c: Class) -> Option<&'static Depot> {
    let _held = MAKING.take();
    if let Some(depot) = existing(c) {
        return Some(depot);
    }
    let (place, _) = pool::take(POOL)?;
    // SAFETY: the place is ours and large enough; all-zero is an empty depot.
    unsafe { place.as_ptr().write_bytes(0, size_of::<Depot>()) };
    // ORDERING: Release, pairs with Acquire in `existing`: the depot is made before it is seen.
    DEPOTS.get(c)?.store(place.as_ptr().cast(), Release);
    existing(c)
}

/// Moves free blocks of class `c` from the end of `blocks` to the depot; how many remain in front.
#[inline]
#[unsafe(link_section = ".text.unlikely.apart")]
pub fn put(c: Class, blocks: &[Block]) -> usize {
    let Some(depot) = existing(c).or_else(|| make(c)) else {
        return blocks.len();
    };
    let most = (BYTES / slab::size(c)).min(ROOM);
    let _held = depot.lock.take();
    let mut n = depot.count.load(Relaxed) as usize;
    let mut left = blocks.len();
    for (block, slot) in blocks
        .iter()
        .rev()
        .zip(depot.blocks.iter().take(most).skip(n))
    {
        slot.store(block.0, Relaxed);
        n += 1;
        left -= 1;
    }
    depot.count.store(n as u32, Relaxed);
    left
}

/// Fills `into` with blocks of class `c`; how many there were.
#[inline]
pub fn take(c: Class, into: &mut [Block]) -> usize {
    let Some(depot) = existing(c) else {
        return 0;
    };
    if depot.count.load(Relaxed) == 0 {
        return 0;
    }
    let _held = depot.lock.take();
    let have = depot.count.load(Relaxed) as usize;
    let mut n = 0;
    for (to, slot) in into.iter_mut().zip(depot.blocks.iter().take(have).rev()) {
        *to = Block(slot.load(Relaxed));
        n += 1;
    }
    depot.count.store((have - n) as u32, Relaxed);
    n
}
