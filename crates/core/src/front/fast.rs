//! The fast paths in Rust: what the Rust face and targets other than x86_64 run. The C face of x86_64 has the same
//! steps as instructions; tests compare the two.
//!
//! Cost target: malloc 14 instructions, 5 loads, 1 store; free 28 instructions, 7 loads, 3 stores, one exit each.

use super::small::{allocate_slow, deallocate_slow};
use crate::space::{FAST_BASE, WIDE_MAP, WIDE_UNITS};
use crate::span::slab::FREE;
use crate::sync::Ordering::*;
use crate::thread::tls::tls;
use aethalloc_base::class::FAST_CLASS;
use aethalloc_base::units::{UNIT, UNIT_SHIFT};

/// `malloc`: a block of at least `size` bytes, 16-byte aligned (`size` 0: a unique block); null when memory is out.
#[inline]
pub fn allocate(size: usize) -> *mut u8 {
    allocate_or(size, allocate_slow)
}

/// As [`allocate`], with the slow path to leave by.
#[inline]
pub fn allocate_or(size: usize, slow: extern "C" fn(usize) -> *mut u8) -> *mut u8 {
    let t = tls();
    let n = size.wrapping_sub(1);
    if n < t.limit() {
        // SAFETY: limit is 0 or FAST_MAX, so n / 16 is inside the table.
        let c = unsafe { *FAST_CLASS.get_unchecked(n >> 4) } as usize;
        let top = t.top(c);
        // SAFETY: a top is the number of a slot of a window, or of a zero word.
        let p = unsafe { crate::space::pointer(top * 8).cast::<usize>().read() };
        if p != 0 {
            t.set_top(c, top - 1);
            return crate::space::pointer(p);
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
    let t = tls();
    let c = e as usize & 0xff;
    // SAFETY: class bytes are below FAST_COUNT.
    if e as u32 != t.tag(c) {
        return deallocate_slow(ptr);
    }
    // SAFETY: the table of reciprocals begins at the base.
    let r = unsafe { crate::space::pointer(base + c * 4).cast::<u32>().read() };
    let x = (p & (UNIT - 1)) as u64 * r as u64;
    if x as u32 >= r {
        return deallocate_slow(ptr);
    }
    let state = base + (e >> 32) as usize * 8 + (x >> 32) as usize;
    // SAFETY: the entry leads to the state bytes of the slab, one for each block.
    let state = unsafe { &*crate::space::pointer(state).cast::<crate::sync::AtomicU8>() };
    let head = t.head(c) - 1;
    if head & 255 == 0 || state.load(Relaxed) > head as u8 {
        return deallocate_suspect(ptr);
    }
    // SAFETY: the slot below a top that is not full belongs to the magazine.
    unsafe { crate::space::pointer(head * 8).cast::<usize>().write(p) };
    state.store(head as u8, Relaxed);
    t.set_head(c, head);
}

/// A block of a slab that this thread may cache, whose magazine is full or whose state byte names a slot in use: mostly
/// a stale byte of an earlier life, told by one more load.
#[cold]
#[inline(never)]
pub extern "C" fn deallocate_suspect(ptr: *mut u8) {
    let p = ptr.addr();
    let base = FAST_BASE.load(Relaxed);
    let unit = p.wrapping_sub(base) >> UNIT_SHIFT;
    let t = tls();
    // SAFETY: the caller, `deallocate` or its twin in instructions, went the same way and found a slab's block.
    let (c, state) = unsafe {
        let e = crate::space::pointer(base - WIDE_MAP + unit * 8)
            .cast::<u64>()
            .read_volatile();
        let c = e as usize & 0xff;
        let r = crate::space::pointer(base + c * 4).cast::<u32>().read();
        let i = (((p & (UNIT - 1)) as u64 * r as u64) >> 32) as usize;
        let state = base + (e >> 32) as usize * 8 + i;
        (
            c,
            &*crate::space::pointer(state).cast::<crate::sync::AtomicU8>(),
        )
    };
    let (head, was) = (t.head(c) - 1, state.load(Relaxed));
    if head & 255 == 0 || was == FREE {
        return deallocate_slow(ptr);
    }
    // Either window may hold it in the slot that the byte names; the slow path looks closer.
    let slot = |number: usize| {
        // SAFETY: some slot of a window of a hot class.
        unsafe {
            crate::space::pointer((number & !255 | was as usize) * 8)
                .cast::<usize>()
                .read()
        }
    };
    if slot(head) == p || slot(t.top(c)) == p {
        return deallocate_slow(ptr);
    }
    // SAFETY: the slot below a top that is not full belongs to the magazine.
    unsafe { crate::space::pointer(head * 8).cast::<usize>().write(p) };
    state.store(head as u8, Relaxed);
    t.set_head(c, head);
}
