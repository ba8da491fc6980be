//! The allocation interface that every face (C, C++, Rust) calls.
//!
//! No function here touches `errno`; null means out of memory.

/// `malloc`: a block of at least `size` bytes, 16-byte aligned (`size` 0: a unique block).
pub fn allocate(_size: usize) -> *mut u8 {
    core::ptr::null_mut()
}
/// As [`allocate`], every byte zero.
pub fn allocate_zeroed(_size: usize) -> *mut u8 {
    core::ptr::null_mut()
}
/// As [`allocate`], at a multiple of `align` (a power of two).
pub fn allocate_aligned(_align: usize, _size: usize) -> *mut u8 {
    core::ptr::null_mut()
}
/// Resizes `ptr` (non-null, live) to `size` (> 0) bytes; null leaves the old object as it was.
///
/// # Safety
/// `ptr` is a live object of some allocator of this process.
pub unsafe fn reallocate(_ptr: *mut u8, _size: usize) -> *mut u8 {
    core::ptr::null_mut()
}
/// `free`: null is allowed.
///
/// # Safety
/// Nothing uses the object afterwards.
pub unsafe fn deallocate(_ptr: *mut u8) {}
/// `free` by a caller that knows the size it asked for. Ignored by default, fatal when wrong in `hardened`.
///
/// # Safety
/// As [`deallocate`].
pub unsafe fn deallocate_sized(_ptr: *mut u8, _size: usize) {}
/// Bytes usable at `ptr` (null: 0).
///
/// # Safety
/// `ptr` is null or a live object.
pub unsafe fn usable_size(_ptr: *const u8) -> usize {
    0
}
/// The size that a request of `size` bytes at `align` really gets (`nallocx`); 0 if it cannot be served.
pub fn good_size(_size: usize, _align: usize) -> usize {
    0
}
/// Gives back to the system, now, all memory that no object needs. Returns the bytes given back.
pub fn purge() -> usize {
    0
}
