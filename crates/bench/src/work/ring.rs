//! Bounded queue between one producer and one consumer. Holds no lock, so that what is measured is the
//! allocator; a side that must wait gives up its time slice.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::heap::Block;
use crate::table::Table;

/// Head and tail on lines of their own.
#[repr(align(128))]
struct Line(AtomicUsize);

/// The queue. Roles: exactly one thread calls `push` and `close`, exactly one calls `pop`.
pub struct Ring {
    slots: Table<UnsafeCell<Option<Block>>>,
    mask: usize,
    /// Next to pop; written by the consumer.
    head: Line,
    /// Next to push; written by the producer.
    tail: Line,
    closed: AtomicBool,
}

// SAFETY: a slot is touched by the producer only between its reading of `head` (Acquire) and its
// storing of `tail` (Release), and by the consumer only the other way round.
unsafe impl Sync for Ring {}

impl Ring {
    /// A queue for `capacity` blocks (a power of two).
    pub fn new(capacity: usize) -> Ring {
        if !capacity.is_power_of_two() {
            crate::params::fail("a queue's capacity must be a power of two");
        }
        Ring {
            slots: Table::new(capacity, |_| UnsafeCell::new(None)),
            mask: capacity - 1,
            head: Line(AtomicUsize::new(0)),
            tail: Line(AtomicUsize::new(0)),
            closed: AtomicBool::new(false),
        }
    }

    /// Blocks waiting now (approximate while both sides run).
    pub fn len(&self) -> usize {
        let head = self.head.0.load(Ordering::Relaxed);
        self.tail
            .0
            .load(Ordering::Relaxed)
            .wrapping_sub(head)
            .min(self.mask + 1)
    }

    /// Appends a block, or gives it back if the queue is full.
    #[inline]
    pub fn try_push(&self, block: Block) -> Result<(), Block> {
        let tail = self.tail.0.load(Ordering::Relaxed);
        // ORDERING: Acquire, pairs with the Release in try_pop: the slot's old value is out.
        if tail.wrapping_sub(self.head.0.load(Ordering::Acquire)) > self.mask {
            return Err(block);
        }
        // SAFETY: the slot is free and this is the only producer.
        unsafe { *self.slots[tail & self.mask].get() = Some(block) };
        // ORDERING: Release, pairs with the Acquire in try_pop: publishes the slot.
        self.tail.0.store(tail.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Appends a block, waiting while the queue is full.
    #[inline]
    pub fn push(&self, mut block: Block) {
        while let Err(back) = self.try_push(block) {
            block = back;
            std::thread::yield_now();
        }
    }

    /// Takes the oldest block.
    #[inline]
    pub fn try_pop(&self) -> Option<Block> {
        let head = self.head.0.load(Ordering::Relaxed);
        // ORDERING: Acquire, pairs with the Release in try_push.
        if self.tail.0.load(Ordering::Acquire) == head {
            return None;
        }
        // SAFETY: the slot is full and this is the only consumer.
        let block = unsafe { (*self.slots[head & self.mask].get()).take() };
        // ORDERING: Release, pairs with the Acquire in try_push.
        self.head.0.store(head.wrapping_add(1), Ordering::Release);
        block
    }

    /// The producer is done.
    pub fn close(&self) {
        // ORDERING: Release, pairs with the Acquire in drained: all pushes come before.
        self.closed.store(true, Ordering::Release);
    }

    /// Closed and empty: nothing will come any more.
    pub fn drained(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release in close.
        self.closed.load(Ordering::Acquire) && self.len() == 0
    }
}

/// Frees what the rings deliver until all are drained; returns the sum of the stamps.
pub fn free_all<'a>(rings: impl Iterator<Item = &'a Ring> + Clone) -> u64 {
    let mut sum = 0u64;
    loop {
        let mut got = false;
        for ring in rings.clone() {
            for _ in 0..64 {
                let Some(block) = ring.try_pop() else { break };
                sum = sum.wrapping_add(block.release());
                got = true;
            }
        }
        if !got {
            if rings.clone().all(Ring::drained) {
                return sum;
            }
            std::thread::yield_now();
        }
    }
}
