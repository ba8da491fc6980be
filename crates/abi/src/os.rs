//! What this crate needs of the system beside `aethalloc_sys`: `errno`, its numbers, the page size.

use core::ffi::c_int;

pub const ENOENT: c_int = 2;
pub const EPERM: c_int = 1;
pub const ENOMEM: c_int = 12;
pub const EFAULT: c_int = 14;
pub const EINVAL: c_int = 22;

/// File descriptor of standard error.
pub const STDERR: c_int = 2;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Sets the calling thread's `errno`.
pub fn set_errno(code: c_int) {
    // SAFETY: libc returns the address of the calling thread's errno, valid while the thread runs.
    unsafe { *__errno_location() = code }
}

/// Bytes in a page of the running kernel.
pub fn page_size() -> usize {
    aethalloc_core::space::ready();
    aethalloc_core::space::os_page()
}
