//! Every object that is handed out can be covered exactly by a CHERI capability, in both 128-bit formats.

mod common;

use aethalloc_base::bounds::Format;
use aethalloc_base::class::SMALL_MAX;
use aethalloc_core::front;
use common::Random;

fn check(p: *mut u8, asked: usize) {
    // SAFETY: `p` is live.
    let length = unsafe { front::usable_size(p) };
    assert!(length >= asked);
    for f in [Format::RiscV, Format::Morello] {
        let align = 1 << p.addr().trailing_zeros();
        assert!(f.is_exact(length, align), "{f:?} {p:?} {length}");
    }
}

#[test]
fn objects_are_exact_after_malloc_aligned_and_realloc() {
    let mut random = Random::new(common::seed(), 0);
    // To 8 GiB: address space, never touched. On an emulator to 32 MiB.
    let doublings = if common::emulated() { 6 } else { 14 };
    let (mut objects, mut beyond) = (Vec::new(), 0);
    for _ in 0..3_000 {
        let size = match random.below(3) {
            0 => 1 + random.below(SMALL_MAX),
            1 => 1 + random.below(8 << 20),
            _ => (1 << (20 + random.below(doublings))) - 5 + random.below(10),
        };
        let p = if random.once_in(3) {
            front::allocate_aligned(1 << random.below(13 + doublings), size)
        } else {
            front::allocate(size)
        };
        assert!(!p.is_null(), "{size}");
        check(p, size);
        beyond += usize::from(size > 1 << (17 + doublings));
        objects.push((p, size));
        if objects.len() > 64 {
            let (p, old) = objects.swap_remove(random.below(64));
            if random.once_in(2) && old > SMALL_MAX && old < 16 << 20 {
                // In place, by moving pages, or a copy.
                let size = old + random.below(old / 64);
                // SAFETY: live; the old pointer is not used again.
                let q = unsafe { front::reallocate(p, size) };
                assert!(!q.is_null(), "{size}");
                check(q, size);
                objects.push((q, size));
            } else {
                // SAFETY: live, and ends here.
                unsafe { front::deallocate(p) };
            }
        }
    }
    assert!(
        beyond > 50,
        "objects near the largest size, on a machine those that need more than a region's alignment: {beyond}"
    );
    for (p, _) in objects {
        // SAFETY: live, and ends here.
        unsafe { front::deallocate(p) };
    }
}
