//! What most programs do not need, apart from the rest: misuse lines, safety modes and reports; what only programs need that use more than
//! a few blocks; unwind tables.
//!
//! ```text
//! | … | .eh_frame_hdr .eh_frame | .text        | .text.unlikely | .text.unknown         | .plt |
//!     |  debuggers, profilers   | all programs | `#[cold]`      | refill, large objects |
//!                                              ^ aethalloc_cold ^ aethalloc_later  aethalloc_cold_end ^
//! ```
//! The linker gathers `#[cold]` functions in `.text.unlikely`, and what asks for it in `.text.unknown`, behind the rest (see `build.rs`). A page
//! fault in a file maps up to 15 present neighbours of the page as well, so a small program would have all of them in its resident
//! size. The kernel does so within one mapping only: advice that differs makes each part a mapping of its own. Cost: six system calls at load.
//! A breakpoint that a debugger put into cold code before the library's constructor ran goes with the
//! pages; it is back after the debugger's next stop.

use aethalloc_base::units::PAGE;
use aethalloc_sys::memory::{self, Reading};
use core::arch::global_asm;

// The first things in their sections: the compiler puts assembly before its own functions.
global_asm!(
    ".pushsection .text.unlikely.aethalloc,\"ax\",@progbits",
    ".p2align 12",
    ".hidden aethalloc_cold",
    ".globl aethalloc_cold",
    "aethalloc_cold:",
    ".popsection",
    ".pushsection .text.unknown.aethalloc,\"ax\",@progbits",
    ".p2align 12",
    ".hidden aethalloc_later",
    ".globl aethalloc_later",
    "aethalloc_later:",
    ".popsection",
    // Given by `build.rs` to the shared library; in a program that links the static one, all this lies among its own.
    ".weak aethalloc_cold_end",
    ".hidden aethalloc_cold_end",
    // The linker's: the ELF header of the library.
    ".weak __ehdr_start",
    ".hidden __ehdr_start",
);

/// Keeps the pages of each part out of the faults of its neighbours.
pub fn set_apart() {
    unsafe extern "C" {
        /// Where cold code begins.
        static aethalloc_cold: u8;
        /// Where code begins that a program comes to later.
        static aethalloc_later: u8;
        /// Where the code of the library ends; null outside the shared library.
        static aethalloc_cold_end: u8;
        static __ehdr_start: u8;
    }
    let (cold, later) = (&raw const aethalloc_cold, &raw const aethalloc_later);
    let end = &raw const aethalloc_cold_end;
    // Larger pages may hold something else as well.
    if end.is_null() || aethalloc_core::space::os_page() != PAGE {
        return;
    }
    // What lies behind the functions, the table for calls to other libraries, is used at once: its page stays out.
    const TABLE: usize = 64;
    let end = end.addr().saturating_sub(TABLE) & !(PAGE - 1);
    // A linker that orders them otherwise gets the first part only.
    let middle = if (cold.addr()..end).contains(&later.addr()) {
        later.addr()
    } else {
        end
    };
    apart(cold, middle, Reading::Random);
    apart(later, end, Reading::Sequential);
    // SAFETY: the header of the library, as the linker made it.
    if let Some((start, end)) = unsafe { unwind_tables(&raw const __ehdr_start) } {
        apart(start, end, Reading::Random);
    }
}

/// Makes the pages from `start`, the beginning of one, to `end` a mapping of their own; none of them is resident then.
fn apart(start: *const u8, end: usize, reading: Reading) {
    let len = end.saturating_sub(start.addr());
    if len > 0 {
        // SAFETY: the range is read-only in this library: its pages come from the file again when they are needed.
        let _ = unsafe {
            memory::expect(start.cast_mut(), len, reading)
                // What earlier faults mapped already.
                .and_then(|()| memory::discard(start.cast_mut(), len))
        };
    }
}

/// The whole pages of the unwind tables of the library whose ELF header is `header`: they are the last in their segment.
///
/// # Safety
/// `header` is null or the header of a loaded ELF file.
unsafe fn unwind_tables(header: *const u8) -> Option<(*const u8, usize)> {
    /// Offsets in the header and in its table of segments (ELF-64 object file format, version 1.5).
    const TABLE_AT: usize = 32;
    const ENTRIES_AT: usize = 56;
    const ENTRY: usize = 56;
    const ADDRESS_AT: usize = 16;
    const SIZE_AT: usize = 40;
    const LOADED: u32 = 1;
    const UNWIND: u32 = 0x6474_e550;
    if header.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; the table follows the header in its first page.
    unsafe {
        let table = header.wrapping_add(header.add(TABLE_AT).cast::<u64>().read() as usize);
        let entries = header.add(ENTRIES_AT).cast::<u16>().read() as usize;
        let find = |kind: u32, at: u64| {
            (0..entries).find_map(|i| {
                let entry = table.wrapping_add(i * ENTRY);
                let first = entry.add(ADDRESS_AT).cast::<u64>().read();
                let size = entry.add(SIZE_AT).cast::<u64>().read();
                (entry.cast::<u32>().read() == kind
                    && (kind == UNWIND || at.wrapping_sub(first) < size))
                    .then_some((first, first + size))
            })
        };
        let (tables, _) = find(UNWIND, 0)?;
        let (_, end) = find(LOADED, tables)?;
        let start = (tables as usize).next_multiple_of(PAGE);
        let end = (end as usize).next_multiple_of(PAGE);
        Some((header.wrapping_add(start), header.addr() + end))
    }
}
