//! How many bytes are out, for whoever sets a bound by them: kept by `span::live`, `front::large` and `guard::fenced`, read by the page heap.

use crate::apart::Apart;
use crate::sync::{AtomicIsize, AtomicU64, AtomicUsize, Ordering::*};

/// Bytes of blocks out of slabs, as threads have reported them.
pub static BLOCKS: Apart<AtomicIsize> = Apart(AtomicIsize::new(0));
/// Large objects.
pub struct Large {
    /// Their bytes.
    pub bytes: AtomicUsize,
    /// Bytes of their runs.
    pub runs: AtomicUsize,
    /// How many live.
    pub count: AtomicUsize,
    /// How many were ever made.
    pub made: AtomicU64,
}
/// What they come to: changed together.
pub static LARGE: Apart<Large> = Apart(Large {
    bytes: AtomicUsize::new(0),
    runs: AtomicUsize::new(0),
    count: AtomicUsize::new(0),
    made: AtomicU64::new(0),
});

/// Bytes of large objects that end at a guard (`safety:guard`).
pub static FENCED: AtomicUsize = AtomicUsize::new(0);

/// Bytes at the ends of large objects' runs that nobody uses.
pub fn tails() -> usize {
    LARGE
        .runs
        .load(Relaxed)
        .saturating_sub(LARGE.bytes.load(Relaxed))
}

/// Bytes of blocks out of slabs and of large objects.
pub fn bytes() -> usize {
    BLOCKS.load(Relaxed).max(0) as usize + LARGE.bytes.load(Relaxed) + FENCED.load(Relaxed)
}
