//! The functions a program's speed depends on. On x86_64 they are instructions, elsewhere the core's Rust twins
//! (`core::front::fast`, the same steps); tests compare the two and count instructions.
//!
//! ```text
//! malloc   21 instructions, 8 loads, 4 stores    bin of the class, lowest free block of its group, its state; one exit
//! free     24 instructions, 7 loads, 2 stores    page map, exact slot, state byte, the thread's budget; two exits
//! ```
//! Nothing may be added here. A signal handler that comes between the first store and the last of `malloc` finds the empty set of
//! bins (`core::thread::inside`); before them only the address of the thread's bins was read, which changes once in a thread's life (a
//! handler whose malloc makes them in those few instructions costs the thread their use, never a block); after them nothing is
//! half changed. Slow paths are jumped to, so that no frame of ours is on the stack when a failing operator new lets an
//! exception pass.

use aethalloc_core::front;
#[cfg(target_arch = "x86_64")]
use aethalloc_core::thread::bins;

use crate::cpp::new_failed;
use crate::fail::malloc_failed;

/// What `malloc` does when the bin of its class is empty.
#[inline(never)]
extern "C" fn malloc_slow(size: usize) -> *mut u8 {
    let p = front::allocate_slow(size);
    if p.is_null() { malloc_failed() } else { p }
}

/// What operator new does when the bin of its class is empty.
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
                "mov r8, qword ptr [rip + aethalloc_tls@GOTTPOFF]",
                "mov rdx, qword ptr fs:[r8]",                // the thread's bins
                "lea rax, [rdi - 1]",
                "cmp rax, {small}",                          // 1..=SMALL_MAX; 0 wraps
                "jae 3f",
                "shr eax, 4",
                "lea rcx, [rip + {empty}]",
                "movzx esi, word ptr [rcx + rax*2 + {bin_of}]",
                "add rsi, rdx",
                "mov qword ptr fs:[r8], rcx",                // the empty set: signal handlers stay away
                "mov rcx, qword ptr [rsi]",                  // free blocks of its group
                "rep bsf rax, rcx",                          // tzcnt where there is one; of 0 not used
                "sub rcx, 1",
                "jc 2f",
                "mov r9, qword ptr [rsi + 16]",
                "mov byte ptr [r9 + rax], 0",                // OUT, before it leaves the bin (`core::span::waiting`)
                "and qword ptr [rsi], rcx",
                "imul eax, dword ptr [rsi + 24]",
                "add rax, qword ptr [rsi + 8]",
                "mov qword ptr fs:[r8], rdx",                // the thread's own again
                "ret",
                "2: mov qword ptr fs:[r8], rdx",
                "3: jmp {slow}",
                ".p2align 6",                                // so the next one, and this section, begin at a line
                small = const aethalloc_base::class::SMALL_MAX,
                empty = sym bins::EMPTY,
                bin_of = const bins::BIN_OF_AT,
                slow = sym $slow,
            )
        }
    )*};
}

/// `slow`: where to go when the block is not plainly out; it gets the first argument, and the second if that is
/// not in the scratch register.
#[cfg(target_arch = "x86_64")]
macro_rules! freeing {
    ($slow:ident $half:literal $whole:literal: $($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object that nothing uses afterwards. Further arguments (size, alignment, nothrow
        /// tag) are not read here: the page map knows. `safety:hardened` compares sizes, in the slow path.
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
                "movzx ecx, al",                             // class, 0: not a slab
                "mov edx, dword ptr [r8 + rcx*4]",           // reciprocal, 0 of class 0
                concat!("movzx ", $half, ", di"),
                concat!("imul ", $whole, ", rdx"),
                concat!("cmp ", $half, ", edx"),
                "jae 2f",                                    // not the start of a block
                concat!("shr ", $whole, ", 32"),
                "shr rax, 32",
                concat!("lea rax, [", $whole, " + rax*8]"),
                "cmp byte ptr [r8 + rax], 0",
                "jne 2f",                                    // not OUT: free already
                "mov byte ptr [r8 + rax], {free}",
                "mov r9, qword ptr [rip + aethalloc_tls@GOTTPOFF]",
                "mov ecx, dword ptr [r8 + rcx*4 + {sizes}]",
                "sub dword ptr fs:[r9 + {budget}], ecx",
                "js 3f",
                "ret",
                "2: jmp {slow}",
                "3: jmp {stock}",
                ".p2align 6",
                base = sym aethalloc_core::space::FAST_BASE,
                unit_shift = const aethalloc_base::units::UNIT_SHIFT,
                units = const aethalloc_core::space::WIDE_UNITS,
                map = const aethalloc_core::space::WIDE_MAP,
                sizes = const aethalloc_core::space::SIZES_AT,
                budget = const aethalloc_core::thread::tls::BUDGET_AT,
                free = const aethalloc_core::span::slab::FREE,
                slow = sym front::$slow,
                stock = sym aethalloc_core::thread::stock::take_stock,
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
    (deallocate_sized_slow $half:literal $whole:literal: $($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object of `size` bytes that nothing uses afterwards.
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(ptr: *mut u8, size: usize) {
            // SAFETY: the caller's promise.
            unsafe { front::deallocate_sized(ptr, size) }
        }
    )*};
    (deallocate_slow $half:literal $whole:literal: $($symbol:ident $form:literal;)*) => {$(
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
    deallocate_slow "esi" "rsi":
    free "void free(void *ptr)";
    _ZdlPv "operator delete(void*)";
    _ZdaPv "operator delete[](void*)";
    _ZdlPvRKSt9nothrow_t "operator delete(void*, const std::nothrow_t&)";
    _ZdaPvRKSt9nothrow_t "operator delete[](void*, const std::nothrow_t&)";
    _ZdlPvSt11align_val_t "operator delete(void*, std::align_val_t)";
    _ZdaPvSt11align_val_t "operator delete[](void*, std::align_val_t)";
    _ZdlPvSt11align_val_tRKSt9nothrow_t "operator delete(void*, std::align_val_t, const std::nothrow_t&)";
    _ZdaPvSt11align_val_tRKSt9nothrow_t "operator delete[](void*, std::align_val_t, const std::nothrow_t&)";
    free_aligned_sized "void free_aligned_sized(void *ptr, size_t alignment, size_t size)";
    cfree "void cfree(void *ptr)";
}

freeing! {
    deallocate_sized_slow "r10d" "r10":
    _ZdlPvm "operator delete(void*, size_t)";
    _ZdaPvm "operator delete[](void*, size_t)";
    _ZdlPvmSt11align_val_t "operator delete(void*, size_t, std::align_val_t)";
    _ZdaPvmSt11align_val_t "operator delete[](void*, size_t, std::align_val_t)";
    free_sized "void free_sized(void *ptr, size_t size)";
}
