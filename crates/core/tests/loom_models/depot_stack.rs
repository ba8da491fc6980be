//! The depot's stack: what a popper gets is complete, and nobody else gets it.

use crate::fault::{Fault, Op, breaks, holds};
use crate::stack::{Links, Stack};
use crate::sync::{AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const FILE: &str = "depot/stack.rs";
const SOURCE: &str = include_str!("../../src/depot/stack.rs");
const NODES: usize = 3;

/// Nodes 1 and 2 and what they carry: loom reports two threads at one payload that nothing orders.
struct Shelf {
    stack: Stack,
    links: [AtomicU64; NODES],
    payload: [UnsafeCell<u32>; NODES],
}
// SAFETY: payloads are loom's cells, which check every access.
unsafe impl Sync for Shelf {}
// SAFETY: as above.
unsafe impl Send for Shelf {}

impl Links for Shelf {
    fn link(&self, n: u32) -> &AtomicU64 {
        &self.links[n as usize]
    }
}

impl Shelf {
    fn new() -> Arc<Shelf> {
        let s = Shelf {
            stack: Stack::new(),
            links: [const { AtomicU64::new(0) }; NODES],
            payload: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        assert!(s.stack.is_empty());
        for l in &s.links {
            assert_eq!(l.load(Ordering::Relaxed), 0);
        }
        Arc::new(s)
    }
    /// Fills node `n` and publishes it.
    fn push(&self, n: u32) {
        // SAFETY: the node is the caller's until the push; loom checks it.
        self.payload[n as usize].with_mut(|p| unsafe { *p = n });
        self.stack.push(self, n);
    }
    /// Takes a node, reads it whole and makes it the caller's by writing.
    fn pop(&self) -> Option<u32> {
        let n = self.stack.pop(self)?;
        // SAFETY: a popped node is the caller's; loom checks it.
        self.payload[n as usize].with_mut(|p| unsafe {
            assert_eq!(*p, n, "a node arrived before its contents");
            *p = 0;
        });
        Some(n)
    }
    /// Takes all that is left.
    fn rest(&self) -> usize {
        std::iter::from_fn(|| self.pop()).count()
    }
}

/// One thread pushes two magazines, another pops once; none is lost, contents come with the node.
fn hand_over() {
    let s = Shelf::new();
    let pusher = thread::spawn({
        let s = s.clone();
        move || {
            s.push(1);
            s.push(2);
        }
    });
    let popped = s.pop().is_some() as usize;
    pusher.join().unwrap();
    assert_eq!(popped + s.rest(), 2, "a node was lost or doubled");
}

/// A popper that read the head and its link is overtaken: both nodes leave, the first comes back.
fn come_back() {
    let s = Shelf::new();
    s.push(2);
    s.push(1);
    let other = thread::spawn({
        let s = s.clone();
        move || {
            let (a, b) = (s.pop(), s.pop());
            let mut kept = a.is_some() as usize + b.is_some() as usize;
            if let Some(n) = a {
                s.push(n);
                kept -= 1;
            }
            kept
        }
    });
    let mine = s.pop().is_some() as usize;
    let kept = other.join().unwrap();
    assert_eq!(mine + kept + s.rest(), 2, "a node was lost or doubled");
}

/// Two poppers and a pusher at once.
fn crowd() {
    let s = Shelf::new();
    s.push(1);
    let threads: Vec<_> = (0..2)
        .map(|i| {
            let s = s.clone();
            thread::spawn(move || {
                if i == 0 {
                    s.push(2);
                }
                s.pop().is_some() as usize
            })
        })
        .collect();
    let popped: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
    assert_eq!(popped + s.rest(), 2, "a node was lost or doubled");
}

#[test]
fn nodes_arrive_whole_and_once() {
    holds(None, hand_over);
    holds(None, crowd);
}

#[test]
fn a_node_that_comes_back_is_told_from_itself() {
    holds(None, come_back);
}

#[test]
fn push_needs_release() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "push", Op::Update, Ordering::Release),
        hand_over,
    );
}

#[test]
fn the_first_load_of_pop_needs_acquire() {
    breaks(
        None,
        Fault::weaken(FILE, SOURCE, "pop", Op::Load, Ordering::Acquire),
        hand_over,
    );
}

#[test]
fn pop_needs_the_tag() {
    breaks(
        None,
        Fault::mask(FILE, SOURCE, "pop", 0xffff_ffff),
        come_back,
    );
}
