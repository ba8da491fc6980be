//! How many bytes of slabs are out, and the sweep that follows a fall.
//!
//! Free runs are bounded by the page heap; free blocks inside slabs that are in use are not, and when a program drops
//! most of what it held, most pages of such slabs may be empty. So the frees themselves watch the sum: when it has
//! fallen by [`FALL`] bytes and a quarter since its last peak, the freeing thread purges the empty pages of all slabs,
//! once. A program in a steady state never does.
//!
//! Cost: one shared counter per refill or flush of a magazine (not per block).

use crate::sync::{AtomicBool, AtomicUsize, Ordering::*};

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
