//! Target `pages`: runs are taken, given, extended, shrunk, purged.
//!
//! After each action: the rules of `core::inspect` (masks, bins, dirty list, sums); the units in use are exactly the
//! oracle's; no run overlaps another; contents are kept; a run that is said to be clean is zero; free memory that is
//! still committed is within the policy's bound; a purge reaches its target and gives back what it says.

use crate::Target;
use crate::input::{self, Which};
use crate::objects::broken;
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{PAGE, UNIT, UNITS_PER_REGION};
use aethalloc_core::pages::{self, Run};
use aethalloc_core::{config, inspect, space};
use arbitrary::Arbitrary;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The target.
pub const TARGET: Target = Target { name: "pages", run };

/// Units taken at most.
const MOST: usize = 700;

/// What may happen. Numbers of units are taken modulo something sensible.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Action {
    /// A slab's unit, or up to eight.
    Take(u8),
    /// A run of up to a region.
    TakeMany(u8),
    /// A run of up to five regions.
    TakeRegions(u8),
    /// A run goes back.
    Give(Which),
    /// A run grows in place by up to 16 units.
    Extend(Which, u8),
    /// A run is cut.
    Shrink(Which, u8),
    /// Free memory goes back until so many units are left.
    Purge(u8),
    /// The bound changes: MiB retained, share in percent.
    Retain(u8, u8),
}

/// A run with the mark that is in each of its OS pages.
struct Marked {
    run: Run,
    mark: u64,
}

/// The most in use in this process at any check.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What is taken.
#[derive(Default)]
pub struct Oracle {
    taken: BTreeSet<usize>,
    runs: Vec<Marked>,
    made: u64,
    /// The bound on free memory holds: a run came back since it was last lowered.
    bounded: bool,
}

fn run(bytes: &[u8]) {
    assert!(space::ready());
    let mut oracle = Oracle::default();
    for action in input::actions::<Action>(bytes, 1000) {
        oracle.act(action);
        oracle.check();
    }
    oracle.finish();
}

fn word(first: usize, page: usize) -> *mut u64 {
    // A place in the page that differs from page to page.
    let at = page * PAGE + page % 512 * 8;
    space::address_of(first).wrapping_add(at).cast()
}

impl Oracle {
    fn claim(&mut self, first: usize, units: usize) {
        for u in first..first + units {
            assert!(self.taken.insert(u), "unit {u} was taken already");
        }
    }

    fn mark(m: &Marked) {
        for page in 0..m.run.units * UNIT / PAGE {
            // SAFETY: inside the run, which is the target's.
            unsafe { word(m.run.first, page).write(m.mark ^ page as u64) };
        }
    }

    fn check_marks(m: &Marked, units: usize) {
        for page in 0..units * UNIT / PAGE {
            // SAFETY: inside the run, which is the target's.
            let found = unsafe { word(m.run.first, page).read() };
            assert_eq!(found, m.mark ^ page as u64, "page {page} of {:?}", m.run);
        }
    }

    fn assert_clean(first: usize, units: usize) {
        // SAFETY: the run is the target's, and nobody writes to it now.
        let words = unsafe {
            std::slice::from_raw_parts(space::address_of(first).cast::<u64>(), units * UNIT / 8)
        };
        assert!(
            words.iter().all(|w| *w == 0),
            "units {first} + {units} are not clean"
        );
    }

    /// Takes a run, if there are not too many.
    pub fn take(&mut self, units: usize) {
        if self.taken.len() + units > MOST {
            return;
        }
        let run = pages::take(units).expect("memory for a run");
        assert_eq!(run.units, units);
        self.claim(run.first, units);
        if run.clean {
            Self::assert_clean(run.first, units);
        }
        self.made += 1;
        let m = Marked {
            run,
            mark: self.made << 32,
        };
        Self::mark(&m);
        self.runs.push(m);
    }

    /// The first unit of the newest run, and its length.
    pub fn newest(&self) -> Option<(usize, usize)> {
        self.runs.last().map(|m| (m.run.first, m.run.units))
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Gives a run back.
    pub fn give(&mut self, which: Which) -> Option<(usize, usize)> {
        if self.runs.is_empty() {
            return None;
        }
        let mut m = self.runs.remove(which.of(self.runs.len()));
        Self::check_marks(&m, m.run.units);
        let (first, units) = (m.run.first, m.run.units);
        for u in first..first + units {
            assert!(self.taken.remove(&u));
        }
        m.run.clean = false;
        pages::give(m.run);
        self.bounded = true;
        Some((first, units))
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Take(n) => self.take(if n < 200 { 1 } else { n as usize % 8 + 1 }),
            Action::TakeMany(n) => self.take(n as usize % UNITS_PER_REGION + 1),
            Action::TakeRegions(n) => {
                self.take(UNITS_PER_REGION + n as usize % (4 * UNITS_PER_REGION));
            }
            Action::Give(which) => {
                self.give(which);
            }
            Action::Extend(which, n) => self.extend(which, n as usize % 16 + 1),
            Action::Shrink(which, n) => {
                if self.runs.is_empty() {
                    return;
                }
                let i = which.of(self.runs.len());
                let m = &mut self.runs[i];
                let (first, old) = (m.run.first, m.run.units);
                let keep = n as usize % old + 1;
                m.run.clean = false;
                pages::shrink(&mut m.run, keep);
                assert_eq!(m.run.units, keep);
                for u in first + keep..first + old {
                    assert!(self.taken.remove(&u));
                }
                Self::check_marks(&self.runs[i], keep);
            }
            Action::Purge(target) => {
                let before = pages::stats();
                let given = pages::purge::to(target as usize);
                let after = pages::stats();
                assert!(after.dirty <= target as usize * UNIT, "{after:?}");
                assert_eq!(before.dirty - given, after.dirty, "bytes given back");
                assert_eq!(before.purged + given as u64, after.purged, "bytes counted");
            }
            Action::Retain(mib, share) => {
                config::set(Key::retain, (mib as usize % 64) << 20);
                config::set(Key::retain_share, share as usize % 101);
                self.bounded = false;
            }
        }
    }

    fn extend(&mut self, which: Which, more: usize) {
        if self.runs.is_empty() || self.taken.len() + more > MOST {
            return;
        }
        let i = which.of(self.runs.len());
        let m = &mut self.runs[i];
        let (first, old) = (m.run.first, m.run.units);
        // What follows is judged alone: `clean` comes back as "the new part is".
        m.run.clean = true;
        let grown = pages::extend(&mut m.run, old + more);
        let clean = m.run.clean;
        assert_eq!(m.run.units, if grown { old + more } else { old });
        let free = (first + old..first + old + more).all(|u| !self.taken.contains(&u));
        assert!(free || !grown, "grew into a unit that was taken");
        Self::check_marks(&self.runs[i], old);
        if grown {
            self.claim(first + old, more);
            if clean {
                Self::assert_clean(first + old, more);
            }
            Self::mark(&self.runs[i]);
        }
    }

    /// Checks the heap against what is taken.
    ///
    /// # Panics
    /// If they differ.
    pub fn check(&self) {
        let census = inspect::check().unwrap_or_else(|b| broken(&b));
        assert_eq!(census.unclaimed, self.taken.len(), "units in use");
        let mut missing = 0;
        pages::inspect::each_region(&mut |r, used, _| {
            for u in (0..UNITS_PER_REGION).filter(|b| used >> b & 1 == 1) {
                missing += !self.taken.contains(&(r * UNITS_PER_REGION + u)) as usize;
            }
        });
        assert_eq!(missing, 0, "units in use that nobody took");
        let s = pages::stats();
        assert!(s.used + s.dirty <= s.committed, "{s:?}");
        let limit = policy::retained_limit(
            s.used,
            config::get(Key::retain),
            config::get(Key::retain_share),
        );
        // Where memory given back was missed: what demand needs, at most half more than the most seen in use.
        let peak = PEAK.fetch_max(s.used, Relaxed).max(s.used);
        let needed = (peak + peak / 2 + 64 * UNIT).saturating_sub(s.used);
        let bound = limit.max(needed);
        assert!(!self.bounded || s.dirty <= bound, "{s:?}, bound {bound}");
    }

    /// Gives everything back, checking on the way.
    pub fn finish(mut self) {
        input::reset_settings();
        while self.give(Which::Last).is_some() {
            self.check();
        }
        let dirty = pages::stats().dirty;
        assert_eq!(pages::purge::to(0), dirty, "bytes given back");
        self.check();
        assert_eq!(pages::stats().dirty, 0);
    }
}
