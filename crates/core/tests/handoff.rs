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

/// Each cycle producers allocate everything, then one thread frees everything. Slabs at the peak of each cycle, and
/// those left after a purge by the freeing thread while the producers sleep.
fn cycles(producers: usize, sizes: &[usize], seed: u64) -> (Vec<usize>, usize) {
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
        let mut all: Vec<usize> = (0..producers)
            .flat_map(|_| receive.recv().expect("a producer sends"))
            .collect();
        seen.push(slabs().0);
        for i in (1..all.len()).rev() {
            all.swap(i, random.below(i + 1));
        }
        for p in all {
            // SAFETY: live, and nothing uses it afterwards.
            unsafe { front::deallocate(aethalloc_core::space::pointer(p)) };
        }
    }
    front::purge();
    let left = slabs().0;
    for (go, thread) in starts {
        drop(go);
        thread.join().expect("a producer failed");
    }
    (seen, left)
}

fn assert_level(what: &str, held: usize, (peaks, left): (Vec<usize>, usize)) {
    println!("{what}: slabs at the peak of each cycle {peaks:?}, at the end {left}");
    let (warm, rest) = peaks.split_at(WARM);
    let (warm, later) = (
        warm.iter().max().expect("cycles"),
        rest.iter().max().expect("cycles"),
    );
    // Random sizes fill slabs a little differently each time: less than a slab a class.
    let slack = class::COUNT;
    assert!(
        *later <= warm + slack,
        "{what}: slabs at the peak grew from {warm} to {later}"
    );
    assert!(
        left <= held,
        "{what}: {left} of {later} slabs stay after a purge when all blocks are free; threads may hold {held}"
    );
}

#[test]
fn slabs_do_not_grow_over_full_hand_offs() {
    let seed = common::seed();
    for (what, producers, sizes) in [
        ("one producer, one size that shares lines", 1, &[48][..]),
        (
            "four producers, sizes of whole lines",
            4,
            &[64, 192, 592, 640],
        ),
        (
            "four producers, mixed sizes",
            4,
            &[16, 24, 40, 80, 100, 200, 300, 500, 1000, 1500, 5000],
        ),
    ] {
        // A waiting thread keeps the slab that it takes from, one of each class.
        let held = producers * sizes.len();
        assert_level(what, held, cycles(producers, sizes, seed));
        front::purge();
        let (n, out) = slabs();
        assert_eq!(
            (n, out),
            (0, 0),
            "{what}: slabs and bytes out when all threads are over"
        );
    }
}
