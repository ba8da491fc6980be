//! Cold code apart from the rest: misuse lines, safety modes, reports.
//!
//! The linker gathers `#[cold]` functions in `.text.unlikely` behind the rest (see `build.rs`). A page fault in a file maps
//! up to 15 present neighbours of the page as well, so a small program would have all of them in its resident size. The
//! kernel does so within one mapping only: advice that differs makes the cold pages one of their own. Cost: two system
//! calls at load, 1-2 us. A breakpoint that a debugger put into cold code before the library's constructor ran goes with the
//! pages; it is back after the debugger's next stop.

use aethalloc_base::units::PAGE;
use aethalloc_sys::memory;
use core::arch::global_asm;

// The first thing in the section: the compiler puts assembly before its own functions.
global_asm!(
    ".pushsection .text.unlikely.aethalloc,\"ax\",@progbits",
    ".p2align 12",
    ".hidden aethalloc_cold",
    ".globl aethalloc_cold",
    "aethalloc_cold:",
    ".popsection",
    // Given by `build.rs` to the shared library; in a program that links the static one, cold code lies among its own.
    ".weak aethalloc_cold_end",
    ".hidden aethalloc_cold_end",
);

/// Keeps the pages of cold code out of the faults of their neighbours.
pub fn set_apart() {
    unsafe extern "C" {
        /// Where cold code begins.
        static aethalloc_cold: u8;
        /// Where the code of the library ends; null outside the shared library.
        static aethalloc_cold_end: u8;
    }
    let start = &raw const aethalloc_cold;
    // What lies behind the cold functions, the table for calls to other libraries, is used at once: its page stays out.
    const TABLE: usize = 256;
    let end = (&raw const aethalloc_cold_end).addr().saturating_sub(TABLE) & !(PAGE - 1);
    let len = end.saturating_sub(start.addr());
    // Larger pages may hold something else as well.
    if len > 0 && aethalloc_core::space::os_page() == PAGE {
        // SAFETY: the range is code of this library: its pages come from the file again when they are needed.
        let _ = unsafe {
            memory::expect_random(start.cast_mut(), len)
                // What earlier faults mapped already.
                .and_then(|()| memory::discard(start.cast_mut(), len))
        };
    }
}
