//! The gate: the owner and a drainer are never inside together, and each sees what the last one left.
//!
//! `close` takes `stop` with Acquire, which nothing here needs: the barrier that follows acquires as well.

use crate::fault::{Fault, Op, breaks, holds};
use crate::gate::Gate;
use crate::sync::{Ordering, fence};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "thread/gate.rs";
const SOURCE: &str = include_str!("../../src/thread/gate.rs");
const HERE: &str = "loom_models/outbox_gate.rs";
const MODEL: &str = include_str!("outbox_gate.rs");

/// A gate and what it guards: loom reports two threads inside at once.
struct Outbox {
    gate: Gate,
    count: UnsafeCell<u32>,
}
// SAFETY: the count is loom's cell, which checks every access.
unsafe impl Sync for Outbox {}
// SAFETY: as above.
unsafe impl Send for Outbox {}

/// Stands for the compiler fence of the owner, which the drainer's membarrier makes a real one.
fn light_fence() {
    fence(Ordering::SeqCst);
}

/// Stands for membarrier.
fn heavy_fence() -> bool {
    fence(Ordering::SeqCst);
    true
}

impl Outbox {
    fn new() -> Arc<Outbox> {
        let o = Outbox {
            gate: Gate::new(),
            count: UnsafeCell::new(0),
        };
        assert!(o.gate.enter(light_fence));
        o.gate.leave();
        assert!(o.gate.close(heavy_fence));
        o.gate.reopen();
        Arc::new(o)
    }
    /// The owner puts a block in; true if it got in.
    fn put(&self) -> bool {
        if !self.gate.enter(light_fence) {
            return false;
        }
        // SAFETY: inside the gate; loom checks it.
        self.count.with_mut(|n| unsafe { *n += 1 });
        self.gate.leave();
        true
    }
    /// A drainer takes everything out; how much that was.
    fn drain(&self) -> u32 {
        if !self.gate.close(heavy_fence) {
            return 0;
        }
        // SAFETY: inside the closed gate; loom checks it.
        let n = self.count.with_mut(|n| unsafe { std::mem::take(&mut *n) });
        self.gate.reopen();
        n
    }
    /// What is left once all threads are done.
    fn left(&self) -> u32 {
        // SAFETY: alone; loom checks it.
        self.count.with(|n| unsafe { *n })
    }
}

/// The owner works twice while another thread drains.
fn owner_and_drainer() {
    let o = Outbox::new();
    let drainer = thread::spawn({
        let o = o.clone();
        move || o.drain()
    });
    let put = o.put() as u32 + o.put() as u32;
    let drained = drainer.join().unwrap();
    assert_eq!(put, drained + o.left(), "a block was lost or doubled");
}

/// Two drainers and an owner.
fn two_drainers() {
    let o = Outbox::new();
    let drainers: Vec<_> = (0..2)
        .map(|_| {
            let o = o.clone();
            thread::spawn(move || o.drain())
        })
        .collect();
    let put = o.put() as u32;
    let drained: u32 = drainers.into_iter().map(|t| t.join().unwrap()).sum();
    assert_eq!(put, drained + o.left(), "a block was lost or doubled");
}

/// The owner's last drain: it stays inside for good, so that the outbox's memory can go while others still call.
fn owner_ends() {
    let o = Outbox::new();
    let drainer = thread::spawn({
        let o = o.clone();
        move || o.drain()
    });
    let put = o.put() as u32;
    while !o.gate.enter(light_fence) {
        thread::yield_now();
    }
    // SAFETY: inside the gate for ever; loom checks it.
    let last = o.count.with_mut(|n| unsafe { std::mem::take(&mut *n) });
    // SAFETY: as above: the memory has its next user.
    o.count.with_mut(|n| unsafe { *n = 99 });
    let drained = drainer.join().unwrap();
    assert_eq!(put, drained + last, "a block was lost or doubled");
    assert_eq!(o.left(), 99, "a drainer came in after the end");
}

#[test]
fn one_at_a_time_and_nothing_lost() {
    holds(None, owner_and_drainer);
    holds(Some(3), two_drainers);
    holds(None, owner_ends);
}

#[test]
fn leave_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "leave", Op::Store, Ordering::Release),
        owner_and_drainer,
    );
}

#[test]
fn close_needs_acquire_for_busy() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "close", Op::Load, Ordering::Acquire),
        owner_and_drainer,
    );
}

#[test]
fn reopen_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "reopen", Op::Store, Ordering::Release),
        owner_and_drainer,
    );
}

#[test]
fn enter_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "enter", Op::Load, Ordering::Acquire),
        owner_and_drainer,
    );
}

#[test]
fn the_owner_needs_its_half_of_the_barrier() {
    breaks(
        None,
        Fault::weaken(HERE, MODEL, "light_fence", Op::Fence, Ordering::SeqCst),
        owner_and_drainer,
    );
}

#[test]
fn the_drainer_needs_its_half_of_the_barrier() {
    breaks(
        None,
        Fault::weaken(HERE, MODEL, "heavy_fence", Op::Fence, Ordering::SeqCst),
        owner_and_drainer,
    );
}
