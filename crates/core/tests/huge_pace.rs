//! Huge pages are not asked for where they come slowly.
//!
//! One test: it looks at the process's sums.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};
use common::Object;

const MIB: usize = 1 << 20;

fn huge() -> usize {
    common::memory_figure("AnonHugePages:")
}

fn fill(bytes: usize) -> Vec<Object> {
    (0..bytes / 512)
        .map(|i| Object::new(front::allocate(512), 512, i as u64))
        .collect()
}

#[test]
fn slow_ones_are_passed_by() {
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !system.unwrap_or_default().contains("[madvise]") || common::emulated() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    // None comes within a microsecond: of a hundred regions the first is asked for, then one after 16, after 32 and after 64 others.
    config::set(Key::huge_page_us, 1);
    let mut objects = fill(280 * MIB);
    assert!(huge() <= 8 * MIB, "{} where all are slow", huge());

    // However long they take.
    config::set(Key::huge_page_us, 0);
    objects.extend(fill(300 * MIB));
    let all = huge();
    // A machine whose memory is in pieces has none to give.
    assert!(all == 0 || all >= 250 * MIB, "{all} where none is slow");
    objects.into_iter().for_each(Object::free);
}
