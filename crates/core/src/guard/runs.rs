//! Runs that were freed and are kept with the guards that they have, by length: for [`fenced`](super::fenced) and [`sampled`](super::sampled).
//!
//! Each kind has a set of its own, because the guards lie differently. At most as many units as the bound on retained memory allows, and `EACH` runs
//! of a length; a purge takes all out.
//!
//! # Roles
//! The lock guards everything here.

use crate::pages::limit_units;
use crate::sync::{AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_base::units::UNITS_PER_REGION;
use aethalloc_sys::lock::Lock;

/// Runs of one length that are kept at most.
const EACH: usize = 16;

/// Runs of up to a region.
pub struct Runs {
    lock: Lock,
    /// Units of all of them.
    units: AtomicUsize,
    counts: [AtomicU32; UNITS_PER_REGION],
    /// By length, less one: first units.
    runs: [[AtomicU32; EACH]; UNITS_PER_REGION],
}

impl Runs {
    pub const fn new() -> Runs {
        Runs {
            lock: Lock::new(),
            units: AtomicUsize::new(0),
            counts: [const { AtomicU32::new(0) }; UNITS_PER_REGION],
            runs: [const { [const { AtomicU32::new(0) }; EACH] }; UNITS_PER_REGION],
        }
    }

    /// The lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The first unit of a kept run of `units` units (> 0).
    #[cold]
    pub fn pop(&self, units: usize) -> Option<usize> {
        let (count, runs) = (self.counts.get(units - 1)?, self.runs.get(units - 1)?);
        let _held = self.lock.take();
        let n = count.load(Relaxed).checked_sub(1)?;
        let first = runs.get(n as usize)?.load(Relaxed);
        count.store(n, Relaxed);
        self.units.fetch_sub(units, Relaxed);
        Some(first as usize)
    }

    /// Keeps a run; false if it is to be given back.
    #[cold]
    pub fn push(&self, first: usize, units: usize) -> bool {
        let (Some(count), Some(runs)) = (self.counts.get(units - 1), self.runs.get(units - 1))
        else {
            return false;
        };
        let _held = self.lock.take();
        if self.units.load(Relaxed) + units > limit_units() {
            return false;
        }
        let n = count.load(Relaxed);
        let Some(slot) = runs.get(n as usize) else {
            return false;
        };
        slot.store(first as u32, Relaxed);
        count.store(n + 1, Relaxed);
        self.units.fetch_add(units, Relaxed);
        true
    }

    /// Takes all out: `release` gets their first units and lengths. Whether there were some.
    #[cold]
    pub fn purge(&self, release: impl Fn(usize, usize)) -> bool {
        let mut found = false;
        for units in 1..=UNITS_PER_REGION {
            while let Some(first) = self.pop(units) {
                release(first, units);
                found = true;
            }
        }
        found
    }
}
