//! Size classes.
//!
//! ```text
//! class   1..=16   16, 32, … 256            16-byte steps
//! class  17..=40   288, 320, … 1024         32-byte steps   (these 40 are "fast": their tops are in TLS)
//! class  41..=80   1152, 1280, … 32768      8 per doubling  ("medium": reached through the slow entry)
//! ```
//! A slab is one unit of 64 KiB whatever the class; its tail that holds no block is never touched.
//! Worst waste inside a block: 11.1 % above 128 B (289 B in 320 - 32 = 288 is full, 257 B in 288 wastes 10.8 %);
//! `table_prints_its_waste` in the tests prints the whole table.

use crate::units::{LINE, UNIT};

/// A size class: 0 is "none", then [`FIRST`]`..`[`COUNT`].
pub type Class = usize;

/// The first real class.
pub const FIRST: Class = 1;
/// One past the last fast class; class 0 included, so this is also the length of per-thread tables.
pub const FAST_COUNT: usize = 41;
/// One past the last class.
pub const COUNT: usize = 81;
/// Largest request served by a fast class.
pub const FAST_MAX: usize = 1024;
/// Largest request served from slabs.
pub const SMALL_MAX: usize = 32768;

/// Block size of each class.
pub const SIZES: [u32; COUNT] = {
    let mut t = [0u32; COUNT];
    let mut c = 1;
    while c < COUNT {
        t[c] = if c <= 16 {
            16 * c as u32
        } else if c < FAST_COUNT {
            256 + 32 * (c as u32 - 16)
        } else {
            let (d, k) = ((c - FAST_COUNT) / 8, (c - FAST_COUNT) % 8 + 1);
            (1024 << d) + k as u32 * (128 << d)
        };
        c += 1;
    }
    t
};

/// Fast class by `(size - 1) / 16`.
pub static FAST_CLASS: [u8; FAST_MAX / 16] = {
    let mut t = [0u8; FAST_MAX / 16];
    let mut i = 0;
    while i < t.len() {
        let size = (i + 1) * 16;
        t[i] = if size <= 256 {
            size / 16
        } else {
            16 + (size - 256).div_ceil(32)
        } as u8;
        i += 1;
    }
    t
};

/// ceil(2^32 / size): `offset * RECIPROCAL >> 32` is the slot of `offset`, and the low half is below the reciprocal
/// exactly when `offset` is a multiple of the size (Lemire's divisibility test; checked for every offset of a unit).
pub const RECIPROCALS: [u32; COUNT] = {
    let mut t = [0u32; COUNT];
    let mut c = 1;
    while c < COUNT {
        t[c] = (1u64 << 32).div_ceil(SIZES[c] as u64) as u32;
        c += 1;
    }
    t
};

/// The class that serves `size` bytes, 0 above [`SMALL_MAX`].
pub const fn class_of(size: usize) -> Class {
    if size <= FAST_MAX {
        let n = if size == 0 { 0 } else { (size - 1) / 16 };
        if n < FAST_CLASS.len() {
            FAST_CLASS[n] as usize
        } else {
            0
        }
    } else if size <= SMALL_MAX {
        let log = (size - 1).ilog2(); // 10..=14
        FAST_COUNT + (log as usize - 10) * 8 + (((size - 1) >> (log - 3)) & 7)
    } else {
        0
    }
}

/// The smallest class for `size` bytes whose blocks are all aligned to `align` (a power of two up to 4096); 0 if none.
pub const fn class_of_aligned(size: usize, align: usize) -> Class {
    let mut c = class_of(if size < align { align } else { size });
    if c == 0 {
        return 0;
    }
    while c < COUNT {
        if SIZES[c] as usize & (align - 1) == 0 {
            return c;
        }
        c += 1;
    }
    0
}

/// Block size of class `c`; 0 for a number that is no class.
#[inline]
pub const fn size(c: Class) -> usize {
    if c < COUNT { SIZES[c] as usize } else { 0 }
}

/// Blocks in a slab of class `c` (at least 1 for a real class).
pub const fn blocks(c: Class) -> usize {
    if c == 0 { 0 } else { UNIT / SIZES[c] as usize }
}

/// Words of a slab's occupancy bitmap.
pub const fn words(c: Class) -> usize {
    blocks(c).div_ceil(64)
}

/// Blocks in a line group: the fewest neighbours that fill whole 64-byte lines (1, 2 or 4), the unit in which
/// blocks are handed to threads.
pub const fn group(c: Class) -> usize {
    let mut g = 1;
    while !(SIZES[c] as usize * g).is_multiple_of(LINE) {
        g *= 2;
    }
    g
}

/// A class whose blocks never share a line: any thread may cache any of its blocks.
pub const fn is_line(c: Class) -> bool {
    size(c).is_multiple_of(LINE)
}

#[cfg(test)]
#[allow(
    clippy::needless_range_loop,
    reason = "classes are numbers, tables are read by them"
)]
mod tests {
    extern crate std;
    use super::*;
    use std::println;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=SMALL_MAX {
            let c = class_of(size);
            assert!((FIRST..COUNT).contains(&c), "{size}");
            assert!(SIZES[c] as usize >= size);
            assert!(
                c == FIRST || (SIZES[c - 1] as usize) < size.max(1),
                "{size} in {c}"
            );
        }
        assert_eq!(class_of(SMALL_MAX + 1), 0);
    }

    #[test]
    fn reciprocals_divide_exactly_at_every_offset_of_a_unit() {
        for c in FIRST..COUNT {
            let (size, r) = (size(c) as u64, RECIPROCALS[c] as u64);
            for offset in 0..UNIT as u64 {
                let x = offset * r;
                assert_eq!(x >> 32, offset / size);
                assert_eq!(
                    (x as u32 as u64) < r,
                    offset % size == 0,
                    "class {c} offset {offset}"
                );
            }
        }
    }

    #[test]
    fn aligned_requests_get_blocks_that_are_aligned() {
        for shift in 0..=12 {
            let align = 1usize << shift;
            for size in (0..=SMALL_MAX).step_by(7) {
                let c = class_of_aligned(size, align);
                if c == 0 {
                    assert!(size > SMALL_MAX - align);
                    continue;
                }
                assert!(SIZES[c] as usize >= size.max(align));
                assert_eq!(SIZES[c] as usize % align, 0);
            }
        }
    }

    #[test]
    fn line_groups_are_whole_lines_and_fit_words() {
        for c in FIRST..COUNT {
            let g = group(c);
            assert!(matches!(g, 1 | 2 | 4));
            assert_eq!(SIZES[c] as usize * g % LINE, 0);
            assert_eq!(is_line(c), g == 1);
        }
    }

    #[test]
    fn table_prints_its_waste() {
        for c in FIRST..COUNT {
            let (size, low) = (size(c), size(c - 1) + 1);
            let waste = (size - low) * 100 / size;
            println!(
                "class {c:2} size {size:5} blocks {:4} tail {:5} worst waste {waste:2} %",
                blocks(c),
                UNIT % size
            );
            assert!(size <= 128 || waste <= 12, "class {c}");
        }
    }
}
