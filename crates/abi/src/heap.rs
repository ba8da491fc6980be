//! The functions of libc's heap beside `malloc` and `free`, with the argument rules of C23, POSIX and glibc.

use core::ffi::c_int;

use aethalloc_core::front;

use crate::deepbind;
use crate::fail::{invalid_argument, malloc_failed, or_enomem};
use crate::os;

/// No object may be larger (pointer differences inside it must fit `ptrdiff_t`).
pub const MAX_OBJECT: usize = isize::MAX as usize;

/// `void *calloc(size_t count, size_t size)`
///
/// Naked to see who calls: `deepbind` wants to know when the loader opens a library.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rdx, qword ptr [rsp]", "jmp {}", sym calloc_for);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x2, x30", "b {}", sym calloc_for);
}

/// `calloc` called from the code at `caller`.
extern "C" fn calloc_for(count: usize, size: usize, caller: usize) -> *mut u8 {
    let Some(bytes) = count.checked_mul(size) else {
        return malloc_failed();
    };
    if bytes > deepbind::DESCRIPTOR && deepbind::is_loader(caller) {
        deepbind::library_opens();
    }
    or_enomem(front::allocate_zeroed(bytes))
}

/// `realloc` with glibc's answer to size 0: the object is freed, the result is null.
///
/// # Safety
/// `ptr` is null or a live object; after success nothing uses the old pointer.
#[inline(always)]
unsafe fn resize(ptr: *mut u8, size: usize) -> *mut u8 {
    if ptr.is_null() {
        return or_enomem(front::allocate(size));
    }
    if size == 0 {
        // SAFETY: the caller's promise.
        unsafe { front::deallocate(ptr) };
        return core::ptr::null_mut();
    }
    // SAFETY: the caller's promise; neither argument is zero.
    or_enomem(unsafe { front::reallocate(ptr, size) })
}

/// `void *realloc(void *ptr, size_t size)`
///
/// # Safety
/// `ptr` is null or a live object; after success nothing uses the old pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(ptr: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { resize(ptr, size) }
}

/// `void *reallocarray(void *ptr, size_t count, size_t size)`
///
/// # Safety
/// As [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(ptr: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { resize(ptr, bytes) },
        None => malloc_failed(),
    }
}

/// A block at a multiple of `align`, a power of two; null when `size` or `align` is more than an object can have.
pub fn aligned(align: usize, size: usize) -> *mut u8 {
    if size > MAX_OBJECT || align > MAX_OBJECT {
        return core::ptr::null_mut();
    }
    front::allocate_aligned(align, size)
}

/// `void *aligned_alloc(size_t alignment, size_t size)`: as C17 and glibc since 2.38, an alignment that is not a power
/// of two is EINVAL. `size` need not be a multiple of it.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut u8 {
    if !alignment.is_power_of_two() {
        return invalid_argument();
    }
    or_enomem(aligned(alignment, size))
}

/// `void *memalign(size_t alignment, size_t size)`: as glibc, an alignment is rounded up to a power of two; one that
/// cannot be is EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(alignment: usize, size: usize) -> *mut u8 {
    match alignment.checked_next_power_of_two() {
        Some(alignment) => or_enomem(aligned(alignment, size)),
        None => invalid_argument(),
    }
}

/// `int posix_memalign(void **memptr, size_t alignment, size_t size)`: the error is the result, not `errno`, and
/// `*memptr` is written only on success.
///
/// # Safety
/// `memptr` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    memptr: *mut *mut u8,
    alignment: usize,
    size: usize,
) -> c_int {
    if !alignment.is_power_of_two() || alignment < size_of::<*mut u8>() {
        return os::EINVAL;
    }
    let p = aligned(alignment, size);
    if p.is_null() {
        return os::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *memptr = p };
    0
}

/// `void *valloc(size_t size)`: at a page boundary.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut u8 {
    or_enomem(aligned(os::page_size(), size))
}

/// `void *pvalloc(size_t size)`: whole pages at a page boundary, at least one.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut u8 {
    let page = os::page_size();
    match size.max(1).checked_next_multiple_of(page) {
        Some(bytes) => or_enomem(aligned(page, bytes)),
        None => malloc_failed(),
    }
}

/// `size_t malloc_usable_size(void *ptr)`
///
/// # Safety
/// `ptr` is null or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(ptr: *const u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { front::usable_size(ptr) }
}

/// `int malloc_trim(size_t pad)`: 1 if memory went back to the system. There is no heap top, so `pad` says nothing.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(front::purge() > 0)
}
