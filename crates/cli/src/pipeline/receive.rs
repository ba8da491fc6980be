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
    shared.gate.wait(); // flood begins
    receiver.flood();
    shared.gate.wait(); // flood is over
    shared.gate.wait(); // paced begins
    receiver.pace();
    shared.gate.wait(); // paced is over
}

impl Receiver<'_> {
    fn flood(&mut self) {
        let end = Instant::now() + Duration::from_secs_f64(self.shared.config.flood);
        while Instant::now() < end && self.burst(BURST, false) {}
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
        let room = self.output[worker].slots().min(most);
        let (mut packets, mut bytes) = (0, 0);
        for _ in 0..room {
            let len = self.sizes.draw();
            let stamp = if timed { self.shared.stamp() } else { 0 };
            let Some(packet) = Packet::receive(len, self.sequence, stamp) else {
                self.shared.exhausted.store(true, Ordering::Relaxed);
                break;
            };
            self.sequence += 1;
            if self.output[worker].push(packet).is_err() {
                // Only this thread fills the ring, and there was room.
                unreachable!("a ring lost its room");
            }
            packets += 1;
            bytes += len as u64;
        }
        self.shared.received[self.number].add(packets, bytes);
        self.shared.arrived[worker].ring();
        packets == room as u64
    }

    /// The next worker in turn whose ring is not full.
    fn worker_with_room(&mut self) -> usize {
        let workers = self.output.len();
        let (output, turn) = (&self.output, self.turn);
        let next = || {
            (0..workers)
                .map(|i| (turn + i) % workers)
                .find(|worker| !output[*worker].is_full())
        };
        let mut found = next();
        if found.is_none() {
            let bell: &Bell = &self.shared.room[self.number];
            bell.wait(|| {
                found = next();
                found.is_some()
            });
        }
        let worker = found.unwrap_or(turn % workers);
        self.turn = worker + 1;
        worker
    }
}
