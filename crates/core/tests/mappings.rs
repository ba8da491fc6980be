//! Mappings of the process: `realloc` moves pages of large objects, and what that splits is joined again.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front, inspect, space};
use common::Random;

const MIB: usize = 1 << 20;

fn mappings() -> usize {
    let text = std::fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    text.lines().count()
}

fn pattern(size: usize, round: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size / 4096).map(move |page| (page * 4096 + page % 512 * 8, page ^ round << 20))
}

fn fill(p: usize, size: usize, round: usize) {
    for (at, v) in pattern(size, round) {
        // SAFETY: inside a live object of `size` bytes.
        unsafe { space::pointer(p + at).cast::<usize>().write(v) };
    }
}

fn check(p: usize, size: usize, round: usize) {
    for (at, v) in pattern(size, round) {
        // SAFETY: inside a live object of `size` bytes.
        let found = unsafe { space::pointer(p + at).cast::<usize>().read() };
        assert_eq!(found, v, "byte {at} of round {round}");
    }
}

fn resize(p: usize, size: usize) -> usize {
    // SAFETY: live; the old address is not used afterwards.
    let p = unsafe { front::reallocate(space::pointer(p), size) }.addr();
    assert_ne!(p, 0);
    p
}

fn free(p: usize) {
    // SAFETY: live, and nothing uses it afterwards.
    unsafe { front::deallocate(space::pointer(p)) };
}

/// A few dozen objects of random sizes begin, grow, are cut and end: many cannot grow in place, so their pages move,
/// each time elsewhere.
#[test]
fn moved_pages_leave_no_mappings_behind() {
    assert_eq!(config::get(Key::remap), 1);
    let mut random = Random::new(common::seed(), 0);
    let mut live: Vec<(usize, usize, usize)> = Vec::new();
    let mut seen = Vec::new();
    for round in 0..3000 {
        if live.len() < 24 {
            let size = MIB + random.below(MIB);
            let p = front::allocate(size).addr();
            assert_ne!(p, 0);
            fill(p, size, round);
            live.push((p, size, round));
        }
        let i = random.below(live.len());
        let (p, size, tag) = live[i];
        let new = match random.below(4) {
            0 => MIB / 2 + random.below(MIB),
            _ => size + random.below(3 * MIB),
        };
        let q = resize(p, new);
        check(q, size.min(new), tag);
        fill(q, new, round);
        live[i] = (q, new, round);
        if new > 12 * MIB {
            free(live.swap_remove(i).0);
        }
        if round % 100 == 99 {
            // Each moved object has a mapping of its own, and what lies between two another.
            seen.push(mappings());
        }
    }
    println!("mappings, every 100 rounds: {seen:?}");
    let quarter = seen.len() / 4;
    let (first, last) = (seen[..quarter].iter().max(), seen[quarter..].iter().max());
    let (first, last) = (first.expect("some"), last.expect("some"));
    assert!(*last <= first + 30, "mappings grew from {first} to {last}");
    for (p, ..) in live {
        free(p);
    }
    let census = inspect::check().expect("the rules");
    assert_eq!((census.unclaimed, census.large), (0, 0));
}
