//! The outbox: blocks of other threads' slabs on their way home, gathered so that a word of many costs one atomic.
//!
//! Its owner is in the slow path whenever it touches it, so it can afford the gate; others drain it when they purge.
//! A block in the outbox has state FREE: a second free of it is caught at once.

use super::cache::{Cache, Hot, hot_of, hot_part};
use super::flush;
use crate::depot::window;
use crate::sync::Ordering::*;
use core::sync::atomic::compiler_fence;

/// Blocks the outbox holds before it leaves.
const CAPACITY: u32 = window::CAPACITY as u32;
/// Foreign blocks given back one by one before a thread gets an outbox.
const HEAT: u8 = 32;

/// Takes a foreign block whose state byte is FREE already; false: the caller puts it back itself.
pub fn put(cache: &mut Cache, p: usize) -> bool {
    let Some(hot) = ready(cache) else {
        return false;
    };
    // The drainer's membarrier is the other half.
    if !hot.gate.enter(|| compiler_fence(SeqCst)) {
        return false;
    }
    let n = hot.outbox_count.load(Relaxed);
    if n == CAPACITY {
        send(cache, hot);
        return put_first(hot, p);
    }
    // SAFETY: n < CAPACITY <= 256 slots of the outbox window.
    unsafe { hot.outbox.add(n as usize).write(p) };
    hot.outbox_count.store(n + 1, Relaxed);
    hot.gate.leave();
    true
}

fn put_first(hot: &mut Hot, p: usize) -> bool {
    // SAFETY: slot 0 of the outbox window.
    unsafe { hot.outbox.write(p) };
    hot.outbox_count.store(1, Relaxed);
    hot.gate.leave();
    true
}

/// Sends everything home. The gate is the caller's.
fn send(cache: &Cache, hot: &mut Hot) {
    let n = hot.outbox_count.swap(0, Relaxed) as usize;
    flush::blocks(hot.scratch, hot.outbox, n, cache.id);
    cache.put.fetch_add(n as u64, Relaxed);
    cache.batches.fetch_add(1, Relaxed);
}

/// Sends the calling thread's outbox home.
pub fn drain_own(cache: &mut Cache) {
    if let Some(hot) = hot_of(cache)
        && !hot.outbox.is_null()
        && hot.gate.enter(|| compiler_fence(SeqCst))
    {
        send(cache, hot);
        hot.gate.leave();
    }
}

/// The last drain: the owner goes in and stays, so that no drainer comes in any more and the window can go.
pub fn end(cache: &mut Cache) {
    if let Some(hot) = hot_of(cache)
        && !hot.outbox.is_null()
    {
        // A drainer is inside for one flush at most.
        while !hot.gate.enter(|| compiler_fence(SeqCst)) {
            aethalloc_sys::process::yield_now();
        }
        send(cache, hot);
        let w = window::from_number(hot.outbox.addr());
        hot.outbox = core::ptr::null_mut();
        w.release();
    }
}

/// Sends another thread's outbox home, with the caller's scratch; false if its owner is at work in it.
///
/// # Safety
/// `cache` is registered and stays so (registry lock held, or the thread does not exist).
pub unsafe fn drain_other(cache: *mut Cache, scratch: window::Window) -> bool {
    // SAFETY: the caller's promise; only atomics and, inside the gate, the outbox are touched.
    unsafe {
        let hot = (*cache).hot.load(Acquire);
        if hot.is_null() || (*hot).outbox.is_null() || (*hot).outbox_count.load(Relaxed) == 0 {
            return true;
        }
        let gate = &(*hot).gate;
        if !gate.close(aethalloc_sys::process::barrier_all_threads) {
            return false;
        }
        let n = (*hot).outbox_count.swap(0, Relaxed) as usize;
        flush::blocks(scratch, (*hot).outbox, n, 0);
        crate::span::live::put_for_others(n);
        gate.reopen();
    }
    true
}

fn ready(cache: &mut Cache) -> Option<&'static mut Hot> {
    if let Some(hot) = hot_of(cache)
        && !hot.outbox.is_null()
    {
        return Some(hot);
    }
    if cache.remote_heat < HEAT || crate::config::get(aethalloc_base::options::Key::cache) == 0 {
        cache.remote_heat = cache.remote_heat.saturating_add(1);
        return None;
    }
    let hot = hot_part(cache)?;
    hot.outbox = window::take()?.slot(0);
    Some(hot)
}
