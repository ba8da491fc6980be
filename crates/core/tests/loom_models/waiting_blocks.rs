//! What waits in a bin: whoever purges keeps what the thread may still hand out and what is out, and nothing more of a
//! reservation.

use crate::claim::{Claim, Frozen, Reserved};
use crate::fault::{Fault, Op, breaks, holds};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::waiting::{Busy, Waiting};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "span/waiting.rs";
const SOURCE: &str = include_str!("../../src/span/waiting.rs");
const CLASS: usize = 3;
const HOLDER: u32 = 1;
const OUT: u32 = 0;
const FREE: u32 = 0x80;

/// A slab of one group of two blocks, and its holder's bin.
struct Slab {
    claim: Claim,
    reserved: AtomicU64,
    busy: Busy,
    waiting: Waiting,
    states: [AtomicU32; 2],
    contents: [UnsafeCell<u32>; 2],
}
// SAFETY: the contents are loom's cells, which check every access.
unsafe impl Sync for Slab {}
// SAFETY: as above.
unsafe impl Send for Slab {}

impl Slab {
    fn held() -> Arc<Slab> {
        let s = Slab {
            claim: Claim::new(),
            reserved: AtomicU64::new(0),
            busy: Busy::new(),
            waiting: Waiting::new(),
            states: std::array::from_fn(|_| AtomicU32::new(FREE)),
            contents: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        s.claim.begin(CLASS, HOLDER);
        s.reserved.store(0, Ordering::Relaxed);
        s.busy.end();
        s.waiting.set(0);
        for state in &s.states {
            let _ = state.load(Ordering::Relaxed);
        }
        Arc::new(s)
    }

    fn write(&self, b: usize) {
        // SAFETY: the caller's block; loom checks it.
        self.contents[b].with_mut(|p| unsafe { *p += 1 });
    }

    /// As `thread::bins::refill`: true if the free blocks of the group wait now.
    fn refill(&self) -> bool {
        self.busy.begin();
        let free = |b: usize| self.states[b].load(Ordering::Acquire) == FREE;
        let bits = u64::from(free(0)) | u64::from(free(1)) << 1;
        self.reserved.store(bits, Ordering::Release);
        let yes = bits != 0 && self.claim.reserve(0) == Reserved::Yes;
        if yes {
            self.waiting.set(bits);
        }
        self.busy.end();
        yes
    }

    /// As `malloc`, and the program's first use of the block.
    fn hand_out(&self) -> usize {
        let b = self
            .waiting
            .take(|b| self.states[b as usize].store(OUT, Ordering::Relaxed));
        self.write(b as usize);
        b as usize
    }

    fn free(&self, b: usize) {
        self.write(b);
        self.states[b].store(FREE, Ordering::Release);
    }

    /// As `span::purge` (the slab's lock, which keeps others away, is left out: there are none).
    fn purge(&self) -> usize {
        let Frozen::Now(group) = self.claim.freeze() else {
            return 0;
        };
        let kept = match group {
            None => 0,
            Some(_) if self.busy.is() => self.reserved.load(Ordering::Acquire),
            Some(_) => self.waiting.seen(),
        };
        let mut n = 0;
        for b in 0..2 {
            if kept >> b & 1 == 0 && self.states[b].load(Ordering::Acquire) == FREE {
                // SAFETY: nobody's; loom checks it.
                self.contents[b].with_mut(|p| unsafe { *p = 0 });
                n += 1;
            }
        }
        self.claim.thaw();
        n
    }
}

/// The thread hands both blocks out, and gets the first back, while somebody purges.
fn hand_out_and_purge() {
    let s = Slab::held();
    let other = {
        let s = s.clone();
        thread::spawn(move || s.purge())
    };
    if s.refill() {
        let b = s.hand_out();
        s.free(b);
        s.hand_out();
    }
    other.join().unwrap();
}

/// The same, with a second reservation.
fn reserve_again_and_purge() {
    let s = Slab::held();
    assert!(s.refill());
    let first = s.hand_out();
    s.hand_out();
    let other = {
        let s = s.clone();
        thread::spawn(move || s.purge())
    };
    s.free(first);
    if s.refill() {
        s.hand_out();
    }
    other.join().unwrap();
}

#[test]
fn what_waits_is_not_purged() {
    holds(Some(3), hand_out_and_purge);
    holds(Some(3), reserve_again_and_purge);
}

/// What was handed out and is free again goes, although it is of the last reservation.
#[test]
fn what_does_not_wait_is_purged() {
    holds(None, || {
        let s = Slab::held();
        assert!(s.refill());
        let b = s.hand_out();
        s.free(b);
        assert_eq!(s.purge(), 1);
    });
}

#[test]
fn a_slow_path_ends_by_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "end", Op::Store, Ordering::Release),
        reserve_again_and_purge,
    );
}

#[test]
fn is_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "is", Op::Load, Ordering::Acquire),
        reserve_again_and_purge,
    );
}

#[test]
fn take_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "take", Op::Store, Ordering::Release),
        hand_out_and_purge,
    );
}

#[test]
fn seen_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "seen", Op::Load, Ordering::Acquire),
        hand_out_and_purge,
    );
}
