//! The bell's word: no ring is lost when the support thread parks or ends, there is one support thread at most, and each sees
//! what the last one left.

use crate::bell_word::{ABSENT, After, PARKED, Word};
use crate::fault::{Fault, Op, breaks, holds};
use crate::sync::{AtomicU32, Ordering, fence};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "bell/word.rs";
const SOURCE: &str = include_str!("../../src/bell/word.rs");
const HERE: &str = "loom_models/bell.rs";
const MODEL: &str = include_str!("bell.rs");

struct Bell {
    word: Word,
    /// What ringers change before they ring.
    truth: AtomicU32,
    /// What support threads hand on: loom reports two at once.
    jobs: UnsafeCell<u32>,
}
// SAFETY: the cell is loom's, which checks every access.
unsafe impl Sync for Bell {}
// SAFETY: as above.
unsafe impl Send for Bell {}

/// Stands for the compiler fence of the ringer, which the parker's membarrier makes a real one.
fn light_fence() {
    fence(Ordering::SeqCst);
}

/// Stands for membarrier.
fn heavy_fence() {
    fence(Ordering::SeqCst);
}

impl Bell {
    /// A bell whose support thread is awake.
    fn awake() -> Arc<Bell> {
        let b = Bell {
            word: Word::new(),
            truth: AtomicU32::new(0),
            jobs: UnsafeCell::new(0),
        };
        assert!(b.word.begin());
        b.word.awake();
        b.truth.store(0, Ordering::Relaxed);
        Arc::new(b)
    }
    fn work(&self) {
        // SAFETY: the support thread's; loom checks it.
        self.jobs.with_mut(|n| unsafe { *n += 1 });
    }
}

/// A ringer against a support thread that looks once and parks: it must see the change or be woken.
fn ring_while_parking() {
    let b = Bell::awake();
    let ringer = thread::spawn({
        let b = b.clone();
        move || {
            b.truth.store(1, Ordering::Relaxed);
            b.word.ring(light_fence)
        }
    });
    let parked = b.word.park(heavy_fence);
    let seen = b.truth.load(Ordering::Relaxed) == 1;
    let woken = ringer.join().unwrap() == After::Wake;
    assert!(
        !parked || seen || woken,
        "it sleeps, and nobody will tell it"
    );
}

/// A ringer against a support thread that parks and ends: the ringer wakes it, or starts another, or it had seen all.
fn ring_while_ending() {
    let b = Bell::awake();
    let ringer = thread::spawn({
        let b = b.clone();
        move || {
            b.truth.store(1, Ordering::Relaxed);
            let after = b.word.ring(light_fence);
            if after == After::Start && b.word.begin() {
                b.work();
            }
            after
        }
    });
    b.work();
    let parked = b.word.park(heavy_fence);
    let seen = b.truth.load(Ordering::Relaxed) == 1;
    let ended = parked && b.word.end();
    let after = ringer.join().unwrap();
    if ended {
        assert!(seen || after == After::Start, "nobody looks at the change");
    } else if parked {
        assert_eq!(after, After::Wake);
        b.word.unpark();
        assert_ne!(b.word.mode(), PARKED);
    }
}

/// Two threads start a support thread at once, after one ended.
fn two_starters() {
    let b = Bell::awake();
    let starters: Vec<_> = (0..2)
        .map(|_| {
            let b = b.clone();
            thread::spawn(move || {
                let began = b.word.begin();
                if began {
                    b.work();
                    b.word.awake();
                }
                began as u32
            })
        })
        .collect();
    b.work();
    // Without a barrier: a support thread whose time is over does not look again.
    let ended = b.word.park(|| ()) && b.word.end();
    assert!(ended);
    let began: u32 = starters.into_iter().map(|t| t.join().unwrap()).sum();
    assert!(began <= 1, "two at once");
}

/// A poke reaches a support thread that is about to park.
fn poke_while_parking() {
    let b = Bell::awake();
    let poker = thread::spawn({
        let b = b.clone();
        move || {
            // SAFETY: nobody else touches it before the poke is seen; loom checks it.
            b.jobs.with_mut(|n| unsafe { *n = 7 });
            b.word.poke()
        }
    });
    let parked = b.word.park(heavy_fence);
    let poked = if parked {
        b.word.unpark();
        b.word.take_poke()
    } else {
        b.word.take_poke()
    };
    if poked {
        // SAFETY: after the poke; loom checks it.
        b.jobs.with(|n| assert_eq!(unsafe { *n }, 7));
    }
    assert_eq!(poker.join().unwrap(), After::Wake);
    assert!(poked || b.word.take_poke(), "the poke was lost");
}

#[test]
fn no_ring_is_lost() {
    holds(None, ring_while_parking);
    holds(None, ring_while_ending);
    holds(None, two_starters);
    holds(None, poke_while_parking);
    assert_eq!(ABSENT, 0, "a wiped page has no support thread");
}

#[test]
fn the_ringer_needs_its_half_of_the_barrier() {
    breaks(
        None,
        Fault::weaken(HERE, MODEL, "light_fence", Op::Fence, Ordering::SeqCst),
        ring_while_parking,
    );
}

#[test]
fn the_parker_needs_its_half_of_the_barrier() {
    breaks(
        None,
        Fault::weaken(HERE, MODEL, "heavy_fence", Op::Fence, Ordering::SeqCst),
        ring_while_parking,
    );
}

#[test]
fn begin_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "begin", Op::Update, Ordering::Acquire),
        two_starters,
    );
}

#[test]
fn end_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "end", Op::Update, Ordering::Release),
        two_starters,
    );
}

#[test]
fn wake_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "wake", Op::Update, Ordering::Release),
        poke_while_parking,
    );
}

#[test]
fn take_poke_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "take_poke", Op::Update, Ordering::Acquire),
        poke_without_parking,
    );
}

/// As above, but the support thread only looks for a poke.
fn poke_without_parking() {
    let b = Bell::awake();
    let poker = thread::spawn({
        let b = b.clone();
        move || {
            // SAFETY: as above; loom checks it.
            b.jobs.with_mut(|n| unsafe { *n = 7 });
            let _ = b.word.poke();
        }
    });
    if b.word.take_poke() {
        // SAFETY: after the poke; loom checks it.
        b.jobs.with(|n| assert_eq!(unsafe { *n }, 7));
    }
    poker.join().unwrap();
}
