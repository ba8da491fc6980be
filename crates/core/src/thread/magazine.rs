//! Refill and spill: what happens when a class's loaded window is empty or full.
//!
//! ```text
//! malloc, empty:  spare window -> depot (line classes) -> bits of the held slab -> another slab
//! free,   full:   spare window <- depot (line classes) <- back to the slabs, whole window at once
//! ```
//! A thread that turns between the two fast ("cycles") gets larger windows and may keep spare ones: up to the
//! anti-hoarding threshold (`batch_count`, `batch_bytes`). One that does not keeps what `policy::quiet_capacity` says.
//!
//! Interrupted between any two stores (a fork's child adopts the cache) blocks may be lost, never doubled: what leaves
//! is unlinked first.

use super::cache::{Cache, Hot, HotClass, hot_of};
use super::flush;
use super::tls::Tls;
use super::window::{self, Window};
use crate::depot;
use crate::span::central;
use crate::span::live;
use crate::span::slab::Slab;
use crate::sync::Ordering::*;
use aethalloc_base::class::{self, Class};
use aethalloc_base::options::Key;
use aethalloc_base::policy;
use core::ptr::null_mut;

const REFILL: u8 = 1;
const SPILL: u8 = 2;
/// Ticks per block moved below which two turns count as cycling: slower than this, the slow paths do not matter.
const FAST_TICKS: u64 = 64;
/// Bytes that one refill may take from slabs.
const REFILL_BYTES: usize = 16 << 10;

/// The window that the top of a class lies in.
fn window_of(top: usize) -> Window {
    window::from_number((top * 8) & !(window::BYTES - 1))
}

/// Records a slow event of `n` blocks and lets the class's allowance follow the thread's behaviour.
fn turn(h: &mut HotClass, c: Class, direction: u8, n: usize) {
    h.moved = h.moved.saturating_add(n as u32);
    if h.direction == direction {
        return;
    }
    let now = crate::clock::now();
    let fast = now.wrapping_sub(h.turned) < FAST_TICKS * h.moved as u64;
    let size = class::size(c);
    let most = crate::config::get(Key::batch_count)
        .min(policy::per(crate::config::get(Key::batch_bytes), size)) as u32;
    h.level = if !fast {
        h.level / 2
    } else if (h.capacity as usize) < policy::full_capacity(size) {
        0
    } else {
        (h.level * 2).max(h.capacity as u32).min(most)
    };
    let full = policy::full_capacity(size);
    let quiet = policy::quiet_capacity(size);
    let wish = if fast {
        h.capacity as usize * 2
    } else {
        h.capacity as usize / 2
    };
    h.capacity = policy::clamp(wish, quiet.min(h.capacity as usize), full) as u8;
    h.direction = direction;
    h.turned = now;
    h.moved = 0;
}

/// An empty magazine of hot class `c`: gets blocks into it and returns one; null when memory is out.
#[cold]
#[inline(never)]
pub fn refill(t: Tls, cache: &mut Cache, c: Class) -> *mut u8 {
    let Some(hot) = hot_of(cache) else {
        return null_mut();
    };
    let w = window_of(t.top(c));
    let h = hot.class(c);
    turn(h, c, REFILL, h.loaded as usize);
    if h.spares > 0 {
        let spare = window::from_number(h.spare_chain);
        let (next, held) = spare.chained();
        h.spares -= 1;
        h.spare_chain = next;
        hot.keep_window(w);
        return load(t, hot, c, spare, 1, held);
    }
    if class::is_line(c)
        && let Some((full, held)) = depot::pop(c)
    {
        hot.keep_window(w);
        return load(t, hot, c, full, 1, held);
    }
    // The window is empty: it may change its capacity here.
    let h = hot.class(c);
    let capacity = h.capacity as usize;
    let want = policy::clamp(policy::per(REFILL_BYTES, class::size(c)), 4, capacity);
    let first = capacity + 1 - want;
    let mut got = 0;
    loop {
        let h = hot.class(c);
        if h.held == 0 {
            let Some(slab) = central::acquire(c, cache.id, cache.serial) else {
                break;
            };
            h.held = slab.reference();
        }
        let slab = Slab::at(h.held);
        match slab.take(
            c,
            cache.id,
            want,
            central::may_take_single(slab),
            w.slot(first),
        ) {
            Some(0) => {
                h.held = 0;
                central::let_go(c, slab, cache.id);
            }
            Some(n) => {
                got = n;
                break;
            }
            None => h.held = 0, // somebody released it while it was empty
        }
    }
    if got == 0 {
        // The window may have been marked for another capacity; an empty one of any capacity is right.
        let capacity = hot.class(c).loaded as usize;
        t.set_top(c, w.make_empty(capacity));
        return null_mut();
    }
    cache.taken.fetch_add(got as u64, Relaxed);
    live::taken(got * class::size(c));
    if got < want {
        // SAFETY: both ranges lie in the window's slots 1..=capacity.
        unsafe { core::ptr::copy(w.slot(first), w.slot(first + want - got), got) };
    }
    load(t, hot, c, w, capacity + 1 - got, capacity)
}

/// Makes `w` the loaded window with its newest block in slot `newest`, and takes that block.
fn load(t: Tls, hot: &mut Hot, c: Class, w: Window, newest: usize, capacity: usize) -> *mut u8 {
    w.set(capacity + 1, 0);
    hot.class(c).loaded = capacity as u8;
    let p = w.get(newest);
    t.set_top(c, w.slot_number(newest + 1));
    crate::front::pointer(p)
}

/// A full magazine of hot class `c`: makes room for one block at least. False without memory for an empty window:
/// the class then takes no block.
#[cold]
#[inline(never)]
pub fn spill(t: Tls, cache: &mut Cache, c: Class) -> bool {
    let Some(hot) = hot_of(cache) else {
        return false;
    };
    let top = t.top(c);
    let (w, newest) = (window_of(top), top & 255);
    let h = hot.class(c);
    let held = h.loaded as usize + 1 - newest;
    turn(h, c, SPILL, held);
    let (capacity, level, spares) = (h.capacity as usize, h.level as usize, h.spares as usize);
    // The full window is unlinked before anything is done with it: a signal handler or a fork's child finds an empty
    // one in its place.
    let Some(empty) = hot.take_window() else {
        return false;
    };
    t.set_top(c, empty.make_empty(capacity));
    let h = hot.class(c);
    h.loaded = capacity as u8;
    if spares < 255 && (spares + 1) * held <= level {
        w.chain(h.spare_chain, held);
        h.spare_chain = w.address();
        h.spares += 1;
        return true;
    }
    if class::is_line(c) && newest == 1 && depot::push(c, w, held).is_ok() {
        cache.batches.fetch_add(1, Relaxed);
        return true;
    }
    put_back(cache, hot, w, newest, held);
    hot.keep_window(w);
    true
}

fn put_back(cache: &mut Cache, hot: &Hot, w: Window, newest: usize, held: usize) {
    cache.put.fetch_add(held as u64, Relaxed);
    flush::blocks(hot.scratch, w.slot(newest), held, cache.id);
}

/// Empties the magazine of class `c` and its spare windows into the slabs, and lets go of its held slab (thread exit,
/// purge, a fork's child). The class stays hot.
pub fn drain(t: Tls, cache: &mut Cache, c: Class) {
    let Some(hot) = hot_of(cache) else { return };
    if hot.class(c).capacity == 0 {
        return;
    }
    let (top, tag) = (t.top(c), t.tag(c));
    let (w, newest) = (window_of(top), top & 255);
    let loaded = hot.class(c).loaded as usize;
    let held = loaded + 1 - newest;
    if held > 0 {
        // No allocation finds the blocks and no free adds one while they leave.
        t.set_tag(c, 0);
        t.set_top(c, super::cache::empty_top());
        put_back(cache, hot, w, newest, held);
        t.set_top(c, w.make_empty(loaded));
        t.set_tag(c, tag);
    }
    loop {
        let h = hot.class(c);
        if h.spares == 0 {
            break;
        }
        let spare = window::from_number(h.spare_chain);
        let (next, held) = spare.chained();
        h.spares -= 1;
        h.spare_chain = next;
        put_back(cache, hot, spare, 1, held);
        spare.release();
    }
    let h = hot.class(c);
    h.level = 0;
    if h.held != 0 {
        let slab = Slab::at(h.held);
        h.held = 0;
        central::let_go(c, slab, cache.id);
    }
}

/// The window of class `c`, to be released when the thread ends.
pub fn loaded_window(t: Tls, c: Class) -> Window {
    window_of(t.top(c))
}
