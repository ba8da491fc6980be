//! The limits on the heap, by its figures: what counts, what is refused, what goes back first.
//!
//! One test, in order: the figures are the process's.

mod common;

use aethalloc_base::options::Key;
use aethalloc_base::units::UNIT;
use aethalloc_core::{config, front, pages, stats};
use common::Object;

const MIB: usize = 1 << 20;

/// Objects until the first null.
fn until_refused(size: usize) -> Vec<Object> {
    let mut objects = Vec::new();
    loop {
        let p = front::allocate(size);
        if p.is_null() {
            return objects;
        }
        objects.push(Object::new(p, size, objects.len() as u64));
    }
}

fn free_all(objects: Vec<Object>) {
    objects.into_iter().for_each(Object::free);
}

#[test]
fn limits() {
    config::set(Key::limit, 32 * MIB);
    // What fits does not depend on what was there before, and is most of the limit.
    for size in [100, 5000, 100_000, 3 * MIB, 100] {
        let refused = stats::snapshot().refused;
        let objects = until_refused(size);
        let s = stats::snapshot();
        assert!(s.charged <= 32 * MIB, "{s:?}");
        assert!(
            objects.len() * size >= 20 * MIB,
            "{} of {size}",
            objects.len()
        );
        assert!(s.refused > refused);
        free_all(objects);
    }
    // Free runs go back when another size needs the room, though they could be retained.
    config::set(Key::retain, 1 << 30);
    free_all(until_refused(100_000));
    assert!(pages::stats().dirty >= 16 * MIB);
    let object = front::large::allocate(20 * MIB + UNIT, UNIT, false);
    assert!(
        !object.is_null(),
        "free runs were in the way: {:?}",
        pages::stats()
    );
    // It grows in place up to the limit, and stays what it is beyond.
    // SAFETY: the test's object.
    unsafe {
        assert!(front::reallocate(object, 60 * MIB).is_null());
        front::deallocate(object);
    }
    // What is in use already stays when the limit comes down; only more is refused.
    let objects = until_refused(5000);
    config::set(Key::limit, 8 * MIB);
    assert!(front::allocate(MIB).is_null());
    free_all(objects);
    config::set(Key::limit, 0);
    let p = front::allocate(40 * MIB);
    assert!(!p.is_null(), "no limit any more");
    // SAFETY: the test's object.
    unsafe { front::deallocate(p) };

    // Soft: nothing is refused, no free run is kept.
    config::set(Key::limit_soft, 16 * MIB);
    let refused = stats::snapshot().refused;
    let objects: Vec<_> = (0..8000)
        .map(|i| Object::new(front::allocate(4000), 4000, i))
        .collect();
    // A fifth comes back, too little for the sweep that follows a fall: empty pages inside slabs, which go when the heap
    // grows further.
    let (go, stay): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.tag % 5 == 0);
    let before = stats::snapshot();
    free_all(go);
    let more: Vec<_> = (0..8000)
        .map(|i| Object::new(front::allocate(600), 600, i))
        .collect();
    let after = stats::snapshot();
    assert_eq!(after.refused, refused);
    assert!(
        after.purged >= before.purged + 3 * MIB as u64,
        "{before:?} {after:?}"
    );
    assert!(after.retained <= MIB, "free runs stay: {after:?}");
    free_all(stay);
    free_all(more);
}
