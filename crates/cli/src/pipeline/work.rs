//! A worker: reads packets, checks them and frees them.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rtrb::Consumer;

use super::packet::Packet;
use super::{Bell, FLOOD, Shared};

/// Packets taken from one ring before the next one is looked at.
const BATCH: usize = 64;
/// How often the workers stand still in the flood.
const STALL_EVERY: Duration = Duration::from_millis(500);

/// The longest delay that is told apart from longer ones.
const LONGEST_NS: u64 = 100_000_000_000;

/// An empty histogram of delays with all its memory.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid constant bounds")
}

/// The thread's body: works until no packet will come any more. Returns the delays of the timed packets.
pub fn run(
    shared: &Shared,
    number: usize,
    mut input: Vec<Consumer<Packet>>,
    mut delays: Histogram<u64>,
) -> Histogram<u64> {
    shared.pin(shared.config.receivers + number);
    let bell: &Bell = &shared.arrived[number];
    let mut next_stall = shared.zero + STALL_EVERY;
    loop {
        if shared.phase.load(Ordering::Relaxed) == FLOOD && Instant::now() >= next_stall {
            stand_still(shared, &input);
            next_stall += STALL_EVERY;
        }
        let mut worked = false;
        for (receiver, ring) in input.iter_mut().enumerate() {
            let there = ring.slots().min(BATCH);
            if there > 0 {
                free_batch(shared, number, ring, there, &mut delays);
                if ring.slots() <= shared.low_water() {
                    shared.room[receiver].ring();
                }
                worked = true;
            }
        }
        if worked {
            continue;
        }
        // ORDERING: Acquire, pairs with Release in `conduct`: no packet came after it.
        if shared.over.load(Ordering::Acquire) {
            return delays;
        }
        bell.wait(|| input.iter().any(|r| !r.is_empty()) || shared.over.load(Ordering::Acquire));
    }
}

fn free_batch(
    shared: &Shared,
    number: usize,
    ring: &mut Consumer<Packet>,
    there: usize,
    delays: &mut Histogram<u64>,
) {
    let Ok(batch) = ring.read_chunk(there) else {
        return;
    };
    let (mut packets, mut bytes) = (0, 0);
    for packet in batch {
        let done = packet.finish();
        if done.stamp != 0 {
            delays.saturating_record(shared.stamp().saturating_sub(done.stamp));
        }
        if !done.intact {
            shared.corrupt.store(true, Ordering::Relaxed);
        }
        packets += 1;
        bytes += done.len as u64;
    }
    shared.freed[number].add(packets, bytes);
}

/// What comes after the workers is blocked: nothing is freed until all rings are full, or the flood ends.
fn stand_still(shared: &Shared, input: &[Consumer<Packet>]) {
    shared.stalled.fetch_add(1, Ordering::Relaxed);
    // Those who wait at the depth may now fill up.
    shared.room.iter().for_each(Bell::ring);
    let full = |ring: &Consumer<Packet>| ring.slots() == ring.buffer().capacity();
    let flooding = || shared.flooding.load(Ordering::Relaxed) == shared.config.receivers;
    while flooding() && !input.iter().all(full) {
        thread::sleep(Duration::from_micros(200));
    }
    shared.note_live();
    shared.stalled.fetch_sub(1, Ordering::Relaxed);
}
