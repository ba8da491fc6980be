//! The library's constructor and destructor. Allocation works before the first and after the second.

use crate::cpp;

// SAFETY: the section holds pointers to functions of this type, called once each at load.
#[used]
#[unsafe(link_section = ".init_array")]
static CTOR: extern "C" fn() = ctor;

// SAFETY: the section holds pointers to functions of this type, called once each at exit.
#[used]
#[unsafe(link_section = ".fini_array")]
static DTOR: extern "C" fn() = dtor;

/// Runs once, when the loader has mapped every library the program starts with.
extern "C" fn ctor() {
    cpp::resolve_cpp();
}

/// Runs once at `exit`. Other destructors may run after it and still allocate and free, so it tears nothing down.
extern "C" fn dtor() {}
