//! The support thread's last act: a program with one thread left has nobody who would look later, so what others left free goes back
//! before it ends.
//!
//! One test, because there is one support thread per process.

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life, pages};
use aethalloc_sys::thread;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const SIZE: usize = 512;
const COUNT: usize = (6 << 20) / SIZE;

/// Waits for what must come; a hang guard, not a measurement.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_sweeps_before_it_ends() {
    if thread::cpus() < 2 {
        println!("no support thread with one CPU");
        return;
    }
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    // Time alone brings nothing: demand is kept for half an hour.
    config::set(Key::decay, 3_600_000);
    config::set(Key::support_pressure, 0);
    let take = || front::allocate(SIZE);
    let (ready, started) = channel::<()>();
    let (end, ends) = channel::<()>();
    let other = std::thread::spawn(move || {
        let p = front::allocate(64);
        ready.send(()).expect("the test listens");
        ends.recv().expect("the test says when");
        // SAFETY: this thread's block, freed once.
        unsafe { front::deallocate(p) };
    });
    started.recv().expect("the other thread begins");
    let blocks: Vec<_> = (0..COUNT).map(|_| take()).collect();
    for p in &blocks {
        // SAFETY: a block of the test's.
        unsafe { p.write_bytes(1, SIZE) };
    }
    until("no support thread", || {
        bell::ring();
        bell::is_served()
    });
    // Of each unit one page keeps a block: a fall of less than what a free would act on.
    let mut stay = Vec::new();
    for p in blocks {
        if p.addr() % (64 << 10) / 4096 == 3 {
            stay.push(p);
        } else {
            // SAFETY: a block of the test's, freed once.
            unsafe { front::deallocate(p) };
        }
    }
    // It has seen the fall, and leaves the memory alone.
    std::thread::sleep(Duration::from_millis(300));
    let before = pages::stats().purged;
    end.send(()).expect("the other thread waits");
    other.join().expect("the other thread ends");
    until("it stays", || !bell::is_served());
    let purged = pages::stats().purged - before;
    assert!(
        purged > 4 << 20,
        "{purged} bytes went back before the support thread ended"
    );
    for p in stay {
        // SAFETY: a block of the test's, freed once.
        unsafe { front::deallocate(p) };
    }
}
