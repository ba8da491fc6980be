//! Where a failing operator new goes on. Each route gets the size and answers with the address of code that takes the
//! arguments of the form.
//!
//! In this order:
//! 1. **The next definition** of the same form (libstdc++'s or libc++'s, behind our shared library): it calls our
//!    `malloc` again, runs the new-handler, throws. The nothrow forms catch what the handler throws.
//! 2. **Weak references** to the C++ runtime (static library): [`retry`] runs the handler in a loop and throws by the
//!    runtime's own function. The nothrow forms catch whatever the handler throws and give null, as the standard says.
//! 3. **A runtime that was loaded later**, privately: found by name, then as 1.
//! 4. Nothing can throw: a throwing form runs the handler if there is one, then ends the process with one line; a
//!    nothrow form gives null.

use core::ffi::c_void;

use super::next::{self, Form};
use super::{allocate_aligned, retry};
use crate::fail;
use crate::heap::MAX_OBJECT;
use crate::weak::{weak, weak_fn};

/// A new-handler.
pub type Handler = unsafe extern "C" fn();

/// operator new(size)
pub extern "C" fn plain(_size: usize) -> *const u8 {
    throwing(&next::PLAIN, retry::throwing as *const u8)
}

/// operator new(size, align)
pub extern "C" fn aligned(size: usize) -> *const u8 {
    // libstdc++ 12 rounds the size up without a check and serves the small rest. Where no request can be met, its
    // plain form throws as well.
    let form = if size > MAX_OBJECT {
        &next::PLAIN
    } else {
        &next::ALIGNED
    };
    throwing(form, retry::throwing_aligned as *const u8)
}

/// operator new(size, nothrow)
pub extern "C" fn nothrow(_size: usize) -> *const u8 {
    catching(
        &next::NOTHROW,
        retry::catching as *const u8,
        quiet as *const u8,
    )
}

/// operator new(size, align, nothrow)
pub extern "C" fn aligned_nothrow(size: usize) -> *const u8 {
    // As in `aligned`. The form called with an alignment in place of the nothrow tag does not look at it.
    let form = if size > MAX_OBJECT {
        &next::NOTHROW
    } else {
        &next::ALIGNED_NOTHROW
    };
    catching(
        form,
        retry::catching_aligned as *const u8,
        quiet_aligned as *const u8,
    )
}

#[cold]
fn throwing(form: &Form, retry: *const u8) -> *const u8 {
    if !form.next().is_null() {
        return form.next();
    }
    if thrower().is_null() {
        next::resolve_late();
        if !form.next().is_null() {
            return form.next();
        }
    }
    retry
}

#[cold]
fn catching(form: &Form, retry: *const u8, quiet: *const u8) -> *const u8 {
    if !form.next().is_null() {
        return form.next();
    }
    if !thrower().is_null() && can_catch() {
        return retry;
    }
    next::resolve_late();
    if !form.next().is_null() {
        return form.next();
    }
    quiet
}

/// The installed new-handler, if the C++ runtime is linked and has one.
pub extern "C" fn handler() -> Option<Handler> {
    type Get = unsafe extern "C" fn() -> Option<Handler>;
    let get = weak_fn!("_ZSt15get_new_handlerv" as Get)?;
    // SAFETY: std::get_new_handler has no preconditions.
    unsafe { get() }
}

/// Address of a function that throws std::bad_alloc, null if none is linked.
fn thrower() -> *const u8 {
    // libstdc++, then libc++.
    let throw = weak!("_ZSt17__throw_bad_allocv");
    if !throw.is_null() {
        return throw;
    }
    let throw = weak!("_ZNSt3__117__throw_bad_allocEv");
    if !throw.is_null() {
        return throw;
    }
    // A static program that only catches std::bad_alloc has the parts, not the function.
    let parts = [
        weak!("__cxa_allocate_exception"),
        weak!("__cxa_throw"),
        weak!("_ZTISt9bad_alloc"),
        weak!("_ZTVSt9bad_alloc"),
        weak!("_ZNSt9bad_allocD1Ev"),
    ];
    if parts.iter().any(|part| part.is_null()) {
        return core::ptr::null();
    }
    retry::throw_bad_alloc as *const u8
}

/// Where to go when no handler is left.
pub extern "C" fn give_up() -> *const u8 {
    let throw = thrower();
    if throw.is_null() {
        no_runtime as *const u8
    } else {
        throw
    }
}

/// A new std::bad_alloc, for [`retry::throw_bad_alloc`]: an object of one word, the address of its virtual functions.
pub extern "C" fn make_bad_alloc() -> *mut c_void {
    type Allocate = unsafe extern "C" fn(usize) -> *mut c_void;
    /// Words before the first virtual function: offset to top, type information.
    const VTABLE_HEAD: usize = 2;
    let Some(allocate) = weak_fn!("__cxa_allocate_exception" as Allocate) else {
        no_runtime()
    };
    let vtable = weak!("_ZTVSt9bad_alloc").cast::<*const u8>();
    // SAFETY: `thrower` saw all parts. The function gives writable memory or ends the process (the C++ ABI).
    unsafe {
        let exception = allocate(size_of::<*const u8>());
        exception
            .cast::<*const *const u8>()
            .write(vtable.wrapping_add(VTABLE_HEAD));
        exception
    }
}

/// Whether an exception can be caught by us.
fn can_catch() -> bool {
    let parts = [
        weak!("__gxx_personality_v0"),
        weak!("__cxa_begin_catch"),
        weak!("__cxa_end_catch"),
    ];
    parts.iter().all(|part| !part.is_null())
}

/// The retry loop where nothing can throw, so that no handler can either.
extern "C" fn quiet_aligned(size: usize, align: usize) -> *mut u8 {
    while let Some(handler) = handler() {
        // SAFETY: a function that the program installed to be called here.
        unsafe { handler() };
        let p = allocate_aligned(size, align);
        if !p.is_null() {
            return p;
        }
    }
    core::ptr::null_mut()
}

extern "C" fn quiet(size: usize) -> *mut u8 {
    quiet_aligned(size, retry::PLAIN_ALIGN)
}

extern "C" fn no_runtime() -> ! {
    fail::die(
        b"aethalloc: operator new: out of memory, and no C++ runtime is linked that could throw\n",
    )
}
