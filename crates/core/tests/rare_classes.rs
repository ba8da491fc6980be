//! Threads that use large blocks seldom share a slab of them; one that uses them often has its own.
//!
//! One test function: the counters are the process's.

use aethalloc_core::{front, stats};
use std::sync::mpsc::channel;

const THREADS: usize = 4;
/// Slabs of several units.
const LARGE: [usize; 4] = [5000, 9000, 20_000, 30_000];

fn slabs(size: usize) -> usize {
    (0..)
        .map_while(stats::class)
        .find(|c| c.size >= size)
        .map_or(0, |c| c.slabs)
}

/// Allocates and frees a block of each size of `LARGE` after every `apart` small ones.
fn work(rounds: usize, apart: usize) {
    for _ in 0..rounds {
        for size in LARGE.into_iter().chain(std::iter::repeat_n(100, apart)) {
            let p = front::allocate(size);
            assert!(!p.is_null());
            // SAFETY: just allocated.
            unsafe {
                p.write(1);
                front::deallocate(p);
            }
        }
    }
}

/// Slabs of each size of `LARGE` while all threads that did this `work` are there.
fn with_threads(rounds: usize, apart: usize) -> Vec<usize> {
    let (mut threads, mut all_end) = (Vec::new(), Vec::new());
    for _ in 0..THREADS {
        let (done, is_done) = channel();
        let (to_end, end) = channel::<()>();
        threads.push(std::thread::spawn(move || {
            work(rounds, apart);
            done.send(()).expect("somebody waits");
            end.recv().expect("somebody looked");
        }));
        is_done.recv().expect("the thread works");
        all_end.push(to_end);
    }
    let all = LARGE.map(slabs).to_vec();
    for to_end in all_end {
        to_end.send(()).expect("the thread waits");
    }
    for thread in threads {
        thread.join().expect("the thread ends");
    }
    all
}

#[test]
fn large_blocks_that_threads_use_seldom_come_from_one_slab_for_all() {
    // This thread counts too: alone, the first one would have slabs of its own at once.
    work(1, 0);
    // A block of a size among a thousand: 200 of each in each thread.
    for (size, slabs) in LARGE.into_iter().zip(with_threads(200, 1000)) {
        assert!(slabs <= 1, "{size} bytes: {slabs} slabs");
    }
    // One among fifty.
    for (size, slabs) in LARGE.into_iter().zip(with_threads(200, 50)) {
        assert!(slabs >= THREADS, "{size} bytes: {slabs} slabs");
    }
}
