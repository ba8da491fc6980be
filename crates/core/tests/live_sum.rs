//! The sum of the bytes that are out: what threads report of it comes to what is out, whatever ends in between; and
//! threads that allocate as much as they free leave it alone.
//!
//! One test function: the sum is the process's.

mod common;

use aethalloc_core::{life, span::live};
use common::give_back as free;
use std::thread;

const SIZE: usize = 1000;

fn take(n: usize) -> Vec<usize> {
    common::take(n, SIZE)
}

#[test]
fn the_sum_follows_what_is_out() {
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };

    // Each frees less than a thread frees between two stocks.
    for _ in 0..1000 {
        thread::spawn(|| free(take(40)))
            .join()
            .expect("nothing fails");
    }
    let left = live::bytes();
    assert!(
        left < 2 << 20,
        "{left} bytes out after threads that freed all"
    );

    // Freed by others, which have allocated something and end.
    for _ in 0..500 {
        let blocks = thread::spawn(|| take(40)).join().expect("nothing fails");
        thread::spawn(|| {
            free(take(1));
            free(blocks);
        })
        .join()
        .expect("nothing fails");
    }
    let left = live::bytes();
    assert!(
        left < 2 << 20,
        "{left} bytes out after threads that freed all of others'"
    );

    // By others that allocate nothing, and end before they have freed what a thread frees between two stocks.
    for _ in 0..500 {
        let blocks = thread::spawn(|| take(40)).join().expect("nothing fails");
        thread::spawn(|| free(blocks))
            .join()
            .expect("nothing fails");
    }
    let left = live::bytes();
    assert!(
        left < 2 << 20,
        "{left} bytes out after threads that only freed"
    );

    // What stays counts.
    let kept = take(16 << 10);
    assert!(live::bytes() > 15 << 20);

    // Replacement in a thread: the sum is changed by what the thread lacked, at most once.
    let (before, changed) = thread::spawn(|| {
        let mut slots = take(64);
        let (before, mut changed) = (live::bytes(), 0);
        let mut last = before;
        for i in 0..100_000 {
            let at = i % slots.len();
            free(vec![slots[at]]);
            slots[at] = take(1)[0];
            let now = live::bytes();
            changed += u32::from(now != last);
            last = now;
        }
        free(slots);
        (before, changed)
    })
    .join()
    .expect("nothing fails");
    assert!(
        changed <= 1,
        "{changed} changes of the sum, {before} at first"
    );
    free(kept);
}
