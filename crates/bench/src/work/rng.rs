//! The workloads' random numbers: the same sequence on every machine.

/// xorshift64* seeded through splitmix64.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for each (seed, stream).
    pub fn new(seed: u64, stream: u64) -> Rng {
        let mixed = mix(mix(seed) ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Rng(mixed | 1)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform below `n` (n < 2^32).
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }

    /// Uniform in `low..=high`.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Between `low` and `high`, every octave as likely as the next.
    #[inline]
    pub fn octaves(&mut self, low: u64, high: u64) -> u64 {
        let bits = u64::from((high / low).max(1).ilog2());
        let base = low << self.below(bits + 1);
        let size = base + self.below(base);
        size.min(high)
    }
}

/// A well-mixed 64-bit function of its argument.
#[inline]
pub fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
