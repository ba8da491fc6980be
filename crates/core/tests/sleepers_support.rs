//! The support thread gives what sleeping threads' slabs have free to everybody, without a call of the program's.
//!
//! One test, because there is one support thread per process.

use aethalloc_base::options::Key;
use aethalloc_core::{bell, config, front, life};
use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const SIZE: usize = 64;
const COUNT: usize = (4 << 20) / SIZE;

fn free(p: usize) {
    // SAFETY: a block of the test's, freed once.
    unsafe { front::deallocate(std::ptr::with_exposed_provenance_mut(p)) };
}

#[test]
fn it_shares_what_a_sleeper_left_free() {
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    config::set(Key::support, 2);
    let (tell, told) = channel::<HashSet<usize>>();
    let (wake, woken) = channel::<()>();
    let sleeper = std::thread::spawn(move || {
        let take = |_| front::allocate(SIZE).expose_provenance();
        let blocks: Vec<usize> = (0..COUNT).map(take).collect();
        // Of each slab some stay: none ends.
        let (stay, go): (Vec<_>, Vec<_>) = blocks.iter().partition(|p| **p / SIZE % 32 < 8);
        go.iter().for_each(|p| free(*p));
        tell.send(go.into_iter().collect())
            .expect("the other listens");
        woken.recv().expect("the other wakes this one");
        stay.into_iter().for_each(free);
    });
    let left = told.recv().expect("the sleeper tells");
    // It looks while it is awake. A hang guard, not a measurement.
    let (start, mut reused) = (Instant::now(), 0);
    while reused * 2 <= left.len() {
        bell::ring();
        // As much as the sleeper left, each time: it comes out of slabs that are everybody's, or of fresh ones.
        let blocks: Vec<usize> = (0..left.len())
            .map(|_| front::allocate(SIZE).expose_provenance())
            .collect();
        reused = blocks.iter().filter(|p| left.contains(p)).count();
        blocks.into_iter().for_each(free);
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{reused} of {} blocks that a sleeping thread had freed",
            left.len()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    wake.send(()).expect("the sleeper waits");
    sleeper.join().expect("the sleeper fails nowhere");
}
