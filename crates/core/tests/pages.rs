//! The page heap and the pools by their public functions, against oracles of units and places.

mod common;

use aethalloc_base::options::Key;
use aethalloc_base::policy;
use aethalloc_base::units::{PAGE, UNIT, UNITS_PER_REGION};
use aethalloc_core::pages::{self, Run};
use aethalloc_core::space::{self, pool};
use aethalloc_core::{config, front};
use common::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Tests of this file look at sums over the process.
static TURN: Mutex<()> = Mutex::new(());

/// Units that are taken, one bit each as a set, and what their runs carry.
#[derive(Default)]
struct Oracle {
    taken: BTreeSet<usize>,
    runs: Vec<(Run, u64)>,
    made: u64,
}

impl Oracle {
    fn claim(&mut self, first: usize, units: usize) {
        for u in first..first + units {
            assert!(
                self.taken.insert(u),
                "unit {u} of run {first} + {units} was taken already"
            );
            let at = space::address_of(u).addr();
            assert_eq!(at % UNIT, 0, "unit {u} at {at:#x}");
            assert_eq!(space::unit_of(at), Some(u));
            assert_eq!(space::unit_of(at + UNIT - 1), Some(u));
        }
        assert!(first + units <= pages::top_unit());
    }
    fn release(&mut self, first: usize, units: usize) {
        for u in first..first + units {
            assert!(self.taken.remove(&u));
        }
    }
    /// Writes to every OS page of the units.
    fn mark(first: usize, units: usize, tag: u64) {
        for page in 0..units * UNIT / PAGE {
            let p = space::address_of(first).wrapping_add(page * PAGE + page % 512 * 8);
            // SAFETY: inside the run, which is the test's.
            unsafe { p.cast::<u64>().write(tag ^ page as u64) };
        }
    }
    fn check(run: &Run, tag: u64) {
        for page in 0..run.units * UNIT / PAGE {
            let p = space::address_of(run.first).wrapping_add(page * PAGE + page % 512 * 8);
            // SAFETY: as above.
            let found = unsafe { p.cast::<u64>().read() };
            assert_eq!(found, tag ^ page as u64, "page {page} of {run:?}");
        }
    }
    fn assert_clean(first: usize, units: usize) {
        // SAFETY: the run is the test's.
        unsafe { common::assert_zero(space::address_of(first), units * UNIT) };
    }
    fn take(&mut self, units: usize) {
        let run = pages::take(units).expect("memory for a run");
        assert_eq!(run.units, units);
        self.claim(run.first, units);
        if run.clean {
            Self::assert_clean(run.first, units);
        }
        self.made += 1;
        let tag = self.made << 32;
        Self::mark(run.first, units, tag);
        self.runs.push((run, tag));
    }
    /// A run that carries its mark; `clean` is meant for the whole run, which the test has written to.
    fn remove(&mut self, i: usize) -> Run {
        let (mut run, tag) = self.runs.swap_remove(i);
        Self::check(&run, tag);
        self.release(run.first, run.units);
        run.clean = false;
        run
    }
    fn step(&mut self, random: &mut Random) {
        match random.below(20) {
            0..8 => self.take(1),
            8..10 => self.take(1 + random.below(UNITS_PER_REGION)),
            10 => self.take(UNITS_PER_REGION + random.below(3 * UNITS_PER_REGION)),
            _ if self.runs.is_empty() => {}
            11..13 => {
                let i = random.below(self.runs.len());
                let (run, tag) = &mut self.runs[i];
                let (old, tag) = (run.units, *tag);
                let more = 1 + random.below(8);
                // What follows is judged alone: `clean` comes back as "the new part is".
                run.clean = true;
                let grown = pages::extend(run, old + more);
                assert_eq!(run.units, if grown { old + more } else { old });
                let (first, clean) = (run.first, run.clean);
                let follow = first + old..first + old + more;
                let free = follow.clone().all(|u| !self.taken.contains(&u));
                assert!(free || !grown, "grew into a taken unit");
                if grown {
                    self.claim(follow.start, more);
                    if clean {
                        Self::assert_clean(follow.start, more);
                    }
                    Self::check(
                        &Run {
                            first,
                            units: old,
                            clean: false,
                        },
                        tag,
                    );
                    Self::mark(first, old + more, tag);
                }
            }
            13 => {
                let i = random.below(self.runs.len());
                let (run, tag) = &mut self.runs[i];
                let keep = 1 + random.below(run.units);
                let (first, old) = (run.first, run.units);
                run.clean = false;
                pages::shrink(run, keep);
                assert_eq!(run.units, keep);
                Self::check(run, *tag);
                self.release(first + keep, old - keep);
            }
            14 => {
                let target = random.below(200);
                let (before, given) = (pages::stats().dirty, pages::purge::to(target));
                let after = pages::stats().dirty;
                assert!(
                    after <= target * UNIT,
                    "{after} bytes dirty after a purge to {target} units"
                );
                assert_eq!(before - given, after, "bytes given back");
            }
            _ => {
                let i = random.below(self.runs.len());
                pages::give(self.remove(i));
            }
        }
    }
}

fn formula(used: usize) -> usize {
    policy::retained_limit(
        used,
        config::get(Key::retain),
        config::get(Key::retain_share),
    )
}

/// The formula's bound, or what demand needs where memory given back was missed: at most a quarter more than the `peak`.
fn assert_bounded(peak: usize) {
    let s = pages::stats();
    let bound = formula(s.used).max((peak + peak / 4 + 16 * UNIT).saturating_sub(s.used));
    assert!(s.dirty <= bound, "{} bytes dirty, bound {bound}", s.dirty);
    assert!(s.used + s.dirty <= s.committed, "{s:?}");
}

/// Units of the largest run that a test of this file takes.
const SWING: usize = 40 * UNITS_PER_REGION;

/// What goes up and down is not given back each time; when it does so no more, it is.
/// A run that long ones could serve too goes where it leaves them whole: otherwise every long one would cost page faults.
#[test]
fn long_runs_stay_for_those_who_need_them() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    config::set(Key::retain, 1 << 30);
    assert!(!front::allocate(1).is_null());
    pages::purge::to(0); // what other tests left
    let take = |units| pages::take(units).expect("memory for a run");
    // Of whole regions: | long 20 | kept 1 | short 3 | kept 8 |
    let regions: Vec<_> = (0..4).map(|_| take(UNITS_PER_REGION).first).collect();
    let part = |first, units| Run {
        first,
        units,
        clean: false,
    };
    let shorts: BTreeSet<_> = regions.iter().map(|r| r + 21).collect();
    let longs: BTreeSet<_> = regions.iter().copied().collect();
    // The long ones last, so that a search meets them first.
    shorts.iter().for_each(|r| pages::give(part(*r, 3)));
    longs.iter().for_each(|r| pages::give(part(*r, 20)));
    let again: Vec<_> = (0..shorts.len()).map(|_| take(3)).collect();
    let long_again: Vec<_> = (0..longs.len()).map(|_| take(20)).collect();
    for run in &long_again {
        assert!(longs.contains(&run.first), "{run:?} is none of {longs:?}");
        assert!(!run.clean);
    }
    for run in again.into_iter().chain(long_again) {
        pages::give(part(run.first, run.units));
    }
    for r in regions {
        pages::give(part(r + 20, 1));
        pages::give(part(r + 24, 8));
    }
}

/// An object of 2 MiB and a page takes a region and the first unit of the next, whatever the rest of that is used for.
#[test]
fn of_the_last_region_a_long_run_needs_only_its_first_units() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(space::ready());
    let three = pages::take(3 * UNITS_PER_REGION).expect("memory for a run");
    pages::purge::to(0); // what other tests left
    let part = |skipped, units| Run {
        first: three.first + skipped,
        units,
        clean: false,
    };
    for rest in [1, 5, UNITS_PER_REGION - 1, UNITS_PER_REGION] {
        let units = UNITS_PER_REGION + rest;
        pages::give(part(0, units));
        let again = pages::take(units).expect("memory for a run");
        assert_eq!(again.first, three.first, "{units} units");
        assert!(!again.clean);
        let more = pages::take(units).expect("memory for a run");
        assert_ne!(more.first, three.first);
        pages::give(more);
        pages::purge::to(0);
    }
    pages::give(part(0, 3 * UNITS_PER_REGION));
}

#[test]
fn memory_that_was_missed_is_kept_for_a_while() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    config::set(Key::retain, 2 << 20);
    assert!(space::ready());
    let swing = |take: usize| {
        let mut run = pages::take(take).expect("memory for a run");
        run.clean = false;
        pages::give(run);
        let s = pages::stats();
        (s.dirty, s.purged)
    };
    let _ = front::purge();
    let (_, before) = swing(SWING);
    for _ in 0..100 {
        swing(SWING);
    }
    let purged = (pages::stats().purged - before) as usize / UNIT;
    assert!(
        purged < 10 * SWING,
        "{purged} units purged in 100 swings of {SWING}"
    );
    // Nothing large any more: demand ages, and a later free gives back what is beyond the formula.
    let start = std::time::Instant::now();
    while swing(1).0 > formula(pages::stats().used) {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(120),
            "{:?}",
            pages::stats()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn runs_do_not_overlap_and_clean_ones_are_zero() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = common::seed();
    assert!(space::ready());
    let used = pages::stats().used;
    let mut random = Random::new(seed, 0);
    // What another test missed may not be forgotten yet.
    let mut peak = used + SWING * UNIT;
    for _ in 0..6 {
        let mut oracle = Oracle::default();
        for _ in 0..2500 {
            oracle.step(&mut random);
            assert_eq!(pages::stats().used, used + oracle.taken.len() * UNIT);
            peak = peak.max(pages::stats().used);
            assert_bounded(peak);
        }
        while !oracle.runs.is_empty() {
            let i = random.below(oracle.runs.len());
            pages::give(oracle.remove(i));
            assert_bounded(peak);
        }
        assert_eq!(pages::stats().used, used);
    }
}

#[test]
fn a_purge_of_everything_leaves_nothing_dirty() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    config::set(Key::retain, 1 << 30);
    assert!(space::ready());
    let runs: Vec<_> = (0..100)
        .map(|_| pages::take(1).expect("memory for a unit"))
        .collect();
    for run in &runs {
        Oracle::mark(run.first, 1, 5);
    }
    for mut run in runs {
        run.clean = false;
        pages::give(run);
    }
    assert!(pages::stats().dirty >= 100 * UNIT);
    let (calls, bytes) = (pages::stats().purges, pages::stats().purged);
    assert!(front::purge() >= 100 * UNIT);
    let s = pages::stats();
    assert_eq!(s.dirty, 0);
    assert!(
        s.purges > calls && s.purged >= bytes + 100 * UNIT as u64,
        "{s:?}"
    );
    let again = pages::take(100).expect("memory for a run");
    if again.clean {
        Oracle::assert_clean(again.first, 100);
    }
    pages::give(again);
}

#[test]
fn places_of_a_pool_do_not_overlap_and_fresh_ones_are_zero() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = common::seed();
    assert!(space::ready());
    let mut random = Random::new(seed, 1);
    let mut places: BTreeMap<usize, (std::ptr::NonNull<u8>, usize, u8)> = BTreeMap::new();
    for step in 0..60_000 {
        // Waves, so that chunks fill up and run empty.
        let growing = step / 5000 % 2 == 0;
        if step % 1000 == 999 {
            pool::purge();
        }
        if random.below(10) < if growing { 7 } else { 3 } {
            let i = random.below(pool::SIZES.len());
            let size = pool::SIZES[i];
            assert_eq!(pool::pool_for(size), i);
            let (p, zero) = pool::take(i).expect("memory for a place");
            let at = p.addr().get();
            assert_eq!(
                at % if size == 2048 { 2048 } else { 64 },
                0,
                "a place of {size} bytes at {at:#x}"
            );
            if zero {
                // SAFETY: the place is the test's.
                unsafe { common::assert_zero(p.as_ptr(), size) };
            }
            if let Some((before, (_, n, _))) = places.range(..at + size).next_back() {
                assert!(
                    before + n <= at,
                    "{size} bytes at {at:#x} overlap {n} at {before:#x}"
                );
            }
            let fill = random.next() as u8;
            // SAFETY: the place is the test's.
            unsafe { p.as_ptr().write_bytes(fill, size) };
            places.insert(at, (p, size, fill));
        } else if !places.is_empty() {
            let key = *places
                .range(random.next() as usize % (1 << 47)..)
                .next()
                .or(places.iter().next())
                .expect("one")
                .0;
            let (p, size, fill) = places.remove(&key).expect("a place");
            // SAFETY: the place is the test's until it is given back.
            unsafe {
                assert!(
                    (0..size).all(|i| p.as_ptr().add(i).read() == fill),
                    "{size} bytes at {p:?} changed"
                );
                pool::give(pool::pool_for(size), p.as_ptr());
            }
        }
    }
    for (p, size, _) in places.into_values() {
        // SAFETY: as above.
        unsafe { pool::give(pool::pool_for(size), p.as_ptr()) };
    }
}

#[test]
fn empty_pages_of_chunks_go_back_and_come_again() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(space::ready());
    let size = 1088;
    let i = pool::pool_for(size);
    pool::purge();
    let take = || {
        let p = pool::take(i).expect("memory for a place").0;
        // SAFETY: the place is the test's.
        unsafe { p.as_ptr().write_bytes(7, size) };
        p
    };
    // Every twentieth stays: five or six pages between two of them.
    let places: Vec<_> = (0..2000).map(|_| take()).collect();
    let (stay, go): (Vec<_>, Vec<_>) = places.iter().enumerate().partition(|(n, _)| n % 20 == 0);
    for (_, p) in &go {
        // SAFETY: the test's, given back once.
        unsafe { pool::give(i, p.as_ptr()) };
    }
    let bytes = pool::purge();
    assert!(
        bytes * 2 > go.len() * size,
        "{bytes} bytes of {} went back",
        go.len() * size
    );
    assert_eq!(pool::purge(), 0, "they went already");
    let again: Vec<_> = go.iter().map(|_| take()).collect();
    assert!(pool::purge() < 20 * size, "pages with places on them stay");
    for p in stay.into_iter().map(|(_, p)| *p).chain(again) {
        // SAFETY: the test's.
        unsafe {
            assert!(
                (0..size).all(|n| p.as_ptr().add(n).read() == 7),
                "a place at {p:?} changed"
            );
            pool::give(i, p.as_ptr());
        }
    }
}
