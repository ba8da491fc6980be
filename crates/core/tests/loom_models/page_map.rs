//! The page map: who sees an entry sees what it leads to; of two ends of a large object one wins.

use crate::entry::{self, Kind};
use crate::fault::{Fault, Op, breaks, holds};
use crate::sync::{AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "space/entry.rs";
const SOURCE: &str = include_str!("../../src/space/entry.rs");
const UNIT: usize = 1;
const SLAB: Kind = Kind::Slab {
    class: 5,
    part: 0,
    state: 4096,
};
const LARGE: Kind = Kind::Large {
    pages: 40,
    guarded: true,
};

/// A map of two units and the descriptor that unit 1 may lead to.
struct Space {
    map: [AtomicU64; 2],
    descriptor: UnsafeCell<u32>,
}
// SAFETY: the descriptor is loom's cell, which checks every access.
unsafe impl Sync for Space {}
// SAFETY: as above.
unsafe impl Send for Space {}

impl Space {
    fn new() -> Arc<Space> {
        let s = Arc::new(Space {
            map: [const { AtomicU64::new(0) }; 2],
            descriptor: UnsafeCell::new(0),
        });
        entry::init(s.map.as_ptr().cast::<u8>().cast_mut(), s.map.len());
        assert_eq!(entry::load(UNIT), Kind::None);
        assert_eq!(entry::load(s.map.len()), Kind::None);
        s
    }
    fn fill(&self) {
        // SAFETY: nobody else knows the descriptor; loom checks it.
        self.descriptor.with_mut(|d| unsafe { *d = 7 });
    }
    fn check(&self) {
        // SAFETY: published; loom checks it.
        assert_eq!(
            // SAFETY: loom checks that no write races with this read.
            self.descriptor.with(|d| unsafe { *d }),
            7,
            "an entry led to an unfinished descriptor"
        );
    }
}

/// One thread makes a slab, another looks its unit up.
fn publish() {
    let s = Space::new();
    let maker = thread::spawn({
        let s = s.clone();
        move || {
            s.fill();
            entry::store(UNIT, SLAB);
        }
    });
    match entry::load(UNIT) {
        Kind::None => {}
        k => {
            assert_eq!(k, SLAB);
            s.check();
        }
    }
    maker.join().unwrap();
    assert_eq!(entry::load(UNIT), SLAB);
}

/// Two threads end the same large object; the winner's end comes after what the other saw.
fn end_twice() {
    let s = Space::new();
    entry::store(UNIT, LARGE);
    let ends = || entry::take_large(UNIT, 40, true).is_some() as u32;
    let other = thread::spawn(ends);
    let mine = ends();
    assert_eq!(
        mine + other.join().unwrap(),
        1,
        "a large object ended {mine} times here"
    );
    assert_eq!(entry::load(UNIT), Kind::None);
    drop(s);
}

/// A thread ends an object that another has just made: the run's next use comes after its first.
fn end_of_another() {
    let s = Space::new();
    let maker = thread::spawn({
        let s = s.clone();
        move || {
            s.fill();
            entry::store(UNIT, LARGE);
        }
    });
    if entry::take_large(UNIT, 40, true).is_some() {
        s.check();
        s.fill();
    }
    maker.join().unwrap();
}

#[test]
fn entries_lead_to_finished_descriptors() {
    holds(None, publish);
}

#[test]
fn a_large_object_ends_once() {
    holds(None, end_twice);
    holds(None, end_of_another);
}

#[test]
fn store_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "store", Op::Store, Ordering::Release),
        publish,
    );
}

#[test]
fn load_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "load", Op::Load, Ordering::Acquire),
        publish,
    );
}

#[test]
fn take_large_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "take_large", Op::Update, Ordering::AcqRel),
        end_of_another,
    );
}
