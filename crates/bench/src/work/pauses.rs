//! How long single calls are held up by somebody else: each malloc and free is timed, and of a slow one the kernel says whether
//! its thread slept in it (waited for a lock, the allocator's or the kernel's), was preempted, or worked all the time.
//!
//! With one busy thread and one that sleeps, whoever it waits for is a thread of the allocator's.

use std::sync::Barrier;
use std::time::Instant;

use crate::heap::Block;
use crate::latency::Histogram;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// Calls shorter than this did not leave the CPU.
const SLOW_NS: u64 = 3000;

/// Of all calls: how long they took; how long those took that slept, and those that were preempted (0: neither).
struct Calls {
    all: Histogram,
    waited: Histogram,
    preempted: Histogram,
    /// Switches of the thread so far: of its own will, and not.
    switches: (i64, i64),
    counts: (u64, u64, u64),
}

impl Calls {
    fn new() -> Calls {
        Calls {
            all: Histogram::new(),
            waited: Histogram::new(),
            preempted: Histogram::new(),
            switches: switches(),
            counts: (0, 0, 0),
        }
    }

    #[inline]
    fn time<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let r = call();
        let ns = start.elapsed().as_nanos() as u64;
        self.all.add(ns);
        self.counts.0 += 1;
        if ns >= SLOW_NS {
            self.slow(ns);
        }
        r
    }

    /// Switches since the last slow call count as this one's: between calls next to nothing happens.
    #[cold]
    fn slow(&mut self, ns: u64) {
        let now = switches();
        if now.0 != self.switches.0 {
            self.waited.add(ns);
            self.counts.1 += 1;
        } else if now.1 != self.switches.1 {
            self.preempted.add(ns);
            self.counts.2 += 1;
        }
        self.switches = now;
    }

    fn merge(&mut self, other: &Calls) {
        self.all.merge(&other.all);
        self.waited.merge(&other.waited);
        self.preempted.merge(&other.preempted);
        self.counts.0 += other.counts.0;
        self.counts.1 += other.counts.1;
        self.counts.2 += other.counts.2;
    }
}

fn switches() -> (i64, i64) {
    // SAFETY: all zero is a valid structure, and it outlives the call.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        (usage.ru_nvcsw, usage.ru_nivcsw)
    }
}

/// `threads=T slots=N low=A high=B ops=N cycles=C`: each thread fills its slots, replaces random blocks `ops` times, frees nine of ten,
/// and replaces the rest `ops` times: memory is wanted and not wanted in turn. One more thread sleeps all the while.
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let slots = params.need("slots") as usize;
    let sizes = (params.need("low"), params.need("high"));
    let (ops, cycles) = (params.need("ops"), params.need("cycles"));
    let done = Barrier::new(2);
    let mut checksum = 0u64;
    let mut total = Calls::new();
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let block = Block::new(100, 1);
                done.wait();
                block.release();
            });
            let busy: Vec<_> = (0..threads)
                .map(|t| scope.spawn(move || measure(t, slots, sizes, ops, cycles)))
                .collect();
            for (sum, calls) in busy.into_iter().filter_map(|h| h.join().ok()) {
                checksum = checksum.wrapping_add(sum);
                total.merge(&calls);
            }
            done.wait();
        });
    });
    let (calls, waited, preempted) = total.counts;
    let mut report = Report::new(checksum, calls, seconds);
    for (name, q) in [
        ("p99", 0.99),
        ("p999", 0.999),
        ("p9999", 0.9999),
        ("max", 1.0),
    ] {
        report.extra(format!("all_{name}_ns"), total.all.quantile(q));
        // Of all calls, not only of those that did.
        for (what, histogram, n) in [
            ("waited", &total.waited, waited),
            ("preempted", &total.preempted, preempted),
        ] {
            let without = calls - n;
            let rank = (calls as f64 * q).ceil() - without as f64;
            let ns = if rank >= 1.0 {
                histogram.quantile(rank / n as f64)
            } else {
                0.0
            };
            report.extra(format!("{what}_{name}_ns"), ns);
        }
    }
    report.extra("waited", waited as f64);
    report.extra("preempted", preempted as f64);
    report
}

fn measure(thread: u64, slots: usize, sizes: (u64, u64), ops: u64, cycles: u64) -> (u64, Calls) {
    let mut rng = Rng::new(21, thread);
    let mut table = Table::new(slots, |_| None::<Block>);
    let mut calls = Calls::new();
    let mut sum = 0u64;
    let mut free = |calls: &mut Calls, block: Option<Block>| {
        if let Some(block) = block {
            sum = sum.wrapping_add(calls.time(|| block.release()));
        }
    };
    for _ in 0..cycles {
        for step in 0..slots as u64 + 2 * ops {
            let few = step >= slots as u64 + ops;
            if step == slots as u64 + ops {
                for slot in table.iter_mut() {
                    if rng.below(10) != 0 {
                        free(&mut calls, slot.take());
                    }
                }
            }
            let at = match step {
                s if s < slots as u64 => s,
                _ if few => rng.below(slots as u64 / 10),
                _ => rng.below(slots as u64),
            };
            let (size, tag) = (rng.octaves(sizes.0, sizes.1), rng.next() as u32);
            let fresh = calls.time(|| Block::new(size, tag));
            let old = table[at as usize].replace(fresh);
            free(&mut calls, old);
        }
    }
    for slot in table.iter_mut() {
        free(&mut calls, slot.take());
    }
    (sum, calls)
}
