//! The operator new of the C++ runtime behind us: it calls our `malloc` again, runs the new-handler and throws.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::weak::{weak, weak_fn};

type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

const RTLD_DEFAULT: *mut c_void = core::ptr::null_mut();
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

/// One form of operator new and the next definition of it in the process.
pub struct Form {
    symbol: &'static CStr,
    next: AtomicPtr<c_void>,
}

impl Form {
    const fn new(symbol: &'static CStr) -> Self {
        Self {
            symbol,
            next: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Address of the next definition, null if none is known.
    pub fn next(&self) -> *const u8 {
        // ORDERING: Relaxed; the value is an address of code that the loader mapped, and nothing is published with it.
        self.next.load(Ordering::Relaxed).cast()
    }

    /// # Safety
    /// `handle` is one that dlsym takes.
    unsafe fn resolve(&self, dlsym: Dlsym, handle: *mut c_void) {
        // SAFETY: the symbol is a C string; the handle is the caller's promise.
        let found = unsafe { dlsym(handle, self.symbol.as_ptr()) };
        if !found.is_null() {
            // ORDERING: as in `next`.
            self.next.store(found, Ordering::Relaxed);
        }
    }
}

pub static PLAIN: Form = Form::new(c"_Znwm");
pub static NOTHROW: Form = Form::new(c"_ZnwmRKSt9nothrow_t");
pub static ALIGNED: Form = Form::new(c"_ZnwmSt11align_val_t");
pub static ALIGNED_NOTHROW: Form = Form::new(c"_ZnwmSt11align_val_tRKSt9nothrow_t");

static FORMS: [&Form; 4] = [&PLAIN, &NOTHROW, &ALIGNED, &ALIGNED_NOTHROW];

/// Finds the next operator new, once, from the constructor: dlsym allocates and locks.
pub fn resolve_cpp() {
    // Where nothing throws there is no other operator new, and each search for one would end in a formatted message.
    if weak!("__cxa_throw").is_null() {
        return;
    }
    // A fully static program has no dlsym, and no other operator new.
    if let Some(dlsym) = weak_fn!("dlsym" as Dlsym) {
        for form in FORMS {
            // SAFETY: RTLD_NEXT is a handle.
            unsafe { form.resolve(dlsym, RTLD_NEXT) };
        }
    }
}

/// Looks again, in a C++ runtime that came later as the private library of some `dlopen` (a C++ extension of Python):
/// RTLD_NEXT does not see it. Called only when operator new has failed and would otherwise end the process; the
/// dynamic linker's lock is one that throwing needs anyway.
#[cold]
pub fn resolve_late() {
    let Some(dlsym) = weak_fn!("dlsym" as Dlsym) else {
        return;
    };
    // Found by name: a weak reference to dlopen makes the linker warn about every fully static program.
    // SAFETY: RTLD_DEFAULT is a handle; dlopen has this type, and null is `None`.
    let dlopen = unsafe {
        core::mem::transmute::<*mut c_void, Option<Dlopen>>(dlsym(RTLD_DEFAULT, c"dlopen".as_ptr()))
    };
    let Some(dlopen) = dlopen else {
        return;
    };
    for runtime in [c"libstdc++.so.6", c"libc++.so.1"] {
        // SAFETY: a C string; NOLOAD runs no code of the library. It stays open, since we keep addresses in it.
        let handle = unsafe { dlopen(runtime.as_ptr(), RTLD_LAZY | RTLD_NOLOAD) };
        if !handle.is_null() {
            for form in FORMS {
                // SAFETY: dlopen gave the handle.
                unsafe { form.resolve(dlsym, handle) };
            }
            return;
        }
    }
}
