//! A lock-free stack of numbered nodes.
//!
//! # Roles
//! Any thread pushes and pops.
//! # States
//! `head`: | tag (32) | node number, 0 empty (32) |
//! # Who may touch which field when
//! A node's link belongs to its pusher until the push succeeds, then to the stack. A popper may read the link of a node
//! that another just popped: links are atomics in memory that is never unmapped.
//! # Orderings
//! ABA: every pop changes the tag, so a head that was popped and pushed again in between never compares equal.
//! Push is Release and pop Acquire: the popper sees the node's contents.

use crate::sync::{AtomicU64, Ordering::*};

/// Where the nodes are.
pub trait Links {
    /// The link of node `n` (the low half is the stack's, the upper half the pusher's).
    fn link(&self, n: u32) -> &AtomicU64;
}

/// The stack.
pub struct Stack {
    head: AtomicU64,
}

impl Stack {
    /// Empty.
    pub const fn new() -> Self {
        Stack {
            head: AtomicU64::new(0),
        }
    }

    /// True if it looked empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.load(Relaxed) as u32 == 0
    }

    /// Publishes node `n` (not 0), whatever it carries, by one compare-and-swap.
    pub fn push(&self, links: &impl Links, n: u32) {
        let mut head = self.head.load(Relaxed);
        loop {
            let link = links.link(n);
            link.store(
                link.load(Relaxed) & !0xffff_ffff | head & 0xffff_ffff,
                Relaxed,
            );
            // ORDERING: Release, pairs with Acquire in `pop`.
            match self.head.compare_exchange_weak(
                head,
                head & !0xffff_ffff | n as u64,
                Release,
                Relaxed,
            ) {
                Ok(_) => return,
                Err(v) => head = v,
            }
        }
    }

    /// Takes the newest node.
    pub fn pop(&self, links: &impl Links) -> Option<u32> {
        // ORDERING: Acquire, pairs with Release in `push`.
        let mut head = self.head.load(Acquire);
        loop {
            let n = head as u32;
            if n == 0 {
                return None;
            }
            let next = links.link(n).load(Relaxed) & 0xffff_ffff;
            let tag = (head >> 32).wrapping_add(1) << 32;
            match self
                .head
                .compare_exchange_weak(head, tag | next, Acquire, Acquire)
            {
                Ok(_) => return Some(n),
                Err(v) => head = v,
            }
        }
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}
