//! A receive thread: allocates packets and deals them out to the workers, a burst at a time.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rtrb::Producer;

use super::packet::{Packet, Sizes};
use super::{Bell, Shared};

/// Packets that one worker gets at a time while everything goes as fast as it can.
pub const BURST: usize = 256;
/// Packets that arrive together in the paced phase, as from a network card's interrupt.
const PACED_BURST: usize = 64;

struct Receiver<'a> {
    shared: &'a Shared,
    number: usize,
    output: Vec<Producer<Packet>>,
    /// The worker that gets the next burst.
    turn: usize,
    sizes: Sizes,
    sequence: u64,
}

/// The thread's body.
pub fn run(shared: &Shared, number: usize, output: Vec<Producer<Packet>>) {
    let mut receiver = Receiver {
        shared,
        number,
        output,
        turn: number,
        sizes: Sizes::new(number),
        sequence: 0,
    };
    shared.pin(number);
    shared.gate.wait(); // flood begins
    receiver.flood();
    shared.flooding.fetch_sub(1, Ordering::Relaxed);
    shared.gate.wait(); // flood is over
    shared.gate.wait(); // paced begins
    receiver.pace();
    shared.gate.wait(); // paced is over
}

impl Receiver<'_> {
    /// As fast as it goes. Does not end while workers stand still, so that all rings do fill up.
    fn flood(&mut self) {
        let end = Instant::now() + Duration::from_secs_f64(self.shared.config.flood);
        let stalled = |shared: &Shared| shared.stalled.load(Ordering::Relaxed) > 0;
        while (Instant::now() < end || stalled(self.shared)) && self.burst(BURST, false) {}
    }

    /// Bursts at fixed times. One that is late does not delay the next: the rate holds.
    fn pace(&mut self) {
        let config = &self.shared.config;
        let rate = config.rate / config.receivers as f64;
        let bursts = (config.paced * rate / PACED_BURST as f64) as u32;
        let interval = match bursts {
            0 => return,
            n => Duration::from_secs_f64(config.paced) / n,
        };
        let begin = Instant::now();
        for i in 0..bursts {
            let due = begin + interval * i;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if !self.burst(PACED_BURST, true) {
                return;
            }
        }
    }

    /// Receives up to `most` packets for one worker that has room; waits if none has. `false` if memory ran out.
    fn burst(&mut self, most: usize, timed: bool) -> bool {
        let worker = self.worker_with_room();
        let ring = &mut self.output[worker];
        let room = ring.slots().min(most);
        let (mut packets, mut bytes) = (0, 0);
        // The worker sees the burst as a whole, when all of it has been received.
        if let Ok(burst) = ring.write_chunk_uninit(room) {
            burst.fill_from_iter((0..room).map_while(|_| {
                let len = self.sizes.draw();
                let stamp = if timed { self.shared.stamp() } else { 0 };
                let packet = Packet::receive(len, self.sequence, stamp)?;
                self.sequence += 1;
                packets += 1;
                bytes += len as u64;
                Some(packet)
            }));
        }
        let all = packets == room as u64;
        if !all {
            self.shared.exhausted.store(true, Ordering::Relaxed);
        }
        self.shared.received[self.number].add(packets, bytes);
        self.shared.arrived[worker].ring();
        all
    }

    /// The next worker in turn whose ring has room. If none has, waits until one has drained to the low-water mark, so
    /// that a wake-up is worth thousands of packets.
    fn worker_with_room(&mut self) -> usize {
        let turn = self.turn % self.output.len();
        let depth = self.shared.depth();
        let mut found = self.worker_below(turn, depth);
        if found.is_none() {
            let bell: &Bell = &self.shared.room[self.number];
            bell.wait(|| {
                found = self.worker_below(turn, self.shared.low_water() + 1);
                found.is_some()
            });
        }
        let worker = found.unwrap_or(turn);
        self.turn = worker + 1;
        worker
    }

    /// The first worker from `turn` on whose ring holds fewer than `depth` packets; while workers stand still, one
    /// whose ring is not full.
    fn worker_below(&self, turn: usize, depth: usize) -> Option<usize> {
        let stalled = self.shared.stalled.load(Ordering::Relaxed) > 0;
        let workers = self.output.len();
        (0..workers).map(|i| (turn + i) % workers).find(|worker| {
            let ring = &self.output[*worker];
            let limit = if stalled {
                ring.buffer().capacity()
            } else {
                depth
            };
            ring.buffer().capacity() - ring.slots() < limit
        })
    }
}
