//! `mallctl`, `mallctlnametomib`, `mallctlbymib`: jemalloc's control names, where this allocator has a true answer.
//!
//! [`names`] is the table of names; [`request`] checks lengths and directions; [`answer`] gives the values; [`epoch`]
//! holds the figures that `stats.*` reports. Anything else is ENOENT, so that a probe learns the truth.

mod answer;
mod epoch;
mod names;
mod request;

use core::ffi::{CStr, c_char, c_int, c_void};

use crate::os;
use names::{MAX_DEPTH, Path};
use request::Request;

/// `int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)`
///
/// # Safety
/// `name` is a C string; `oldp` has `*oldlenp` bytes and `newp` `newlen` bytes, or they are null.
#[unsafe(no_mangle)]
#[cold]
pub unsafe extern "C" fn mallctl(
    name: *const c_char,
    oldp: *mut c_void,
    oldlenp: *mut usize,
    newp: *mut c_void,
    newlen: usize,
) -> c_int {
    if name.is_null() {
        return os::EINVAL;
    }
    // SAFETY: the caller's promise.
    let (name, request) = unsafe {
        (
            CStr::from_ptr(name),
            Request::new(oldp, oldlenp, newp, newlen),
        )
    };
    match Path::from_name(name.to_bytes()) {
        Some(path) => answer::answer(&path, &request),
        None => os::ENOENT,
    }
}

/// `int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp)`: writes at most `*miblenp` components and
/// their number. A component that stood for a number in the name may be replaced; the others may not.
///
/// # Safety
/// `name` is a C string; `mibp` has `*miblenp` elements.
#[unsafe(no_mangle)]
#[cold]
pub unsafe extern "C" fn mallctlnametomib(
    name: *const c_char,
    mibp: *mut usize,
    miblenp: *mut usize,
) -> c_int {
    if name.is_null() || mibp.is_null() || miblenp.is_null() {
        return os::EINVAL;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    let Some(path) = Path::from_name(name.to_bytes()) else {
        return os::ENOENT;
    };
    let mut mib = [0; MAX_DEPTH];
    // SAFETY: the caller's promise; at most `*miblenp` elements are written.
    unsafe {
        let length = path.to_mib(&mut mib).min(*miblenp);
        mibp.copy_from_nonoverlapping(mib.as_ptr(), length);
        *miblenp = length;
    }
    0
}

/// `int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)`
///
/// # Safety
/// `mib` has `miblen` elements; the rest as [`mallctl`].
#[unsafe(no_mangle)]
#[cold]
pub unsafe extern "C" fn mallctlbymib(
    mib: *const usize,
    miblen: usize,
    oldp: *mut c_void,
    oldlenp: *mut usize,
    newp: *mut c_void,
    newlen: usize,
) -> c_int {
    if mib.is_null() {
        return os::EINVAL;
    }
    if miblen > MAX_DEPTH {
        return os::ENOENT;
    }
    // SAFETY: the caller's promise.
    let (mib, request) = unsafe {
        (
            core::slice::from_raw_parts(mib, miblen),
            Request::new(oldp, oldlenp, newp, newlen),
        )
    };
    match Path::from_mib(mib) {
        Some(path) => answer::answer(&path, &request),
        None => os::ENOENT,
    }
}
