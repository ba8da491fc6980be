//! Objects of 32 to 64 KiB are blocks of a thread's own slabs: replacing them never comes to the page heap, whose lock all threads share.

mod common;

use aethalloc_core::{front, life, pages};
use common::{Object, Random};

/// Replacements that make every class hot.
const WARM: usize = 4000;

#[test]
fn blocks_of_a_unit_are_replaced_without_the_page_heap() {
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    let made = || front::large::stats().2;
    let before = made();
    let mut random = Random::new(1, 1);
    let one = |random: &mut Random| {
        let size = (32 << 10) + 1 + random.below(32 << 10);
        Object::new(front::allocate(size), size, 1)
    };
    let mut objects: Vec<_> = (0..200).map(|_| one(&mut random)).collect();
    let mut replace = |n: usize| {
        for _ in 0..n {
            let at = random.below(objects.len());
            let new = one(&mut random);
            std::mem::replace(&mut objects[at], new).free();
        }
    };
    replace(WARM);
    let taken = pages::taken_units();
    replace(WARM);
    assert_eq!(made(), before, "no object is large");
    let taken = pages::taken_units() - taken;
    assert!(taken < WARM / 10, "{taken} units for {WARM} objects");
    objects.into_iter().for_each(Object::free);

    // What `calloc` makes above 32 KiB is large, and grows in its unit as a large object does.
    let p = front::allocate_zeroed(40_000);
    assert_eq!(made(), before + 1);
    // SAFETY: a live object of this test's; the new one is given up.
    unsafe {
        let q = front::reallocate(p, 50_000);
        assert_eq!(q, p, "copied");
        front::deallocate(q);
    }
}
