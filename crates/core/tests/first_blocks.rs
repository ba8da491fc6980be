//! What a process with a few blocks costs: its first blocks share slabs of larger classes, its first descriptors share pages.
//! One test, because both end with a process's first objects.

use aethalloc_core::{front, stats};

/// A block of `size` bytes and the size of the class that it came from.
fn block(size: usize) -> (*mut u8, usize) {
    let p = front::allocate(size);
    assert!(!p.is_null());
    // SAFETY: just allocated.
    (p, unsafe { front::usable_size(p) })
}

fn slabs() -> usize {
    (0..).map_while(stats::class).map(|c| c.slabs).sum()
}

#[test]
fn first_blocks_share_slabs_and_first_descriptors_pages() {
    // A slab of 192 B serves no request of 128 B, whose blocks lie at multiples of 128; one of 128 B serves those of 64 B.
    let mut blocks = vec![block(192), block(128)];
    assert_eq!((blocks[0].1, blocks[1].1), (192, 128));
    assert_eq!(slabs(), 2);
    let first = stats::snapshot().metadata;
    for n in 0..64 {
        let b = block(64);
        assert_eq!((b.1, slabs()), (128, 2), "block {n}");
        blocks.push(b);
    }
    // No more than 64 in a process.
    blocks.push(block(64));
    assert_eq!((blocks[66].1, slabs()), (64, 3));
    // Slabs of a dozen classes, with descriptors of several sizes: none begins a chunk of 64 KiB.
    for size in [
        16, 32, 48, 80, 112, 256, 320, 448, 640, 1024, 2048, 4096, 8192,
    ] {
        blocks.push(block(size));
    }
    assert!(slabs() >= 12, "{} slabs", slabs());
    assert_eq!(stats::snapshot().metadata, first);
    for (p, _) in blocks.drain(..) {
        // SAFETY: from `block`, given up here.
        unsafe { front::deallocate(p) };
    }
    // What is given back serves again: slabs that come and go do not use the places up.
    for round in 0..300 {
        let some: Vec<_> = [64, 256, 1024, 4096, 16384].map(block).into();
        for (p, _) in some {
            // SAFETY: as above.
            unsafe { front::deallocate(p) };
        }
        front::purge();
        assert_eq!(stats::snapshot().metadata, first, "round {round}");
    }
}
