//! What the kernel was told of memory about huge pages stays true for the mappings that it makes of it later: where pages were moved
//! away, and where the heap grows beside memory that has none.
//!
//! One test: it looks at the process's mappings.

mod common;

use aethalloc_base::options::Key;
use aethalloc_core::{config, front};
use std::collections::HashSet;

const MIB: usize = 1 << 20;

/// What the kernel says of the mapping with `address`: its flags (proc(5), VmFlags).
fn flags(address: usize) -> HashSet<String> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("the process's mappings");
    let mut inside = false;
    for line in maps.lines() {
        let range = line
            .split_whitespace()
            .next()
            .and_then(|w| w.split_once('-'));
        if let Some((from, to)) = range {
            let at = |word| usize::from_str_radix(word, 16);
            if let (Ok(from), Ok(to)) = (at(from), at(to)) {
                inside = (from..to).contains(&address);
            }
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return flags.split_whitespace().map(String::from).collect();
        }
    }
    panic!("{address:#x} is not mapped");
}

/// Huge pages were asked for there, or forbidden.
fn told(address: usize) -> (bool, bool) {
    let flags = flags(address);
    (flags.contains("hg"), flags.contains("nh"))
}

/// An object of `size` bytes with something on every page.
fn full(size: usize) -> *mut u8 {
    let p = front::allocate(size);
    assert!(!p.is_null());
    for at in (0..size).step_by(4096) {
        // SAFETY: inside the object.
        unsafe { p.add(at).write(1) };
    }
    p
}

fn end(p: *mut u8) {
    // SAFETY: it is not used any more.
    unsafe { front::deallocate(p) };
}

#[test]
fn new_mappings_are_told_as_those_before() {
    config::set(Key::huge_page_us, 0); // however long they take
    if common::asked_for_huge().is_none() {
        eprintln!("skipped: huge pages are for all here, or for none");
        return;
    }
    // Objects that get full, so that the next is asked for.
    for _ in 0..4 {
        end(full(16 * MIB));
        front::purge();
    }
    let large = full(16 * MIB);
    let inside = large.addr() + 8 * MIB;
    assert_eq!(told(inside), (true, false), "asked for");

    // Its pages move away, since it has no room to grow: the kernel makes new mappings where it was.
    let behind = full(4 * MIB);
    // SAFETY: the object, which is not used at its old place any more.
    let moved = unsafe { front::reallocate(large, 64 * MIB) };
    assert!(!moved.is_null() && moved != large);
    assert_eq!(told(inside), (true, false), "after its pages moved away");
    end(moved);
    end(behind);

    // A heap that is in use, of which a part is given back: no huge pages there, nor where it grows next.
    let blocks: Vec<_> = (0..20_000).map(|_| full(4000)).collect();
    let (go, stay): (Vec<_>, Vec<_>) = (0..).zip(blocks).partition(|(i, _)| i % 16 != 0);
    go.into_iter().for_each(|(_, p)| end(p));
    front::purge();
    let last = stay.iter().map(|(_, p)| p.addr()).max().expect("some stay");
    assert!(told(last).1, "given back in part");
    // Objects of less than a huge page ask for nothing themselves.
    let size = 3 * MIB / 2;
    let next: Vec<_> = (0..128).map(|_| front::allocate(size)).collect();
    let top = next.iter().map(|p| p.addr()).max().expect("there are some");
    assert!(top > last + 64 * MIB, "the heap grew");
    assert_eq!(
        told(top + size / 2),
        (false, true),
        "beside memory without huge pages"
    );
    next.into_iter().for_each(end);
    stay.into_iter().for_each(|(_, p)| end(p));
}
