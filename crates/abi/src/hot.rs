//! The functions a program's speed depends on: one call into the core, every failure elsewhere.
//!
//! Nothing may be added to a fast path here. A failing operator new must leave by a jump, so that no frame of ours is
//! on the stack when the exception passes: `new_failed` stands in tail position.

use aethalloc_core::front;

use crate::cpp::new_failed;
use crate::fail::malloc_failed;

/// `void *malloc(size_t size)`
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut u8 {
    let p = front::allocate(size);
    if p.is_null() { malloc_failed() } else { p }
}

/// `void free(void *ptr)`
///
/// # Safety
/// `ptr` is null or a live object that nothing uses afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(ptr: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { front::deallocate(ptr) }
}

macro_rules! operator_new {
    ($($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(size: usize) -> *mut u8 {
            let p = front::allocate(size);
            if p.is_null() { new_failed(size) } else { p }
        }
    )*};
}

operator_new! {
    _Znwm "operator new(size_t)";
    _Znam "operator new[](size_t)";
}

macro_rules! operator_delete {
    ($($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object that nothing uses afterwards.
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(ptr: *mut u8) {
            // SAFETY: the caller's promise. Further arguments (alignment, nothrow tag) are not read.
            unsafe { front::deallocate(ptr) }
        }
    )*};
}

operator_delete! {
    _ZdlPv "operator delete(void*)";
    _ZdaPv "operator delete[](void*)";
    _ZdlPvRKSt9nothrow_t "operator delete(void*, const std::nothrow_t&)";
    _ZdaPvRKSt9nothrow_t "operator delete[](void*, const std::nothrow_t&)";
    _ZdlPvSt11align_val_t "operator delete(void*, std::align_val_t)";
    _ZdaPvSt11align_val_t "operator delete[](void*, std::align_val_t)";
    _ZdlPvSt11align_val_tRKSt9nothrow_t "operator delete(void*, std::align_val_t, const std::nothrow_t&)";
    _ZdaPvSt11align_val_tRKSt9nothrow_t "operator delete[](void*, std::align_val_t, const std::nothrow_t&)";
}
