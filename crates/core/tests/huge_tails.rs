//! Slabs whose blocks leave much of their unit untouched ask for no huge page, which would back that too.
//!
//! One test: it looks at the process's mappings.

mod common;

use common::{asked_for_huge, give_back, take};

#[test]
fn slabs_with_long_tails_ask_for_none() {
    if asked_for_huge().is_none() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    // One to a unit: a large heap that is mostly in use (`policy::is_dense`), 24 KiB of each unit untouched.
    let with_tails = take(2000, 40_000);
    assert_eq!(asked_for_huge(), Some(Vec::new()));
    // Blocks that fill their units, in the same heap.
    let without = take(100_000, 512);
    assert_ne!(asked_for_huge(), Some(Vec::new()));
    give_back(with_tails);
    give_back(without);
}
