//! How many bytes of blocks are out, and the sweep that follows a fall.
//!
//! Free runs are bounded by the page heap; free blocks inside slabs that are in use are not, and when a program drops
//! most of what it held, most pages of such slabs may be empty. So the frees themselves watch the sum: when it has
//! fallen by `FALL` bytes and an eighth since its last peak, the freeing thread purges the empty pages of all slabs,
//! once, unless what earlier sweeps gave back was missed (`missed`). Where a support thread looks, it does, a little later.
//! A program in a steady state causes no sweep.
//!
//! Cost: threads gather their bytes, what they took less what they freed, and change the shared sum once for every 32 KiB of the difference, or
//! for a part of what is out (`policy::share`): the sum's line would go from thread to thread with every fourth large block. A thread that
//! replaces what it frees leaves it alone. What a thread frees that never allocates and ends before it has freed 4 KiB is not counted:
//! nobody is told of its end.

use super::owners;
use crate::apart::Apart;
use crate::bell;
use crate::config;
use crate::missed::Missed;
use crate::out::BLOCKS as LIVE;
use crate::sync::{AtomicBool, AtomicIsize, AtomicU64, Ordering::*};
use aethalloc_base::options::Key;
use aethalloc_base::policy;

/// Least fall that is followed by a sweep.
const FALL: isize = 8 << 20;

/// The most since somebody last looked, and since the last sweep before that.
static PEAK: AtomicIsize = AtomicIsize::new(0);
static HIGH: AtomicIsize = AtomicIsize::new(0);
/// What a sweep gave back and was needed again.
static MISSED: Missed = Missed::new(1);
static SWEEPING: AtomicBool = AtomicBool::new(false);

/// Bytes that a thread gathers before it changes the shared sum: it seldom changes.
static SHARE: Apart<AtomicIsize> = Apart(AtomicIsize::new(policy::LEAST_SHARE as isize));

/// More bytes were taken by a thread than it may leave unreported.
#[inline]
pub fn is_much(unsettled: isize) -> bool {
    unsettled >= SHARE.load(Relaxed)
}

/// Reports a thread's unsettled bytes if there are many, or all of them were freed. The caller holds no lock.
#[inline]
pub fn settle(unsettled: &mut isize) {
    if unsettled.abs() >= SHARE.load(Relaxed) {
        change(core::mem::take(unsettled));
    }
}

/// `bytes` of blocks more (or fewer) are out. The caller holds no lock if they are fewer.
pub fn change(bytes: isize) {
    // ORDERING: Relaxed everywhere: the sums steer a policy.
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    let share = policy::share(live.max(0) as usize, owners::live()) as isize;
    if share != SHARE.load(Relaxed) {
        SHARE.store(share, Relaxed);
    }
    let peak = PEAK.load(Relaxed);
    if live > peak {
        PEAK.store(live, Relaxed);
    } else if bytes < 0 {
        let high = peak.max(HIGH.load(Relaxed));
        if live.max(0) + (high / 8).max(FALL) < high {
            fallen(live.max(0));
        }
    }
}

#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.unknown.later")]
fn fallen(live: isize) {
    if bell::is_served() && config::get(Key::support_sweep) != 0 {
        bell::ring(); // the support thread sweeps
    } else if !SWEEPING.swap(true, Relaxed) {
        let peak = PEAK.swap(live, Relaxed).max(0);
        let high = HIGH.load(Relaxed).max(peak);
        let fall = (high - live).max(0) as usize;
        let keep = MISSED.keep(peak as usize, live as usize);
        if keep.is_some_and(|keep| keep <= fall / 2) {
            HIGH.store(live, Relaxed);
            MISSED.gave(super::purge::all(), live as usize);
        } else {
            HIGH.store(high, Relaxed);
        }
        SWEEPING.store(false, Relaxed);
    }
}

/// Bytes out of slabs, now.
pub fn bytes() -> usize {
    LIVE.load(Relaxed).max(0) as usize
}

/// The most bytes that were out since the last call.
pub fn take_peak() -> usize {
    HIGH.store(0, Relaxed);
    PEAK.swap(LIVE.load(Relaxed), Relaxed).max(0) as usize
}

/// A fork's child: no sweep is under way here.
pub fn reset() {
    SWEEPING.store(false, Relaxed);
    MISSED.reset();
}

/// What threads that ended had counted.
static RETIRED_TAKEN: AtomicU64 = AtomicU64::new(0);
static RETIRED_RESERVATIONS: AtomicU64 = AtomicU64::new(0);

/// Adds the counters of a thread that ends: blocks taken, reservations.
pub fn retire(taken: u64, reservations: u64) {
    RETIRED_TAKEN.fetch_add(taken, Relaxed);
    RETIRED_RESERVATIONS.fetch_add(reservations, Relaxed);
}

/// The sums of [`retire`].
pub fn retired() -> (u64, u64) {
    (
        RETIRED_TAKEN.load(Relaxed),
        RETIRED_RESERVATIONS.load(Relaxed),
    )
}
