//! Huge pages are asked for in few rows of regions: each is a mapping of its own, and a process may have only so many.
//!
//! One test: it looks at the process's mappings.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};

const MIB: usize = 1 << 20;
/// `MOST_ROWS` in `pages/huge.rs`.
const MOST: usize = 16;

fn object(size: usize) -> *mut u8 {
    let p = front::allocate(size);
    assert!(!p.is_null());
    p
}

#[test]
fn rows_that_are_asked_for_have_a_bound() {
    config::set(Key::huge_page_us, 0); // however long they take
    if common::asked_for_huge().is_none() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    // Objects that get full, so that those to come are asked for.
    for _ in 0..4 {
        let p = object(16 * MIB);
        for at in (0..16 * MIB).step_by(4096) {
            // SAFETY: inside the object.
            unsafe { p.add(at).write(1) };
        }
        // SAFETY: it is not used any more.
        unsafe { front::deallocate(p) };
        front::purge();
    }
    // No row joins another: between two lies an object that is too small to be asked for.
    let objects: Vec<_> = (0..2 * MOST)
        .flat_map(|_| [object(6 * MIB), object(3 * MIB / 2)])
        .collect();
    assert_eq!(common::asked_for_huge().map(|rows| rows.len()), Some(MOST));
    for p in objects {
        // SAFETY: it is not used any more.
        unsafe { front::deallocate(p) };
    }
}
