//! Policies: pure functions of figures that the caller measured.

/// Most bytes of free memory that may stay committed when `live` bytes are in spans in use: without a support thread
/// the frees themselves enforce it. `share` is the part of live memory in percent, `floor` the least.
pub const fn retained_limit(live: usize, floor: usize, share: usize) -> usize {
    let part = live / 100 * share;
    if part > floor { part } else { floor }
}

/// How many blocks a magazine of a class of `size` bytes may hold before its thread has been seen cycling
/// (refill and flush in turn): few, so that an idle thread holds little.
pub const fn quiet_capacity(size: usize) -> usize {
    clamp(per(4096, size), 4, 32)
}

/// How many blocks a window may hold when its thread only turns its two windows, refilling nothing: 16 KiB, so that both
/// stay in a first-level cache.
pub const fn turning_capacity(size: usize) -> usize {
    clamp(per(16 << 10, size), 8, 128)
}

/// How many blocks a magazine may hold at most.
pub const fn full_capacity(size: usize) -> usize {
    clamp(per(64 << 10, size), 16, 254)
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
    fn retained_memory_follows_live_memory_above_the_floor() {
        assert_eq!(retained_limit(0, 8 << 20, 10), 8 << 20);
        assert_eq!(retained_limit(1 << 30, 8 << 20, 10), (1 << 30) / 100 * 10);
    }
}
