#![doc = include_str!("../README.md")]
//!
//! # Inside
//! This crate is a face of `aethalloc-core`, as the C library is: [`Aethalloc`] maps [`Layout`]s to it, `life`
//! starts it before `main`, `options` is the safe interface to its settings. It holds no policy. Cost of an
//! allocation or a free of up to 1024 bytes: a few nanoseconds, inlined into the caller; everything else is a call.
#![no_std]

mod life;
mod options;

pub use aethalloc_core::stats::{ClassStats, Stats};
pub use options::{OptionInfo, SetOptionError, Value, options, set_option};

use aethalloc_base::class::SMALL_MAX;
use aethalloc_base::units::{GRANULE, PAGE, UNIT};
use aethalloc_core::{front, guard};
use core::alloc::{GlobalAlloc, Layout};

/// The allocator. It has no state of its own: every value stands for the one heap of the process.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;
///
/// let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
/// assert_eq!(squares[999], 998_001);
/// ```
///
/// When memory is out, its functions return null; Rust's collections then end the process (`handle_alloc_error`), and
/// `try_reserve` returns an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aethalloc;

// SAFETY: 1. `front` returns null or memory that nobody else has, of at least the size, at a multiple of 16 or of the
// alignment asked for; 2. no function here unwinds; 3. layouts are only read.
unsafe impl GlobalAlloc for Aethalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= GRANULE {
            front::allocate(layout.size())
        } else {
            front::allocate_aligned(layout.align(), layout.size())
        }
    }

    /// Double frees and addresses that are not the start of a block end the process with one line.
    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _: Layout) {
        // SAFETY: the caller's promise: a live object that ends here.
        unsafe { front::deallocate(ptr) }
    }

    /// Fresh large memory is zero already and is not written.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= GRANULE {
            front::allocate_zeroed(layout.size())
        } else {
            zeroed_at(layout)
        }
    }

    /// In place within the size class, or while the memory behind a large object is free; else objects of 1 MiB and
    /// more have their pages moved (option `remap`), smaller ones are copied.
    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= GRANULE {
            // SAFETY: the caller's promise: a live object of this allocator, a size that is not zero.
            unsafe { front::reallocate(ptr, new_size) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { resize_at(ptr, layout, new_size) }
        }
    }
}

/// Zeroed memory at more than 16 bytes' alignment.
#[cold]
fn zeroed_at(layout: Layout) -> *mut u8 {
    if layout.size() > SMALL_MAX || layout.align() > PAGE {
        return front::allocate_large(layout.size(), layout.align(), true);
    }
    let p = front::allocate_aligned(layout.align(), layout.size());
    if !p.is_null() {
        // SAFETY: the object has at least this size.
        unsafe { p.write_bytes(0, layout.size()) };
    }
    p
}

/// Resizes an object of more than 16 bytes' alignment and keeps the alignment.
///
/// # Safety
/// `ptr` is a live object of this allocator with `layout`; `new_size` is not zero.
#[cold]
unsafe fn resize_at(ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    // Every large object begins at a unit, wherever the core moves it; under `safety:guard` at a page, some of them.
    let kept = if guard::is_sampling() { PAGE } else { UNIT };
    if new_size > SMALL_MAX && layout.align() <= kept {
        // SAFETY: the caller's promise.
        return unsafe { front::reallocate(ptr, new_size) };
    }
    // SAFETY: the caller's promise.
    let room = unsafe { front::usable_size(ptr) };
    if new_size <= room && new_size > room / 2 {
        return ptr;
    }
    let new = front::allocate_aligned(layout.align(), new_size);
    if !new.is_null() {
        // SAFETY: two live objects of at least so many bytes; the old one ends here.
        unsafe {
            core::ptr::copy_nonoverlapping(ptr, new, layout.size().min(new_size));
            front::deallocate(ptr);
        }
    }
    new
}

/// Gives back to the system, now, all memory that no object needs; returns the bytes given back.
///
/// The calling thread lets go of everything it has reserved; other threads keep their reservations (they
/// are small by rule), but not the empty pages around them. Objects keep their contents and addresses. Costs 0.6 to 3 us per 4 KiB given back, and the page faults of
/// what is needed again: for moments at which a program turns idle, not for steady use.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;
/// let keep = vec![7u8; 100];
/// drop(vec![1u8; 1 << 20]);
/// let bytes = aethalloc::purge();
/// assert!(bytes >= 1 << 20);
/// assert!(keep.iter().all(|b| *b == 7));
/// ```
pub fn purge() -> usize {
    front::purge()
}

/// What the heap holds, now: one view while other threads go on, not a consistent cut. All zero before the first
/// allocation.
///
/// Costs a walk over the page map and the threads' caches: microseconds per GiB of heap and thread.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;
/// let before = aethalloc::stats().allocated_large;
/// let big = vec![1u8; 1 << 20];
/// assert_eq!(aethalloc::stats().allocated_large - before, 1 << 20);
/// # drop(big);
/// ```
pub fn stats() -> Stats {
    aethalloc_core::stats::snapshot()
}

/// The figures of each size class, smallest first. Costs a walk over the page map per class in use.
pub fn class_stats() -> impl Iterator<Item = ClassStats> {
    (0..).map_while(aethalloc_core::stats::class)
}
