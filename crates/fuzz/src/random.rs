//! Random inputs: a seed, printed, and from it any number of inputs.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run: `AETHALLOC_SEED`, else the time. Printed, so that a failure can be repeated.
///
/// # Panics
/// If `AETHALLOC_SEED` is no number.
pub fn seed() -> u64 {
    let seed = match std::env::var("AETHALLOC_SEED") {
        Ok(text) => text.parse().expect("AETHALLOC_SEED is a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |d| d.as_nanos() as u64),
    };
    // Not println: what that prints is lost when the allocator ends the process.
    let line = format!("seed {seed} (AETHALLOC_SEED={seed} repeats this run)\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    seed
}

/// SplitMix64.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut r = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        r.next();
        r
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut v = self.0;
        v = (v ^ v >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        v = (v ^ v >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        v ^ v >> 31
    }

    /// An input of up to `most` bytes. Runs of one byte make actions that are alike, as a fuzzer would.
    pub fn input(&mut self, most: usize) -> Vec<u8> {
        let n = (self.next() % most as u64) as usize + 1;
        let mut bytes = Vec::with_capacity(n);
        while bytes.len() < n {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(n);
        bytes
    }
}
