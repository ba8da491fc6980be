//! Windows: 2 KiB arrays of 256 slots that hold the block addresses of one magazine.
//!
//! ```text
//! incoming: | 0: link |        … free …        | head: newest ………… oldest: capacity | …
//! outgoing: | … | newest - 1: 0, the end | newest ………… oldest: top | … gone … |
//! ```
//! A hot class has two. Frees add to the incoming one at `head`, which grows downwards; allocations take from the outgoing
//! one at `top`, which sinks too: first in, first out, so that a block often returns to the slot that its state byte
//! names. Slot numbers are addresses / 8. A window lies at a multiple of its size, so the low byte of a number is the
//! slot's index: `head - 1` with a zero low byte means full, a zero slot under the top means drained, and one byte names
//! a slot (the sparse set of the double-free check).
//! Taken from a pool of the metadata; nothing here is shared except slot 0 of a window on a depot shelf.

use crate::space::pool;
use crate::sync::{AtomicU64, Ordering::*};

/// Bytes of a window.
pub const BYTES: usize = 2048;
/// Largest capacity: slot 0 is the link, the slot after the last holds the end mark.
pub const CAPACITY: usize = 254;

/// A window. Not a resource handle by itself (rows of them live in lists), but only its list's owner touches it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Window(*mut usize);

/// The window at `p` (a multiple of [`BYTES`] in the metadata).
pub fn from_address(p: *mut u8) -> Window {
    Window(p.cast())
}

/// A new window, contents undefined.
pub fn take() -> Option<Window> {
    const POOL: usize = pool::pool_for(BYTES);
    pool::take(POOL).map(|(p, _)| Window(p.as_ptr().cast()))
}

impl Window {
    /// Its address.
    pub fn address(self) -> usize {
        self.0.addr()
    }
    /// Gives it back to the pool.
    pub fn release(self) {
        // SAFETY: it came from the pool and its owner gives it up.
        unsafe { pool::give(self.0.cast()) };
    }
    /// Slot number of slot `i`.
    #[inline]
    pub fn slot_number(self, i: usize) -> usize {
        self.0.addr() / 8 + i
    }
    /// Pointer to slot `i`.
    #[inline]
    pub fn slot(self, i: usize) -> *mut usize {
        self.0.wrapping_add(i)
    }
    /// Contents of slot `i` (< 256).
    #[inline]
    pub fn get(self, i: usize) -> usize {
        // SAFETY: inside the window.
        unsafe { self.slot(i & 255).read() }
    }
    /// Sets slot `i` (< 256).
    #[inline]
    pub fn set(self, i: usize, v: usize) {
        // SAFETY: inside the window.
        unsafe { self.slot(i & 255).write(v) }
    }
    /// The head of an empty incoming window of `capacity`.
    pub fn empty_head(self, capacity: usize) -> usize {
        self.slot_number(capacity + 1)
    }
    /// Marks the end below slot `newest` (at least 1).
    pub fn mark_end(self, newest: usize) {
        if newest == 1 {
            self.link().store(0, Relaxed);
        } else {
            self.set(newest - 1, 0);
        }
    }
    /// The top of an outgoing window without blocks (its newest is slot 1).
    pub fn make_drained(self) -> usize {
        self.mark_end(1);
        self.slot_number(0)
    }
    fn link(self) -> &'static AtomicU64 {
        // SAFETY: slot 0 of a window, mapped for ever.
        unsafe { &*self.0.cast::<AtomicU64>() }
    }
    /// Notes the capacity in the link's upper half (the lower half is the depot's).
    pub fn note_capacity(self, capacity: usize) {
        self.link().store((capacity as u64) << 32, Relaxed);
    }
    /// The noted capacity. A push to the depot keeps it in a slot of its own that only the owner reads.
    pub fn noted_capacity(self) -> usize {
        (self.link().load(Relaxed) >> 32) as usize
    }
    /// Chains this window before `next` (0: none) in its owner's list.
    pub fn chain(self, next: usize, capacity: usize) {
        // Windows are multiples of 2048: the capacity fits below.
        self.set(0, next | capacity);
    }
    /// The next window of the list (0: none) and this one's capacity.
    pub fn chained(self) -> (usize, usize) {
        let v = self.get(0);
        (v & !(BYTES - 1), v & (BYTES - 1))
    }
}

/// The window whose address is `a` (from a chain).
pub fn from_number(a: usize) -> Window {
    Window(crate::space::meta::base().with_addr(a).cast())
}
