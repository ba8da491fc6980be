//! How many bytes are out, for whoever sets a bound by them: kept by `span::live` and `front::large`, read by the page heap.

use crate::sync::{AtomicIsize, AtomicUsize, Ordering::*};

/// Bytes of blocks out of slabs, as threads have reported them.
pub static BLOCKS: AtomicIsize = AtomicIsize::new(0);
/// Bytes of large objects.
pub static LARGE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of their runs.
pub static LARGE_RUNS: AtomicUsize = AtomicUsize::new(0);

/// Bytes at the ends of large objects' runs that nobody uses.
pub fn tails() -> usize {
    LARGE_RUNS.load(Relaxed).saturating_sub(LARGE.load(Relaxed))
}

/// Bytes of blocks out of slabs and of large objects.
pub fn bytes() -> usize {
    BLOCKS.load(Relaxed).max(0) as usize + LARGE.load(Relaxed)
}
