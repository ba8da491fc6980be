//! Units of memory, from the system's page to the hugepage.
//!
//! ```text
//! granule 16 B  <  line 64 B  <  os page 4 KiB  <  unit 64 KiB (one slab)  <  hugepage 2 MiB (32 units, one region)
//! ```

/// Every block starts at a multiple of this many bytes (the strictest fundamental alignment of x86_64 and aarch64).
pub const GRANULE: usize = 16;
/// Bytes that two threads must never share.
pub const LINE: usize = 64;
/// Log2 of [`UNIT`].
pub const UNIT_SHIFT: u32 = 16;
/// Bytes covered by one page-map entry; a slab is exactly one unit.
pub const UNIT: usize = 1 << UNIT_SHIFT;
/// Log2 of [`REGION`].
pub const REGION_SHIFT: u32 = 21;
/// Bytes of a region: one hugepage of x86_64 and of aarch64 with 4 KiB pages.
pub const REGION: usize = 1 << REGION_SHIFT;
/// Units in a region; a region's state fits a 32-bit mask.
pub const UNITS_PER_REGION: usize = REGION / UNIT;
/// The quantum in which large objects are sized. Real pages may be larger (16 or 64 KiB): a unit is a multiple of each.
pub const PAGE: usize = 4096;

/// The 4 KiB pages of a unit, one bit each, that belong to a system page of `size` bytes of which every bit is set in
/// `pages`: what can be given back.
pub const fn whole_pages(pages: u32, size: usize) -> u32 {
    let n = size / PAGE;
    if n <= 1 {
        return pages;
    }
    if n >= UNIT / PAGE {
        return if pages & 0xffff == 0xffff { 0xffff } else { 0 };
    }
    let (one, mut whole, mut at) = ((1u32 << n) - 1, 0, 0);
    while at < UNIT / PAGE {
        if pages >> at & one == one {
            whole |= one << at;
        }
        at += n;
    }
    whole
}

/// `n` rounded up to a multiple of `to` (a power of two), `None` on overflow.
pub const fn round_up(n: usize, to: usize) -> Option<usize> {
    match n.checked_add(to - 1) {
        Some(v) => Some(v & !(to - 1)),
        None => None,
    }
}

/// Units needed for `bytes`.
pub const fn units_for(bytes: usize) -> usize {
    bytes / UNIT + !bytes.is_multiple_of(UNIT) as usize
}

#[cfg(test)]
mod tests {
    use super::whole_pages;

    #[test]
    fn only_whole_system_pages_count() {
        assert_eq!(whole_pages(0b1011_1111_0001, 4096), 0b1011_1111_0001);
        assert_eq!(
            whole_pages(0b1111_1011_1111_0001, 16384),
            0b1111_0000_1111_0000
        );
        assert_eq!(
            whole_pages(0b1111_1011_1111_0011, 8192),
            0b1111_0011_1111_0011
        );
        assert_eq!(whole_pages(0xfffe, 65536), 0);
        assert_eq!(whole_pages(0xffff, 65536), 0xffff);
        assert_eq!(whole_pages(0, 65536), 0);
    }
}
