//! How long single calls take, under load: percentiles, not means.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::ring::Ring;
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

/// Counts of durations: exact below 32 ns, then 32 steps per doubling (3 % wide).
pub struct Histogram {
    counts: Table<u64>,
}

const STEPS: u64 = 32;

impl Histogram {
    /// Of nothing.
    pub fn new() -> Histogram {
        Histogram {
            counts: Table::new((STEPS * 60) as usize, |_| 0),
        }
    }

    /// One more duration.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
    }

    /// And those of another.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts
            .iter_mut()
            .zip(other.counts.iter())
            .for_each(|(a, b)| *a += b);
    }

    /// Upper edge of the step in which the share `q` of all durations is reached.
    pub fn quantile(&self, q: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_edge(index as u64) as f64;
            }
        }
        0.0
    }
}

/// Of malloc and first write, of free, and of one after the other.
struct Histograms {
    malloc: Histogram,
    free: Histogram,
    both: Histogram,
}

impl Histograms {
    fn new() -> Histograms {
        Histograms {
            malloc: Histogram::new(),
            free: Histogram::new(),
            both: Histogram::new(),
        }
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let octave = u64::from(ns.ilog2());
    let step = (ns >> (octave - 5)) & (STEPS - 1);
    ((octave - 4) * STEPS + step).min(STEPS * 60 - 1) as usize
}

fn upper_edge(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let octave = index / STEPS + 4;
    ((STEPS + index % STEPS + 1) << (octave - 5)) - 1
}

/// `threads=T slots=N low=A high=B ops=N load=0|1`: random replacement, each call timed by itself; with `load=1`
/// two more threads hand blocks to each other all the while. `timer_ns` is what timing alone costs (included).
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let slots = params.need("slots") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let ops = params.need("ops");
    let load = params.number("load", 0) != 0;
    let ring = Ring::new(4096);
    let stop = AtomicBool::new(false);
    let checksum = AtomicU64::new(0);
    let mut total = Histograms::new();
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            if load {
                scope.spawn(|| background(&ring, &stop));
                scope.spawn(|| crate::ring::free_all([&ring].into_iter()));
            }
            let handles: Vec<_> = (0..threads)
                .map(|thread| {
                    let checksum = &checksum;
                    scope.spawn(move || {
                        let (sum, histograms) = measure(thread, slots, sizes, ops);
                        checksum.fetch_add(sum, Ordering::Relaxed);
                        histograms
                    })
                })
                .collect();
            for one in handles.into_iter().filter_map(|h| h.join().ok()) {
                total.malloc.merge(&one.malloc);
                total.free.merge(&one.free);
                total.both.merge(&one.both);
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    let mut report = Report::new(checksum.load(Ordering::Relaxed), threads * ops, seconds);
    for (name, histogram) in [
        ("malloc", &total.malloc),
        ("free", &total.free),
        ("both", &total.both),
    ] {
        for (label, q) in [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p999", 0.999),
            ("p9999", 0.9999),
            ("max", 1.0),
        ] {
            report.extra(format!("{name}_{label}_ns"), histogram.quantile(q));
        }
    }
    report.extra("timer_ns", timer());
    report
}

fn measure(thread: u64, slots: usize, sizes: (u64, u64), ops: u64) -> (u64, Histograms) {
    let mut rng = Rng::new(18, thread);
    let mut table = Table::new(slots, |_| None::<Block>);
    let mut histograms = Histograms::new();
    let mut sum = 0u64;
    for _ in 0..ops {
        let slot = &mut table[rng.below(slots as u64) as usize];
        let (size, tag) = (rng.octaves(sizes.0, sizes.1), rng.next() as u32);
        let start = Instant::now();
        let fresh = Block::new(size, tag);
        let middle = Instant::now();
        let malloc = (middle - start).as_nanos() as u64;
        histograms.malloc.add(malloc);
        if let Some(old) = slot.replace(fresh) {
            let start = Instant::now();
            sum = sum.wrapping_add(old.release());
            let free = start.elapsed().as_nanos() as u64;
            histograms.free.add(free);
            histograms.both.add(malloc + free);
        }
    }
    (sum.wrapping_add(single::empty(&mut table)), histograms)
}

/// Hands blocks over until told to stop. Not part of the checksum: how many there are depends on time.
fn background(ring: &Ring, stop: &AtomicBool) {
    let mut rng = Rng::new(19, 0);
    while !stop.load(Ordering::Relaxed) {
        ring.push(Block::new(rng.octaves(16, 8192), rng.next() as u32));
    }
    ring.close();
}

fn timer() -> f64 {
    let start = Instant::now();
    for _ in 0..10_000 {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_ordered_and_narrow() {
        for ns in (0..100_000).chain([1 << 20, 1 << 30, 1 << 40]) {
            let edge = upper_edge(bucket(ns) as u64);
            assert!(
                edge >= ns && edge as f64 <= ns as f64 * 1.04 + 1.0,
                "{ns}: edge {edge}"
            );
        }
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|ns| histogram.add(ns));
        for (q, want) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = histogram.quantile(q);
            assert!(got >= want && got <= want * 1.04, "{q}: {got}");
        }
    }
}
