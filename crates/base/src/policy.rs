//! Policies: pure functions of figures that the caller measured.

use crate::units::UNIT;

/// Most bytes of free memory that may stay committed when `live` bytes are in spans in use: without a support thread
/// the frees themselves enforce it. `share` is the part of live memory in percent, `floor` the least.
pub const fn retained_limit(live: usize, floor: usize, share: usize) -> usize {
    let part = live / 100 * share;
    if part > floor { part } else { floor }
}

/// Whether a heap of `used` bytes in runs, of which `live` are out and `tails` will never be touched, is worth huge pages: large enough
/// that the half of one that is not used, on average, is a thirty-second of it; mostly in use, so that what it takes next will be; and with
/// no more at the ends of large objects, which a huge page would back too.
pub const fn is_dense(live: usize, tails: usize, used: usize) -> bool {
    used >= DENSE_LEAST && live >= used / 2 && tails <= used / 32
}

/// Whether slabs of blocks of `size` bytes are worth a huge page, which backs what lies behind the blocks of a unit too: of a block
/// alone in its unit that may be half of it.
pub const fn fills_units(size: usize) -> bool {
    size <= UNIT / 2 || size >= UNIT / 8 * 7
}

/// See [`is_dense`].
const DENSE_LEAST: usize = 32 << 20;

/// Bytes of free memory that the support thread leaves alone, whatever demand says.
pub const SETTLED: usize = 512 << 10;

/// Free blocks of `size` bytes that make a group of `blocks` worth a reservation: a thread that reserved one small block
/// at a time would spend its time reserving. What is left unused is at most an eighth, and about 1 KiB a group.
pub const fn worth(blocks: usize, size: usize) -> usize {
    clamp(min(blocks / 8, per(1024, size)), 1, 8)
}

/// The part of a slab of blocks of `size` bytes that has to be free before a search takes it: a thirty-second of 64 KiB is
/// as much as a reservation of larger blocks.
pub const fn worthy_part(size: usize) -> usize {
    if size >= 256 { 32 } else { 8 }
}

/// Least bytes that a thread gathers before it adds them to a sum of all threads.
pub const LEAST_SHARE: usize = 32 << 10;

/// And most: what eight threads that sleep lack is then 2 MiB.
const MOST_SHARE: usize = 256 << 10;

/// Bytes that each of `threads` gathers before it adds them to a sum that is `sum` now: all together lack at most about a
/// thirty-second of it. A power of two, so that it seldom changes.
pub const fn share(sum: usize, threads: usize) -> usize {
    let part = per(sum / 32, if threads == 0 { 1 } else { threads });
    let part = clamp(part, LEAST_SHARE, MOST_SHARE);
    1 << part.ilog2()
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// Uses of a class of blocks of `size` bytes by a thread before it takes blocks by groups, out of slabs of its own, in a
/// process with `threads`. Before, all threads take blocks one by one from the same slabs, under one lock: a few threads get
/// out of each other's way soon; of very many, each may do little.
pub const fn heat(size: usize, threads: usize) -> u8 {
    if size > 1024 {
        16
    } else if threads > 1 && threads <= 64 {
        24
    } else {
        96
    }
}

/// Blocks of all classes that a thread takes, in a process with several, until the uses of cold classes of blocks above 1 KiB count half: 2 to the
/// power of it. So such a class gets hot where it is at least one block of 500: a slab of such blocks that a thread uses seldom, up to 512 KiB, would
/// lie mostly free, once in each thread, while a lock now and then costs little.
pub const COOLING: u32 = 12;

/// What `uses` of a cold class of blocks of `size` bytes count after so many `times` of [`COOLING`].
pub const fn cooled(size: usize, uses: u8, times: u32) -> u8 {
    if size <= 1024 {
        uses
    } else if times < 8 {
        uses >> times
    } else {
        0
    }
}

/// Blocks of all classes that a thread takes before it takes those of cold classes several at a time, in a process with `threads`. Of very
/// many threads each may do little.
pub const fn warmth(threads: usize) -> u64 {
    if threads <= 64 { 96 } else { u64::MAX }
}

/// How many blocks of `size` bytes, of which it used `uses`, such a thread takes at a time: at most as many as when the class gets hot, or two of a
/// class that may stay cold for long ([`COOLING`]): what waits while the thread sleeps stays small.
pub const fn cold_reservation(size: usize, uses: usize) -> usize {
    let most = first_reservation(size);
    clamp(uses, 1, if most < 2 && size <= 8 << 10 { 2 } else { most })
}

/// How many blocks of `size` bytes a thread reserves at first: few, so that a thread that does little holds little.
pub const fn first_reservation(size: usize) -> usize {
    clamp(per(2048, size), 1, 16)
}

/// How many blocks of `size` bytes one reservation may hold: at most `bytes`, so that what a thread hands out in turn stays
/// in its first-level cache, and at most the 64 of a group. Blocks of which a few fill that cache come four times as many: they
/// would be reserved one by one.
pub const fn full_reservation(size: usize, bytes: usize) -> usize {
    let bytes = if size > 2048 {
        bytes.saturating_mul(4)
    } else {
        bytes
    };
    clamp(per(bytes, size), 1, 64)
}

/// Of the pages `fresh` (not none) the last run, and of the pages `clean` those that follow it without a gap, `more` at most.
pub const fn with_next(fresh: u16, clean: u16, more: usize) -> u16 {
    let top = 15 - fresh.leading_zeros();
    let wide = fresh as u32;
    // Ones below and at `top`, down to the first zero.
    let gap = !wide & ((1 << top) - 1);
    let first = 32 - gap.leading_zeros();
    let next = (!(clean as u32 >> (top + 1))).trailing_zeros();
    let next = if (next as usize) < more {
        next
    } else {
        more as u32
    };
    let end = top + 1 + next;
    (((1u32 << end) - 1) & !((1 << first) - 1)) as u16
}

/// How many blocks of `size` bytes fit in `bytes`; 0 for a size of 0.
pub const fn per(bytes: usize, size: usize) -> usize {
    match bytes.checked_div(size) {
        Some(n) => n,
        None => 0,
    }
}

/// `v` within `low..=high`.
pub const fn clamp(v: usize, low: usize, high: usize) -> usize {
    if v < low {
        low
    } else if v > high {
        high
    } else {
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_are_reserved_by_the_handful_and_large_ones_singly() {
        assert_eq!(worth(64, 16), 8);
        assert_eq!(worth(64, 128), 8);
        assert_eq!(worth(64, 608), 1);
        assert_eq!(worth(16, 4096), 1);
        assert_eq!(worth(0, 0), 1);
    }

    #[test]
    fn pages_ahead_follow_without_a_gap() {
        // Against a page at a time.
        let naive = |fresh: u16, clean: u16, more: usize| {
            let top = 15 - fresh.leading_zeros();
            let mut run = 1u16 << top;
            let mut at = top;
            while at > 0 && fresh >> (at - 1) & 1 == 1 {
                at -= 1;
                run |= 1 << at;
            }
            let (mut at, mut left) = (top + 1, more);
            while at < 16 && left > 0 && clean >> at & 1 == 1 {
                run |= 1 << at;
                at += 1;
                left -= 1;
            }
            run
        };
        let mut clean = 1u16;
        for fresh in 1..=u16::MAX {
            clean = clean.wrapping_mul(25173).wrapping_add(13849);
            for (clean, more) in [(clean, 3), (u16::MAX, 0), (u16::MAX, 99), (0, 5)] {
                assert_eq!(with_next(fresh, clean, more), naive(fresh, clean, more));
            }
        }
    }

    #[test]
    fn a_few_threads_get_slabs_of_their_own_soon() {
        assert_eq!(heat(16, 1), 96);
        assert_eq!(heat(16, 2), 24);
        assert_eq!(heat(16, 64), 24);
        assert_eq!(heat(16, 65), 96);
        assert_eq!(heat(2048, 2), 16);
    }

    #[test]
    fn of_seldom_used_classes_those_of_large_blocks_cool() {
        assert_eq!(cooled(1024, 20, 5), 20);
        assert_eq!(cooled(1152, 20, 0), 20);
        assert_eq!(cooled(1152, 20, 1), 10);
        assert_eq!(cooled(32 << 10, 255, 7), 1);
        assert_eq!(cooled(32 << 10, 255, 8), 0);
        assert_eq!(cooled(32 << 10, 255, u32::MAX), 0);
        // A block of 256 makes it hot, one of 1024 does not.
        for (of, hot) in [(256, true), (1024, false)] {
            let mut uses = 0;
            for _ in 0..20 {
                uses = cooled(4096, uses, 1) + ((1 << COOLING) / of) as u8;
            }
            assert_eq!(uses >= heat(4096, 2), hot, "a block of {of}");
        }
    }

    #[test]
    fn cold_classes_get_more_blocks_the_oftener_they_are_used() {
        assert_eq!(cold_reservation(16, 0), 1);
        assert_eq!(cold_reservation(16, 5), 5);
        assert_eq!(cold_reservation(16, 20), 16);
        assert_eq!(cold_reservation(512, 20), 4);
        assert_eq!(cold_reservation(32 << 10, 1), 1);
        assert_eq!(cold_reservation(8 << 10, 20), 2);
        assert_eq!(cold_reservation(10 << 10, 20), 1);
        assert!(warmth(64) < 100 && warmth(65) > 1 << 40);
    }

    #[test]
    fn large_blocks_are_not_reserved_one_by_one() {
        assert_eq!(full_reservation(256, 16 << 10), 64);
        assert_eq!(full_reservation(2048, 16 << 10), 8);
        assert_eq!(full_reservation(32 << 10, 16 << 10), 2);
        assert_eq!(full_reservation(32 << 10, 4096), 1);
    }

    #[test]
    fn what_threads_gather_is_a_small_part_of_the_sum() {
        assert_eq!(share(0, 0), LEAST_SHARE);
        assert_eq!(share(1 << 30, 1), MOST_SHARE);
        for (sum, threads) in [(100 << 20, 16), (1 << 30, 100), (40 << 20, 3)] {
            let share = share(sum, threads);
            assert!(share == LEAST_SHARE || share * threads <= sum / 32);
            assert!(share.is_power_of_two());
        }
    }

    #[test]
    fn huge_pages_are_for_large_heaps_in_use() {
        assert!(!is_dense(24 << 20, 0, 24 << 20), "small");
        assert!(is_dense(20 << 20, 1 << 20, 32 << 20));
        assert!(!is_dense(100 << 20, 0, 300 << 20), "mostly free");
        assert!(
            !is_dense(28 << 20, 3 << 20, 32 << 20),
            "ends of large objects"
        );
    }

    #[test]
    fn blocks_with_long_tails_are_not_for_huge_pages() {
        use crate::class;
        for c in class::FIRST..class::COUNT {
            let size = class::size(c);
            let blocks = size * class::per_unit(c);
            assert!(!fills_units(size) || blocks * 3 >= UNIT * 2, "class {c}");
            assert!(fills_units(size) || blocks * 8 < UNIT * 7, "class {c}");
        }
    }

    #[test]
    fn retained_memory_follows_live_memory_above_the_floor() {
        assert_eq!(retained_limit(0, 8 << 20, 10), 8 << 20);
        assert_eq!(retained_limit(1 << 30, 8 << 20, 10), (1 << 30) / 100 * 10);
    }
}
