//! What the allocator can say about itself.

/// Figures in bytes unless named a count; one instant's view, not a consistent cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Bytes in live objects (usable size), magazines not included.
    pub allocated: usize,
    /// Bytes in live objects that are large (have a span of their own).
    pub allocated_large: usize,
    /// Number of live large objects.
    pub large_count: usize,
    /// Bytes in spans that hold at least one object.
    pub active: usize,
    /// Bytes of address space made accessible.
    pub mapped: usize,
    /// Bytes of free spans that were touched and not yet given back.
    pub retained: usize,
    /// Bytes of the allocator's own descriptors and caches made accessible.
    pub metadata: usize,
    /// Bytes of free blocks in thread caches and the depot.
    pub cached: usize,
    /// Count: blocks that left slabs, plus large allocations, since the start.
    pub allocations: u64,
    /// Count: blocks that went back to slabs, plus large frees, since the start.
    pub deallocations: u64,
    /// Count: batches freed by another thread than the owner of their slab.
    pub remote_batches: u64,
    /// Count: purge calls to the system.
    pub purges: u64,
    /// Bytes given back to the system since the start.
    pub purged: u64,
    /// Count: threads that have a cache now.
    pub threads: usize,
}

/// One size class's figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassStats {
    /// Block size in bytes.
    pub size: usize,
    /// Count: slabs.
    pub slabs: usize,
    /// Count: blocks out of the slabs (live, or in a thread's cache).
    pub out: usize,
    /// Count: blocks that fit in the class's slabs.
    pub capacity: usize,
}

/// A snapshot of the process.
pub fn snapshot() -> Stats {
    Stats::default()
}
/// Figures of class number `i`, `None` past the last.
pub fn class(_i: usize) -> Option<ClassStats> {
    None
}
