//! `safety:guard`: large objects with a guard count as live where free memory is bounded by a part of it.
//!
//! One test, because the mode is the process's.

mod common;

use aethalloc_base::units::UNIT;
use aethalloc_core::{guard, pages};

#[test]
fn guarded_objects_count_as_live() {
    common::start_with("safety:guard,support:off,retain:1m,retain_share:10");
    if guard::pages::size() == 0 {
        return; // no guard pages: they are ordinary large objects
    }
    let before = pages::guarded_limit_units();
    let objects = common::take(200, 1 << 20);
    let now = pages::guarded_limit_units();
    // A tenth of 200 MiB, but for samples, which lie elsewhere.
    assert!(now >= (19 << 20) / UNIT, "{now} units, {before} before");
    common::give_back(objects);
    assert_eq!(pages::guarded_limit_units(), before);
}
