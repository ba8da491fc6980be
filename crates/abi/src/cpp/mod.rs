//! Operator new and delete beyond the plain forms (those are in `hot`), in their Itanium-mangled names.
//!
//! A failing operator new must run the new-handler and throw, and the library links no C++ runtime. So every form
//! leaves by a jump, with its own arguments still in place, to whoever can do that: see [`failed`]. The trampolines
//! here are assembly because only that makes the jump certain: when the exception passes, no frame of ours is left.

mod failed;
mod next;
#[cfg_attr(target_arch = "x86_64", path = "retry_x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "retry_aarch64.rs")]
mod retry;

use core::arch::naked_asm;

use aethalloc_core::front;

use crate::heap;
pub use next::resolve_cpp;

extern "C" fn allocate(size: usize) -> *mut u8 {
    front::allocate(size)
}

extern "C" fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    if align.is_power_of_two() {
        heap::aligned(align, size)
    } else {
        core::ptr::null_mut()
    }
}

/// Keeps three arguments over calls, then goes on at the address that `route(size)` gave, as if that had been called.
#[cfg(target_arch = "x86_64")]
macro_rules! keep_arguments {
    ($($line:literal)*) => {
        concat!(
            ".cfi_startproc\n",
            "push rdi\n", ".cfi_adjust_cfa_offset 8\n",
            "push rsi\n", ".cfi_adjust_cfa_offset 8\n",
            "push rdx\n", ".cfi_adjust_cfa_offset 8\n",
            $($line, "\n",)*
            "mov rdi, qword ptr [rsp + 16]\n",
            "call {route}\n",
            "pop rdx\n", ".cfi_adjust_cfa_offset -8\n",
            "pop rsi\n", ".cfi_adjust_cfa_offset -8\n",
            "pop rdi\n", ".cfi_adjust_cfa_offset -8\n",
            "jmp rax\n",
            ".cfi_endproc",
        )
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! keep_arguments {
    ($($line:literal)*) => {
        concat!(
            ".cfi_startproc\n",
            "stp x29, x30, [sp, #-48]!\n", ".cfi_def_cfa_offset 48\n",
            ".cfi_offset 29, -48\n", ".cfi_offset 30, -40\n",
            "stp x0, x1, [sp, #16]\n",
            "str x2, [sp, #32]\n",
            $($line, "\n",)*
            "ldr x0, [sp, #16]\n",
            "bl {route}\n",
            "mov x16, x0\n",
            "ldr x2, [sp, #32]\n",
            "ldp x0, x1, [sp, #16]\n",
            "ldp x29, x30, [sp], #48\n",
            ".cfi_def_cfa_offset 0\n", ".cfi_restore 29\n", ".cfi_restore 30\n",
            "br x16\n",
            ".cfi_endproc",
        )
    };
}

/// Operator new(size) that got no memory: handler, then exception. Callers jump here, with `size` still in its register.
#[cold]
#[unsafe(naked)]
pub extern "C" fn new_failed(size: usize) -> *mut u8 {
    naked_asm!(keep_arguments!(), route = sym failed::plain)
}

macro_rules! operator_new {
    ($($symbol:ident $form:literal $allocate:ident $route:ident;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub extern "C" fn $symbol() -> *mut u8 {
            #[cfg(target_arch = "x86_64")]
            naked_asm!(
                keep_arguments!(
                    "call {allocate}"
                    "test rax, rax"
                    "jz 2f"
                    ".cfi_remember_state"
                    "add rsp, 24"
                    ".cfi_adjust_cfa_offset -24"
                    "ret"
                    ".cfi_restore_state"
                    "2:"
                ),
                allocate = sym $allocate,
                route = sym failed::$route,
            );
            #[cfg(target_arch = "aarch64")]
            naked_asm!(
                keep_arguments!(
                    "bl {allocate}"
                    "cbz x0, 2f"
                    ".cfi_remember_state"
                    "ldp x29, x30, [sp], #48"
                    ".cfi_def_cfa_offset 0"
                    "ret"
                    ".cfi_restore_state"
                    "2:"
                ),
                allocate = sym $allocate,
                route = sym failed::$route,
            )
        }
    )*};
}

operator_new! {
    _ZnwmRKSt9nothrow_t "operator new(size_t, const std::nothrow_t&)" allocate nothrow;
    _ZnamRKSt9nothrow_t "operator new[](size_t, const std::nothrow_t&)" allocate nothrow;
    _ZnwmSt11align_val_t "operator new(size_t, std::align_val_t)" allocate_aligned aligned;
    _ZnamSt11align_val_t "operator new[](size_t, std::align_val_t)" allocate_aligned aligned;
    _ZnwmSt11align_val_tRKSt9nothrow_t
        "operator new(size_t, std::align_val_t, const std::nothrow_t&)" allocate_aligned aligned_nothrow;
    _ZnamSt11align_val_tRKSt9nothrow_t
        "operator new[](size_t, std::align_val_t, const std::nothrow_t&)" allocate_aligned aligned_nothrow;
}
