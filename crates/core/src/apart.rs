//! A static that threads write often, or that all of them read with every call, on cache lines of its own: beside another one that is written
//! it would go from core to core with that.

use core::ops::Deref;

/// Lies on cache lines that hold nothing else.
#[repr(C, align(64))]
pub struct Apart<T>(pub T);

impl<T> Deref for Apart<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
