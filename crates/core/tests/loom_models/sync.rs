//! The shim: atomics of loom under the interface of `core`'s, `const` constructors included.
//!
//! An atomic's loom object is made at its first use in an execution, so that production statics and `const fn new`
//! compile as they are. A model uses each atomic once before it starts threads.
//!
//! Before each operation comes a store to a companion that nobody reads. Loom decides what to reorder by the last
//! access to an atomic only: a thread that loads and then swaps would hide the load of another before it, so that half
//! of the orders of a compare-and-swap loop are never tried. Stores to the companion are ordered against all accesses,
//! and since nobody loads it, it synchronises nothing.

use crate::fault::{self, Op};
use loom::sync::atomic as inner;
pub use loom::sync::atomic::Ordering;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::Location;

/// The loom object of the present execution.
struct Slot<T>(UnsafeCell<Option<(u64, ManuallyDrop<T>)>>);
// SAFETY: loom runs all threads of a model on one system thread, and `fault` runs one model at a time.
unsafe impl<T> Sync for Slot<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Slot<T> {}

impl<T> Slot<T> {
    const fn new() -> Self {
        Slot(UnsafeCell::new(None))
    }
    fn get(&self, make: impl FnOnce() -> T) -> &T {
        let now = fault::execution();
        // SAFETY: nothing else runs between here and the last line; an object is replaced only between executions, when
        // no reference of the last one is left. Objects of past executions are forgotten: loom has dropped its side.
        unsafe {
            if (*self.0.get()).as_ref().is_none_or(|(e, _)| *e != now) {
                let made = ManuallyDrop::new(make());
                *self.0.get() = Some((now, made));
            }
            match &*self.0.get() {
                Some((_, t)) => t,
                None => unreachable!(),
            }
        }
    }
}

macro_rules! atomic {
    ($name:ident $(<$t:ident>)?, $value:ty) => {
        /// As `core`'s.
        pub struct $name$(<$t>)? {
            first: $value,
            slot: Slot<(inner::$name$(<$t>)?, inner::AtomicBool)>,
        }
        // SAFETY: as `Slot`; the first value is never changed.
        unsafe impl$(<$t>)? Sync for $name$(<$t>)? {}
        // SAFETY: as above.
        unsafe impl$(<$t>)? Send for $name$(<$t>)? {}
        #[allow(dead_code)]
        impl$(<$t>)? $name$(<$t>)? {
            /// As `core`'s.
            pub const fn new(first: $value) -> Self {
                $name { first, slot: Slot::new() }
            }
            fn it(&self) -> &inner::$name$(<$t>)? {
                let (it, companion) = self.slot.get(|| (inner::$name::new(self.first), inner::AtomicBool::new(false)));
                companion.store(false, Ordering::Relaxed);
                it
            }
            /// As `core`'s.
            #[track_caller]
            pub fn load(&self, o: Ordering) -> $value {
                self.it().load(fault::ordering(Op::Load, o, Location::caller()))
            }
            /// As `core`'s.
            #[track_caller]
            pub fn store(&self, v: $value, o: Ordering) {
                self.it().store(v, fault::ordering(Op::Store, o, Location::caller()));
            }
        }
    };
}
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
atomic!(AtomicPtr<T>, *mut T);

macro_rules! updates {
    ($name:ident, $value:ty, $($op:ident),*) => {
        #[allow(dead_code)]
        impl $name {
            $(/// As `core`'s.
            #[track_caller]
            pub fn $op(&self, v: $value, o: Ordering) -> $value {
                self.it().$op(v, fault::ordering(Op::Update, o, Location::caller()))
            })*
            /// As `core`'s.
            #[track_caller]
            pub fn compare_exchange(&self, old: $value, new: $value, o: Ordering, f: Ordering) -> Result<$value, $value> {
                let at = Location::caller();
                self.it().compare_exchange(old, new, fault::ordering(Op::Update, o, at), f)
            }
            /// As `core`'s.
            #[track_caller]
            pub fn compare_exchange_weak(&self, old: $value, new: $value, o: Ordering, f: Ordering) -> Result<$value, $value> {
                self.compare_exchange(old, new, o, f)
            }
        }
    };
}
updates!(
    AtomicU32, u32, swap, fetch_add, fetch_sub, fetch_and, fetch_or
);
updates!(
    AtomicU64, u64, swap, fetch_add, fetch_sub, fetch_and, fetch_or
);

/// As `core`'s.
#[track_caller]
pub fn fence(o: Ordering) {
    if fault::ordering(Op::Fence, o, Location::caller()) != Ordering::Relaxed {
        inner::fence(o);
    }
}
