//! `safety:guard` at a limit: the runs that are kept with their guards go back before a slab is refused.
//!
//! One test, because the mode is the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_base::units::UNIT;
use aethalloc_core::{config, front, guard, pages};

/// Has runs kept, and then as little room as they leave: how many units they have.
fn keep_and_limit() -> usize {
    config::set(Key::limit, 0);
    front::purge();
    let used = pages::used_units();
    // Of each length some that find a place (64 do: `EACH` in `runs.rs`).
    let objects: Vec<_> = [2, 3, 4, 5]
        .iter()
        .flat_map(|units| common::take(16, units * UNIT - 10_000))
        .collect();
    common::give_back(objects);
    let kept = pages::used_units() - used;
    assert!(kept > 64, "{kept} units are kept");
    let in_use = pages::limit::charged() - pages::stats().dirty;
    config::set(Key::limit, in_use + 4 * UNIT);
    kept
}

#[test]
fn kept_runs_go_back_before_a_slab_is_refused() {
    common::start_with("safety:guard,support:off");
    if guard::pages::size() == 0 {
        return; // no guard pages, no run is kept for them
    }
    // A first block, whose slab has 8 units.
    keep_and_limit();
    assert!(!front::allocate(32_000).is_null());

    // Blocks that a thread reserves.
    let kept = keep_and_limit();
    let mut taken = 0;
    while !front::allocate(1000).is_null() {
        taken += 1000;
    }
    assert!(
        taken >= kept / 8 * 7 * UNIT,
        "{taken} bytes, {kept} units were kept"
    );
}
