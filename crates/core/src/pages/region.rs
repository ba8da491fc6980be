//! A region's word: which of its 32 units are in use, and which free ones still hold pages.
//!
//! ```text
//! | 63      dirty      32 | 31       used        0 |      one bit a unit; dirty & used = 0
//! ```
//! # Roles
//! The page heap takes and gives under its lock. A purger takes dirty units without it ([`Word::claim`]), gives their
//! pages back, and gives the units back: while it has them they are in use like any other. So nobody waits for a system
//! call, and a purger that stops half-way (a fork's child, a thread that ended) loses at most what it had claimed.
//! # Orderings
//! `give` is Release and `take` and `claim` are Acquire: whoever gets a unit comes after everything that was done to its
//! pages, also to purge them.

use crate::sync::{AtomicU64, Ordering::*};

/// The word.
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// Nothing in use, nothing dirty.
    pub const fn new() -> Self {
        Word(AtomicU64::new(0))
    }

    /// Units in use.
    pub fn used(&self) -> u32 {
        self.0.load(Relaxed) as u32
    }

    /// Free units that hold pages.
    pub fn dirty(&self) -> u32 {
        (self.0.load(Relaxed) >> 32) as u32
    }

    /// Takes the free units `bits`; `None` if one of them is in use (a purger may be faster). Which of them were dirty.
    pub fn take(&self, bits: u32) -> Option<u32> {
        let mut now = self.0.load(Relaxed);
        loop {
            if now as u32 & bits != 0 {
                return None;
            }
            let new = (now | bits as u64) & !((bits as u64) << 32);
            // ORDERING: Acquire, pairs with Release in `give`.
            match self.0.compare_exchange_weak(now, new, Acquire, Relaxed) {
                Ok(_) => return Some((now >> 32) as u32 & bits),
                Err(v) => now = v,
            }
        }
    }

    /// Gives the units `bits`, which the caller has, back: with pages or without.
    pub fn give(&self, bits: u32, dirty: bool) {
        let pages = if dirty { (bits as u64) << 32 } else { 0 };
        let mut now = self.0.load(Relaxed);
        loop {
            let new = now & !(bits as u64) | pages;
            // ORDERING: Release, pairs with Acquire in `take` and `claim`.
            match self.0.compare_exchange_weak(now, new, Release, Relaxed) {
                Ok(_) => return,
                Err(v) => now = v,
            }
        }
    }

    /// Free units count as dirty from now on: how many more do.
    pub fn soil_free(&self) -> usize {
        let mut now = self.0.load(Relaxed);
        loop {
            let clean = !(now as u32) & !((now >> 32) as u32);
            let new = now | (clean as u64) << 32;
            // ORDERING: Relaxed: no unit changes hands.
            match self.0.compare_exchange_weak(now, new, Relaxed, Relaxed) {
                Ok(_) => return clean.count_ones() as usize,
                Err(v) => now = v,
            }
        }
    }

    /// A purger takes dirty units: the whole region if nothing of it is in use and all is dirty, else the longest row of
    /// at most `most`. First unit and number.
    pub fn claim(&self, most: usize) -> Option<(u32, usize)> {
        self.claim_by(|_, dirty| {
            let n = longest_run(dirty);
            let n = if n == 32 { 32 } else { n.min(most) };
            Some((find_run(dirty, n)?, n)).filter(|_| n > 0)
        })
        .map(|(b, n, _)| (b, n))
    }

    /// A purger takes the whole region, if nothing of it is in use and some of it dirty: how many units.
    pub fn claim_whole(&self) -> Option<usize> {
        self.claim_by(|used, dirty| (used == 0 && dirty != 0).then_some((0, 32)))
            .map(|(_, _, dirty)| dirty)
    }

    /// Takes the free units that `choose` names, given those in use and those dirty. First, number, how many were dirty.
    fn claim_by(
        &self,
        choose: impl Fn(u32, u32) -> Option<(u32, usize)>,
    ) -> Option<(u32, usize, usize)> {
        let mut now = self.0.load(Relaxed);
        loop {
            let (used, dirty) = (now as u32, (now >> 32) as u32);
            let (b, n) = choose(used, dirty)?;
            let bits = mask(b, n) as u64;
            // ORDERING: Acquire, pairs with Release in `give`.
            match self
                .0
                .compare_exchange_weak(now, (now | bits) & !(bits << 32), Acquire, Relaxed)
            {
                Ok(_) => return Some((b, n, (dirty & mask(b, n)).count_ones() as usize)),
                Err(v) => now = v,
            }
        }
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new()
    }
}

/// `n` bits from bit `b` on.
pub fn mask(b: u32, n: usize) -> u32 {
    if n >= 32 {
        u32::MAX
    } else {
        ((1u32 << n) - 1) << b
    }
}

/// Length of the longest run of ones.
pub fn longest_run(mut v: u32) -> usize {
    let mut n = 0;
    while v != 0 {
        v &= v >> 1;
        n += 1;
    }
    n
}

/// Of the runs of at least `n` ones (`n` > 0) the shortest, of these the lowest: where it begins, and its length.
pub fn shortest_run(mut v: u32, n: usize) -> Option<(u32, usize)> {
    let mut best: Option<(u32, usize)> = None;
    while v != 0 {
        let b = v.trailing_zeros();
        let len = (v >> b).trailing_ones() as usize;
        if len >= n && best.is_none_or(|(_, least)| len < least) {
            best = Some((b, len));
        }
        v &= !mask(b, len);
    }
    best
}

/// The lowest bit at which `n` ones begin.
pub fn find_run(v: u32, n: usize) -> Option<u32> {
    let mut starts = v;
    for i in 1..n {
        starts &= v.checked_shr(i as u32).unwrap_or(0);
    }
    (starts != 0).then(|| starts.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the function's words say, by looking at every place.
    fn by_search(v: u32, n: usize) -> Option<(u32, usize)> {
        let bit = |i: i32| (0..32).contains(&i) && v >> i & 1 != 0;
        let starts = (0..32).filter(|i| bit(*i) && !bit(i - 1));
        let runs = starts.map(|b| (b as u32, (b..=32).find(|i| !bit(*i)).unwrap_or(32) - b));
        let fit = runs.filter(|(_, len)| *len as usize >= n);
        fit.map(|(b, len)| (b, len as usize))
            .min_by_key(|(b, len)| (*len, *b))
    }

    #[test]
    fn the_shortest_run_that_fits() {
        let mut v = 1u64;
        for round in 0..3000 {
            v = v.wrapping_mul(6364136223846793005).wrapping_add(1);
            // Few, half, and most bits.
            let (a, b) = ((v >> 32) as u32, (v >> 13) as u32);
            let word = [a & b, a, a | b | b << 1, u32::MAX][round % 4];
            for n in 1..=32 {
                assert_eq!(shortest_run(word, n), by_search(word, n), "{word:#x}, {n}");
            }
        }
        assert_eq!(shortest_run(0, 1), None);
    }
}
