//! What sleeping threads keep of memory that others freed: the pages of what waits in their bins, not of all that they reserved
//! last.
//!
//! One test, because it counts the pages of the process's heap.

use aethalloc_base::class;
use aethalloc_base::units::{PAGE, UNIT};
use aethalloc_core::space::entry::{self, Kind};
use aethalloc_core::span::purge;
use aethalloc_core::span::slab::{Slab, shape};
use aethalloc_core::{front, pages, space};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;

/// The sleeper's size: 64 blocks, a whole group, are 4 pages and one reservation.
const SIZE: usize = 256;
/// Enough for the reservation to be a full one.
const BLOCKS: usize = 64 * 64;

/// OS pages that may be backed, of slabs whose blocks have `size` bytes.
fn backed(size: usize) -> usize {
    let mut n = 0;
    for u in space::first_unit()..pages::top_unit() {
        let Kind::Slab {
            class,
            part: 0,
            state,
            ..
        } = entry::load(u)
        else {
            continue;
        };
        if class::size(class) == size {
            let units = shape(class).units();
            let clean = Slab::of_entry(class, 0, state).clean.iter().take(units);
            let clean: u32 = clean.map(|c| c.load(Relaxed).count_ones()).sum();
            n += units * UNIT / PAGE - clean as usize;
        }
    }
    n
}

#[test]
fn what_was_handed_out_and_came_back_goes() {
    let (tell, told) = channel::<Vec<usize>>();
    let (wake, woken) = channel::<()>();
    let sleeper = std::thread::spawn(move || {
        // The last block of a reservation of 64 is out: nothing waits.
        let mut blocks: Vec<usize> = Vec::new();
        let last_of_group = |p: usize| (p % UNIT / SIZE) % 64 == 63;
        while blocks.len() < BLOCKS || !blocks.last().is_some_and(|p| last_of_group(*p)) {
            let p = front::allocate(SIZE);
            // SAFETY: a block of that size.
            unsafe { p.write_bytes(1, SIZE) };
            blocks.push(p.expose_provenance());
        }
        tell.send(blocks).expect("the other thread listens");
        woken.recv().expect("the other thread wakes this one");
    });
    let blocks = told.recv().expect("the sleeper tells");
    let before = backed(SIZE);
    assert!(before >= BLOCKS * SIZE / PAGE, "{before} pages hold blocks");
    for p in blocks {
        // SAFETY: a block of the other thread, freed once.
        unsafe { front::deallocate(std::ptr::with_exposed_provenance_mut(p)) };
    }
    purge::all();
    // What it reserved last was 4 pages.
    assert_eq!(backed(SIZE), 0, "pages of blocks that wait nowhere");
    wake.send(()).expect("the sleeper waits");
    sleeper.join().expect("the sleeper fails nowhere");
}
