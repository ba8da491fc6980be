//! Huge pages that are asked for, for large objects after such as were full.
//!
//! One test: it looks at the process's sums.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};

const MIB: usize = 1 << 20;

/// Bytes of the process in huge pages.
fn huge() -> usize {
    common::memory_figure("AnonHugePages:")
}

/// An object of `size` bytes of which every page, or the first, is written to; ended.
fn one_large(size: usize, full: bool) {
    let p = front::allocate(size);
    assert!(!p.is_null());
    for at in (0..if full { size } else { 1 }).step_by(4096) {
        // SAFETY: inside the object.
        unsafe { p.add(at).write(1) };
    }
    // SAFETY: it is not used any more.
    unsafe { front::deallocate(p) };
}

/// Bytes in huge pages that writing one byte of a new object of `size` bytes brings.
fn brought(size: usize) -> usize {
    let before = huge();
    let p = front::allocate(size);
    assert!(!p.is_null());
    // SAFETY: the middle of the object.
    unsafe { p.add(size / 2).write(1) };
    let after = huge();
    // SAFETY: it is not used any more.
    unsafe { front::deallocate(p) };
    after.saturating_sub(before)
}

#[test]
fn large_objects_that_get_full_are_asked_for() {
    config::set(Key::huge_page_us, 0); // however long they take
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let asked = system.unwrap_or_default().contains("[madvise]") && !common::emulated();
    if !asked {
        eprintln!("no huge pages for those who ask, or for all: only contents are checked");
    }
    // Not before any was seen, nor after one that was not full.
    assert!(!asked || brought(8 * MIB) == 0);
    for full in [true, false] {
        front::purge(); // what is reused has pages already
        one_large(8 * MIB, full);
        if !full {
            front::purge();
            assert!(!asked || brought(8 * MIB) == 0);
        }
    }
    for _ in 0..4 {
        front::purge();
        one_large(8 * MIB, true);
    }
    // Much larger ones were never seen.
    front::purge();
    assert!(!asked || brought(256 * MIB) == 0);
    front::purge();
    let most = brought(8 * MIB);
    // A machine whose memory is in pieces has none to give.
    let kernel = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let has_none = kernel.lines().any(|l| l == "thp_fault_alloc 0");
    assert!(!asked || has_none || most >= 2 * MIB, "{most}");
}
