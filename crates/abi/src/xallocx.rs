//! jemalloc's non-standard functions. Flags as in `aethalloc.h`:
//!
//! ```text
//! 31        20 19         8 7 6 5      0
//! | arena + 1 | tcache + 2 |-|Z| lg align |      Z: MALLOCX_ZERO
//! ```
//! Arena and thread cache numbers are accepted and have no effect: one heap serves all threads.
//! What jemalloc leaves undefined is defined here: size 0 gives a unique block, null is nothing to free.

use core::ffi::c_int;

use aethalloc_core::front;

use crate::fail::or_enomem;
use crate::heap;

/// Every block has at least this alignment.
const MIN_ALIGN: usize = 16;

#[derive(Clone, Copy)]
struct Flags(c_int);

impl Flags {
    fn align(self) -> usize {
        1usize.wrapping_shl((self.0 & 0x3f) as u32)
    }

    fn zero(self) -> bool {
        self.0 & 0x40 != 0
    }
}

fn allocate(size: usize, flags: Flags) -> *mut u8 {
    let align = flags.align();
    if align <= MIN_ALIGN && !flags.zero() {
        return front::allocate(size);
    }
    if align <= MIN_ALIGN && size > aethalloc_base::class::SMALL_MAX {
        return front::allocate_zeroed(size);
    }
    let p = heap::aligned(align, size);
    if !p.is_null() && flags.zero() {
        // All of the block, so that a later rallocx in place finds zeroes behind `size`.
        // SAFETY: `p` is a fresh block of so many bytes.
        unsafe { p.write_bytes(0, front::usable_size(p)) };
    }
    p
}

/// `void *mallocx(size_t size, int flags)`
#[unsafe(no_mangle)]
pub extern "C" fn mallocx(size: usize, flags: c_int) -> *mut u8 {
    or_enomem(allocate(size, Flags(flags)))
}

/// `void *rallocx(void *ptr, size_t size, int flags)`
///
/// # Safety
/// `ptr` is null or a live object; after success nothing uses the old pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rallocx(ptr: *mut u8, size: usize, flags: c_int) -> *mut u8 {
    let flags = Flags(flags);
    if ptr.is_null() {
        return or_enomem(allocate(size, flags));
    }
    // SAFETY: the caller's promise, for all calls in this block.
    unsafe {
        let old = front::usable_size(ptr);
        let new = if flags.align() <= MIN_ALIGN {
            front::reallocate(ptr, size.max(1))
        } else {
            move_aligned(ptr, old, size.max(1), flags.align())
        };
        if new.is_null() {
            return or_enomem(new);
        }
        if flags.zero() {
            let grown = front::usable_size(new).saturating_sub(old);
            new.wrapping_add(old).write_bytes(0, grown);
        }
        new
    }
}

/// Resizes at an alignment above the natural one: in place if the block is the right one already, else by a copy.
///
/// # Safety
/// `ptr` is a live object of `old` usable bytes; after success nothing uses the old pointer.
unsafe fn move_aligned(ptr: *mut u8, old: usize, size: usize, align: usize) -> *mut u8 {
    let in_place = ptr.addr() & (align - 1) == 0 && size <= old;
    if in_place && front::good_size(size, align) == old {
        return ptr;
    }
    let new = heap::aligned(align, size);
    if !new.is_null() {
        // SAFETY: both blocks have that many bytes, and the new one is fresh; the caller's promise for the old one.
        unsafe {
            new.copy_from_nonoverlapping(ptr, old.min(size));
            front::deallocate(ptr);
        }
    }
    new
}

/// `size_t xallocx(void *ptr, size_t size, size_t extra, int flags)`: the size the block has, in place. Blocks do not
/// change their size in place, so a caller that gets less than it asked for takes its other way, as with jemalloc.
///
/// # Safety
/// `ptr` is a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xallocx(
    ptr: *mut u8,
    _size: usize,
    _extra: usize,
    _flags: c_int,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { front::usable_size(ptr) }
}

/// `size_t sallocx(const void *ptr, int flags)`: usable bytes.
///
/// # Safety
/// `ptr` is null or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sallocx(ptr: *const u8, _flags: c_int) -> usize {
    // SAFETY: the caller's promise.
    unsafe { front::usable_size(ptr) }
}

/// `void dallocx(void *ptr, int flags)`
///
/// # Safety
/// As `free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dallocx(ptr: *mut u8, _flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { front::deallocate(ptr) }
}

/// `void sdallocx(void *ptr, size_t size, int flags)`
///
/// # Safety
/// As `free`; `size` lies between what the object was asked with and its usable size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sdallocx(ptr: *mut u8, size: usize, _flags: c_int) {
    // SAFETY: the caller's promise.
    unsafe { front::deallocate_sized(ptr, size) }
}

/// `size_t nallocx(size_t size, int flags)`: what `sallocx` would say of `mallocx(size, flags)`; 0 if that must fail.
#[unsafe(no_mangle)]
pub extern "C" fn nallocx(size: usize, flags: c_int) -> usize {
    front::good_size(size, Flags(flags).align())
}
