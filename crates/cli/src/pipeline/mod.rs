//! The packet pipeline that `aethalloc demo` measures, in a process of its own.
//!
//! ```text
//!  receive thread 0 ──┬─[ring]─> worker 0      a packet: malloc'ed by the receive thread, 64 to 1500 bytes,
//!                     └─[ring]─> worker 1      header and part of the payload written; checked and freed
//!  receive thread 1 ──┬─[ring]─> worker 0      by the worker
//!                     └─[ring]─> worker 1
//! ```
//!
//! Three phases, every packet freed at the end of each:
//!
//! 1. **flood**: as many packets as go through, with about 4000 under way. Twice a second the workers stand still until
//!    65536 have piled up, so that each run has the same peak. Gives packets per second and CPU time per packet.
//! 2. **paced**: bursts at a fixed rate, the same for every allocator, each packet stamped when it is received and read
//!    off when it has been freed. Gives the delay from receive to free.
//! 3. **idle**: all threads sleep. Gives the resident size at rest.
//!
//! Each thread has a CPU of its own where there are enough. Packets come from libc's `malloc`, so that `LD_PRELOAD` decides who serves them. Rings, histograms and thread handles
//! are made before the first phase; while packets flow nothing else allocates.

mod bell;
mod memory;
mod packet;
mod receive;
mod work;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::fail::{Failure, Outcome};
use crate::sys::{self, Usage};
use bell::Bell;
use packet::Packet;

/// Packets that fit into all rings together: what piles up while the workers stand still.
const QUEUED: usize = 1 << 16;
/// Packets that all rings together hold while the workers work. Below a cache's size, so that a run does not tip
/// between short queues of warm packets and long ones of cold packets.
const DEPTH: usize = 1 << 12;

/// What to run, in seconds and packets per second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Threads that allocate.
    pub receivers: usize,
    /// Threads that free.
    pub workers: usize,
    /// Length of the first phase.
    pub flood: f64,
    /// Length of the second phase.
    pub paced: f64,
    /// Packets per second in the second phase, all receive threads together.
    pub rate: f64,
    /// Length of the third phase.
    pub idle: f64,
}

/// What one run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Packets that went through in both phases.
    pub packets: u64,
    /// Packets per second in the first phase.
    pub packets_per_second: f64,
    /// CPU time per packet in the first phase, all threads, nanoseconds.
    pub cpu_per_packet_ns: f64,
    /// Delay from receive to free in the second phase, nanoseconds; `None` without that phase.
    pub p50_ns: Option<u64>,
    /// The same: one packet in a thousand took longer.
    pub p999_ns: Option<u64>,
    /// Bytes in packets at the fullest moment, as requested.
    pub live_peak: u64,
    /// Highest resident size of the process, bytes.
    pub rss_peak: u64,
    /// Resident size right after the last packet was freed, bytes.
    pub rss_drained: u64,
    /// Resident size at the end of the third phase, bytes.
    pub rss_idle: u64,
    /// User plus system time of the whole process, seconds.
    pub cpu_seconds: f64,
    /// The file whose code a call of `malloc` reaches, from /proc/self/maps.
    pub malloc_from: String,
}

/// One thread's running totals; alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Count {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    /// Adds to a count that only the calling thread writes.
    fn add(&self, packets: u64, bytes: u64) {
        let bump = |total: &AtomicU64, n| {
            // ORDERING: one writer; readers want a recent value of packets together with what the writer did before.
            total.store(total.load(Ordering::Relaxed) + n, Ordering::Release);
        };
        bump(&self.bytes, bytes);
        bump(&self.packets, packets);
    }
}

/// Which phase the workers are in.
const FLOOD: u8 = 0;
const PACED: u8 = 1;

/// What all threads of a run share.
struct Shared {
    config: Config,
    /// CPUs that this process may use.
    cpus: Vec<usize>,
    /// Time zero of all stamps.
    zero: Instant,
    phase: AtomicU8,
    /// Receive threads that are still in the first phase.
    flooding: AtomicUsize,
    /// Workers that stand still now.
    stalled: AtomicUsize,
    /// No packet will come any more.
    over: AtomicBool,
    /// A packet's content was not what was written, or malloc returned null.
    corrupt: AtomicBool,
    exhausted: AtomicBool,
    /// Receive threads and the conductor meet here at every change of phase.
    gate: Barrier,
    received: Box<[Count]>,
    freed: Box<[Count]>,
    /// Wakes receive threads that wait for room, and workers that wait for packets.
    room: Box<[Bell]>,
    arrived: Box<[Bell]>,
    live_peak: AtomicU64,
}

impl Shared {
    fn new(config: Config) -> Self {
        let (r, w) = (config.receivers, config.workers);
        Self {
            config,
            cpus: sys::allowed_cpus(),
            zero: Instant::now(),
            phase: AtomicU8::new(FLOOD),
            flooding: AtomicUsize::new(r),
            stalled: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            corrupt: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            gate: Barrier::new(r + 1),
            received: (0..r).map(|_| Count::default()).collect(),
            freed: (0..w).map(|_| Count::default()).collect(),
            room: (0..r).map(|_| Bell::default()).collect(),
            arrived: (0..w).map(|_| Bell::default()).collect(),
            live_peak: AtomicU64::new(0),
        }
    }

    /// Packets that one ring holds while the workers work.
    fn depth(&self) -> usize {
        (DEPTH / (self.config.receivers * self.config.workers)).max(receive::BURST)
    }

    /// A receive thread that found its rings at their depth goes on when one has drained to this.
    fn low_water(&self) -> usize {
        self.depth() / 2
    }

    /// Keeps the calling thread, number `thread` of all, on a CPU of its own if there are enough. Otherwise the
    /// scheduler now and then puts both ends of a ring on one CPU, which measures how the machine is loaded: without
    /// two CPUs at work, no lock is ever contended and no cache line ever moves.
    fn pin(&self, thread: usize) {
        if self.cpus.len() >= self.config.receivers + self.config.workers {
            sys::pin_this_thread(self.cpus[thread]);
        }
    }

    /// Nanoseconds since time zero, never 0.
    fn stamp(&self) -> u64 {
        (self.zero.elapsed().as_nanos() as u64).max(1)
    }

    fn sum(counts: &[Count], field: impl Fn(&Count) -> &AtomicU64) -> u64 {
        // ORDERING: Acquire, pairs with Release in `Count::add`.
        counts
            .iter()
            .map(|c| field(c).load(Ordering::Acquire))
            .sum()
    }

    /// Notes the bytes that are in packets now, if it is a new peak.
    fn note_live(&self) {
        // What was freed is read first: a packet freed meanwhile then counts as live, never the reverse.
        let freed = Self::sum(&self.freed, |c| &c.bytes);
        let received = Self::sum(&self.received, |c| &c.bytes);
        self.live_peak
            .fetch_max(received.saturating_sub(freed), Ordering::Relaxed);
    }

    /// Waits until every received packet has been freed. The receive threads stand at the gate.
    fn wait_until_drained(&self) -> u64 {
        loop {
            let received = Self::sum(&self.received, |c| &c.packets);
            if received == Self::sum(&self.freed, |c| &c.packets) {
                return received;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs the three phases and measures this process.
pub fn run(config: Config) -> Outcome<Measured> {
    let shared = Shared::new(config);
    let (mut outputs, mut inputs) = rings(&shared.config);
    let mut measured = None;
    let delays: Vec<Histogram<u64>> = thread::scope(|scope| {
        let shared = &shared;
        let workers: Vec<_> = (0..shared.config.workers)
            .map(|i| {
                let input = std::mem::take(&mut inputs[i]);
                let delays = work::new_histogram();
                scope.spawn(move || work::run(shared, i, input, delays))
            })
            .collect();
        for (i, output) in outputs.iter_mut().enumerate() {
            let output = std::mem::take(output);
            scope.spawn(move || receive::run(shared, i, output));
        }
        measured = Some(conduct(shared));
        workers
            .into_iter()
            .filter_map(|worker| worker.join().ok())
            .collect()
    });
    if shared.exhausted.load(Ordering::Relaxed) {
        return Err(Failure::failed("malloc returned null in the pipeline"));
    }
    if shared.corrupt.load(Ordering::Relaxed) {
        return Err(Failure::failed(
            "a packet was freed with another content than it was received with",
        ));
    }
    let mut measured =
        measured.ok_or_else(|| Failure::failed("the pipeline ended without a measurement"))??;
    let mut all = work::new_histogram();
    for delays in &delays {
        all.add(delays)
            .map_err(|e| Failure::failed(format!("histograms do not add up: {e}")))?;
    }
    let quantile = |q| (!all.is_empty()).then(|| all.value_at_quantile(q));
    measured.p50_ns = quantile(0.5);
    measured.p999_ns = quantile(0.999);
    Ok(measured)
}

type Outputs = Vec<Vec<rtrb::Producer<Packet>>>;
type Inputs = Vec<Vec<rtrb::Consumer<Packet>>>;

/// One ring from every receive thread to every worker.
fn rings(config: &Config) -> (Outputs, Inputs) {
    let capacity = (QUEUED / (config.receivers * config.workers)).max(2 * receive::BURST);
    let mut outputs: Outputs = (0..config.receivers).map(|_| Vec::new()).collect();
    let mut inputs: Inputs = (0..config.workers).map(|_| Vec::new()).collect();
    for output in &mut outputs {
        for input in &mut inputs {
            let (producer, consumer) = rtrb::RingBuffer::new(capacity);
            output.push(producer);
            input.push(consumer);
        }
    }
    (outputs, inputs)
}

/// Leads the threads through the phases and takes the process's figures between them.
fn conduct(shared: &Shared) -> Outcome<Measured> {
    let before = (Instant::now(), Usage::current());
    shared.gate.wait(); // flood begins
    shared.gate.wait(); // flood is over
    let flooded = shared.wait_until_drained();
    let seconds = before.0.elapsed().as_secs_f64();
    let cpu = Usage::current().cpu - before.1.cpu;

    // ORDERING: the gate orders it before the next packets.
    shared.phase.store(PACED, Ordering::Relaxed);
    shared.gate.wait(); // paced begins
    shared.gate.wait(); // paced is over
    let packets = shared.wait_until_drained();

    let drained = memory::now();
    thread::sleep(Duration::from_secs_f64(shared.config.idle));
    let idle = memory::now();
    let cpu_seconds = Usage::current().cpu.as_secs_f64();

    // Everybody is let go before an error is looked at: the scope waits for all threads.
    shared.over.store(true, Ordering::Release);
    shared.arrived.iter().for_each(Bell::ring);

    let (drained, idle) = (drained?, idle?);
    Ok(Measured {
        packets,
        packets_per_second: flooded as f64 / seconds,
        cpu_per_packet_ns: cpu.as_nanos() as f64 / flooded.max(1) as f64,
        p50_ns: None,
        p999_ns: None,
        live_peak: shared.live_peak.load(Ordering::Relaxed),
        rss_peak: idle.peak,
        rss_drained: drained.now,
        rss_idle: idle.now,
        cpu_seconds,
        malloc_from: memory::malloc_from()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_measures_itself() {
        let config = Config {
            receivers: 2,
            workers: 2,
            flood: 1.2,
            paced: 0.3,
            rate: 20_000.0,
            idle: 0.05,
        };
        let m = run(config).unwrap();
        // 0.3 s at 20 000 per second come on top of the flood.
        let flooded = m.packets - m.packets.min(6_000);
        assert!(m.packets_per_second > 1000.0);
        assert!(flooded as f64 <= m.packets_per_second * 60.0);
        // The workers stood still at least once, with all rings full of packets of 782 bytes on average.
        let expected = QUEUED as f64 * 782.0;
        assert!(
            (0.9..1.1).contains(&(m.live_peak as f64 / expected)),
            "{}",
            m.live_peak
        );
        assert!(m.rss_peak > m.live_peak);
        assert!(m.rss_peak >= m.rss_idle && m.rss_idle > 0);
        assert!(m.p50_ns.unwrap() > 0 && m.p50_ns <= m.p999_ns);
        assert!(m.cpu_seconds > 0.0 && m.cpu_per_packet_ns > 0.0);
        assert!(m.malloc_from.contains("libc"), "{}", m.malloc_from);
    }

    #[test]
    fn without_a_paced_phase_there_is_no_delay() {
        let config = Config {
            receivers: 1,
            workers: 1,
            flood: 0.05,
            paced: 0.0,
            rate: 0.0,
            idle: 0.0,
        };
        let m = run(config).unwrap();
        assert!(m.packets > 0 && m.p999_ns.is_none());
    }
}
