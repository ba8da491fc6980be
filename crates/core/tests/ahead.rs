//! Pages of slabs are backed several at a time, and few that nobody asks for.
//!
//! One test: it sets options.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front, pages};
use aethalloc_sys::memory::{self, Access};
use common::Object;

unsafe extern "C" {
    fn mincore(at: *mut u8, len: usize, out: *mut u8) -> i32;
}

const UNIT: usize = 64 << 10;
const SIZE: usize = 512;
/// A size whose pages do not come ahead before something went back.
const LARGER: usize = 4096;
const COUNT: usize = (16 << 20) / SIZE;

/// Which of the 16 pages of the unit of `at` are resident.
fn resident(at: usize) -> u16 {
    let mut out = [0u8; 16];
    let unit = std::ptr::without_provenance_mut(at & !(UNIT - 1));
    // SAFETY: reads nothing of the unit; `out` has a byte for each of its pages.
    assert_eq!(unsafe { mincore(unit, UNIT, out.as_mut_ptr()) }, 0);
    (0..16).fold(0, |all, i| all | (out[i] as u16 & 1) << i)
}

/// Allocates and writes `count` objects of `size` bytes; the most pages of a unit that were resident beyond the one last written, and how
/// many are at the end.
fn fill(objects: &mut Vec<Object>, size: usize, count: usize) -> (u32, u32) {
    let (mut most, mut last) = (0, 0);
    for i in 0..count {
        let object = Object::new(front::allocate(size), size, i as u64);
        let page = (object.address % UNIT / 4096) as u32;
        last = (resident(object.address) as u32 >> page >> 1).count_ones();
        most = most.max(last);
        objects.push(object);
    }
    (most, last)
}

#[test]
fn pages_come_several_at_a_time() {
    config::set(Key::huge_pages, 3);
    // A thread's first slab of a class brings next to nothing that nobody asked for.
    let first = Object::new(front::allocate(2000), 2000, 1);
    let pages = resident(first.address).count_ones();
    assert!(pages <= 2, "{pages} pages for one object");
    first.free();

    config::set(Key::ahead, 0);
    let mut objects = Vec::new();
    let (alone, _) = fill(&mut objects, SIZE, COUNT);
    assert_eq!(alone, 0, "a page at a time");

    config::set(Key::ahead, 1);
    let (most, _) = fill(&mut objects, SIZE, COUNT);
    let (larger, _) = fill(&mut objects, LARGER, 100);
    let place = memory::map(2 * UNIT, Access::Write).expect("two units");
    // SAFETY: a mapping of the test's.
    let answer = unsafe { memory::populate(place.as_ptr(), 2 * UNIT) };
    // An emulator may answer well and do nothing.
    let backs = answer.is_ok() && resident(place.as_ptr().addr() + UNIT) != 0;
    if !backs {
        eprintln!("this kernel backs no pages when asked: only contents were checked");
    } else {
        // Eight at a time; one of them is in use.
        assert!((6..=8).contains(&most), "{most} pages ahead");
        assert_eq!(larger, 0, "larger blocks a page at a time");
    }

    // Pages that a purge took out of slabs come back, and every object keeps what it holds.
    let (stay, go): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.tag % 64 == 0);
    go.into_iter().for_each(Object::free);
    front::purge();
    let purged = pages::stats().purged as usize;
    assert!(purged >= COUNT * SIZE / 2, "{purged}");
    let mut objects = stay;
    // As long as it is less than what went back, whole units come at a time, of larger blocks too.
    let (again, _) = fill(&mut objects, LARGER, 1000);
    assert!(!backs || again == 15, "{again} pages ahead");
    // A large object asks for the rest of it.
    let large = Object::new(front::allocate(64 << 20), 64 << 20, 1);
    // The unit at hand is there already.
    fill(&mut objects, LARGER, UNIT / LARGER);
    let (enough, _) = fill(&mut objects, LARGER, 100);
    assert!(!backs || enough == 0, "{enough} pages ahead, none was away");
    large.free();
    objects.extend((0..COUNT).map(|i| Object::new(front::allocate(SIZE), SIZE, i as u64)));
    objects.into_iter().for_each(Object::free);
}
