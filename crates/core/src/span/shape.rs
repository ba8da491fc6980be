//! Shapes: facts of a class that slab code needs.

use super::states;
use aethalloc_base::class::{self, Class};
use aethalloc_base::units::UNIT;

/// Facts of a class. Small: a program with a few blocks has the table of them in its resident size.
#[derive(Clone, Copy)]
pub struct Shape {
    size: u32,
    blocks: u32,
    units: u32,
    per_unit: u32,
    row: u32,
    groups: u32,
    line: u32,
    worth: u32,
    reciprocal: u32,
}

static SHAPES: [Shape; class::COUNT] = {
    let mut t = [Shape {
        size: 0,
        blocks: 0,
        units: 0,
        per_unit: 0,
        row: 0,
        groups: 0,
        line: 1,
        worth: 1,
        reciprocal: 0,
    }; class::COUNT];
    let mut c = 1;
    while c < class::COUNT {
        let (size, per_unit) = (class::size(c), class::per_unit(c));
        let group = if per_unit < 64 { per_unit } else { 64 };
        if class::units(c) > 1 {
            // What `Slab` relies on: all state bytes in one line, rows of which a shift finds the unit, any free block worth it.
            assert!(class::row(c) * class::units(c) <= 64 && class::row(c).is_power_of_two());
            assert!(class::group(c) == 1 && aethalloc_base::policy::worth(group, size) == 1);
        }
        t[c] = Shape {
            size: size as u32,
            blocks: class::blocks(c) as u32,
            units: class::units(c) as u32,
            per_unit: per_unit as u32,
            row: class::row(c) as u32,
            groups: class::groups(c) as u32,
            line: class::group(c) as u32,
            worth: aethalloc_base::policy::worth(group, size) as u32,
            reciprocal: class::RECIPROCALS[c],
        };
        c += 1;
    }
    t
};

/// The shape of class `c` (a real class).
#[inline]
pub fn shape(c: Class) -> &'static Shape {
    debug_assert!(c < class::COUNT);
    // SAFETY: classes come from the tables of `base::class` or from page-map entries made from them: below COUNT.
    unsafe { SHAPES.get_unchecked(c) }
}

impl Shape {
    /// Block size.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.size as usize
    }
    /// Blocks a slab.
    #[inline(always)]
    pub fn blocks(&self) -> usize {
        self.blocks as usize
    }
    /// Units a slab.
    #[inline(always)]
    pub fn units(&self) -> usize {
        self.units as usize
    }
    /// Blocks a unit.
    #[inline(always)]
    pub fn per_unit(&self) -> usize {
        self.per_unit as usize
    }
    /// State bytes a unit.
    #[inline(always)]
    pub fn row(&self) -> usize {
        self.row as usize
    }
    /// Groups a slab.
    #[inline(always)]
    pub fn groups(&self) -> usize {
        self.groups as usize
    }
    /// Blocks a line group (1, 2 or 4).
    #[inline(always)]
    pub fn line(&self) -> usize {
        self.line as usize
    }
    /// Free blocks that make a group worth a reservation.
    #[inline(always)]
    pub fn worth(&self) -> usize {
        self.worth as usize
    }
    /// See [`class::RECIPROCALS`].
    #[inline(always)]
    pub fn reciprocal(&self) -> u32 {
        self.reciprocal
    }
    /// Blocks of group `g`.
    #[inline]
    pub fn group_blocks(&self, g: usize) -> usize {
        if self.units() > 1 {
            self.per_unit()
        } else {
            (self.blocks() - g * 64).min(64)
        }
    }
    /// Offset of group `g`'s first block from the slab's start.
    #[inline]
    pub fn group_offset(&self, g: usize) -> usize {
        if self.units() > 1 {
            g * UNIT
        } else {
            g * 64 * self.size()
        }
    }
    /// Offset of its state bytes from those of the slab.
    #[inline]
    pub fn group_states(&self, g: usize) -> usize {
        if self.units() > 1 {
            g * self.row()
        } else {
            g * 64
        }
    }
    /// Which blocks of the group whose state bytes begin at `at` are free. What follows the last block is RESERVED.
    ///
    /// # Safety
    /// `at` is where the state bytes of a group of a slab of this shape begin.
    #[inline(always)]
    pub unsafe fn free_at(&self, at: *const u8) -> u64 {
        // SAFETY: the descriptor is whole lines long and begins at one; a group's bytes begin at a line where there are
        // 64 of them to read, and `row` of them lie inside it otherwise.
        unsafe {
            if self.units() > 1 {
                states::free_in_words(at, self.row() / 8)
            } else {
                states::free_in_line(at)
            }
        }
    }
    /// Bits of all of its blocks.
    #[inline]
    pub fn group_mask(&self, g: usize) -> u64 {
        u64::MAX >> (64 - self.group_blocks(g))
    }
}
