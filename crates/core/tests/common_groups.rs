//! Threads that take a few blocks of a class, from a slab of nobody, keep to the groups that threads before them used.
//!
//! One test function: the slabs are the process's.

use aethalloc_core::front;
use std::collections::HashSet;
use std::sync::mpsc::channel;

const SIZE: usize = 128;
/// Too few for the class to get hot.
const EACH: usize = 20;
/// All together take more than a group of 64.
const THREADS: usize = 4;

/// The blocks that threads take which are there at the same time; they are free again when this returns.
fn round() -> Vec<usize> {
    let (mut threads, mut blocks) = (Vec::new(), Vec::new());
    for _ in 0..THREADS {
        let (taken, take) = channel();
        let (to_end, end) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let all = (0..EACH).map(|_| front::allocate(SIZE).expose_provenance());
            taken
                .send(all.collect::<Vec<_>>())
                .expect("somebody takes them");
            end.recv().expect("they were taken");
        });
        blocks.extend(take.recv().expect("blocks"));
        threads.push((thread, to_end));
    }
    for &p in &blocks {
        assert_ne!(p, 0);
        // SAFETY: allocated by a thread that gave it up.
        unsafe { front::deallocate(core::ptr::with_exposed_provenance_mut(p)) };
    }
    for (thread, to_end) in threads {
        to_end.send(()).expect("the thread waits");
        thread.join().expect("the thread ends");
    }
    blocks
}

#[test]
fn a_slab_of_nobody_is_used_from_its_first_group_on_again() {
    let all: HashSet<usize> = (0..20).flat_map(|_| round()).collect();
    // Two groups hold what is out at the same time.
    assert!(all.len() <= 2 * 64, "{} blocks were used", all.len());
}
