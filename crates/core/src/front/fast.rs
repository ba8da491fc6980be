//! The fast paths in Rust: what the Rust face and targets other than x86_64 run. The C face of x86_64 has the same
//! steps as instructions; tests compare the two.
//!
//! Cost target: malloc 21 instructions, 8 loads, 4 stores; free 24 instructions, 7 loads, 2 stores; no call, no locked
//! instruction.

use super::small::{allocate_slow, deallocate_slow};
use super::{reallocate_slow, usable_size_slow};
use crate::space::{FAST_BASE, SIZES_AT, WIDE_MAP, WIDE_UNITS};
use crate::span::slab::{FREE, OUT};
use crate::sync::{AtomicU8, Ordering::*};
use crate::thread::bins::{self, Bin};
use crate::thread::stock::take_stock;
use crate::thread::tls::tls;
use aethalloc_base::class::SMALL_MAX;
use aethalloc_base::units::{GRANULE, UNIT, UNIT_SHIFT};
use core::ptr::null_mut;
use core::sync::atomic::compiler_fence;

/// `malloc`: a block of at least `size` bytes, 16-byte aligned (`size` 0: a unique block); null when memory is out.
#[inline]
pub fn allocate(size: usize) -> *mut u8 {
    allocate_or(size, allocate_slow)
}

/// As [`allocate`], with the slow path to leave by.
#[inline]
pub fn allocate_or(size: usize, slow: extern "C" fn(usize) -> *mut u8) -> *mut u8 {
    let n = size.wrapping_sub(1);
    if n < SMALL_MAX {
        let t = tls();
        let all = t.bins();
        // SAFETY: n / 16 is inside the table, what it says inside the thread's bins.
        let bin = unsafe {
            let at = *bins::bin_of().get_unchecked(n >> 4) as usize;
            all.cast::<u8>().add(at).cast::<Bin>()
        };
        // A signal handler that comes in between finds the empty set: see `thread::inside`.
        t.set_bins(bins::none());
        compiler_fence(SeqCst);
        // SAFETY: a bin of the thread's, or one of the empty set, which is not written below.
        let p = unsafe {
            if (*bin).bits != 0 {
                bins::take(&mut *bin)
            } else {
                null_mut()
            }
        };
        compiler_fence(SeqCst);
        t.set_bins(all);
        if !p.is_null() {
            return p;
        }
    }
    slow(size)
}

/// A block of a plain slab that is out, as the page map tells of it.
struct Block {
    base: usize,
    class: usize,
    state: &'static AtomicU8,
}

impl Block {
    /// The one that begins at `p`; `None`: it has to be looked at slowly.
    #[inline(always)]
    fn at(p: usize) -> Option<Block> {
        // ORDERING: Acquire, pairs with Release in `space::make_wide`.
        let base = FAST_BASE.load(Acquire);
        let unit = p.wrapping_sub(base) >> UNIT_SHIFT;
        if unit >= WIDE_UNITS {
            return None;
        }
        // SAFETY: a base that some pointer lies above is a wide space's: the map of WIDE_UNITS words ends there. Published
        // by Release; the address dependency orders what the entry leads to.
        let e = unsafe {
            crate::space::pointer(base - WIDE_MAP + unit * 8)
                .cast::<u64>()
                .read_volatile()
        };
        let class = e as usize & 0xff;
        // SAFETY: the table of reciprocals begins at the base; class bytes are below its length. That of class 0 is 0.
        let r = unsafe { crate::space::pointer(base + class * 4).cast::<u32>().read() };
        let x = (p & (UNIT - 1)) as u64 * r as u64;
        if x as u32 >= r {
            return None;
        }
        let state = base + (e >> 32) as usize * 8 + (x >> 32) as usize;
        // SAFETY: the entry leads to the state bytes of the unit, one for each block and its tail.
        let state = unsafe { &*crate::space::pointer(state).cast::<AtomicU8>() };
        if state.load(Relaxed) != OUT {
            return None;
        }
        Some(Block { base, class, state })
    }

    /// Size of its class.
    #[inline(always)]
    fn size(&self) -> u32 {
        // SAFETY: the table of sizes lies beside that of the reciprocals.
        unsafe {
            crate::space::pointer(self.base + SIZES_AT + self.class * 4)
                .cast::<u32>()
                .read()
        }
    }

    /// It is free from now on; `ptr`: where it begins.
    #[inline(always)]
    fn end(self, ptr: *mut u8) {
        // ORDERING: Release, pairs with Acquire where free blocks are looked for: the last use comes before the next.
        self.state.store(FREE, Release);
        let t = tls();
        let left = t.budget().wrapping_sub(self.size() as i32);
        t.set_budget(left);
        if left < 0 {
            take_stock(ptr);
        }
    }
}

/// `free`: null is allowed.
///
/// # Safety
/// Nothing uses the object afterwards.
#[inline]
pub unsafe fn deallocate(ptr: *mut u8) {
    match Block::at(ptr.addr()) {
        Some(block) => block.end(ptr),
        None => deallocate_slow(ptr),
    }
}

/// `malloc_usable_size`: bytes usable at `ptr` (null: 0). Servers that count their memory ask with every object. Cost target: 24
/// instructions, 5 loads.
///
/// # Safety
/// `ptr` is null or a live object.
#[inline(always)]
pub unsafe fn usable_size(ptr: *const u8) -> usize {
    match Block::at(ptr.addr()) {
        Some(block) => block.size() as usize,
        // SAFETY: the caller's promise.
        None => unsafe { usable_size_slow(ptr) },
    }
}

/// Resizes `ptr` (non-null, live) to `size` (> 0) bytes; null leaves the old object as it was.
///
/// A block stays where it is as long as its class holds the size and half of it is used. Cost, with the call from the C face:
/// about 50 instructions in place, 130 where it moves (copy of a few granules, `malloc` and `free` among them); the page map is
/// looked at once.
///
/// # Safety
/// `ptr` is a live object of some allocator of this process.
#[inline(never)]
pub unsafe fn reallocate(ptr: *mut u8, size: usize) -> *mut u8 {
    let Some(block) = Block::at(ptr.addr()) else {
        // SAFETY: the caller's promise.
        return unsafe { reallocate_slow(ptr, size) };
    };
    let old = block.size() as usize;
    // Up to 8 bytes are as much as 9 are: both have the smallest class.
    if size <= old && size.max(9) > old / 2 {
        return ptr;
    }
    // SAFETY: the caller's promise.
    unsafe { move_block(ptr, block, old, size) }
}

/// The contents of `block`, which begins at `ptr` and has `old` bytes, in another one of `size` bytes; null leaves it as it was.
///
/// # Safety
/// As [`reallocate`].
#[inline(never)]
unsafe fn move_block(ptr: *mut u8, block: Block, old: usize, size: usize) -> *mut u8 {
    let new = allocate(size);
    if !new.is_null() {
        // SAFETY: two blocks of at least so many bytes, of which the new one is nobody else's.
        unsafe { copy(ptr, new, old.min(size)) };
        block.end(ptr);
    }
    new
}

/// Copies `bytes` bytes.
///
/// # Safety
/// Both are objects of at least so many bytes, other ones.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    /// A call of `memcpy` costs as much as eight granules.
    const FEW: usize = 8 * GRANULE;
    // What shrinks may be any number, and what it goes to a sampled object of exactly so many bytes.
    if bytes > FEW || !bytes.is_multiple_of(GRANULE) {
        // SAFETY: the caller's promise.
        return unsafe { to.copy_from_nonoverlapping(from, bytes) };
    }
    let mut at = 0;
    while at < bytes {
        // SAFETY: the caller's promise.
        unsafe { to.add(at).copy_from_nonoverlapping(from.add(at), GRANULE) };
        at += GRANULE;
    }
}
