//! Huge pages are not asked for where they come slowly.
//!
//! One test: it looks at the process's mappings.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};
use common::{asked_for_huge, give_back, take};

const MIB: usize = 1 << 20;

/// An object of which every page is written to; ended.
fn one_full(size: usize) {
    let p = front::allocate(size);
    assert!(!p.is_null());
    for at in (0..size).step_by(4096) {
        // SAFETY: inside the object.
        unsafe { p.add(at).write(1) };
    }
    // SAFETY: it is not used any more.
    unsafe { front::deallocate(p) };
}

#[test]
fn slow_ones_are_passed_by() {
    if asked_for_huge().is_none() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    // None comes within a microsecond: of a hundred regions the first is asked for, then one after 16, after 32 and after 64 others.
    config::set(Key::huge_page_us, 1);
    let slow = take(280 * MIB / 512, 512);
    let few: usize = asked_for_huge().iter().flatten().sum();
    assert!((2..=8 * MIB).contains(&few), "{few} where all are slow");

    // Large objects as well: now they are passed by, too.
    for _ in 0..3 {
        one_full(16 * MIB);
        front::purge();
    }
    let asked = || asked_for_huge().iter().flatten().sum::<usize>();
    let before = asked();
    let objects = take(8, 40 * MIB);
    assert!(
        asked() <= before + 2 * MIB,
        "{} were asked for",
        asked() - before
    );
    config::set(Key::huge_page_us, 0);
    let quick = take(8, 40 * MIB);
    assert!(
        asked() >= before + 250 * MIB,
        "{} were asked for",
        asked() - before
    );
    [objects, quick].into_iter().for_each(give_back);

    // However long they take.
    let more = take(300 * MIB / 512, 512);
    let all: usize = asked_for_huge().iter().flatten().sum();
    assert!(all >= 250 * MIB, "{all} where none is slow");
    give_back(slow);
    give_back(more);
}
