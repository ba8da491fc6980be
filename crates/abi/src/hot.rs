//! The functions a program's speed depends on. On x86_64 they are instructions, elsewhere the core's Rust twins
//! (`core::front::fast`, the same steps); tests compare the two and count instructions.
//!
//! ```text
//! malloc   14 instructions, 5 loads, 1 store     limit, class table, top, slot; one exit
//! free     28 instructions, 7 loads, 3 stores    page map, owner tag, exact slot, state byte, magazine; two exits
//! ```
//! Nothing may be added here. Slow paths are jumped to, so that no frame of ours is on the stack when a failing
//! operator new lets an exception pass.

use aethalloc_core::front;

use crate::cpp::new_failed;
use crate::fail::malloc_failed;

/// What `malloc` does when no magazine serves it at once.
#[cold]
#[inline(never)]
extern "C" fn malloc_slow(size: usize) -> *mut u8 {
    let p = front::allocate_slow(size);
    if p.is_null() { malloc_failed() } else { p }
}

/// What operator new does when no magazine serves it at once.
#[cold]
#[inline(never)]
extern "C" fn new_slow(size: usize) -> *mut u8 {
    let p = front::allocate_slow(size);
    if p.is_null() { new_failed(size) } else { p }
}

#[cfg(target_arch = "x86_64")]
macro_rules! allocating {
    ($($symbol:ident $slow:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        #[allow(non_snake_case)]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(size: usize) -> *mut u8 {
            core::arch::naked_asm!(
                "mov rdx, qword ptr [rip + aethalloc_tls@GOTTPOFF]",
                "lea rax, [rdi - 1]",
                "cmp rax, qword ptr fs:[rdx]",               // 1..=limit; 0 wraps
                "jae 2f",
                "shr eax, 4",
                "lea rcx, [rip + {classes}]",
                "movzx esi, byte ptr [rcx + rax]",
                "mov rcx, qword ptr fs:[rdx + rsi*8 + {tops}]",
                "mov rax, qword ptr [rcx*8]",                // oldest block, 0 behind the newest
                "test rax, rax",
                "jz 2f",
                "dec rcx",
                "mov qword ptr fs:[rdx + rsi*8 + {tops}], rcx",
                "ret",
                "2: jmp {slow}",
                classes = sym aethalloc_base::class::FAST_CLASS,
                tops = const aethalloc_core::thread::tls::TOPS,
                slow = sym $slow,
            )
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
macro_rules! freeing {
    ($($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object that nothing uses afterwards. Further arguments (size, alignment, nothrow
        /// tag) are not read: the page map knows.
        #[allow(non_snake_case)]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(ptr: *mut u8) {
            core::arch::naked_asm!(
                "mov r8, qword ptr [rip + {base}]",
                "mov rdx, rdi",
                "sub rdx, r8",
                "shr rdx, {unit_shift}",
                "cmp rdx, {units}",
                "jae 2f",                                    // not in the arena
                "mov rax, qword ptr [r8 + rdx*8 - {map}]",   // page-map entry
                "mov r9, qword ptr [rip + aethalloc_tls@GOTTPOFF]",
                "movzx ecx, al",                             // class
                "cmp eax, dword ptr fs:[r9 + rcx*4 + {tags}]",
                "jne 2f",                                    // not ours to cache
                "movzx esi, di",
                "mov edx, dword ptr [r8 + rcx*4]",           // reciprocal
                "imul rsi, rdx",
                "cmp esi, edx",
                "jae 2f",                                    // not the start of a block
                "shr rsi, 32",
                "shr rax, 32",
                "lea rax, [rsi + rax*8]",
                "mov r10, qword ptr fs:[r9 + rcx*8 + {heads}]",
                "dec r10b",
                "jz 3f",                                     // full
                "cmp r10b, byte ptr [r8 + rax]",
                "jb 3f",                                     // free already?
                "mov qword ptr [r10*8], rdi",
                "mov byte ptr [r8 + rax], r10b",
                "mov qword ptr fs:[r9 + rcx*8 + {heads}], r10",
                "ret",
                "2: jmp {slow}",
                "3: jmp {suspect}",
                base = sym aethalloc_core::space::FAST_BASE,
                unit_shift = const aethalloc_base::units::UNIT_SHIFT,
                units = const aethalloc_core::space::WIDE_UNITS,
                map = const aethalloc_core::space::WIDE_MAP,
                tags = const aethalloc_core::thread::tls::TAGS,
                heads = const aethalloc_core::thread::tls::HEADS,
                slow = sym front::deallocate_slow,
                suspect = sym front::deallocate_suspect,
            )
        }
    )*};
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! allocating {
    ($($symbol:ident $slow:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(size: usize) -> *mut u8 {
            front::allocate_or(size, $slow)
        }
    )*};
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! freeing {
    ($($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object that nothing uses afterwards.
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(ptr: *mut u8) {
            // SAFETY: the caller's promise.
            unsafe { front::deallocate(ptr) }
        }
    )*};
}

allocating! {
    malloc malloc_slow "void *malloc(size_t size)";
    _Znwm new_slow "operator new(size_t)";
    _Znam new_slow "operator new[](size_t)";
}

freeing! {
    free "void free(void *ptr)";
    _ZdlPv "operator delete(void*)";
    _ZdaPv "operator delete[](void*)";
    _ZdlPvRKSt9nothrow_t "operator delete(void*, const std::nothrow_t&)";
    _ZdaPvRKSt9nothrow_t "operator delete[](void*, const std::nothrow_t&)";
    _ZdlPvSt11align_val_t "operator delete(void*, std::align_val_t)";
    _ZdaPvSt11align_val_t "operator delete[](void*, std::align_val_t)";
    _ZdlPvSt11align_val_tRKSt9nothrow_t "operator delete(void*, std::align_val_t, const std::nothrow_t&)";
    _ZdaPvSt11align_val_tRKSt9nothrow_t "operator delete[](void*, std::align_val_t, const std::nothrow_t&)";
    _ZdlPvm "operator delete(void*, size_t)";
    _ZdaPvm "operator delete[](void*, size_t)";
    _ZdlPvmSt11align_val_t "operator delete(void*, size_t, std::align_val_t)";
    _ZdaPvmSt11align_val_t "operator delete[](void*, size_t, std::align_val_t)";
    free_sized "void free_sized(void *ptr, size_t size)";
    free_aligned_sized "void free_aligned_sized(void *ptr, size_t alignment, size_t size)";
    cfree "void cfree(void *ptr)";
}
