//! Huge pages that are asked for by a large heap that is in use, and not kept where memory is given back.
//!
//! One test: it looks at the process's sums.

mod common;

use aethalloc_base::options::Key;
use aethalloc_base::units::UNIT;
use aethalloc_core::{config, front, pages};
use common::Object;

const MIB: usize = 1 << 20;

unsafe extern "C" {
    fn mincore(at: *mut u8, len: usize, out: *mut u8) -> i32;
}

/// Pages that are there of the unit that `address` lies in.
fn resident_pages(address: usize) -> usize {
    let mut out = [0u8; UNIT / 4096];
    let unit = std::ptr::without_provenance_mut(address & !(UNIT - 1));
    // SAFETY: a unit of the allocator; one byte a page.
    assert_eq!(unsafe { mincore(unit, UNIT, out.as_mut_ptr()) }, 0);
    out.iter().filter(|b| **b & 1 != 0).count()
}

fn huge() -> usize {
    common::memory_figure("AnonHugePages:")
}

fn fill(count: usize, size: usize) -> Vec<Object> {
    (0..count)
        .map(|i| Object::new(front::allocate(size), size, i as u64))
        .collect()
}

#[test]
fn dense_memory_is_asked_for() {
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let system = system.unwrap_or_default();
    let asked = system.contains("[madvise]") && !common::emulated();

    // However long they take.
    config::set(Key::huge_page_us, 0);
    // A small heap has none; a large one in use does.
    let small = fill(20_000, 512);
    assert!(!asked || huge() == 0, "{}", huge());
    let more = fill(150_000, 512);
    // One block each of slabs that are empty otherwise, and what lies behind them.
    let alone: Vec<_> = (0..24).map(|i| fill(1, 700 + 100 * i)).collect();
    let behind = fill(10_000, 512);
    let dense = huge();
    // A machine whose memory is in pieces has none to give.
    let only_asked = asked && dense > 0;
    if !only_asked {
        eprintln!("no huge pages for those who ask, or for all: only contents are checked");
    }
    assert!(!only_asked || dense >= 24 * MIB, "{dense}");

    // What was given back in part has none, and of its pages only those in use.
    let resident = common::memory_figure("Rss:");
    let (stay, go): (Vec<_>, Vec<_>) = more.into_iter().partition(|o| o.tag % 64 == 0);
    let gone = go.len() * 512;
    go.into_iter().for_each(Object::free);
    front::purge();
    assert!(!only_asked || huge() <= dense / 4, "{} of {dense}", huge());
    assert!(!only_asked || pages::huge::sparse() > 0);
    let now = common::memory_figure("Rss:");
    // Every eighth page has an object that stays.
    assert!(
        !only_asked || now + gone / 4 * 3 <= resident,
        "{now} of {resident} after {gone} were freed"
    );
    behind.into_iter().for_each(Object::free);
    for _ in 0..2 {
        front::purge();
    }
    for object in alone.iter().flatten() {
        let pages = resident_pages(object.address);
        assert!(
            !only_asked || pages <= 4,
            "{pages} pages for {} bytes",
            object.size
        );
    }
    let alone = alone.into_iter().flatten();
    alone.chain(stay).chain(small).for_each(Object::free);
    front::purge();
}
