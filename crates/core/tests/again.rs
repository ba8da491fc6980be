//! A thread that replaces what it frees comes for blocks by the dozen, also when it uses many classes.
//!
//! One test function: the counters are the process's.

mod common;

use aethalloc_core::{front, stats};
use common::Random;

fn block(size: usize) -> *mut u8 {
    let p = front::allocate(size);
    assert!(!p.is_null());
    p
}

#[test]
fn groups_that_were_used_before_serve_many_blocks_at_a_time() {
    let mut random = Random::new(1, 1);
    // 31 blocks of each of 32 classes, as a thread of a server may have.
    let size = |random: &mut Random| 8 + random.below(992);
    let mut live: Vec<_> = (0..1000).map(|_| block(size(&mut random))).collect();
    let mut replace = |n: usize| {
        for _ in 0..n {
            let at = random.below(live.len());
            let fresh = block(size(&mut random));
            let old = std::mem::replace(&mut live[at], fresh);
            // SAFETY: from `block`, given up here.
            unsafe { front::deallocate(old) };
        }
    };
    replace(100_000);
    let before = stats::snapshot();
    replace(100_000);
    let after = stats::snapshot();
    let reservations = after.reservations - before.reservations;
    assert!(
        reservations < 100_000 / 14,
        "{reservations} reservations for 100 000 blocks"
    );
    for p in live {
        // SAFETY: from `block`, given up here.
        unsafe { front::deallocate(p) };
    }
}
