//! Threads that use each class a few times and then end: they take the blocks of a class several at a time, the sooner the more threads like them ended
//! before, and what they did not hand out goes back.
//!
//! One test function: counters and hints are the process's.

use aethalloc_core::inspect;
use aethalloc_core::{front, stats};
use std::sync::mpsc::channel;

/// One class each.
const SIZES: [usize; 20] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
];
/// Too few for a class to get hot.
const EACH: usize = 12;

fn reservations() -> u64 {
    stats::snapshot().reservations
}

/// In a thread of its own: takes `EACH` blocks of each size, and waits while `look` looks; what it took, and how often it came for several blocks.
fn thread(look: impl FnOnce()) -> (Vec<usize>, u64) {
    let before = reservations();
    let (to_look, taken) = channel();
    let (to_end, end) = channel();
    let thread = std::thread::spawn(move || {
        let mut blocks = Vec::new();
        for size in SIZES.repeat(EACH) {
            let p = front::allocate(size);
            assert!(!p.is_null());
            blocks.push(p.expose_provenance());
        }
        to_look.send(blocks).expect("somebody looks");
        end.recv().expect("somebody looked");
    });
    let blocks = taken.recv().expect("the thread took blocks");
    let came = reservations() - before;
    look();
    to_end.send(()).expect("the thread waits");
    thread.join().expect("the thread ends");
    (blocks, came)
}

fn reserved_is_what_waits() {
    inspect::check().expect("the rules");
}

fn free(blocks: Vec<usize>) {
    for p in blocks {
        // SAFETY: allocated by `thread`, given up here.
        unsafe { front::deallocate(core::ptr::with_exposed_provenance_mut(p)) };
    }
}

#[test]
fn threads_that_end_take_several_blocks_of_a_cold_class_at_a_time() {
    let all = SIZES.len() * EACH;
    let (blocks, came) = thread(reserved_is_what_waits);
    assert!(came > 0, "one by one");
    assert!(
        came as usize <= all / 4,
        "{came} times for the rest of {all}"
    );
    assert_eq!(inspect::check().expect("the rules").out, blocks.len());
    free(blocks);
    // What such threads took is expected of the next ones.
    for _ in 0..8 {
        free(thread(|| ()).0);
    }
    let (blocks, came) = thread(reserved_is_what_waits);
    assert!(
        came as usize <= 3 * SIZES.len(),
        "{came} times for {all} blocks of {} classes",
        SIZES.len()
    );
    let mut once = blocks.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), all, "a block twice");
    free(blocks);
    let slabs = || {
        (0..)
            .map_while(stats::class)
            .map(|c| c.slabs)
            .sum::<usize>()
    };
    let before = slabs();
    for _ in 0..200 {
        free(thread(|| ()).0);
    }
    assert!(slabs() <= before + 4, "{} slabs, {before} before", slabs());
    assert_eq!(inspect::check().expect("the rules").out, 0);
}
