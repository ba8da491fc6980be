//! The depot: full magazines of line classes, on their way from threads that free to threads that allocate.
//!
//! A magazine enters and leaves by one compare-and-swap, whatever it holds. What the depot may hold is bounded by bytes;
//! beyond that the pusher flushes to the slabs. Called by refill and spill; the nodes are windows, see `thread::window`.

pub mod stack;
pub mod window;

use crate::space::meta;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use aethalloc_base::class::{self, Class};
use aethalloc_base::units::UNIT;
use stack::{Links, Stack};
use window::Window;

struct WindowLinks;
impl Links for WindowLinks {
    fn link(&self, n: u32) -> &AtomicU64 {
        let p = meta::base()
            .wrapping_add(n as usize * window::BYTES)
            .cast::<AtomicU64>();
        // SAFETY: `n` came from `number`: the first slot of a window in the metadata, mapped for ever.
        unsafe { &*p }
    }
}

fn number(w: Window) -> u32 {
    ((w.address() - meta::base().addr()) / window::BYTES) as u32
}

#[repr(align(64))]
struct Shelf {
    stack: Stack,
    /// Magazines on the shelf; may lag.
    count: AtomicU32,
    /// Magazines taken since the start: tells a pusher that its batches are wanted.
    pops: AtomicU32,
}

static SHELVES: [Shelf; class::FAST_COUNT] = [const {
    Shelf {
        stack: Stack::new(),
        count: AtomicU32::new(0),
        pops: AtomicU32::new(0),
    }
}; class::FAST_COUNT];
/// Bytes of blocks on all shelves.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Least bytes that the depot may hold; above that a thirty-second of live memory.
const FLOOR: usize = 1 << 20;

/// Puts a full window on the shelf of class `c`; gives it back if the depot holds enough.
pub fn push(c: Class, w: Window, capacity: usize) -> Result<(), Window> {
    let Some(shelf) = SHELVES.get(c) else {
        return Err(w);
    };
    let bytes = capacity * class::size(c);
    let limit = (crate::pages::used_units() * UNIT / 32).max(FLOOR);
    if BYTES.load(Relaxed) + bytes > limit {
        return Err(w);
    }
    BYTES.fetch_add(bytes, Relaxed);
    w.note_capacity(capacity);
    shelf.stack.push(&WindowLinks, number(w));
    shelf.count.fetch_add(1, Relaxed);
    Ok(())
}

/// Takes the newest full window of class `c` and its capacity.
#[inline]
pub fn pop(c: Class) -> Option<(Window, usize)> {
    let shelf = SHELVES.get(c)?;
    if shelf.stack.is_empty() {
        return None;
    }
    let n = shelf.stack.pop(&WindowLinks)?;
    shelf.count.fetch_sub(1, Relaxed);
    shelf.pops.fetch_add(1, Relaxed);
    let w = window::from_address(meta::base().wrapping_add(n as usize * window::BYTES));
    let capacity = w.noted_capacity();
    BYTES.fetch_sub(capacity * class::size(c), Relaxed);
    Some((w, capacity))
}

/// Magazines taken from the shelf of `c` since the start.
pub fn pops(c: Class) -> u32 {
    SHELVES.get(c).map_or(0, |s| s.pops.load(Relaxed))
}

/// Bytes of blocks in the depot.
pub fn bytes() -> usize {
    BYTES.load(Relaxed)
}
