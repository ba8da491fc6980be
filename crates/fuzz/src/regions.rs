//! Target `regions`: which region a run comes from, and which is purged first. A model of the policy predicts each
//! answer from the masks before the call.
//!
//! ```text
//! take n <= 32: of the 16 regions that became dirty last, the shortest row of dirty units that fits; else, of a region whose
//!               longest free run is the shortest that fits, the shortest that fits; else new regions. Lowest units first.
//! take n > 32:  of the free regions in a row, of the last only the first units needed, those that hold the most; of these the lowest; else at the
//!               end of what is committed.
//! purge:        regions that have been dirty for longest, each one's longest dirty run first.
//! ```
//! After each action also the rules of `core::inspect` and the oracle of [`crate::pages`].

use crate::Target;
use crate::input::{self, Which};
use crate::pages::Oracle;
use aethalloc_base::units::UNITS_PER_REGION;
use aethalloc_core::pages;
use aethalloc_core::space;
use arbitrary::Arbitrary;
use std::collections::BTreeMap;

/// The target.
pub const TARGET: Target = Target {
    name: "regions",
    run,
};

/// What may happen.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Action {
    /// A run of 1 to 32 units.
    Take(u8),
    /// A run of 33 to 128 units.
    TakeRegions(u8),
    /// A run goes back.
    Give(Which),
    /// Purges to so many units.
    Purge(u8),
}

/// Masks of one region.
#[derive(Clone, Copy)]
struct Masks {
    used: u32,
    dirty: u32,
}

/// What the heap looked like.
struct Picture {
    regions: BTreeMap<usize, Masks>,
    /// Regions with dirty units, newest first.
    dirty: Vec<usize>,
}

fn picture() -> Picture {
    let mut p = Picture {
        regions: BTreeMap::new(),
        dirty: Vec::new(),
    };
    pages::inspect::each_region(&mut |r, used, dirty| {
        p.regions.insert(r, Masks { used, dirty });
    });
    pages::inspect::each_dirty(&mut |r| p.dirty.push(r));
    p
}

/// Where `n` ones in a row begin first.
fn find(mask: u32, n: usize) -> Option<usize> {
    let ones = (1u64 << n) - 1;
    (0..=UNITS_PER_REGION - n).find(|b| (mask as u64 >> b) & ones == ones)
}

/// The longest row of ones.
fn longest(mask: u32) -> usize {
    (1..=UNITS_PER_REGION)
        .rev()
        .find(|n| find(mask, *n).is_some())
        .unwrap_or(0)
}

/// Of the rows of at least `n` ones the shortest, the lowest of these: its length, and where it begins.
fn shortest(mask: u32, n: usize) -> Option<(usize, usize)> {
    let mut best = None;
    let mut row = 0;
    // One zero behind the last bit ends the last row.
    for (i, one) in (0..33).map(|i| (i, (mask as u64) >> i & 1 != 0)) {
        if one {
            row += 1;
            continue;
        }
        if row >= n && row > 0 && best.is_none_or(|(least, _)| row < least) {
            best = Some((row, i - row));
        }
        row = 0;
    }
    best
}

fn run(bytes: &[u8]) {
    assert!(space::ready());
    let mut oracle = Oracle::default();
    for action in input::actions::<Action>(bytes, 1000) {
        match action {
            Action::Take(n) => {
                // Mostly slabs.
                let n = if n < 150 {
                    1
                } else {
                    n as usize % UNITS_PER_REGION + 1
                };
                let before = picture();
                let runs = oracle.runs();
                oracle.take(n);
                if oracle.runs() > runs {
                    check_small(&before, oracle.newest().expect("a run"));
                }
            }
            Action::TakeRegions(n) => {
                let before = picture();
                let runs = oracle.runs();
                oracle.take(UNITS_PER_REGION + 1 + n as usize % 96);
                if oracle.runs() > runs {
                    check_large(&before, oracle.newest().expect("a run"));
                }
            }
            Action::Give(which) => {
                oracle.give(which);
            }
            Action::Purge(target) => {
                let before = picture();
                pages::purge::to(target as usize);
                check_purge(&before, target as usize);
            }
        }
        oracle.check();
    }
    oracle.finish();
}

fn check_small(before: &Picture, (first, n): (usize, usize)) {
    let (r, b) = (first / UNITS_PER_REGION, first % UNITS_PER_REGION);
    assert!(b + n <= UNITS_PER_REGION, "a run of {n} crosses a region");
    let dirty = before.dirty.iter().take(16);
    let reused = dirty
        .copied()
        .filter_map(|r| shortest(before.regions[&r].dirty, n).map(|(len, b)| (len, r, b)));
    // The first of the shortest.
    if let Some((_, wanted_r, wanted_b)) = reused.min_by_key(|(len, _, _)| *len) {
        assert_eq!(
            (r, b),
            (wanted_r, wanted_b),
            "a run of {n} from dirty units"
        );
        return;
    }
    let free = before.regions.iter().map(|(r, m)| (*r, longest(!m.used)));
    let fits = free.clone().filter(|(_, l)| *l >= n).map(|(_, l)| l).min();
    let Some(least) = fits else {
        assert!(
            !before.regions.contains_key(&r),
            "a run of {n} where none fits"
        );
        return;
    };
    let masks = before.regions.get(&r);
    let masks =
        masks.unwrap_or_else(|| panic!("a new region for {n} units, {least} are free in a row"));
    assert_eq!(
        longest(!masks.used),
        least,
        "free row that a run of {n} was cut from"
    );
    assert_eq!(
        shortest(!masks.used, n).map(|(_, b)| b),
        Some(b),
        "the shortest row of the region, its lowest units"
    );
}

fn check_large(before: &Picture, (first, n): (usize, usize)) {
    assert_eq!(
        first % UNITS_PER_REGION,
        0,
        "a run of {n} begins inside a region"
    );
    let (r, k) = (first / UNITS_PER_REGION, n.div_ceil(UNITS_PER_REGION));
    // What of each region is needed.
    let rest = n - (k - 1) * UNITS_PER_REGION;
    let last = ((1u64 << rest) - 1) as u32;
    let needed = |from: usize, r: usize| if r == from + k - 1 { last } else { u32::MAX };
    let is_free = |r: &usize| before.regions.get(r).is_some_and(|m| m.used == 0);
    let windows = before.regions.keys().copied();
    let windows = windows.filter(|from| {
        let free = |r| {
            before
                .regions
                .get(&r)
                .is_some_and(|m| m.used & needed(*from, r) == 0)
        };
        (*from..from + k).all(free)
    });
    let dirty = |from: usize| -> u32 {
        (from..from + k)
            .map(|r| (before.regions[&r].dirty & needed(from, r)).count_ones())
            .sum()
    };
    // The lowest of those with the most dirty units.
    let best = windows.min_by_key(|r| (std::cmp::Reverse(dirty(*r)), *r));
    match best {
        Some(best) => assert_eq!(r, best, "of {k} free regions in a row the dirtiest"),
        None => {
            let grown = (r..r + k)
                .filter(|r| !before.regions.contains_key(r))
                .count();
            assert!(grown > 0, "{k} regions where none are free");
            assert!((r..r + k - grown).all(|r| is_free(&r)));
        }
    }
}

fn check_purge(before: &Picture, target: usize) {
    let after = picture();
    let mut left: usize = before
        .regions
        .values()
        .map(|m| m.dirty.count_ones() as usize)
        .sum();
    // The same, one run after the other.
    let mut wanted = before.regions.clone();
    for r in before.dirty.iter().rev() {
        let m = wanted.get_mut(r).expect("a region");
        while left > target && m.dirty != 0 {
            let n = longest(m.dirty);
            let b = find(m.dirty, n).expect("a run");
            m.dirty &= !((((1u64 << n) - 1) as u32) << b);
            left -= n;
        }
    }
    for (r, m) in &wanted {
        assert_eq!(after.regions[r].dirty, m.dirty, "dirty units of region {r}");
    }
}
