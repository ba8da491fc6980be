//! Fixed arrays outside the heap under test.

use std::ops::{Deref, DerefMut};

/// `len` values in an anonymous mapping of their own, all written once, so that they are resident
/// from the start. The mapping goes when the table is dropped; the values' destructors do not run.
pub struct Table<T> {
    at: *mut T,
    len: usize,
}

// SAFETY: a table owns its mapping exclusively, like a Vec.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above; shared access only hands out &T.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// A table filled by `value(index)`.
    pub fn new(len: usize, mut value: impl FnMut(usize) -> T) -> Table<T> {
        let bytes = (len * size_of::<T>()).max(1);
        // SAFETY: a new anonymous mapping, checked below.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            crate::params::fail("no memory for the workload's own table");
        }
        let at = at.cast::<T>();
        for index in 0..len {
            // SAFETY: inside the mapping, which is page-aligned.
            unsafe { at.add(index).write(value(index)) };
        }
        Table { at, len }
    }
}

impl<T> Table<T> {
    /// What the mapping holds of memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        ((self.len * size_of::<T>()).max(1) as u64).div_ceil(4096) * 4
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` initialised values live in the mapping.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

impl<T> DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and &mut self is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.len) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this length.
        unsafe { libc::munmap(self.at.cast(), (self.len * size_of::<T>()).max(1)) };
    }
}
