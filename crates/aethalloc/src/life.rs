//! Before `main` and after it. Allocation works before the first and after the second.

#[link(name = "c")]
unsafe extern "C" {
    /// The C library's list of the environment.
    static environ: *const *const u8;
}

// SAFETY: the section holds pointers to functions of this type (further arguments are ignored), called once each before
// `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

// SAFETY: the section holds pointers to functions of this type, called once each at exit.
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

extern "C" fn begin() {
    // What Rust frees it got from here, also before this call: nothing belongs to another allocator.
    aethalloc_core::foreign::rule_out();
    // SAFETY: the environment was set up before constructors run; its strings stay.
    unsafe { aethalloc_core::life::start(environ) };
}

extern "C" fn end() {
    aethalloc_core::life::end();
}
