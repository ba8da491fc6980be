//! What every failure does, out of the callers' way. `cpp::failed` has operator new's.

use aethalloc_sys::process;

use crate::os;

/// `malloc` and its relatives ran out of memory: null, `errno` = ENOMEM.
#[cold]
#[inline(never)]
pub extern "C" fn malloc_failed() -> *mut u8 {
    os::set_errno(os::ENOMEM);
    core::ptr::null_mut()
}

/// An argument is not allowed: null, `errno` = EINVAL.
#[cold]
#[inline(never)]
pub extern "C" fn invalid_argument() -> *mut u8 {
    os::set_errno(os::EINVAL);
    core::ptr::null_mut()
}

/// `p`, or ENOMEM and null.
#[inline(always)]
pub fn or_enomem(p: *mut u8) -> *mut u8 {
    if p.is_null() { malloc_failed() } else { p }
}

/// Writes one line to standard error and ends the process.
#[cold]
#[inline(never)]
pub fn die(line: &[u8]) -> ! {
    process::write(os::STDERR, line);
    process::abort()
}
