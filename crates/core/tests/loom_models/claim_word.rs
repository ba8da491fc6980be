//! The claim word: a slab is released exactly once, with no block out, after everybody's last use of it.

use crate::claim::{After, Claim, Verdict};
use crate::fault::{Fault, Op, breaks, holds};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const FILE: &str = "span/claim.rs";
const SOURCE: &str = include_str!("../../src/span/claim.rs");
const CLASS: usize = 3;
const BLOCKS: usize = 8;
const HOLDER: u32 = 1;
const OTHER: u32 = 2;
const THIRD: u32 = 3;
const NEXT: u32 = 9;

/// A slab: its word, the class lock, what its holder writes without a lock, and two blocks that programs write.
struct Slab {
    claim: Claim,
    lock: Mutex<()>,
    cursor: UnsafeCell<u32>,
    blocks: [UnsafeCell<u32>; 2],
    releases: AtomicU32,
}
// SAFETY: the contents are loom's cells, which check every access.
unsafe impl Sync for Slab {}
// SAFETY: as above.
unsafe impl Send for Slab {}

impl Slab {
    /// Held by [`HOLDER`], `out` blocks out.
    fn held(out: usize) -> Arc<Slab> {
        let s = Slab {
            claim: Claim::new(),
            lock: Mutex::new(()),
            cursor: UnsafeCell::new(0),
            blocks: std::array::from_fn(|_| UnsafeCell::new(0)),
            releases: AtomicU32::new(0),
        };
        s.claim.acquire(CLASS, HOLDER);
        assert!(s.claim.reserve(CLASS, HOLDER, out));
        s.claim.unreserve(1);
        assert_eq!(s.claim.out(), out);
        Arc::new(s)
    }
    /// As `held`, then let go of: listed.
    fn listed(out: usize) -> Arc<Slab> {
        let s = Slab::held(out);
        assert_eq!(s.let_go(HOLDER), Verdict::List);
        s
    }
    /// As `held`, but full when its holder let go of it.
    fn resting(out: usize) -> Arc<Slab> {
        let s = Slab::held(out);
        assert_eq!(s.claim.let_go(CLASS, HOLDER, out, true), Verdict::Leave);
        s
    }
    /// A program's last use of block `b`, then the free by thread `me` and what follows from it.
    fn free(&self, b: usize, me: u32) {
        // SAFETY: a live block is its user's; loom checks it.
        self.blocks[b].with_mut(|p| unsafe { *p += 1 });
        if self.claim.put(1, me) == After::Judge {
            let verdict = {
                let _held = self.lock.lock().unwrap();
                self.claim.judge(CLASS)
            };
            self.act(verdict);
        }
    }
    /// The holder takes (or looks for) a block; false if the slab is not its own any more.
    fn refill(&self, found: usize) -> bool {
        if !self.claim.reserve(CLASS, HOLDER, 1) {
            return false;
        }
        // SAFETY: the holder's alone while it has something reserved; loom checks it.
        self.cursor.with_mut(|c| unsafe { *c += 1 });
        if found == 0 {
            self.claim.unreserve(1);
        }
        true
    }
    fn let_go(&self, me: u32) -> Verdict {
        let verdict = {
            let _held = self.lock.lock().unwrap();
            self.claim.let_go(CLASS, me, BLOCKS, true)
        };
        self.act(verdict);
        verdict
    }
    fn act(&self, verdict: Verdict) {
        if verdict != Verdict::Release {
            return;
        }
        // The memory's next use: it comes after all that went before.
        for cell in self.blocks.iter().chain([&self.cursor]) {
            // SAFETY: a released slab is the releaser's; loom checks it.
            cell.with_mut(|p| unsafe { *p = 0 });
        }
        self.releases.fetch_add(1, Ordering::Relaxed);
        // The descriptor begins another life at once: judges of the first one must not touch it.
        self.claim.acquire(CLASS, NEXT);
    }
    fn released_once(&self) {
        assert_eq!(self.releases.load(Ordering::Relaxed), 1, "releases");
        assert_eq!(self.claim.out(), 1, "the next life was touched");
        assert!(
            self.claim.is_held() && self.claim.reserve(CLASS, NEXT, 1),
            "the next life was ended"
        );
    }
}

fn spawn(s: &Arc<Slab>, f: impl FnOnce(&Slab) + 'static) -> thread::JoinHandle<()> {
    let s = s.clone();
    thread::spawn(move || f(&s))
}

/// The holder frees its block and lets go, another thread frees the other block.
fn put_and_let_go() {
    let s = Slab::held(2);
    let other = spawn(&s, |s| s.free(1, OTHER));
    s.free(0, HOLDER);
    let _ = s.let_go(HOLDER);
    other.join().unwrap();
    s.released_once();
}

/// Another thread frees the last block out while the holder looks for one, finds none and lets go.
fn put_and_refill() {
    let s = Slab::held(1);
    let other = spawn(&s, |s| s.free(1, OTHER));
    if s.refill(0) {
        let _ = s.let_go(HOLDER);
    }
    other.join().unwrap();
    s.released_once();
}

/// As before, but the holder finds a block: then the slab is not released under it.
fn put_and_take() {
    let s = Slab::held(1);
    let other = spawn(&s, |s| s.free(1, OTHER));
    let took = s.refill(1);
    if took {
        assert_eq!(
            s.releases.load(Ordering::Relaxed),
            0,
            "released with a block out"
        );
        s.free(0, HOLDER);
        let _ = s.let_go(HOLDER);
    }
    other.join().unwrap();
    s.released_once();
}

/// The two last blocks of a slab that rests come back at once: one of two judges is late.
fn two_puts_resting() {
    let s = Slab::resting(2);
    let other = spawn(&s, |s| s.free(1, OTHER));
    s.free(0, THIRD);
    other.join().unwrap();
    s.released_once();
}

/// The same of a listed slab.
fn two_puts_listed() {
    let s = Slab::listed(2);
    let other = spawn(&s, |s| s.free(1, OTHER));
    s.free(0, THIRD);
    other.join().unwrap();
    s.released_once();
}

/// Two threads free the last blocks of a listed slab that a third takes from the list and lets go of.
fn puts_and_hold() {
    let s = Slab::listed(2);
    let threads = [
        spawn(&s, |s| s.free(1, OTHER)),
        spawn(&s, |s| s.free(0, THIRD)),
    ];
    let held = {
        let _held = s.lock.lock().unwrap();
        // On the list as long as nobody took it off (which only a release does here).
        let listed = s.releases.load(Ordering::Relaxed) == 0
            && s.claim.class() == CLASS
            && !s.claim.is_held();
        if listed {
            s.claim.hold(HOLDER);
        }
        listed
    };
    if held {
        let _ = s.let_go(HOLDER);
    }
    for t in threads {
        t.join().unwrap();
    }
    s.released_once();
}

#[test]
fn a_slab_is_released_once_when_its_holder_lets_go() {
    holds(None, put_and_let_go);
}

#[test]
fn a_slab_that_runs_empty_under_its_holder_is_released_once() {
    holds(None, put_and_refill);
    holds(None, put_and_take);
}

#[test]
fn a_slab_without_holder_is_released_once() {
    holds(None, two_puts_resting);
    holds(None, two_puts_listed);
}

#[test]
fn a_listed_slab_is_taken_or_released() {
    holds(Some(2), puts_and_hold);
}

#[test]
fn put_needs_both_halves_of_acqrel() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "put", Op::Update, Ordering::AcqRel),
        put_and_let_go,
    );
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "put", Op::Update, Ordering::AcqRel),
        two_puts_listed,
    );
}

#[test]
fn unreserve_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "unreserve", Op::Update, Ordering::Release),
        put_and_refill,
    );
}
