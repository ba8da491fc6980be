//! Huge pages: where memory is given back in part they are split and not made again; when all is free, they may be.
//!
//! One test: it looks at the process's sums.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front, pages};
use common::Object;

const MIB: usize = 1 << 20;

/// Bytes of the process in huge pages.
fn huge_bytes() -> usize {
    common::memory_figure("AnonHugePages:")
}

fn fill(count: usize, size: usize) -> Vec<Object> {
    (0..count)
        .map(|i| Object::new(front::allocate(size), size, i as u64))
        .collect()
}

#[test]
fn sparse_regions_have_none() {
    config::set(Key::huge_pages, 2); // always: whatever the system's setting but never
    config::set(Key::retain, 1 << 30);
    let objects = fill(640, 100_000);
    let before = huge_bytes();
    let offered = before >= 32 * MIB;
    assert_eq!(pages::huge::sparse(), 0, "nothing was given back yet");

    // Runs and pages inside slabs go: every second object of either kind.
    let small = fill(4000, 4096);
    let (stay, go): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .chain(small)
        .partition(|o| o.tag % 2 == 0);
    go.into_iter().for_each(Object::free);
    front::purge();
    assert_eq!(
        pages::stats().dirty,
        0,
        "what a huge page backed counts and goes"
    );
    if offered {
        assert!(pages::huge::sparse() >= 16, "{}", pages::huge::sparse());
        assert!(huge_bytes() <= before / 4, "{} of {before}", huge_bytes());
    } else {
        eprintln!("this kernel gives no huge pages: only contents were checked");
    }
    stay.into_iter().for_each(Object::free);

    // All free, all given back by the support thread's way: regions like any other, but those with slabs that rest.
    let sparse = pages::huge::sparse();
    pages::purge::excess(0, 0);
    let left = pages::huge::sparse();
    assert!(left <= sparse / 2, "{left} of {sparse} stay sparse");
    let objects = fill(640, 100_000);
    if offered {
        assert!(huge_bytes() >= before / 2, "{} of {before}", huge_bytes());
    }
    objects.into_iter().for_each(Object::free);

    // Switched off nothing becomes sparse.
    config::set(Key::huge_pages, 1);
    front::purge();
    let (stay, go): (Vec<_>, Vec<_>) = fill(640, 100_000).into_iter().partition(|o| o.tag % 2 == 0);
    let sparse = pages::huge::sparse();
    go.into_iter().for_each(Object::free);
    front::purge();
    assert_eq!(pages::huge::sparse(), sparse);
    stay.into_iter().for_each(Object::free);
}
