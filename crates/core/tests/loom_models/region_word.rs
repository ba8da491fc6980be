//! A region's word: no unit is ever two's, and whoever gets one comes after everything that was done to its pages.

use crate::fault::{Fault, Op, breaks, holds};
use crate::region::{Word, mask};
use crate::sync::Ordering;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "pages/region.rs";
const SOURCE: &str = include_str!("../../src/pages/region.rs");
/// Compare-and-swap loops of three steps: without a bound it takes minutes.
const BOUND: Option<usize> = Some(2);

/// A region of which only the first two units are free, and their pages.
struct Region {
    word: Word,
    pages: [UnsafeCell<u32>; 2],
}
// SAFETY: the cells are loom's, which checks every access.
unsafe impl Sync for Region {}
// SAFETY: as above.
unsafe impl Send for Region {}

impl Region {
    fn new() -> Arc<Region> {
        let r = Region {
            word: Word::new(),
            pages: [UnsafeCell::new(0), UnsafeCell::new(0)],
        };
        assert!(r.word.take(u32::MAX).is_some());
        r.word.give(3, true);
        Arc::new(r)
    }
    /// Writes to the pages of units `from..to`.
    fn touch(&self, from: usize, to: usize) {
        for page in &self.pages[from..to] {
            // SAFETY: the units are the caller's; loom checks it.
            page.with_mut(|p| unsafe { *p += 1 });
        }
    }
    /// A purger's turn.
    fn purge(&self) {
        if let Some((b, n)) = self.word.claim(2) {
            self.touch(b as usize, b as usize + n);
            self.word.give(mask(b, n), false);
        }
    }
}

/// A thread takes a unit, uses it and gives it back, while a purger works.
fn taker_and_purger() {
    let r = Region::new();
    let purger = thread::spawn({
        let r = r.clone();
        move || r.purge()
    });
    if r.word.take(1).is_some() {
        r.touch(0, 1);
        r.word.give(1, true);
    }
    purger.join().unwrap();
    assert_eq!(r.word.used(), !3, "a unit was lost");
    assert_eq!(r.word.used() & r.word.dirty(), 0);
}

/// Two purgers, as `purge()` of a program beside the support thread.
fn two_purgers() {
    let r = Region::new();
    let purger = thread::spawn({
        let r = r.clone();
        move || r.purge()
    });
    r.purge();
    purger.join().unwrap();
    assert_eq!((r.word.used(), r.word.dirty()), (!3, 0));
}

#[test]
fn one_at_a_time_and_nothing_lost() {
    holds(BOUND, taker_and_purger);
    holds(BOUND, two_purgers);
}

#[test]
fn give_needs_release() {
    breaks(
        BOUND,
        Fault::weaken(FILE, SOURCE, "give", Op::Update, Ordering::Release),
        taker_and_purger,
    );
}

#[test]
fn take_needs_acquire() {
    breaks(
        BOUND,
        Fault::weaken(FILE, SOURCE, "take", Op::Update, Ordering::Acquire),
        taker_and_purger,
    );
}

#[test]
fn claim_needs_acquire() {
    breaks(
        BOUND,
        Fault::weaken(FILE, SOURCE, "claim_by", Op::Update, Ordering::Acquire),
        taker_and_purger,
    );
}
