//! A thread that has a few blocks of a class at a time keeps to a few groups of its slab; one that has many uses all of it.
//!
//! One test function: the slabs are the process's.

mod common;

use aethalloc_core::stats;
use common::give_back as free;
use std::collections::{HashSet, VecDeque};

const SIZE: usize = 64;
/// Blocks of a slab, and of a group.
const SLAB: usize = 1024;
const GROUP: usize = 64;

fn take(n: usize) -> Vec<usize> {
    common::take(n, SIZE)
}

fn slabs() -> usize {
    (0..)
        .map_while(stats::class)
        .filter(|c| c.size == SIZE)
        .map(|c| c.slabs)
        .sum()
}

#[test]
fn few_blocks_keep_to_few_groups() {
    // Busy enough for bins of its own.
    free(take(200));
    // Oldest first, so that each wave finds the groups behind it free.
    let mut waves = VecDeque::from([take(40), take(40)]);
    let mut used = HashSet::new();
    for _ in 0..1000 {
        let wave = take(40);
        used.extend(wave.iter().copied());
        waves.push_back(wave);
        free(waves.pop_front().expect("there are three"));
    }
    assert!(
        used.len() <= 6 * GROUP,
        "{} blocks used for 120 at a time",
        used.len()
    );
    waves.into_iter().for_each(free);

    // Groups that were passed by are used when they are needed: as many blocks as slabs hold.
    let before = slabs();
    let all = take(4 * SLAB);
    assert!(
        slabs() - before <= 5,
        "{} slabs more for the blocks of 4",
        slabs() - before
    );
    free(all);
}
