//! Giving free runs back to the system.
//!
//! Two ways. A thread whose free broke the bound takes what has been dirty for longest out of the heap, under its lock
//! ([`to`]). The support thread claims units in the regions' words and takes no lock at all ([`excess`]): preempted at
//! any point it keeps nobody waiting. Either way nobody waits for the system call, and what was in hand when a fork came
//! is lost to the child, never handed out twice.

use super::heap::{DIRTY, STALE, TOP, shared};
use super::huge;
use super::region::mask;
use super::with;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::units::{UNIT, UNITS_PER_REGION};
use aethalloc_sys::memory::{self, Moved};

/// Units that one system call gives back at most, but for whole regions: 256 KiB. The kernel holds the address space's
/// lock meanwhile.
const PIECE: usize = 4;

/// Purge calls and bytes purged since the start.
pub static PURGES: AtomicU64 = AtomicU64::new(0);
/// See [`PURGES`].
pub static PURGED: AtomicU64 = AtomicU64::new(0);

/// Gives the pages of units that the caller has back; `None` if the system refuses.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn discard(first: usize, units: usize) -> Option<()> {
    huge::loosen(first, units);
    // SAFETY: the units belong to the caller; nobody needs their contents.
    unsafe { memory::discard(crate::space::address_of(first), units * UNIT) }.ok()?;
    count(units * UNIT);
    Some(())
}

/// Counts a call that gave `bytes` back.
pub fn count(bytes: usize) {
    PURGES.fetch_add(1, Relaxed);
    PURGED.fetch_add(bytes as u64, Relaxed);
    AWAY.fetch_add(bytes, Relaxed);
}

/// Bytes that went back and that nobody has asked for again.
static AWAY: AtomicUsize = AtomicUsize::new(0);

/// Bytes that went back and were not asked for again yet, roughly: a program that gave back much and now wants memory mostly wants as
/// much as it had before.
#[inline]
pub fn away() -> usize {
    // ORDERING: Relaxed everywhere: a figure for a policy.
    AWAY.load(Relaxed)
}

/// `bytes` that hold nothing are about to be used.
#[inline]
pub fn asked_again(bytes: usize) {
    let away = AWAY.load(Relaxed);
    if away != 0 {
        // Lost updates make it a little larger or smaller than it is.
        AWAY.store(away.saturating_sub(bytes), Relaxed);
    }
}

/// Gives dirty units back until at most `target` are left, oldest regions first. Returns bytes given back.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn to(target: usize) -> usize {
    let mut bytes = 0;
    while DIRTY.load(Relaxed) > target {
        let Some((first, units)) = with(|h| h.take_dirty()) else {
            return bytes;
        };
        let ok = discard(first, units).is_some();
        with(|h| h.give(first, units, !ok));
        if !ok {
            return bytes; // locked pages (EINVAL): they stay dirty
        }
        bytes += units * UNIT;
    }
    bytes
}

/// As [`to`], without a lock: regions that became dirty before `stamp` (on the clock of [`super::set_stamp`]) first,
/// the rest after them.
#[cold]
#[unsafe(link_section = ".text.unknown.later")]
pub fn excess(target: usize, stamp: u32) -> usize {
    let mut bytes = 0;
    for old_only in [true, false] {
        // ORDERING: Acquire, pairs with Release in `Heap::commit`.
        for r in 0..TOP.load(Acquire) {
            if DIRTY.load(Relaxed) <= target {
                return bytes;
            }
            let g = shared(r);
            let age = stamp.wrapping_sub(g.stamp.load(Relaxed)) as i32;
            if g.word.dirty() == 0 || (old_only && age <= 0) {
                continue;
            }
            while DIRTY.load(Relaxed) > target {
                match claimed(r) {
                    Some(n) => bytes += n,
                    None => break,
                }
            }
        }
    }
    bytes
}

/// Claims one piece of region `r` and gives its pages back. Bytes, `None` when there is nothing to claim or the system
/// refuses.
fn claimed(r: usize) -> Option<usize> {
    let g = shared(r);
    if huge::is_renewed(r)
        && let Some(dirty) = g.word.claim_whole()
    {
        DIRTY.fetch_sub(dirty, Relaxed);
        return match huge::renew(r) {
            Moved::Yes => given(r, 0, UNITS_PER_REGION, true),
            Moved::No => {
                let ok = discard(r * UNITS_PER_REGION, UNITS_PER_REGION).is_some();
                given(r, 0, UNITS_PER_REGION, ok)
            }
            Moved::Lost => None,
        };
    }
    let (b, n) = g.word.claim(PIECE)?;
    DIRTY.fetch_sub(n, Relaxed);
    crate::bell::step(20);
    let ok = discard(r * UNITS_PER_REGION + b as usize, n).is_some();
    given(r, b, n, ok)
}

/// Gives claimed units back to the heap, without their pages if that is `ok`.
fn given(r: usize, b: u32, n: usize, ok: bool) -> Option<usize> {
    if !ok {
        DIRTY.fetch_add(n, Relaxed);
    }
    crate::bell::step(21);
    shared(r).word.give(mask(b, n), !ok);
    // ORDERING: Release, pairs with Acquire in `Heap::settle`.
    STALE.store(true, Release);
    ok.then_some(n * UNIT)
}
