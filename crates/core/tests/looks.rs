//! Of a slab of several units a thread that frees looks at about once, not at each of the stocks that it takes meanwhile; and slabs that it
//! empties, of any size, are released nevertheless.
//!
//! One test function: no other thread may free.

mod common;

use aethalloc_base::class;
use aethalloc_core::space::entry::Kind;
use aethalloc_core::span::central::lookup;
use aethalloc_core::span::claim::State;
use aethalloc_core::span::slab::Slab;
use aethalloc_core::{front, life};
use common::{Object, Random};
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

/// `n` slabs' worth of objects of `size` bytes, by slab; but those of slabs that are held.
fn fill(n: usize, size: usize) -> BTreeMap<u32, Vec<Object>> {
    let c = class::class_of(size);
    let mut slabs: BTreeMap<u32, Vec<Object>> = BTreeMap::new();
    for _ in 0..n * class::blocks(c) {
        let object = Object::new(front::allocate(size), size, 1);
        let (class, slab) = slab_of(&object);
        assert_eq!(class, c);
        slabs.entry(slab).or_default().push(object);
    }
    slabs.retain(|slab, _| Slab::at(*slab).claim.state(c) == State::Resting);
    assert!(slabs.len() >= n / 2);
    slabs
}

/// How many of the slabs of class `c` are in the state.
fn count(slabs: &[u32], c: class::Class, state: State) -> usize {
    let in_state = |slab: &&u32| Slab::at(**slab).claim.state(c) == state;
    slabs.iter().filter(in_state).count()
}

#[test]
fn a_slab_of_several_units_is_looked_at_once() {
    const SLABS: usize = 40;
    // SAFETY: null is allowed.
    unsafe { life::start(std::ptr::null()) };
    let (size, small) = (24 << 10, 128);
    let (c, small_class) = (class::class_of(size), class::class_of(small));
    let units = class::units(c);
    assert!(units >= 4);
    let mut slabs = fill(SLABS, size);
    let names: Vec<_> = slabs.keys().copied().collect();
    // One block of each: a stock comes with each third.
    for objects in slabs.values_mut() {
        objects.pop().expect("a block").free();
    }
    let looked_at = count(&names, c, State::Listed);
    assert!(looked_at > 0, "a slab in which blocks are free is listed");
    let most = (names.len() * size).div_ceil(units << 16) + 1;
    assert!(
        looked_at <= most,
        "{looked_at} of {} slabs are listed",
        names.len()
    );

    // The rest of each, and between two of them half as much, on average, in small objects. As much is made of another size, so that no fall is seen, after
    // which all slabs would be looked at.
    let (mut others, mut random) = (Vec::new(), Random::new(1, 1));
    let smalls = fill(SLABS * 4, small);
    let small_names: Vec<_> = smalls.keys().copied().collect();
    let mut smalls = smalls.into_values().flatten();
    for object in slabs.into_values().flatten() {
        object.free();
        others.push(Object::new(front::allocate(size / 2 * 3), size / 2 * 3, 1));
        smalls
            .by_ref()
            .take(random.below(size / small))
            .for_each(Object::free);
    }
    smalls.for_each(Object::free);
    for (names, c) in [(names, c), (small_names, small_class)] {
        let gone = count(&names, c, State::Gone);
        assert!(
            gone * 2 >= names.len(),
            "{gone} of {} slabs of class {c} are released",
            names.len()
        );
    }
    others.into_iter().for_each(Object::free);
}
