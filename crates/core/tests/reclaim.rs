//! Memory that the support thread has in hand when memory runs out: blocks and large objects wait for it alike.
//!
//! One test, because there is one support thread per process.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life, pages};
use aethalloc_sys::process::tid;
use aethalloc_sys::thread::futex_wait_for;
use common::Object;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

/// What is to happen: nothing, the support thread stops with a frozen slab, it has, it may go on when somebody looks again, it has.
const NOTHING: u32 = 0;
const STOP: u32 = 1;
const STOPPED: u32 = 2;
const WAITED_FOR: u32 = 3;
const DONE: u32 = 4;
static STAGE: AtomicU32 = AtomicU32::new(NOTHING);
/// Looks of the thread that runs out of memory.
static LOOKS: AtomicU32 = AtomicU32::new(0);

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        futex_wait_for(&STAGE, STAGE.load(Acquire), 2);
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
    }
}

fn probe(step: u32) {
    let own = bell::shared().is_some_and(|s| s.tid.load(Relaxed) == tid());
    match (own, step, STAGE.load(Acquire)) {
        (true, 31, STOP) => {
            STAGE.store(STOPPED, Release);
            wait_until("somebody looks again", || STAGE.load(Acquire) >= WAITED_FOR);
        }
        // The round is over, and the slab with it.
        (true, 1, WAITED_FOR) => STAGE.store(DONE, Release),
        // The look that follows the first in vain lets it go on, and comes after it.
        (false, 30, STOPPED) if LOOKS.fetch_add(1, Relaxed) > 0 => {
            STAGE.store(WAITED_FOR, Release);
            wait_until("the support thread goes on", || STAGE.load(Acquire) == DONE);
        }
        _ => {}
    }
}

/// Leaves one free slab, which the support thread has in hand, and no other memory; then asks for `size` bytes at `align`.
fn run_out(align: usize, size: usize) {
    STAGE.store(NOTHING, Release);
    LOOKS.store(0, Relaxed);
    let one = Object::new(front::allocate_aligned(align, size), size, 1);
    one.free();
    STAGE.store(STOP, Release);
    let objects: Vec<_> = (0..16 << 10)
        .map(|i| Object::new(front::allocate(512), 512, i))
        .collect();
    let (stay, go): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|o| o.address.is_multiple_of(64 << 10));
    go.into_iter().for_each(Object::free);
    wait_until("a frozen slab", || {
        bell::ring();
        STAGE.load(Acquire) == STOPPED
    });
    // Looks up to here are not those that are meant.
    LOOKS.store(u32::MAX / 2, Relaxed);
    let stage = STAGE.swap(NOTHING, AcqRel);
    assert_eq!(stage, STOPPED);
    stay.into_iter().for_each(Object::free);
    front::purge();
    let full = pages::limit::charged();
    config::set(Key::limit, full);
    LOOKS.store(0, Relaxed);
    STAGE.store(STOPPED, Release);
    let p = front::allocate_aligned(align, size);
    assert!(
        !p.is_null(),
        "stage {}, {} looks, {} held, {full} allowed, {:?}",
        STAGE.load(Acquire),
        LOOKS.load(Relaxed),
        pages::limit::charged(),
        pages::stats()
    );
    let object = Object::new(p, size, 2);
    assert_eq!(STAGE.load(Acquire), DONE, "it had to wait");
    config::set(Key::limit, 0);
    object.free();
}

#[test]
fn whoever_runs_out_of_memory_waits_for_it() {
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    config::set(Key::support, 2);
    config::set(Key::decay, 80);
    bell::probe_with(probe);
    run_out(16, 3000);
    // Of blocks that each fill a unit a slab is larger; what is aligned to a unit is large.
    run_out(64 << 10, 40_000);
}
