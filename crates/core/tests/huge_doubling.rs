//! Huge pages that are asked for, for a table that doubles while the one before it is there, as hash tables do.
//!
//! One test: it looks at the process's mappings.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};
use common::asked_for_huge;

const MIB: usize = 1 << 20;

/// An object in which two of three places of 64 bytes say something, and none of those that begin a page.
struct Table(*mut u8);

impl Table {
    fn new(size: usize) -> Table {
        let at = front::allocate(size);
        assert!(!at.is_null());
        for place in (0..size).step_by(64) {
            let taken = !place.is_multiple_of(4096) && place / 64 % 3 != 0;
            // SAFETY: inside the object.
            unsafe { at.add(place).write(taken as u8) };
        }
        Table(at)
    }
    fn end(self) {
        // SAFETY: it is not used any more.
        unsafe { front::deallocate(self.0) };
    }
}

#[test]
fn a_table_that_doubles_is_asked_for() {
    config::set(Key::huge_page_us, 0); // however long they take
    if asked_for_huge().is_none() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    let mut table = Table::new(5 * MIB);
    for size in [10 * MIB, 20 * MIB, 40 * MIB] {
        let next = Table::new(size);
        std::mem::replace(&mut table, next).end();
    }
    // The last one began when those of 5 and 10 MiB had ended.
    let asked: usize = asked_for_huge().iter().flatten().sum();
    assert!(asked >= 36 * MIB, "{asked}");
    table.end();
}
