//! The claim word: what a holder hands out is never purged, and whoever purges sees the last use of what was freed.

use crate::claim::{Claim, Frozen, Reserved, State};
use crate::fault::{Fault, Op, breaks, holds};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "span/claim.rs";
const SOURCE: &str = include_str!("../../src/span/claim.rs");
const CLASS: usize = 3;
const HOLDER: u32 = 1;
const OTHER: u32 = 2;
const OUT: u32 = 0;
const FREE: u32 = 0x80;

/// A slab of two groups of one block each: its word, the slab's lock, what the holder reserved, states and contents.
struct Slab {
    claim: Claim,
    lock: Mutex<()>,
    reserved: AtomicU64,
    states: [AtomicU32; 2],
    contents: [UnsafeCell<u32>; 2],
}
// SAFETY: the contents are loom's cells, which check every access.
unsafe impl Sync for Slab {}
// SAFETY: as above.
unsafe impl Send for Slab {}

impl Slab {
    fn held(states: [u32; 2]) -> Arc<Slab> {
        let s = Slab {
            claim: Claim::new(),
            lock: Mutex::new(()),
            reserved: AtomicU64::new(0),
            states: states.map(AtomicU32::new),
            contents: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        s.claim.begin(CLASS, HOLDER);
        s.reserved.store(0, Ordering::Relaxed);
        for state in &s.states {
            let _ = state.load(Ordering::Relaxed);
        }
        assert_eq!(s.claim.state(CLASS), State::Held);
        Arc::new(s)
    }

    /// A program uses block `b`.
    fn write(&self, b: usize) {
        // SAFETY: the caller's block; loom checks it.
        self.contents[b].with_mut(|p| unsafe { *p += 1 });
    }

    /// As `thread::bins::refill` and the `malloc` after it: hands out every free block, group after group, but of a slab that
    /// is being purged.
    fn hand_out(&self) -> usize {
        let mut n = 0;
        for g in 0..2 {
            if self.states[g].load(Ordering::Acquire) != FREE {
                continue;
            }
            self.reserved.store(1, Ordering::Relaxed);
            if self.claim.reserve(g) == Reserved::Frozen {
                continue;
            }
            self.states[g].store(OUT, Ordering::Relaxed);
            self.write(g);
            n += 1;
        }
        n
    }

    /// As `free`.
    fn free(&self, b: usize) {
        self.write(b);
        self.states[b].store(FREE, Ordering::Release);
    }

    /// As `span::purge`: the contents of free blocks go, but for those that the holder reserved. The lock is needed for the
    /// freeze alone.
    fn purge(&self) {
        let frozen = {
            let _held = self.lock.lock().unwrap();
            if self.claim.state(CLASS) == State::Gone {
                return;
            }
            self.claim.freeze()
        };
        let Frozen::Now(group) = frozen else { return };
        let reserved = self.reserved.load(Ordering::Relaxed);
        for g in 0..2 {
            let kept = group == Some(g) && reserved != 0;
            if !kept && self.states[g].load(Ordering::Acquire) == FREE {
                // SAFETY: nobody's; loom checks it.
                self.contents[g].with_mut(|p| unsafe { *p = 0 });
            }
        }
        self.claim.thaw();
    }

    /// As `central::settle`: ends the life of a slab that nobody holds and of which all is free; its memory is another's.
    fn release(&self) {
        let ended = {
            let _held = self.lock.lock().unwrap();
            let free = |s: &AtomicU32| s.load(Ordering::Acquire) == FREE;
            let over = self.claim.state(CLASS) == State::Resting
                && !self.claim.is_frozen()
                && self.states.iter().all(free);
            if over {
                self.claim.end();
            }
            over
        };
        if ended {
            (0..2).for_each(|b| self.write(b));
        }
    }
}

fn spawn(s: &Arc<Slab>, f: impl FnOnce(&Slab) + 'static) -> thread::JoinHandle<()> {
    let s = s.clone();
    thread::spawn(move || f(&s))
}

/// The holder hands both blocks out while somebody purges.
fn hand_out_and_purge() {
    let s = Slab::held([FREE, FREE]);
    let other = spawn(&s, |s| s.purge());
    assert!(s.hand_out() <= 2);
    other.join().unwrap();
}

/// Two purge at the same time.
fn purge_twice() {
    let s = Slab::held([FREE, FREE]);
    let other = spawn(&s, |s| s.purge());
    s.purge();
    other.join().unwrap();
}

/// The holder lets go while somebody purges; the slab ends.
fn purge_and_release() {
    let s = Slab::held([FREE, FREE]);
    let other = spawn(&s, |s| s.purge());
    {
        let _held = s.lock.lock().unwrap();
        s.claim.let_go();
    }
    s.release();
    other.join().unwrap();
}

/// The holder lets go while somebody purges; the next one holds the slab.
fn purge_and_hand_over() {
    let s = Slab::held([FREE, FREE]);
    let other = spawn(&s, |s| s.purge());
    {
        let _held = s.lock.lock().unwrap();
        s.claim.let_go();
        s.claim.set_listed(true);
    }
    {
        let _held = s.lock.lock().unwrap();
        s.claim.set_listed(false);
        s.claim.hold(OTHER);
    }
    s.hand_out();
    other.join().unwrap();
}

/// The same, while a block comes back from another thread.
fn free_hand_out_and_purge() {
    let s = Slab::held([OUT, FREE]);
    let threads = [spawn(&s, |s| s.free(0)), spawn(&s, |s| s.purge())];
    s.hand_out();
    for t in threads {
        t.join().unwrap();
    }
}

/// The holder lets go under the lock, another thread holds the slab and hands out what is left.
fn hand_over() {
    let s = Slab::held([FREE, FREE]);
    let other = spawn(&s, |s| {
        let free = {
            let _held = s.lock.lock().unwrap();
            let resting = s.claim.state(CLASS) == State::Resting;
            if resting {
                s.claim.hold(OTHER);
            }
            resting
        };
        if free {
            assert!(s.claim.is_held_by(OTHER));
            s.hand_out();
        }
    });
    s.reserved.store(1, Ordering::Relaxed);
    assert_eq!(s.claim.reserve(0), Reserved::Yes);
    s.states[0].store(OUT, Ordering::Relaxed);
    s.write(0);
    {
        let _held = s.lock.lock().unwrap();
        s.claim.let_go();
    }
    other.join().unwrap();
}

#[test]
fn what_is_reserved_is_not_purged() {
    holds(Some(4), hand_out_and_purge);
    holds(Some(2), free_hand_out_and_purge);
}

#[test]
fn whoever_purges_needs_no_lock() {
    holds(Some(3), purge_twice);
    holds(Some(3), purge_and_release);
    holds(Some(2), purge_and_hand_over);
}

#[test]
fn is_frozen_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "is_frozen", Op::Load, Ordering::Acquire),
        purge_and_release,
    );
}

#[test]
fn a_slab_has_one_holder_after_the_other() {
    holds(None, hand_over);
}

#[test]
fn reserve_needs_release_and_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "reserve", Op::Update, Ordering::AcqRel),
        hand_out_and_purge,
    );
}

#[test]
fn freeze_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "freeze", Op::Update, Ordering::Acquire),
        hand_out_and_purge,
    );
}

#[test]
fn thaw_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "thaw", Op::Update, Ordering::Release),
        hand_out_and_purge,
    );
}
