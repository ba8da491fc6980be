//! Many threads at once: objects that change hands by their address, threads that come and go, purges from outside;
//! contents are checked at every end, and when all is over no slab and no large object is left.

mod common;

use aethalloc_base::class;
use aethalloc_core::{front, stats};
use common::{Object, Random};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WORKERS: usize = 6;
const GENERATIONS: usize = 12;
const STEPS: usize = 12_000;
/// Objects that a worker keeps.
const KEPT: usize = 600;

/// Addresses on their way: whoever works in a place receives.
struct Desk {
    to: Vec<Sender<Object>>,
    from: Vec<Mutex<Receiver<Object>>>,
    tags: AtomicU64,
}

/// One generation of the worker at `place`: starts with nothing but what arrives, leaves everything to others.
fn work(desk: &Desk, place: usize, mut random: Random) {
    let inbox = desk.from[place].lock().expect("nobody fails in here");
    let mut mine: Vec<Object> = Vec::new();
    // Each generation likes a few sizes, so that classes become hot.
    let liked: Vec<usize> = (0..4).map(|_| random.size(2048)).collect();
    for step in 0..STEPS {
        while let Ok(o) = inbox.try_recv() {
            if random.once_in(2) {
                o.free()
            } else {
                mine.push(o)
            }
        }
        if mine.len() < KEPT && !random.once_in(3) {
            mine.push(allocate(desk, &mut random, &liked));
        } else if !mine.is_empty() {
            let o = mine.swap_remove(random.below(mine.len()));
            match random.below(16) {
                0..9 => o.free(),
                9..11 => mine.push(resize(desk, &mut random, o)),
                _ => desk.to[random.below(WORKERS)]
                    .send(o)
                    .expect("receivers outlive workers"),
            }
        }
        // Bursts that empty the worker: slabs run empty and change hands.
        if step % 4000 == 3999 {
            mine.drain(..).for_each(Object::free);
        }
    }
    for o in mine {
        desk.to[random.below(WORKERS)]
            .send(o)
            .expect("receivers outlive workers");
    }
}

fn allocate(desk: &Desk, random: &mut Random, liked: &[usize]) -> Object {
    let tag = desk
        .tags
        .fetch_add(1, Relaxed)
        .wrapping_mul(0x2545_f491_4f6c_dd1d);
    let size = match random.below(400) {
        0 => random.size(1 << 20),
        1..20 => random.size(class::SMALL_MAX),
        20..80 => random.size(1024),
        _ => liked[random.below(liked.len())],
    };
    match random.below(12) {
        0 => {
            let p = front::allocate_zeroed(size);
            assert!(!p.is_null());
            // SAFETY: a live object of that size.
            unsafe { common::assert_zero(p, size) };
            Object::new(p, size, tag)
        }
        1 => Object::new(
            front::allocate_aligned(16 << random.below(10), size),
            size,
            tag,
        ),
        _ => Object::new(front::allocate(size), size, tag),
    }
}

fn resize(desk: &Desk, random: &mut Random, o: Object) -> Object {
    let size = (o.size * (1 + random.below(8)) / 4).clamp(1, 4 << 20);
    o.check(o.size);
    // SAFETY: live; its old address is not used afterwards.
    let p = unsafe { front::reallocate(o.pointer(), size) };
    assert!(!p.is_null());
    Object {
        address: p.addr(),
        ..o
    }
    .check(size);
    Object::new(
        p,
        size,
        desk.tags
            .fetch_add(1, Relaxed)
            .wrapping_mul(0x2545_f491_4f6c_dd1d),
    )
}

/// Every block is back in its slab, every slab gone.
fn assert_nothing_left(round: usize) {
    front::purge();
    for i in 0.. {
        let Some(c) = stats::class(i) else { break };
        assert_eq!(
            (c.slabs, c.out),
            (0, 0),
            "round {round}: slabs and blocks out of class {}",
            c.size
        );
    }
    let s = stats::snapshot();
    assert_eq!(
        (s.allocated, s.large_count, s.cached),
        (0, 0, 0),
        "round {round}: allocated, large, cached"
    );
    assert_eq!(s.active, 0, "round {round}: pages in use");
    assert_eq!(s.retained, 0, "round {round}: pages kept after a purge");
    assert_eq!(
        s.allocations, s.deallocations,
        "round {round}: counts of both ways"
    );
}

fn round(seed: u64, round: usize) {
    let (to, from): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| channel()).unzip();
    let desk = Arc::new(Desk {
        to,
        from: from.into_iter().map(Mutex::new).collect(),
        tags: AtomicU64::new(1),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let purger = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut n = 0u64;
            while !stop.load(Relaxed) {
                front::purge();
                stats::snapshot();
                n += 1;
                std::thread::sleep(Duration::from_micros(300));
            }
            n
        }
    });
    let places: Vec<_> = (0..WORKERS)
        .map(|place| {
            let desk = desk.clone();
            // The place itself never allocates: only its generations have caches.
            std::thread::spawn(move || {
                for g in 0..GENERATIONS {
                    let stream = (round * 1_000_000 + place * 1000 + g) as u64;
                    let (desk, random) = (desk.clone(), Random::new(seed, stream));
                    std::thread::spawn(move || work(&desk, place, random))
                        .join()
                        .expect("a worker failed");
                }
            })
        })
        .collect();
    for p in places {
        p.join().expect("a worker failed");
    }
    stop.store(true, Relaxed);
    assert!(purger.join().expect("the purger failed") > 0);
    for inbox in &desk.from {
        inbox
            .lock()
            .expect("nobody failed")
            .try_iter()
            .for_each(Object::free);
    }
    assert_nothing_left(round);
}

#[test]
fn threads_hand_objects_around_and_leave_nothing() {
    let seed = common::seed();
    for r in 0..4 {
        round(seed, r);
    }
}
