//! `mallinfo` and `mallinfo2`: glibc's ten figures.

use core::ffi::c_int;

use aethalloc_core::stats;

use super::classes;

macro_rules! figures {
    ($($(#[doc = $doc:literal])* $field:ident,)*) => {
        /// `struct mallinfo2` of `<malloc.h>`.
        #[repr(C)]
        pub struct Mallinfo2 {
            $($(#[doc = $doc])* pub $field: usize,)*
        }

        /// `struct mallinfo` of `<malloc.h>`: the same, in `int`.
        #[repr(C)]
        pub struct Mallinfo {
            $(pub $field: c_int,)*
        }

        impl From<Mallinfo2> for Mallinfo {
            #[cold]
            fn from(from: Mallinfo2) -> Self {
                Self {
                    $($field: c_int::try_from(from.$field).unwrap_or(c_int::MAX),)*
                }
            }
        }
    };
}

figures! {
    /// Bytes made accessible, large objects not included.
    arena,
    /// Count: free blocks inside slabs.
    ordblks,
    /// Always 0: the blocks in thread caches are not counted.
    smblks,
    /// Count: large objects.
    hblks,
    /// Bytes in large objects.
    hblkhd,
    /// Always 0, as in glibc.
    usmblks,
    /// Bytes of free blocks that threads have reserved.
    fsmblks,
    /// Bytes in live objects, large ones not included.
    uordblks,
    /// Bytes of `arena` that are in no live object.
    fordblks,
    /// Bytes of free memory not given back yet, which `malloc_trim` can give back.
    keepcost,
}

/// `struct mallinfo2 mallinfo2(void)`
#[unsafe(no_mangle)]
#[cold]
pub extern "C" fn mallinfo2() -> Mallinfo2 {
    let stats = stats::snapshot();
    let arena = stats.mapped.saturating_sub(stats.allocated_large);
    let in_use = stats.allocated.saturating_sub(stats.allocated_large);
    Mallinfo2 {
        arena,
        ordblks: classes()
            .map(|class| class.capacity.saturating_sub(class.out))
            .fold(0, usize::saturating_add),
        smblks: 0,
        hblks: stats.large_count,
        hblkhd: stats.allocated_large,
        usmblks: 0,
        fsmblks: stats.cached,
        uordblks: in_use,
        fordblks: arena.saturating_sub(in_use),
        keepcost: stats.retained,
    }
}

/// `struct mallinfo mallinfo(void)`: a figure that does not fit is `INT_MAX`.
#[unsafe(no_mangle)]
#[cold]
pub extern "C" fn mallinfo() -> Mallinfo {
    mallinfo2().into()
}
