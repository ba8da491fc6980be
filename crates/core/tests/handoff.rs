//! Full hand-offs, again and again: what one thread allocates another frees, and the slabs do not grow in number.

mod common;

use aethalloc_base::class;
use aethalloc_core::{front, stats};
use common::Random;
use std::sync::mpsc::sync_channel;

/// Live bytes of one cycle.
const BYTES: usize = 24 << 20;
const CYCLES: usize = 16;
/// Cycles after which everything has found its size.
const WARM: usize = 4;

fn slabs() -> (usize, usize) {
    let all = (0..).map_while(stats::class);
    all.fold((0, 0), |(n, out), c| (n + c.slabs, out + c.out * c.size))
}

/// Each cycle producers allocate everything, then one thread frees everything. Slabs at the peak and at the end.
fn cycles(producers: usize, sizes: &[usize], seed: u64) -> Vec<(usize, usize)> {
    let sizes = sizes.to_vec();
    let (send, receive) = sync_channel::<Vec<usize>>(producers);
    let starts: Vec<_> = (0..producers)
        .map(|i| {
            let (go, wait) = sync_channel::<()>(1);
            let (send, sizes) = (send.clone(), sizes.clone());
            let mut random = Random::new(seed, i as u64);
            let thread = std::thread::spawn(move || {
                while wait.recv().is_ok() {
                    let (mut made, mut bytes) = (Vec::new(), 0);
                    while bytes < BYTES / producers {
                        let size = sizes[random.below(sizes.len())];
                        let p = front::allocate(size);
                        assert!(!p.is_null());
                        made.push(p.addr());
                        bytes += size;
                    }
                    send.send(made).expect("the freeing thread waits");
                }
            });
            (go, thread)
        })
        .collect();
    let mut random = Random::new(seed, 1 << 40);
    let mut seen = Vec::new();
    for _ in 0..CYCLES {
        for (go, _) in &starts {
            go.send(()).expect("a producer waits");
        }
        let mut all: Vec<usize> = (0..producers).flat_map(|_| receive.recv().expect("a producer sends")).collect();
        let peak = slabs().0;
        for i in (1..all.len()).rev() {
            all.swap(i, random.below(i + 1));
        }
        for p in all {
            // SAFETY: live, and nothing uses it afterwards.
            unsafe { front::deallocate(front::pointer(p)) };
        }
        seen.push((peak, slabs().0));
    }
    for (go, thread) in starts {
        drop(go);
        thread.join().expect("a producer failed");
    }
    seen
}

fn assert_level(what: &str, seen: &[(usize, usize)]) {
    println!("{what}: slabs at the peak and at the end of each cycle: {seen:?}");
    let (warm, rest) = seen.split_at(WARM);
    let most = |v: &[(usize, usize)]| v.iter().fold((0, 0), |m, s| (m.0.max(s.0), m.1.max(s.1)));
    let ((peak, end), (later_peak, later_end)) = (most(warm), most(rest));
    // Random sizes fill slabs a little differently each time: a slab per class and thread at most.
    let slack = class::COUNT;
    assert!(later_peak <= peak + slack, "{what}: slabs at the peak grew from {peak} to {later_peak}");
    assert!(later_end <= end + slack, "{what}: slabs after a full hand-off grew from {end} to {later_end}");
    assert!(later_end * 8 <= later_peak, "{what}: {later_end} of {later_peak} slabs stay when all blocks are free");
}

#[test]
fn slabs_do_not_grow_over_full_hand_offs() {
    let seed = common::seed();
    for (what, producers, sizes) in [
        ("one producer, one size that shares lines", 1, &[48][..]),
        ("four producers, sizes of whole lines", 4, &[64, 192, 592, 640]),
        ("four producers, mixed sizes", 4, &[16, 24, 40, 80, 100, 200, 300, 500, 1000, 1500, 5000]),
    ] {
        assert_level(what, &cycles(producers, sizes, seed));
        front::purge();
        let (n, out) = slabs();
        assert_eq!((n, out), (0, 0), "{what}: slabs and bytes out when all threads are over");
    }
}
