//! The new-handler loop and the throw, for a process without another operator new. Assembly: exceptions pass through.

use core::arch::naked_asm;

use super::{allocate_aligned, failed};

/// Alignment of the plain forms.
pub const PLAIN_ALIGN: usize = 16;

/// operator new(size)
#[unsafe(naked)]
pub extern "C" fn throwing(size: usize) -> *mut u8 {
    naked_asm!(
        "mov esi, {align}",
        "jmp {throwing}",
        align = const PLAIN_ALIGN,
        throwing = sym throwing_aligned,
    )
}

/// operator new(size, align): allocate, else handler and again, else throw. The handler may throw too.
#[unsafe(naked)]
pub extern "C" fn throwing_aligned(size: usize, align: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "mov rbx, rdi",
        "mov r14, rsi",
        "2:",
        "call {handler}",
        "test rax, rax",
        "jz 3f",
        "call rax",
        "mov rdi, rbx",
        "mov rsi, r14",
        "call {allocate}",
        "test rax, rax",
        "jz 2b",
        ".cfi_remember_state",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "ret",
        ".cfi_restore_state",
        "3:",
        "call {give_up}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "jmp rax",
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
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "call {make}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        ".weak __cxa_throw, _ZTISt9bad_alloc, _ZNSt9bad_allocD1Ev",
        "mov rdi, rax",
        "mov rsi, qword ptr [rip + _ZTISt9bad_alloc@GOTPCREL]",
        "mov rdx, qword ptr [rip + _ZNSt9bad_allocD1Ev@GOTPCREL]",
        "jmp qword ptr [rip + __cxa_throw@GOTPCREL]",
        ".cfi_endproc",
        make = sym failed::make_bad_alloc,
    )
}

/// operator new(size, nothrow)
#[unsafe(naked)]
pub extern "C" fn catching(size: usize) -> *mut u8 {
    naked_asm!(
        "mov esi, {align}",
        "jmp {catching}",
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
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        "3:",
        "call {throwing}",
        "4:",
        "add rsp, 8",
        ".cfi_remember_state",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_restore_state",
        "5:",
        ".weak __cxa_begin_catch, __cxa_end_catch",
        "mov rdi, rax",
        "call qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
        "call qword ptr [rip + __cxa_end_catch@GOTPCREL]",
        "xor eax, eax",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
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
