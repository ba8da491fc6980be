//! How many bytes of slabs are out, and the sweep that follows a fall.
//!
//! Free runs are bounded by the page heap; free blocks inside slabs that are in use are not, and when a program drops
//! most of what it held, most pages of such slabs may be empty. So the frees themselves watch the sum: when it has
//! fallen by `FALL` bytes and a quarter since its last peak, the freeing thread purges the empty pages of all slabs,
//! once. A program in a steady state never does.
//!
//! Cost: one shared counter per refill or flush of a magazine (not per block).

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};

/// Least fall that is followed by a sweep.
const FALL: usize = 8 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static SWEEPING: AtomicBool = AtomicBool::new(false);

/// `bytes` of blocks left their slabs.
#[inline]
pub fn taken(bytes: usize) {
    // ORDERING: Relaxed everywhere: the sums steer a policy.
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    if live > PEAK.load(Relaxed) {
        PEAK.store(live, Relaxed);
    }
}

/// `bytes` of blocks came back. The caller holds no lock.
#[inline]
pub fn put(bytes: usize) {
    let live = LIVE.fetch_sub(bytes, Relaxed).wrapping_sub(bytes);
    let peak = PEAK.load(Relaxed);
    if live + (peak / 4).max(FALL) < peak {
        fallen(live);
    }
}

#[cold]
#[inline(never)]
fn fallen(live: usize) {
    if !SWEEPING.swap(true, Relaxed) {
        PEAK.store(live, Relaxed);
        super::purge::all();
        SWEEPING.store(false, Relaxed);
    }
}

/// A fork's child: no sweep is under way here.
pub fn reset() {
    SWEEPING.store(false, Relaxed);
}

/// What threads that ended had counted, and what was put back in nobody's name.
static RETIRED_TAKEN: AtomicU64 = AtomicU64::new(0);
static RETIRED_PUT: AtomicU64 = AtomicU64::new(0);
static RETIRED_BATCHES: AtomicU64 = AtomicU64::new(0);

/// Adds the counters of a thread that ends: blocks taken, blocks put back, batches.
pub fn retire(taken: u64, put: u64, batches: u64) {
    RETIRED_TAKEN.fetch_add(taken, Relaxed);
    RETIRED_PUT.fetch_add(put, Relaxed);
    RETIRED_BATCHES.fetch_add(batches, Relaxed);
}

/// Counts `n` blocks put back on behalf of others.
pub fn put_for_others(n: usize) {
    RETIRED_PUT.fetch_add(n as u64, Relaxed);
}

/// The sums of [`retire`]: blocks taken, blocks put back, batches.
pub fn retired() -> (u64, u64, u64) {
    (
        RETIRED_TAKEN.load(Relaxed),
        RETIRED_PUT.load(Relaxed),
        RETIRED_BATCHES.load(Relaxed),
    )
}
