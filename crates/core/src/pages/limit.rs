//! The options `limit` and `limit_soft`, and the limit of the process's group (cgroup): how much memory the heap may hold.
//!
//! Asked whenever runs are taken out of the page heap (a slab, a large object), never by `malloc` itself. Beyond the limit free
//! runs go back first; what is in use alone beyond it is refused, and the caller looks for empty slabs before it gives up.
//! Beyond a soft limit nothing is refused: free runs go back, and now and then the empty pages inside slabs.
//!
//! Cost without a limit: two loads for each run.

use super::{USED, dirty_units, purge};
use crate::config;
use crate::space::meta;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::limit::{Held, Verdict, is_sweep_due, judge};
use aethalloc_base::options::Key;
use aethalloc_base::units::UNIT;

/// Runs that were refused because of the limit.
static REFUSED: AtomicU64 = AtomicU64::new(0);
/// Bytes in use when the last search for empty pages was asked for.
static SWEPT: AtomicUsize = AtomicUsize::new(0);
/// The heap's share of what the process's group may still take, as another soft limit; 0: no limit is known.
static GROUP: AtomicUsize = AtomicUsize::new(0);
/// Somebody is to make one.
static WANTED: AtomicBool = AtomicBool::new(false);

/// There is a limit of either kind.
#[inline]
pub fn is_set() -> bool {
    config::get(Key::limit) | config::get(Key::limit_soft) | GROUP.load(Relaxed) != 0
}

/// The support thread read how much the process's group may still take: `room` bytes; `None`: there is no limit.
pub fn set_room(room: Option<u64>) {
    let soft = room.map_or(0, |room| charged().saturating_add(room as usize));
    GROUP.store(soft, Relaxed);
}

fn soft() -> usize {
    match (config::get(Key::limit_soft), GROUP.load(Relaxed)) {
        (0, n) | (n, 0) => n,
        (a, b) => a.min(b),
    }
}

/// What counts against the limits.
fn held() -> Held {
    Held {
        used: USED.load(Relaxed) * UNIT + meta::committed(),
        dirty: dirty_units() * UNIT,
    }
}

/// What counts against the limits, in bytes.
pub fn charged() -> usize {
    let held = held();
    held.used + held.dirty
}

/// Runs that were refused because of the limit, since the start.
pub fn refused() -> u64 {
    REFUSED.load(Relaxed)
}

/// What was just counted as used may be: free runs have gone back as far as that needs it. The caller holds no lock.
#[cold]
#[inline(never)]
pub fn admits() -> bool {
    let soft = soft();
    if SWEPT.load(Relaxed) > held().used {
        SWEPT.store(held().used, Relaxed);
    }
    match judge(held(), soft) {
        Verdict::Within => {}
        Verdict::Trim(rest) => trim(rest),
        Verdict::Beyond => {
            trim(0);
            let used = held().used;
            if is_sweep_due(used, SWEPT.load(Relaxed), soft) {
                SWEPT.store(used, Relaxed);
                WANTED.store(true, Relaxed);
            }
        }
    }
    let hard = config::get(Key::limit);
    if let Verdict::Trim(rest) = judge(held(), hard) {
        trim(rest);
    }
    // Free runs stay where the system refuses to take them (locked pages).
    let ok = judge(held(), hard) == Verdict::Within;
    if !ok {
        REFUSED.fetch_add(1, Relaxed);
    }
    ok
}

fn trim(rest: usize) {
    purge::to(rest / UNIT);
}

/// The caller, who holds no lock, is to give back the empty pages inside slabs.
#[inline]
pub fn wants_sweep() -> bool {
    WANTED.load(Relaxed) && WANTED.swap(false, Relaxed)
}
