//! The new-handler loop and the throw, for a process without another operator new. Assembly: exceptions pass through.

use core::arch::naked_asm;

use super::{allocate_aligned, failed};

/// Alignment of the plain forms.
pub const PLAIN_ALIGN: usize = 16;

/// operator new(size)
#[unsafe(naked)]
pub extern "C" fn throwing(size: usize) -> *mut u8 {
    naked_asm!(
        "mov x1, #{align}",
        "b {throwing}",
        align = const PLAIN_ALIGN,
        throwing = sym throwing_aligned,
    )
}

/// operator new(size, align): allocate, else handler and again, else throw. The handler may throw too.
#[unsafe(naked)]
pub extern "C" fn throwing_aligned(size: usize, align: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-32]!",
        ".cfi_def_cfa_offset 32",
        ".cfi_offset 29, -32",
        ".cfi_offset 30, -24",
        "stp x19, x20, [sp, #16]",
        ".cfi_offset 19, -16",
        ".cfi_offset 20, -8",
        "mov x19, x0",
        "mov x20, x1",
        "2:",
        "bl {handler}",
        "cbz x0, 3f",
        "blr x0",
        "mov x0, x19",
        "mov x1, x20",
        "bl {allocate}",
        "cbz x0, 2b",
        ".cfi_remember_state",
        "ldp x19, x20, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 19",
        ".cfi_restore 20",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "ret",
        ".cfi_restore_state",
        "3:",
        "bl {give_up}",
        "mov x16, x0",
        "ldp x19, x20, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 19",
        ".cfi_restore 20",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "br x16",
        ".cfi_endproc",
        handler = sym failed::handler,
        allocate = sym allocate_aligned,
        give_up = sym failed::give_up,
    )
}

/// Throws a std::bad_alloc made by hand.
#[unsafe(naked)]
pub extern "C" fn throw_bad_alloc() -> ! {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 29, -16",
        ".cfi_offset 30, -8",
        "bl {make}",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 29",
        ".cfi_restore 30",
        ".weak __cxa_throw, _ZTISt9bad_alloc, _ZNSt9bad_allocD1Ev",
        "adrp x1, :got:_ZTISt9bad_alloc",
        "ldr x1, [x1, :got_lo12:_ZTISt9bad_alloc]",
        "adrp x2, :got:_ZNSt9bad_allocD1Ev",
        "ldr x2, [x2, :got_lo12:_ZNSt9bad_allocD1Ev]",
        "adrp x16, :got:__cxa_throw",
        "ldr x16, [x16, :got_lo12:__cxa_throw]",
        "br x16",
        ".cfi_endproc",
        make = sym failed::make_bad_alloc,
    )
}

/// operator new(size, nothrow)
#[unsafe(naked)]
pub extern "C" fn catching(size: usize) -> *mut u8 {
    naked_asm!(
        "mov x1, #{align}",
        "b {catching}",
        align = const PLAIN_ALIGN,
        catching = sym catching_aligned,
    )
}

/// operator new(size, align, nothrow): `try { return operator new(size, align); } catch (...) { return nullptr; }`
// A naked function stands once in the program, so its labels do too; the directives for tables take named ones only.
#[allow(named_asm_labels)]
#[unsafe(naked)]
pub extern "C" fn catching_aligned(size: usize, align: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_personality 0x9b, .Laethalloc_personality", // indirect, relative, 4 bytes
        ".cfi_lsda 0x1b, .Laethalloc_catching",        // relative, 4 bytes
        "2:",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 29, -16",
        ".cfi_offset 30, -8",
        "3:",
        "bl {throwing}",
        "4:",
        ".cfi_remember_state",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "ret",
        ".cfi_restore_state",
        "5:",
        ".weak __cxa_begin_catch, __cxa_end_catch",
        "adrp x16, :got:__cxa_begin_catch",
        "ldr x16, [x16, :got_lo12:__cxa_begin_catch]",
        "blr x16",
        "adrp x16, :got:__cxa_end_catch",
        "ldr x16, [x16, :got_lo12:__cxa_end_catch]",
        "blr x16",
        "mov x0, xzr",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa_offset 0",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "ret",
        ".cfi_endproc",
        // The word through which the unwinder finds the personality routine, zero where none is linked.
        ".pushsection .data.rel.ro.aethalloc_personality, \"aw\", @progbits",
        ".weak __gxx_personality_v0",
        ".balign 8",
        ".Laethalloc_personality: .quad __gxx_personality_v0",
        ".popsection",
        // The table it reads: one region (3 to 4) with landing pad 5 that catches everything; the two calls at the
        // landing pad do not throw for bad_alloc; what else they may throw ends the process, as in libstdc++.
        ".pushsection .gcc_except_table.aethalloc_catching, \"a\", @progbits",
        ".balign 4",
        ".Laethalloc_catching: .byte 0xff",       // landing pads count from the function's start
        ".byte 0x03",          // types are 4-byte addresses
        ".uleb128 77f - 66f",  // distance to the end of the types
        "66: .byte 0x01",      // regions are uleb128
        ".uleb128 55f - 44f",  // length of the regions
        "44: .uleb128 3b - 2b",
        ".uleb128 4b - 3b",
        ".uleb128 5b - 2b",
        ".uleb128 1",          // first action
        "55: .byte 1, 0",      // action: type 1, no further action
        ".balign 4",
        ".long 0",             // type 1: null, everything
        "77:",
        ".popsection",
        throwing = sym throwing_aligned,
    )
}
