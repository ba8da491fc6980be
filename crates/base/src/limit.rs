//! A limit on the heap: what to do about memory that was just taken. Pure: the caller measured.
//!
//! What counts is memory that may hold pages: runs in use, free runs not given back (*dirty*), the allocator's own data.
//! A run counts whole, touched or not, so the sum is never less than what is resident.

/// What the heap holds, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// In use, and the allocator's own.
    pub used: usize,
    /// Free and not given back.
    pub dirty: usize,
}

/// What follows from it.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Within,
    /// Free memory goes back until so much of it is left.
    Trim(usize),
    /// What is in use alone is beyond the limit.
    Beyond,
}

/// Judges by `limit` bytes, 0: none.
pub const fn judge(held: Held, limit: usize) -> Verdict {
    if limit == 0 || held.used.saturating_add(held.dirty) <= limit {
        Verdict::Within
    } else if held.used <= limit {
        // Half of the room: not a system call for each run that follows.
        Verdict::Trim((limit - held.used) / 2)
    } else {
        Verdict::Beyond
    }
}

/// Above a soft limit: whether the empty pages inside slabs are worth a search, when the last search was made with `swept`
/// bytes in use. Not before a sixteenth of the limit was added, so that searching stays a small part of the work.
pub const fn is_sweep_due(used: usize, swept: usize, limit: usize) -> bool {
    let step = limit / 16;
    used > limit && used >= swept.saturating_add(if step > LEAST { step } else { LEAST })
}

/// Least growth between two searches.
const LEAST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn held(used: usize, dirty: usize) -> Held {
        Held {
            used: used * MIB,
            dirty: dirty * MIB,
        }
    }

    #[test]
    fn no_limit_refuses_nothing() {
        assert_eq!(judge(held(1 << 40, 1 << 40), 0), Verdict::Within);
    }

    #[test]
    fn free_memory_goes_before_anything_is_refused() {
        assert_eq!(judge(held(60, 4), 64 * MIB), Verdict::Within);
        assert_eq!(judge(held(60, 5), 64 * MIB), Verdict::Trim(2 * MIB));
        assert_eq!(judge(held(64, 1), 64 * MIB), Verdict::Trim(0));
        assert_eq!(judge(held(65, 0), 64 * MIB), Verdict::Beyond);
        assert_eq!(judge(held(65, 9), 64 * MIB), Verdict::Beyond);
    }

    #[test]
    fn sums_beyond_the_largest_number_are_beyond_the_limit() {
        let all = Held {
            used: usize::MAX,
            dirty: usize::MAX,
        };
        assert_eq!(judge(all, usize::MAX - 1), Verdict::Beyond);
        assert_eq!(judge(all, usize::MAX), Verdict::Within);
    }

    #[test]
    fn searches_above_a_soft_limit_are_far_apart() {
        let limit = 160 * MIB;
        let mut swept = 0;
        let searches = (0..320)
            .filter(|used| {
                let due = is_sweep_due(used * MIB, swept, limit);
                if due {
                    swept = used * MIB;
                }
                due
            })
            .count();
        assert_eq!(searches, 16, "161, 171, … 311 MiB");
        assert!(!is_sweep_due(limit, 0, limit), "not below it");
    }
}
