//! The fast paths in Rust: what the Rust face and targets other than x86_64 run. The C face of x86_64 has the same
//! steps as instructions; tests compare the two.
//!
//! Cost target: malloc 21 instructions, 8 loads, 4 stores; free 24 instructions, 7 loads, 2 stores; no call, no locked
//! instruction.

use super::small::{allocate_slow, deallocate_slow};
use crate::space::{FAST_BASE, SIZES_AT, WIDE_MAP, WIDE_UNITS};
use crate::span::slab::{FREE, OUT};
use crate::sync::{AtomicU8, Ordering::*};
use crate::thread::bins::{self, Bin};
use crate::thread::stock::take_stock;
use crate::thread::tls::tls;
use aethalloc_base::class::SMALL_MAX;
use aethalloc_base::units::{UNIT, UNIT_SHIFT};
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

/// `free`: null is allowed.
///
/// # Safety
/// Nothing uses the object afterwards.
#[inline]
pub unsafe fn deallocate(ptr: *mut u8) {
    let p = ptr.addr();
    // ORDERING: Acquire, pairs with Release in `space::make_wide`.
    let base = FAST_BASE.load(Acquire);
    let unit = p.wrapping_sub(base) >> UNIT_SHIFT;
    if unit >= WIDE_UNITS {
        return deallocate_slow(ptr);
    }
    // SAFETY: a base that some pointer lies above is a wide space's: the map of WIDE_UNITS words ends there. Published
    // by Release; the address dependency orders what the entry leads to.
    let e = unsafe {
        crate::space::pointer(base - WIDE_MAP + unit * 8)
            .cast::<u64>()
            .read_volatile()
    };
    let c = e as usize & 0xff;
    // SAFETY: the table of reciprocals begins at the base; class bytes are below its length. That of class 0 is 0.
    let r = unsafe { crate::space::pointer(base + c * 4).cast::<u32>().read() };
    let x = (p & (UNIT - 1)) as u64 * r as u64;
    if x as u32 >= r {
        return deallocate_slow(ptr);
    }
    let state = base + (e >> 32) as usize * 8 + (x >> 32) as usize;
    // SAFETY: the entry leads to the state bytes of the unit, one for each block and its tail.
    let state = unsafe { &*crate::space::pointer(state).cast::<AtomicU8>() };
    if state.load(Relaxed) != OUT {
        return deallocate_slow(ptr);
    }
    // ORDERING: Release, pairs with Acquire where free blocks are looked for: the last use comes before the next.
    state.store(FREE, Release);
    // SAFETY: the table of sizes lies beside that of the reciprocals.
    let size = unsafe {
        crate::space::pointer(base + SIZES_AT + c * 4)
            .cast::<i32>()
            .read()
    };
    let t = tls();
    let left = t.budget().wrapping_sub(size);
    t.set_budget(left);
    if left < 0 {
        take_stock(ptr);
    }
}
