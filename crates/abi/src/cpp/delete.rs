//! The sized forms of operator delete. The core decides what a wrong size means.

use aethalloc_core::front;

macro_rules! sized_delete {
    ($($symbol:ident $form:literal;)*) => {$(
        #[doc = concat!("`", $form, "`")]
        ///
        /// # Safety
        /// `ptr` is null or a live object that nothing uses afterwards; `size` is what it was asked with.
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(ptr: *mut u8, size: usize) {
            // SAFETY: the caller's promise. A third argument (alignment) is not read.
            unsafe { front::deallocate_sized(ptr, size) }
        }
    )*};
}

sized_delete! {
    _ZdlPvm "operator delete(void*, size_t)";
    _ZdaPvm "operator delete[](void*, size_t)";
    _ZdlPvmSt11align_val_t "operator delete(void*, size_t, std::align_val_t)";
    _ZdaPvmSt11align_val_t "operator delete[](void*, size_t, std::align_val_t)";
}
