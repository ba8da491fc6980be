//! Tags in the upper bits of a pointer: where they are, and which a block may get.
//!
//! ```text
//!          63      60 59   56 55                             0
//! MTE     | ignored  |  tag  | address                        |   4 bits, compared by the CPU at every access
//!          63 62        57 56 …
//! LAM U57 |0|    tag     | address                            |   6 bits, ignored by the CPU
//!          63           57 56 …
//! UAI     |     tag      | address                            |   7 bits, ignored by the CPU
//!          63     56 55
//! TBI     |   tag  | address                                  |   8 bits, ignored by every aarch64 CPU
//! ```
//! Only MTE compares them at an access. LAM, UAI and TBI check nothing by themselves: `safety:tags` compares the tag of a pointer that
//! comes back with the one that its block has.
//!
//! **Neighbours.** Block `i` of a slab has an even tag if `i` is even and an odd one if not, so neighbours always differ, whatever
//! other threads do at the same time. Tag 0 is what untagged memory has: no block gets it.
//!
//! **Turns.** Where only a pointer that comes back is compared, a block goes through all tags of its kind ([`after`]) from a random
//! one on ([`first`]): one that it had comes again after 31 or 32 frees, never sooner.

/// Where tags are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The lowest bit.
    pub shift: u32,
    /// How many bits.
    pub bits: u32,
}

/// Arm MTE.
pub const MTE: Field = Field { shift: 56, bits: 4 };
/// x86 LAM, addresses of 57 bits.
pub const LAM: Field = Field { shift: 57, bits: 6 };
/// AMD UAI.
pub const UAI: Field = Field { shift: 57, bits: 7 };

/// aarch64 without MTE: the top byte.
pub const TBI: Field = Field { shift: 56, bits: 8 };

/// Tags that `safety:tags` uses: as many as fit beside a block's state, and into the narrowest field, LAM's.
pub const TURNS: usize = 64;

/// A tag for block `i`, which had none.
pub const fn first(i: usize, random: usize) -> usize {
    let tag = ((random % TURNS) & !1) | (i & 1);
    if tag == 0 { 2 } else { tag }
}

/// The tag after `tag` for the same block.
pub const fn after(tag: usize) -> usize {
    let next = (tag + 2) % TURNS;
    if next == 0 { 2 } else { next }
}

impl Field {
    /// Tags that there are.
    pub const fn count(self) -> usize {
        1 << self.bits
    }
    const fn mask(self) -> usize {
        (self.count() - 1) << self.shift
    }
    /// The tag of a pointer.
    pub const fn of(self, p: usize) -> usize {
        (p & self.mask()) >> self.shift
    }
    /// The pointer without its tag.
    pub const fn strip(self, p: usize) -> usize {
        p & !self.mask()
    }
    /// The pointer with this tag; bits that the field does not have are left out.
    pub const fn with(self, p: usize, tag: usize) -> usize {
        self.strip(p) | (tag << self.shift & self.mask())
    }
}

/// MTE tags that block `i` may not get, one bit for each: 0, its neighbours', and the one it has.
pub const fn excluded(i: usize, old: usize) -> u16 {
    const EVEN: u16 = 0x5555;
    let neighbours = if i.is_multiple_of(2) { !EVEN } else { EVEN };
    neighbours | 1 | 1 << (old % 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_and_goes_again() {
        for field in [MTE, LAM, UAI, TBI] {
            for address in [0x7fff_ffff_fff0, 0x1000, 0x00ff_ffff_ffff_fff0 >> 1] {
                for tag in 0..field.count() {
                    let p = field.with(address, tag);
                    assert_eq!(field.of(p), tag, "{field:?}");
                    assert_eq!(field.strip(p), address, "{field:?}");
                    assert_eq!(field.with(p, 0), address);
                    // A tag replaces another, it does not mix with it.
                    assert_eq!(field.of(field.with(p, tag ^ 1)), tag ^ 1);
                }
            }
        }
        assert_eq!(
            LAM.with(0, 63) >> 63,
            0,
            "bit 63 of LAM tells kernel from user space"
        );
        assert_eq!(UAI.with(0, 127), 0xfe00_0000_0000_0000);
        assert_eq!(MTE.with(0, 16), 0, "only four bits");
        assert_eq!(TBI.with(0, 0xff), 0xff << 56);
        assert!(LAM.count() >= TURNS && TBI.count() >= TURNS);
    }

    #[test]
    fn a_block_goes_through_all_tags_of_its_kind() {
        for i in 0..4 {
            for random in 0..200 {
                let start = first(i, random);
                let (mut seen, mut tag) = ([false; TURNS], start);
                let mut turns = 0;
                loop {
                    assert!(tag != 0 && tag < TURNS && tag % 2 == i % 2, "{i} {random}");
                    assert!(!seen[tag], "{tag} came again after {turns} turns");
                    seen[tag] = true;
                    tag = after(tag);
                    turns += 1;
                    if tag == start {
                        break;
                    }
                }
                assert_eq!(turns, if i % 2 == 0 { 31 } else { 32 });
            }
        }
    }

    #[test]
    fn neighbours_differ_and_a_new_tag_is_new() {
        for old in 0..16 {
            for i in 0..4 {
                let (own, next) = (excluded(i, old), excluded(i + 1, old));
                assert_eq!(own & next & !(1 | 1 << old), 0, "no tag is barred to both");
                assert_eq!(own | next, u16::MAX, "none is free to both");
                assert!(own & 1 == 1 && own >> old & 1 == 1);
                assert!(own.count_zeros() >= 6, "{own:b}");
            }
        }
    }
}
