//! CHERI bounds: which lengths and alignments a 128-bit capability can describe exactly.
//!
//! A capability stores base and top as a mantissa of `MW` bits and an exponent E. Short lengths are exact to the byte;
//! longer ones only if base and length are multiples of `2^(E+3)`. An object whose run or block is not, would get
//! a capability that also covers its neighbours. So every class, run and aligned request of the allocator is representable in
//! both formats, on every target: tests here prove it for the tables, and `front::large` rounds by this module.
//!
//! ```text
//! E = bits(length >> (MW - 1))      E = 0 and bit MW - 2 of length is 0: exact to the byte
//! else alignment 2^(E+3); if rounding the length up to it changes E: 2^(E+4)
//! ```
//! Costs nothing below 4 MiB; above, an object is longer by at most 1/512, in address space only.

use crate::units::{PAGE, round_up};

/// A capability format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// CHERI-RISC-V, 128 bits: mantissa of 14 bits.
    RiscV,
    /// Arm Morello, 128 bits: mantissa of 16 bits.
    Morello,
}

impl Format {
    const fn mantissa(self) -> u32 {
        match self {
            Format::RiscV => 14,
            Format::Morello => 16,
        }
    }

    const fn exponent(self, length: usize) -> u32 {
        usize::BITS - (length >> (self.mantissa() - 1)).leading_zeros()
    }

    /// The alignment that base and length of an object of `length` bytes need (a power of two).
    pub const fn alignment(self, length: usize) -> usize {
        let e = self.exponent(length);
        if e == 0 && length >> (self.mantissa() - 2) & 1 == 0 {
            return 1;
        }
        let align = 8usize << e;
        match round_up(length, align) {
            Some(rounded) if self.exponent(rounded) == e => align,
            _ => align << 1,
        }
    }

    /// The smallest representable length from `length` on, `None` on overflow.
    pub const fn length(self, length: usize) -> Option<usize> {
        round_up(length, self.alignment(length))
    }

    /// Whether a capability can cover exactly `length` bytes from a base that is a multiple of `align` (a power of two).
    pub const fn is_exact(self, length: usize, align: usize) -> bool {
        let need = self.alignment(length);
        length & (need - 1) == 0 && align & (need - 1) == 0
    }
}

/// The format with the coarser bounds: what it represents exactly, the other does too (tested).
pub const STRICTEST: Format = Format::RiscV;

/// Bytes and alignment of the run of a large object of `size` bytes: whole pages, exact in both formats.
#[inline]
pub const fn run(size: usize) -> Option<(usize, usize)> {
    let Some(pages) = round_up(if size == 0 { 1 } else { size }, PAGE) else {
        return None;
    };
    match STRICTEST.length(pages) {
        Some(length) => Some((length, STRICTEST.alignment(length))),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::class;
    use crate::units::{REGION, UNIT};
    use std::vec::Vec;

    const FORMATS: [Format; 2] = [Format::RiscV, Format::Morello];

    /// Every row of the table that the reference arithmetic wrote.
    #[test]
    fn agrees_with_the_reference_in_every_row() {
        let mut rows = 0;
        for line in include_str!("../tests/cheri_bounds.csv").lines() {
            if line.starts_with('#') {
                continue;
            }
            let n: Vec<usize> = line.split(',').map(|v| v.parse().unwrap()).collect();
            let [
                length,
                riscv_length,
                riscv_align,
                morello_length,
                morello_align,
            ] = n[..]
            else {
                panic!("{line}");
            };
            assert_eq!(Format::RiscV.alignment(length), riscv_align, "{line}");
            assert_eq!(Format::RiscV.length(length), Some(riscv_length), "{line}");
            assert_eq!(Format::Morello.alignment(length), morello_align, "{line}");
            assert_eq!(
                Format::Morello.length(length),
                Some(morello_length),
                "{line}"
            );
            rows += 1;
        }
        assert_eq!(rows, 2582, "the table's first line is its title");
    }

    /// A block begins at a multiple of its size from the slab's start, a unit.
    #[test]
    fn every_block_of_every_class_is_exact() {
        for c in class::FIRST..class::COUNT {
            let size = class::size(c);
            for f in FORMATS {
                for i in 0..class::blocks(c) {
                    let base = UNIT + i * size;
                    assert!(
                        f.is_exact(size, 1 << base.trailing_zeros()),
                        "{f:?} class {c} block {i}"
                    );
                }
            }
        }
    }

    /// As `front::large` places it.
    fn large(size: usize, align: usize) -> (usize, usize) {
        let (length, own) = run(size).unwrap();
        (length, align.max(UNIT).max(own))
    }

    /// Large objects: every number of pages to 64 MiB, and sizes around every power of two and every step of every
    /// exponent beyond.
    #[test]
    fn every_run_is_exact() {
        let mut sizes: Vec<usize> = (1..=(64 << 20) / PAGE).map(|n| n * PAGE).collect();
        for shift in 26..46 {
            for part in 0..64usize {
                let at = (1usize << shift) + part * (1 << (shift - 6));
                sizes.extend([at - 1, at, at + 1, at + PAGE, at + (1 << (shift - 9)) + 1]);
            }
        }
        for size in sizes {
            let (length, align) = large(size, UNIT);
            assert!(length >= size && length % PAGE == 0);
            assert!(length - size <= PAGE + size / 512, "{size}: {length}");
            for f in FORMATS {
                assert!(f.is_exact(length, align), "{f:?} {size}");
            }
            // Only what is larger than 2 GiB needs more than the region that a long run begins at.
            let natural = if length > REGION { REGION } else { UNIT };
            assert!(align <= natural || length > 64 << 20, "{size}");
        }
    }

    /// Aligned requests: from slabs up to a page, else runs.
    #[test]
    fn every_aligned_request_is_exact() {
        for shift in 4..36 {
            let align = 1usize << shift;
            for size in (1..200_000)
                .step_by(61)
                .chain([1 << 20, (1 << 26) + 1, 3 << 31])
            {
                let c = if align <= PAGE {
                    class::class_of_aligned(size, align)
                } else {
                    0
                };
                for f in FORMATS {
                    if c != 0 {
                        // A block begins at a multiple of its size, which is a multiple of the alignment.
                        let block = class::size(c);
                        assert!(
                            block.is_multiple_of(align)
                                && f.is_exact(block, 1 << block.trailing_zeros()),
                            "{f:?} {size} at {align}"
                        );
                    } else {
                        let (length, at) = large(size, align);
                        assert!(f.is_exact(length, at), "{f:?} {size} at {align}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_strictest_format_is_exact_in_the_other() {
        for shift in 0..47 {
            for part in 0..256usize {
                let Some(length) = STRICTEST.length((1usize << shift) + part) else {
                    continue;
                };
                let align = STRICTEST.alignment(length);
                assert!(Format::Morello.is_exact(length, align), "{length}");
            }
        }
    }

    #[test]
    fn overflow_is_no_length() {
        assert_eq!(STRICTEST.length(usize::MAX - 5), None);
        assert_eq!(run(usize::MAX - 5), None);
    }
}
