//! The lock of a slab follows its owner: whoever has it and sees a life has it alone, whatever happened to the slab
//! between the look at the owner and the lock.

use crate::claim::{Claim, State};
use crate::fault::{Fault, Op, breaks, holds};
use crate::sync::{AtomicU32, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "span/claim.rs";
const SOURCE: &str = include_str!("../../src/span/claim.rs");
const CLASS: usize = 3;
const COMMON: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;

/// A descriptor, the locks of three owners, and what the slab's lock guards: its links.
struct Slab {
    claim: Claim,
    owner: AtomicU32,
    locks: [Mutex<()>; 3],
    links: UnsafeCell<u32>,
}
// SAFETY: the links are loom's cell, which checks every access.
unsafe impl Sync for Slab {}
// SAFETY: as above.
unsafe impl Send for Slab {}

impl Slab {
    /// A slab of `FIRST` that rests.
    fn resting() -> Arc<Slab> {
        let s = Slab {
            claim: Claim::new(),
            owner: AtomicU32::new(FIRST),
            locks: std::array::from_fn(|_| Mutex::new(())),
            links: UnsafeCell::new(0),
        };
        s.claim.begin(CLASS, FIRST);
        s.claim.let_go();
        s.owner.store(FIRST, Ordering::Relaxed);
        Arc::new(s)
    }

    /// The caller has the slab's lock.
    fn relink(&self) {
        // SAFETY: under the slab's lock; loom checks it.
        self.links.with_mut(|p| unsafe { *p += 1 });
    }

    /// As `central::noticed`: lists a slab that rests.
    fn notice(&self) {
        let (_held, state) = self.claim.lock_by(CLASS, &self.owner, |id| {
            self.locks[id as usize].lock().unwrap()
        });
        if state == State::Resting {
            self.relink();
            self.claim.set_listed(true);
        }
    }

    /// As `central::disown`: from one owner to nobody.
    fn disown(&self) {
        {
            let _held = self.locks[FIRST as usize].lock().unwrap();
            self.relink();
            self.claim.set_listed(false);
            self.owner.store(COMMON, Ordering::Release);
        }
        self.notice();
    }

    /// The slab ends; its descriptor serves a slab of another owner, which then lets go of it.
    fn end_and_begin(&self) {
        {
            let _held = self.locks[FIRST as usize].lock().unwrap();
            self.relink();
            self.claim.set_listed(false);
            self.claim.end();
        }
        {
            let _held = self.locks[SECOND as usize].lock().unwrap();
            self.owner.store(SECOND, Ordering::Release);
            self.claim.begin(CLASS, SECOND);
            self.relink();
        }
        let _held = self.locks[SECOND as usize].lock().unwrap();
        self.claim.let_go();
        self.relink();
    }
}

fn with_notice(f: impl FnOnce(&Slab)) {
    let s = Slab::resting();
    let other = {
        let s = s.clone();
        thread::spawn(move || s.notice())
    };
    f(&s);
    other.join().unwrap();
}

#[test]
fn a_slab_is_noticed_while_it_changes_hands() {
    holds(None, || with_notice(Slab::disown));
}

#[test]
fn a_slab_is_noticed_while_it_ends_and_begins_anew() {
    holds(None, || with_notice(Slab::end_and_begin));
}

#[test]
fn a_new_life_is_published_by_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "begin", Op::Store, Ordering::Release),
        || with_notice(Slab::end_and_begin),
    );
}

#[test]
fn who_looks_at_a_life_acquires() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "state", Op::Load, Ordering::Acquire),
        || with_notice(Slab::end_and_begin),
    );
}

#[test]
fn the_owner_is_read_by_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "lock_by", Op::Load, Ordering::Acquire),
        || with_notice(Slab::disown),
    );
}
