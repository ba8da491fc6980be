//! Runs that were freed and are kept with the guards that they have, by length: for [`fenced`](super::fenced) and [`sampled`](super::sampled).
//!
//! Each kind has a set of its own, because the guards lie differently. At most as many units as the bound on retained memory allows, of long runs a
//! quarter of that or one run, and `EACH` runs of a length; a purge takes all out.
//!
//! # Roles
//! The lock guards everything here.

use crate::pages::guarded_limit_units;
use crate::sync::{AtomicU32, AtomicUsize, Ordering::*};
use aethalloc_base::units::UNITS_PER_REGION;
use aethalloc_sys::lock::Lock;

/// Runs of one length that are kept at most.
const EACH: usize = 64;

/// Runs of up to so many units are short. Of longer ones few are as long as the next object needs: kept in numbers, they would leave no room for
/// those that are asked for often, nor memory to those that need another length.
const SHORT: usize = 4;

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

    /// Takes out the longest run that is kept, if one of `units` units more would be too many: of long ones, more than a quarter of all. For a long
    /// one only long ones go; none where it finds no place among those of its length.
    #[cold]
    pub fn longest_beyond(&self, units: usize) -> Option<(usize, usize)> {
        let most = guarded_limit_units();
        let is_long = units > SHORT;
        let longest = {
            let _held = self.lock.take();
            let kept = |n: &usize| self.counts.get(n - 1).map_or(0, |c| c.load(Relaxed)) as usize;
            if units > 0 && kept(&units) >= EACH {
                return None;
            }
            let long = (SHORT + 1..=UNITS_PER_REGION)
                .map(|n| n * kept(&n))
                .sum::<usize>();
            if self.units.load(Relaxed) + units <= most && (!is_long || long + units <= most / 4) {
                return None;
            }
            let from = if is_long { SHORT + 1 } else { 1 };
            (from..=UNITS_PER_REGION).rev().find(|n| kept(n) > 0)?
        };
        Some((self.pop(longest)?, longest))
    }

    /// Keeps a run; false if it is to be given back.
    #[cold]
    pub fn push(&self, first: usize, units: usize) -> bool {
        let (Some(count), Some(runs)) = (self.counts.get(units - 1), self.runs.get(units - 1))
        else {
            return false;
        };
        let _held = self.lock.take();
        if self.units.load(Relaxed) + units > guarded_limit_units() {
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

    /// Takes out the longest as long as there are too many: `release` gets their first units and lengths.
    #[cold]
    pub fn trim(&self, release: impl Fn(usize, usize)) {
        while self.units.load(Relaxed) > guarded_limit_units()
            && let Some((first, units)) = self.longest_beyond(0)
        {
            release(first, units);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As `fenced` keeps what was freed; how many runs went back for it.
    fn keep(runs: &Runs, first: usize, units: usize) -> usize {
        let mut gone = 0;
        while let Some((_, n)) = runs.longest_beyond(units) {
            assert!(n > SHORT || units <= SHORT);
            gone += 1;
        }
        gone + !runs.push(first, units) as usize
    }

    /// What is freed is kept although long runs fill the room, so that a program that goes on to another size has its runs again.
    #[test]
    fn the_run_that_was_freed_last_is_kept() {
        let runs = Runs::new();
        let most = guarded_limit_units();
        for (i, units) in (SHORT + 1..=UNITS_PER_REGION).enumerate() {
            keep(&runs, 100 * i, units);
            assert_eq!(runs.pop(units), Some(100 * i), "{units} units");
            keep(&runs, 100 * i, units);
            assert!(runs.units.load(Relaxed) <= most / 4);
        }
        keep(&runs, 7, 17);
        assert_eq!(runs.pop(17), Some(7));
    }

    /// Short ones take all the room there is, and keep it.
    #[test]
    fn long_runs_leave_short_ones_alone() {
        let runs = Runs::new();
        keep(&runs, 1, 20);
        for i in 0..EACH {
            keep(&runs, 1000 + i, 4);
            keep(&runs, 2000 + i, 3);
        }
        for i in 0..EACH {
            keep(&runs, 3000 + i, 1);
        }
        assert!(runs.units.load(Relaxed) <= guarded_limit_units());
        assert_eq!(runs.pop(20), None, "the longest goes first");
        assert_eq!(keep(&runs, 5, 20), 1, "and finds no room");
        assert_eq!(runs.pop(1), Some(3000 + EACH - 1));
    }

    /// A run that finds no place among those of its length drives out no other.
    #[test]
    fn nothing_goes_for_a_run_that_cannot_stay() {
        let runs = Runs::new();
        for i in 0..EACH {
            assert_eq!(keep(&runs, 1000 + i, 1), 0);
        }
        // The rest of the room.
        let room = || guarded_limit_units() - runs.units.load(Relaxed);
        while room() > 0 {
            let units = if room() < 8 { room() } else { 4 };
            assert_eq!(keep(&runs, 5000, units), 0);
        }
        assert_eq!(keep(&runs, 7, 1), 1, "it has no place");
        assert_eq!(room(), 0);
    }
}
