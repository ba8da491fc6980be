//! What a sleeping thread's slabs have free is everybody's: nothing waits for a thread that does not come.

use aethalloc_core::front;
use aethalloc_core::span::central;
use std::collections::HashSet;
use std::sync::mpsc::channel;

/// Sizes whose blocks share lines, and a size whose blocks do not.
const SIZES: [usize; 3] = [48, 64, 4096];
/// Bytes that the sleeper allocates of each size.
const BYTES: usize = 4 << 20;

#[test]
fn others_take_what_a_sleeper_left_free() {
    let (tell, told) = channel::<Vec<usize>>();
    let (wake, woken) = channel::<()>();
    let sleeper = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for size in SIZES {
            let n = BYTES / size;
            let blocks: Vec<usize> = (0..n).map(|_| front::allocate(size).addr()).collect();
            // Three of four stretches of 32 blocks go, so that slabs are mostly free, in whole lines.
            let (mut freed, mut stays) = (Vec::new(), Vec::new());
            for (i, p) in blocks.into_iter().enumerate() {
                if i / 32 % 4 != 0 {
                    freed.push(p);
                } else {
                    stays.push(p);
                }
            }
            for p in &freed {
                // SAFETY: a block of this thread, freed once.
                unsafe { front::deallocate(std::ptr::with_exposed_provenance_mut(*p)) };
            }
            kept.extend(stays);
            tell.send(freed).expect("the other thread listens");
            woken.recv().expect("the other thread wakes this one");
        }
        for p in kept {
            // SAFETY: a block of this thread, freed once.
            unsafe { front::deallocate(std::ptr::with_exposed_provenance_mut(p)) };
        }
    });
    for size in SIZES {
        let free: HashSet<usize> = told
            .recv()
            .expect("the sleeper tells")
            .into_iter()
            .collect();
        central::share_idle();
        central::share_idle();
        let blocks: Vec<_> = (0..free.len()).map(|_| front::allocate(size)).collect();
        let reused = blocks.iter().filter(|p| free.contains(&p.addr())).count();
        for p in blocks {
            // SAFETY: a block of this thread, freed once.
            unsafe { front::deallocate(p) };
        }
        assert!(
            reused * 2 > free.len(),
            "size {size}: {reused} of {} blocks that a sleeping thread had freed",
            free.len()
        );
        wake.send(()).expect("the sleeper waits");
    }
    sleeper.join().expect("the sleeper fails nowhere");
}
