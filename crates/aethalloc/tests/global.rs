//! This test program runs on Aethalloc: collections, threads, channels, large and over-aligned memory.

use aethalloc::Aethalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::channel;
use std::thread;

#[global_allocator]
static ALLOCATOR: Aethalloc = Aethalloc;

/// Bytes that depend on a seed and the position, cheap to check.
fn pattern(seed: usize, i: usize) -> u8 {
    (seed.wrapping_mul(31) ^ i ^ i >> 8) as u8
}

fn filled(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| pattern(seed, i)).collect()
}

fn is_intact(seed: usize, bytes: &[u8]) -> bool {
    bytes
        .iter()
        .enumerate()
        .all(|(i, b)| *b == pattern(seed, i))
}

#[test]
fn this_program_runs_on_it() {
    let big = vec![1u8; 10 << 20];
    assert!(aethalloc::stats().allocated_large >= big.len());
    assert!(aethalloc::stats().allocations > 0);
}

#[test]
fn collections_keep_what_they_hold() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    let mut queue = VecDeque::new();
    for i in 0..20_000usize {
        map.insert(i, filled(i, i % 300));
        tree.insert(format!("key {i:06}"), i);
        queue.push_back(Box::new(i));
        if i % 3 == 0 {
            map.remove(&(i / 2));
            queue.pop_front();
        }
    }
    assert!(
        map.iter()
            .all(|(i, bytes)| bytes.len() == i % 300 && is_intact(*i, bytes))
    );
    assert!(
        tree.iter()
            .zip(0..)
            .all(|((key, value), i)| *value == i && *key == format!("key {i:06}"))
    );
    assert!(
        queue
            .iter()
            .zip(queue.iter().skip(1))
            .all(|(a, b)| **a + 1 == **b)
    );
}

#[test]
fn what_one_thread_sends_another_frees() {
    let (send, receive) = channel::<(usize, Vec<u8>)>();
    thread::scope(|s| {
        for t in 0..4usize {
            let send = send.clone();
            s.spawn(move || {
                for i in 0..20_000usize {
                    let seed = t << 20 | i;
                    send.send((seed, filled(seed, 1 + seed % 1200)))
                        .expect("the receiver lives");
                }
            });
        }
        drop(send);
        let mut count = 0;
        for (seed, bytes) in receive {
            assert_eq!(bytes.len(), 1 + seed % 1200);
            assert!(is_intact(seed, &bytes), "packet {seed} changed on its way");
            count += 1;
        }
        assert_eq!(count, 80_000);
    });
}

#[test]
fn threads_that_end_leave_their_objects_usable() {
    let mut kept = Vec::new();
    for round in 0..200usize {
        let made = thread::spawn(move || {
            (0..100)
                .map(|i| filled(round * 100 + i, 16 + i * 7))
                .collect::<Vec<_>>()
        });
        kept.extend(made.join().expect("the thread ended well"));
    }
    assert!(
        kept.iter()
            .enumerate()
            .all(|(seed, bytes)| is_intact(seed, bytes))
    );
}

#[test]
fn a_vector_grows_to_256_mib_and_shrinks() {
    const LEN: usize = 32 << 20;
    let mut v: Vec<usize> = Vec::new();
    for i in 0..LEN {
        v.push(i);
    }
    assert!(v.iter().enumerate().all(|(i, x)| i == *x));
    v.truncate(1000);
    v.shrink_to_fit();
    assert!(v.iter().enumerate().all(|(i, x)| i == *x));
}

#[test]
fn over_aligned_types_are_aligned() {
    #[repr(align(64))]
    struct Line([u8; 64]);
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let mut lines = Vec::new();
    for i in 0..1000 {
        lines.push(Box::new(Line([i as u8; 64])));
        assert_eq!(std::ptr::from_ref(lines[i].as_ref()).addr() % 64, 0);
    }
    let mut pages: Vec<Page> = Vec::new();
    for i in 0..64 {
        pages.push(Page([i; 4096]));
        assert_eq!(pages.as_ptr().addr() % 4096, 0);
    }
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(i, l)| l.0.iter().all(|b| *b == i as u8))
    );
    assert!(
        pages
            .iter()
            .enumerate()
            .all(|(i, p)| p.0.iter().all(|b| *b as usize == i))
    );
}

/// The four functions at every alignment, with sizes on both sides of every way inside.
#[test]
fn alignment_survives_every_resize() {
    const SIZES: [usize; 12] = [
        1,
        24,
        60,
        100,
        1000,
        1024,
        3000,
        5000,
        32_768,
        40_000,
        70_000,
        3 << 20,
    ];
    for shift in 0..=21 {
        let align = 1usize << shift;
        for (i, from) in SIZES.into_iter().enumerate() {
            for to in SIZES {
                let layout = Layout::from_size_align(from, align).expect("a layout");
                // SAFETY: sizes are not zero; every object is used within its size and freed with its own layout.
                unsafe {
                    let p = ALLOCATOR.alloc(layout);
                    assert!(!p.is_null());
                    assert_eq!(p.addr() % align, 0, "{from} at {align}");
                    for at in [0, from / 2, from - 1] {
                        p.add(at).write(pattern(i, at));
                    }
                    let q = ALLOCATOR.realloc(p, layout, to);
                    assert!(!q.is_null());
                    assert_eq!(q.addr() % align, 0, "{from} to {to} at {align}");
                    for at in [0, from / 2, from - 1] {
                        assert!(
                            at >= to || q.add(at).read() == pattern(i, at),
                            "{from} to {to} at {align}"
                        );
                    }
                    q.add(to - 1).write(1);
                    ALLOCATOR.dealloc(q, Layout::from_size_align(to, align).expect("a layout"));
                }
            }
        }
    }
}

#[test]
fn zeroed_memory_is_zero_when_used_again() {
    for shift in 0..=17 {
        for size in [1usize, 100, 1000, 20_000, 100_000, 1 << 20] {
            let layout = Layout::from_size_align(size, 1 << shift).expect("a layout");
            for _ in 0..4 {
                // SAFETY: sizes are not zero; the object is used within its size and freed with its own layout.
                unsafe {
                    let p = ALLOCATOR.alloc_zeroed(layout);
                    assert!(!p.is_null());
                    assert_eq!(p.addr() % layout.align(), 0);
                    let bytes = std::slice::from_raw_parts_mut(p, size);
                    assert!(
                        bytes.iter().all(|b| *b == 0),
                        "{size} at {}",
                        layout.align()
                    );
                    bytes.fill(0xa5);
                    ALLOCATOR.dealloc(p, layout);
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_had_is_null() {
    let layout = Layout::from_size_align(isize::MAX as usize, 1).expect("a layout");
    let mut v: Vec<u8> = vec![1, 2, 3];
    assert!(v.try_reserve_exact(isize::MAX as usize - 3).is_err());
    assert_eq!(v, [1, 2, 3]);
    // SAFETY: the layouts' sizes are not zero; nothing is written through the results.
    unsafe {
        assert!(ALLOCATOR.alloc(layout).is_null());
        assert!(ALLOCATOR.alloc_zeroed(layout).is_null());
        let far = Layout::from_size_align(1, 1 << 62).expect("a layout");
        assert!(ALLOCATOR.alloc(far).is_null());
    }
}

#[test]
fn purge_keeps_contents() {
    let mut all: Vec<Vec<u8>> = (0..20_000).map(|i| filled(i, 1 + i * 7 % 900)).collect();
    for (i, bytes) in all.iter_mut().enumerate() {
        if i % 8 != 0 {
            *bytes = Vec::new();
        }
    }
    aethalloc::purge();
    for (i, bytes) in all.iter().enumerate().step_by(8) {
        assert_eq!(bytes.len(), 1 + i * 7 % 900);
        assert!(is_intact(i, bytes), "object {i} changed");
    }
    let fresh: Vec<Vec<u8>> = (0..20_000).map(|i| filled(i, 1 + i * 7 % 900)).collect();
    assert!(
        fresh
            .iter()
            .enumerate()
            .all(|(i, bytes)| is_intact(i, bytes))
    );
}
