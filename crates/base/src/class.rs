//! Size classes.
//!
//! ```text
//! class   1..=16   16, 32, … 256            16-byte steps
//! class  17..=40   288, 320, … 1024         32-byte steps
//! class  41..=88   1152, 1280, … 65536      8 per doubling
//! ```
//! A slab is one unit of 64 KiB, above 4 KiB as many as hold 16 blocks (at most 8; 4 where a unit holds one block); every unit begins
//! with a block, and the tail of a unit that holds no block is never touched.
//!
//! A *group* is what a thread reserves blocks of at a time: 64 neighbours, or the blocks of one unit where they are fewer.
//! Worst waste inside a block: 11.1 % above 128 B (289 B in 320 - 32 = 288 is full, 257 B in 288 wastes 10.8 %);
//! `table_prints_its_waste` in the tests prints the whole table.

use crate::units::{LINE, UNIT};

/// A size class: 0 is "none", then [`FIRST`]`..`[`COUNT`].
pub type Class = usize;

/// The first real class.
pub const FIRST: Class = 1;
/// One past the last class; class 0 included, so this is also the length of tables by class.
pub const COUNT: usize = 89;
/// One past the last class in steps of 16 or 32 bytes, and its size.
const STEPPED: usize = 41;
const STEPPED_MAX: usize = 1024;
/// Largest request served from slabs.
pub const SMALL_MAX: usize = 65536;

/// One past the last class whose blocks may share a line with their neighbours (larger ones never do).
pub const SHARING_COUNT: usize = STEPPED;

/// Block size of each class.
pub const SIZES: [u32; COUNT] = {
    let mut t = [0u32; COUNT];
    let mut c = 1;
    while c < COUNT {
        t[c] = if c <= 16 {
            16 * c as u32
        } else if c < STEPPED {
            256 + 32 * (c as u32 - 16)
        } else {
            let (d, k) = ((c - STEPPED) / 8, (c - STEPPED) % 8 + 1);
            (1024 << d) + k as u32 * (128 << d)
        };
        c += 1;
    }
    t
};

/// Bytes of a thread's bin of a class; see [`BIN_OF`].
pub const BIN_BYTES: usize = 32;

/// See [`BIN_OF`].
pub type BinOf = [u16; SMALL_MAX / 16];

/// By `(size - 1) / 16`: where the bin of the class begins in a thread's array of bins, so that `malloc` needs no shift.
/// A constant: the one copy of it that is in memory lies where `malloc` finds it (`core::thread::bins`).
pub const BIN_OF: BinOf = {
    let mut t = [0u16; SMALL_MAX / 16];
    let (mut i, mut c) = (0, FIRST);
    while i < t.len() {
        while (SIZES[c] as usize) < (i + 1) * 16 {
            c += 1;
        }
        t[i] = (c * BIN_BYTES) as u16;
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
    if size <= 256 {
        if size == 0 { FIRST } else { size.div_ceil(16) }
    } else if size <= STEPPED_MAX {
        16 + (size - 256).div_ceil(32)
    } else if size <= SMALL_MAX {
        let log = (size - 1).ilog2(); // 10..=15
        STEPPED + (log as usize - 10) * 8 + (((size - 1) >> (log - 3)) & 7)
    } else {
        0
    }
}

/// As [`class_of`], by the table.
#[inline]
pub fn of_small(table: &BinOf, size: usize) -> Class {
    match table.get(size.saturating_sub(1) / 16) {
        Some(at) => *at as usize / BIN_BYTES,
        None => 0,
    }
}

/// What to ask for instead of `size` bytes so that the class's blocks are all aligned to `align` (a power of two up to 4096);
/// more than [`SMALL_MAX`] if there is no such class.
///
/// The next multiple of `align` is it: where classes are `align` or less apart it is itself a class, and where they are further
/// apart each is a multiple of `align`.
#[inline]
pub const fn aligned(size: usize, align: usize) -> usize {
    let size = if size < align { align } else { size };
    size.saturating_add(align - 1) & !(align - 1)
}

/// The smallest class for `size` bytes whose blocks are all aligned to `align` (a power of two up to 4096); 0 if none.
pub const fn class_of_aligned(size: usize, align: usize) -> Class {
    class_of(aligned(size, align))
}

/// Block size of class `c`; 0 for a number that is no class.
#[inline]
pub const fn size(c: Class) -> usize {
    if c < COUNT { SIZES[c] as usize } else { 0 }
}

/// Units of a slab of class `c`.
pub const fn units(c: Class) -> usize {
    let n = 16usize.div_ceil(per_unit(c));
    if per_unit(c) == 1 {
        4
    } else if n > 8 {
        8
    } else {
        n
    }
}

/// Blocks in one unit of a slab of class `c`.
pub const fn per_unit(c: Class) -> usize {
    if c == 0 { 1 } else { UNIT / SIZES[c] as usize }
}

/// Blocks in a slab of class `c`.
pub const fn blocks(c: Class) -> usize {
    units(c) * per_unit(c)
}

/// State bytes of one unit: one a block, one more where the unit has a tail, whole words.
pub const fn row(c: Class) -> usize {
    let tail = per_unit(c) * size(c) != UNIT;
    (per_unit(c) + tail as usize).next_multiple_of(8)
}

/// Groups in a slab of class `c`.
pub const fn groups(c: Class) -> usize {
    if units(c) == 1 {
        per_unit(c).div_ceil(64)
    } else {
        units(c)
    }
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
                let smaller = class_of(size.max(align))..c;
                assert!(
                    smaller
                        .into_iter()
                        .all(|c| !(SIZES[c] as usize).is_multiple_of(align))
                );
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
            assert!(is_line(c) || c < SHARING_COUNT);
        }
    }

    #[test]
    fn bins_are_those_of_the_class() {
        for size in 1..=SMALL_MAX {
            assert_eq!(
                BIN_OF[(size - 1) / 16] as usize,
                class_of(size) * BIN_BYTES,
                "{size}"
            );
            assert_eq!(of_small(&BIN_OF, size), class_of(size));
        }
    }

    #[test]
    fn slabs_have_enough_blocks_and_states_for_all_and_the_tail() {
        for c in FIRST..COUNT {
            let least = if size(c) > UNIT / 2 { 4 } else { 16 };
            assert!(blocks(c) >= least && units(c) <= 8, "class {c}");
            assert!(row(c) >= per_unit(c) && groups(c) <= 64, "class {c}");
            let slots = UNIT.div_ceil(size(c)); // what an offset can turn into
            assert!(row(c) >= slots, "class {c}");
            if units(c) > 1 {
                assert!(per_unit(c) <= 64);
            }
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
