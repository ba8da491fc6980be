//! The C and C++ face of Aethalloc: `libaethalloc.so` and `libaethalloc.a`.
//!
//! Job: give the core (`aethalloc_core::front`, `::stats`) the names, the argument rules and the error reports that C,
//! C++ and jemalloc-aware programs expect. Callers: any program. It holds no allocation policy.
//!
//! ```text
//! hot      malloc free, plain operator new, operator delete      <- the only hot code here
//! heap     the other libc functions: calloc realloc memalign ... malloc_usable_size malloc_trim
//! fail     what every failure does: errno, one line, abort
//! cpp/     operator new and delete, and how a failing new throws without libstdc++ being linked
//! xallocx  mallocx rallocx xallocx sallocx dallocx sdallocx nallocx
//! ctl/     mallctl mallctlnametomib mallctlbymib
//! report/  malloc_stats malloc_info mallinfo mallinfo2 mallopt
//! cold     what keeps rarely used code out of small programs' memory
//! life     constructor and destructor of the library
//! foreign  who else hands out memory here
//! deepbind one `free` also for libraries opened with RTLD_DEEPBIND
//! os       errno, page size
//! weak     weak references to symbols that may be absent
//! ```
//!
//! Three rules hold in every file:
//! 1. No exported function is called from inside: in a program another library's may stand in front of it.
//! 2. Nothing here panics, indexes a slice or formats: `core::fmt` is not in the library.
//! 3. No frame of ours that the compiler made is on the stack while a C++ exception passes.
//!
//! Every exported name stands in `exports.txt`, sorted; `nm -D --defined-only` shows exactly these.
#![cfg_attr(not(test), no_std)]

mod cold;
mod cpp;
mod ctl;
mod deepbind;
mod fail;
mod foreign;
mod heap;
mod hot;
mod life;
mod os;
mod report;
mod weak;
mod xallocx;

#[link(name = "c")]
unsafe extern "C" {}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail::die(b"aethalloc: internal error: a check inside the allocator failed\n")
}
