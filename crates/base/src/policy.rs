//! Policies: pure functions of figures that the caller measured.

/// Most bytes of free memory that may stay committed when `live` bytes are in spans in use: without a support thread
/// the frees themselves enforce it. `share` is the part of live memory in percent, `floor` the least.
pub const fn retained_limit(live: usize, floor: usize, share: usize) -> usize {
    let part = live / 100 * share;
    if part > floor { part } else { floor }
}

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

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

/// How many blocks of `size` bytes a thread reserves at first: few, so that a thread that does little holds little.
pub const fn first_reservation(size: usize) -> usize {
    clamp(per(2048, size), 1, 16)
}

/// How many blocks of `size` bytes one reservation may hold: at most `bytes`, so that what a thread hands out in turn stays
/// in its first-level cache, and at most the 64 of a group.
pub const fn full_reservation(size: usize, bytes: usize) -> usize {
    clamp(per(bytes, size), 1, 64)
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
    fn retained_memory_follows_live_memory_above_the_floor() {
        assert_eq!(retained_limit(0, 8 << 20, 10), 8 << 20);
        assert_eq!(retained_limit(1 << 30, 8 << 20, 10), (1 << 30) / 100 * 10);
    }
}
