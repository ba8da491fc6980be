//! Refill and spill: what happens when a class's loaded window is empty or full.
//!
//! ```text
//! malloc <- outgoing window (top)      incoming window (head) <- free
//! outgoing empty:  change places with the incoming one -> spare window -> depot (line classes) -> bits of the held slab
//!                  -> another slab
//! incoming full:   spare window -> depot (line classes) -> back to the slabs, the whole window at once
//! ```
//! A thread that turns between the two fast ("cycles") gets larger windows and may keep spare ones: up to the
//! anti-hoarding threshold (`batch_count`, `batch_bytes`). One that does not keeps what `policy::quiet_capacity` says.
//!
//! Interrupted between any two stores (a fork's child adopts the cache) blocks may be lost, never doubled: what leaves
//! is unlinked first.

use super::cache::{Cache, Hot, HotClass, hot_of};
use super::flush;
use super::tls::Tls;
use crate::depot;
use crate::depot::window::{self, Window};
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

/// Nothing left to hand out of hot class `c`: gets blocks and returns one; null when memory is out.
#[cold]
#[inline(never)]
pub fn refill(t: Tls, cache: &mut Cache, c: Class) -> *mut u8 {
    let Some(hot) = hot_of(cache) else {
        return null_mut();
    };
    let (w, head) = (window_of(t.top(c)), t.head(c));
    let h = hot.class(c);
    let came_back = h.in_capacity as usize + 1 - (head & 255);
    if came_back * 4 > h.in_capacity as usize {
        return change_places(t, h, c, w, head);
    }
    turn(h, c, REFILL, h.in_capacity as usize);
    if h.spares > 0 {
        let spare = window::from_number(h.spare_chain);
        let (next, held) = spare.chained();
        h.spares -= 1;
        h.spare_chain = next;
        let p = load(t, h, c, spare, 1, held);
        hot.keep_window(w);
        return p;
    }
    if class::is_line(c)
        && let Some((full, held)) = depot::pop(c)
    {
        let p = load(t, h, c, full, 1, held);
        hot.keep_window(w);
        return p;
    }
    let capacity = h.capacity as usize;
    let want = policy::clamp(policy::per(REFILL_BYTES, class::size(c)), 4, capacity);
    t.set_top(c, super::cache::empty_top());
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
        // Lowest addresses leave first: the first block taken goes into the oldest slot.
        let mut at = capacity;
        let sink = |p| {
            w.set(at, p);
            at -= 1;
        };
        match slab.take(c, cache.id, want, central::may_take_single(slab), sink) {
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
        let h = hot.class(c);
        h.out_newest = 1;
        t.set_top(c, w.make_drained());
        return if came_back > 0 {
            change_places(t, h, c, w, head)
        } else {
            null_mut()
        };
    }
    cache.taken.fetch_add(got as u64, Relaxed);
    live::taken(got * class::size(c));
    load(t, hot.class(c), c, w, capacity + 1 - got, capacity)
}

/// What came back goes out again, when it is worth it: a window of few blocks would be turned at every call. In between the class looks empty and full of room, so that a signal handler finds no
/// block twice.
fn change_places(t: Tls, h: &mut HotClass, c: Class, drained: Window, head: usize) -> *mut u8 {
    let (held, capacity, newest) = (h.in_capacity as usize, grown(h, c), head & 255);
    t.set_top(c, super::cache::empty_top());
    t.set_head(c, drained.empty_head(capacity));
    h.in_capacity = capacity as u8;
    load(t, h, c, window_of(head), newest, held)
}

/// Capacity of the next incoming window: a thread that turns its windows fast gets larger ones, within the first-level
/// cache.
fn grown(h: &mut HotClass, c: Class) -> usize {
    let size = class::size(c);
    let most = policy::turning_capacity(size);
    if (h.capacity as usize) < most {
        let now = crate::clock::now();
        if now.wrapping_sub(h.swapped as u64) & 0xffff_ffff < FAST_TICKS * h.in_capacity as u64 {
            h.capacity = (h.capacity as usize * 2).min(most) as u8;
        }
        h.swapped = now as u32;
    }
    h.capacity as usize
}

/// Makes `w`, with blocks in slots `newest..=oldest`, the outgoing window, and takes the oldest.
fn load(t: Tls, h: &mut HotClass, c: Class, w: Window, newest: usize, oldest: usize) -> *mut u8 {
    w.mark_end(newest);
    h.out_newest = newest as u8;
    let p = w.get(oldest);
    t.set_top(c, w.slot_number(oldest) - 1);
    crate::space::pointer(p)
}

/// Blocks that allocations of hot class `c` will find before the next refill.
pub fn loaded(t: Tls, cache: &Cache, c: Class) -> usize {
    hot_of(cache).map_or(0, |hot| {
        ((t.top(c) & 255) + 1).saturating_sub(hot.class(c).out_newest as usize)
    })
}

/// The incoming window of hot class `c` is full: makes room for one block at least. False without memory for an empty
/// window: the class then takes no block.
#[cold]
#[inline(never)]
pub fn spill(t: Tls, cache: &mut Cache, c: Class) -> bool {
    let Some(hot) = hot_of(cache) else {
        return false;
    };
    let head = t.head(c);
    let (w, newest) = (window_of(head), head & 255);
    let h = hot.class(c);
    let held = h.in_capacity as usize + 1 - newest;
    turn(h, c, SPILL, held);
    let (capacity, level, spares) = (h.capacity as usize, h.level as usize, h.spares as usize);
    // The full window is unlinked before anything is done with it: a signal handler or a fork's child finds an empty
    // one in its place.
    let Some(empty) = hot.take_window() else {
        return false;
    };
    t.set_head(c, empty.empty_head(capacity));
    let h = hot.class(c);
    h.in_capacity = capacity as u8;
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

/// Empties both windows of class `c` and its spare ones into the slabs, and lets go of its held slab (thread exit,
/// purge, a fork's child). The class stays hot.
pub fn drain(t: Tls, cache: &mut Cache, c: Class) {
    let Some(hot) = hot_of(cache) else { return };
    if hot.class(c).capacity == 0 {
        return;
    }
    let h = hot.class(c);
    let (top, head, tag) = (t.top(c), t.head(c), t.tag(c));
    let (newest, in_capacity) = (h.out_newest as usize, h.in_capacity as usize);
    // No allocation finds the blocks and no free adds one while they leave.
    t.set_tag(c, 0);
    t.set_top(c, super::cache::empty_top());
    for (w, first, end) in [
        (window_of(top), newest, (top & 255) + 1),
        (window_of(head), head & 255, in_capacity + 1),
    ] {
        if first < end {
            put_back(cache, hot, w, first, end - first);
        }
    }
    t.set_head(c, window_of(head).empty_head(in_capacity));
    hot.class(c).out_newest = 1;
    t.set_top(c, window_of(top).make_drained());
    t.set_tag(c, tag);
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

/// The two windows of class `c`, to be released when the thread ends.
pub fn windows(t: Tls, c: Class) -> [Window; 2] {
    [window_of(t.top(c)), window_of(t.head(c))]
}
