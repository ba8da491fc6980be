//! State bytes as bit masks: which of the next bytes say FREE.
//!
//! FREE is the only state with its top bit set, so that one instruction finds 16 of them on x86_64, and one multiplication
//! 8 elsewhere. The bytes may change under the look (a `free` elsewhere): each is seen as it was or as it is.

use crate::sync::{AtomicU64, Ordering::*};

/// Of the `words` * 8 bytes at `at` (at most 64), those that say FREE.
///
/// # Safety
/// `at` is a multiple of 8 inside the metadata, readable for `words` * 8 bytes.
#[inline]
pub unsafe fn free_in_words(at: *const u8, words: usize) -> u64 {
    let mut mask = 0;
    for w in 0..words {
        // SAFETY: the caller's promise.
        let v = unsafe { &*at.cast::<AtomicU64>().add(w) };
        // ORDERING: Acquire, pairs with Release in `free`: the block's last user is done.
        let tops = v.load(Acquire) >> 7 & 0x0101_0101_0101_0101;
        // Gathers bit 8i at bit 56 + i.
        let bits = tops.wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= bits << (w * 8);
    }
    mask
}

/// Of the 64 bytes at `at`, those that say FREE.
///
/// # Safety
/// `at` is a multiple of 64 inside the metadata, readable for 64 bytes.
#[inline]
pub unsafe fn free_in_line(at: *const u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let (a, b, c, d): (u32, u32, u32, u32);
        // SAFETY: the caller's promise. Loads are in order on x86_64, which is what Acquire asks for; bytes that others
        // store meanwhile are seen whole.
        unsafe {
            core::arch::asm!(
                "movdqa {x}, xmmword ptr [{at}]",
                "movdqa {y}, xmmword ptr [{at} + 16]",
                "pmovmskb {a:e}, {x}",
                "pmovmskb {b:e}, {y}",
                "movdqa {x}, xmmword ptr [{at} + 32]",
                "movdqa {y}, xmmword ptr [{at} + 48]",
                "pmovmskb {c:e}, {x}",
                "pmovmskb {d:e}, {y}",
                at = in(reg) at,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                a = out(reg) a,
                b = out(reg) b,
                c = out(reg) c,
                d = out(reg) d,
                options(nostack, readonly, preserves_flags),
            );
        }
        a as u64 | (b as u64) << 16 | (c as u64) << 32 | (d as u64) << 48
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // SAFETY: the caller's promise.
        unsafe { free_in_words(at, 8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::slab::{FREE, OUT, RESERVED};

    #[repr(align(64))]
    struct Line([u8; 64]);

    #[test]
    fn both_ways_find_exactly_the_free_bytes() {
        let mut seed = 1u64;
        for _ in 0..10_000 {
            let mut line = Line([0; 64]);
            let mut expected = 0;
            for (i, b) in line.0.iter_mut().enumerate() {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                *b = [OUT, FREE, RESERVED][(seed >> 33) as usize % 3];
                expected |= ((*b == FREE) as u64) << i;
            }
            // SAFETY: 64 aligned bytes.
            unsafe {
                assert_eq!(free_in_line(line.0.as_ptr()), expected);
                for words in 0..=8 {
                    let mask = if words == 8 {
                        u64::MAX
                    } else {
                        (1 << (words * 8)) - 1
                    };
                    assert_eq!(free_in_words(line.0.as_ptr(), words), expected & mask);
                }
            }
        }
    }
}
