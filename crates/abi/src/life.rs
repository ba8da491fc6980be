//! The library's constructor and destructor. Allocation works before the first and after the second.

use crate::{cold, cpp, foreign};
use core::ffi::c_int;

/// What the loader calls at load: glibc passes the program's arguments and environment, others may pass nothing.
type Constructor = extern "C" fn(c_int, *const *const u8, *const *const u8);

// SAFETY: the section holds pointers to functions of this type, called once each at load.
#[used]
#[unsafe(link_section = ".init_array")]
static CTOR: Constructor = ctor;

// SAFETY: the section holds pointers to functions of this type, called once each at exit.
#[used]
#[unsafe(link_section = ".fini_array")]
static DTOR: extern "C" fn() = dtor;

/// Runs once, when the loader has mapped every library the program starts with.
extern "C" fn ctor(_argc: c_int, _argv: *const *const u8, _environment: *const *const u8) {
    unsafe extern "C" {
        static environ: *const *const u8;
    }
    // SAFETY: the C library's list of the environment, set before constructors run; its strings stay.
    unsafe { aethalloc_core::life::start(environ) };
    cold::set_apart();
    cpp::resolve_cpp();
    foreign::resolve();
}

/// Runs once at `exit`. Other destructors may run after it and still allocate and free, so it tears nothing down.
extern "C" fn dtor() {
    aethalloc_core::life::end();
}
