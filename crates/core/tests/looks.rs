//! Of a slab of several units a thread that frees looks at about once: not at each of the stocks that it takes meanwhile.
//!
//! One test function: no other thread may free.

mod common;

use aethalloc_base::class;
use aethalloc_core::space::entry::Kind;
use aethalloc_core::span::central::lookup;
use aethalloc_core::span::claim::State;
use aethalloc_core::span::slab::Slab;
use aethalloc_core::{front, life};
use common::Object;
use std::collections::BTreeMap;

/// The class of the object and the reference of its slab.
fn slab_of(object: &Object) -> (class::Class, u32) {
    match lookup(object.address) {
        Some((
            _,
            Kind::Slab {
                class, part, state, ..
            },
        )) => (class, Slab::of_entry(class, part, state).reference()),
        _ => panic!("a block of a slab"),
    }
}

#[test]
fn a_slab_of_several_units_is_looked_at_once() {
    const SLABS: usize = 40;
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    let size = 24 << 10;
    let c = class::class_of(size);
    let (units, blocks) = (class::units(c), class::blocks(c));
    assert!(units >= 4);
    let mut slabs: BTreeMap<u32, Vec<Object>> = BTreeMap::new();
    for _ in 0..SLABS * blocks {
        let object = Object::new(front::allocate(size), size, 1);
        let (class, slab) = slab_of(&object);
        assert_eq!(class, c);
        slabs.entry(slab).or_default().push(object);
    }
    slabs.retain(|slab, _| Slab::at(*slab).claim.state(c) == State::Resting);
    assert!(slabs.len() >= SLABS / 2);
    // One block of each: a stock comes with each third.
    for objects in slabs.values_mut() {
        objects.pop().expect("a block").free();
    }
    let is_listed = |slab: &&u32| Slab::at(**slab).claim.state(c) == State::Listed;
    let looked_at = slabs.keys().filter(is_listed).count();
    let freed = slabs.len() * size;
    assert!(looked_at > 0, "a slab in which blocks are free is listed");
    let most = freed.div_ceil(units << 16) + 1;
    assert!(
        looked_at <= most,
        "{looked_at} of {} slabs are listed",
        slabs.len()
    );
    slabs.into_values().flatten().for_each(Object::free);
}
