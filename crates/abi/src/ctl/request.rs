//! One control request: where the old value goes, where the new one comes from, and jemalloc's rules for both.
//!
//! EPERM: a read-only name is written, or a name without a value is read or written. EINVAL: a length is not the
//! value's; of the old value as many bytes as fit are still given, and their number.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;

use crate::os;

pub struct Request<'a> {
    oldp: *mut c_void,
    oldlenp: *mut usize,
    newp: *mut c_void,
    newlen: usize,
    caller: PhantomData<&'a mut ()>,
}

/// A value as C sees it.
///
/// # Safety
/// Every byte of the type is initialised, and every bit pattern that `accepts` lets through is a value.
pub unsafe trait Value: Copy {
    /// Whether the byte pattern at `bytes` (`size_of::<Self>()` of them) is a value of this type.
    #[cold]
    fn accepts(_first_byte: u8) -> bool {
        true
    }
}

// SAFETY: no padding; 0 and 1 only.
unsafe impl Value for bool {
    #[cold]
    fn accepts(first_byte: u8) -> bool {
        first_byte <= 1
    }
}
// SAFETY: no padding, all patterns.
unsafe impl Value for u32 {}
// SAFETY: no padding, all patterns.
unsafe impl Value for u64 {}
// SAFETY: no padding, all patterns.
unsafe impl Value for usize {}
// SAFETY: no padding, all patterns.
unsafe impl Value for *const c_char {}

impl Request<'_> {
    /// # Safety
    /// While the request lives, `oldp` has `*oldlenp` bytes and `newp` `newlen` bytes, or they are null.
    #[cold]
    pub unsafe fn new(
        oldp: *mut c_void,
        oldlenp: *mut usize,
        newp: *mut c_void,
        newlen: usize,
    ) -> Self {
        Self {
            oldp,
            oldlenp,
            newp,
            newlen,
            caller: PhantomData,
        }
    }

    /// Answers a name that can only be read.
    #[cold]
    pub fn read_only<T: Value>(&self, value: T) -> c_int {
        if !self.newp.is_null() || self.newlen != 0 {
            return os::EPERM;
        }
        self.put(value)
    }

    /// Answers a name that can only be read, with a string.
    #[cold]
    pub fn read_only_text(&self, text: &'static CStr) -> c_int {
        self.read_only(text.as_ptr())
    }

    /// Answers a name that stands for an action.
    #[cold]
    pub fn action(&self, act: impl FnOnce()) -> c_int {
        if !self.oldp.is_null()
            || !self.oldlenp.is_null()
            || !self.newp.is_null()
            || self.newlen != 0
        {
            return os::EPERM;
        }
        act();
        0
    }

    /// Gives the old value, if it is asked for.
    #[cold]
    pub fn put<T: Value>(&self, value: T) -> c_int {
        if self.oldp.is_null() || self.oldlenp.is_null() {
            return 0;
        }
        // SAFETY: `new`'s promise; at most `*oldlenp` bytes are written, all initialised (`Value`).
        unsafe {
            let length = size_of::<T>().min(*self.oldlenp);
            let fits = *self.oldlenp == size_of::<T>();
            self.oldp
                .cast::<u8>()
                .copy_from_nonoverlapping((&raw const value).cast::<u8>(), length);
            *self.oldlenp = length;
            if fits { 0 } else { os::EINVAL }
        }
    }

    /// The new value, if there is one; `Err` is the error number.
    #[cold]
    pub fn take<T: Value>(&self) -> Result<Option<T>, c_int> {
        if self.newp.is_null() {
            return Ok(None);
        }
        if self.newlen != size_of::<T>() {
            return Err(os::EINVAL);
        }
        // SAFETY: `new`'s promise; the pattern is checked before it is read as a `T`.
        unsafe {
            if !T::accepts(self.newp.cast::<u8>().read()) {
                return Err(os::EINVAL);
            }
            Ok(Some(self.newp.cast::<T>().read_unaligned()))
        }
    }
}
