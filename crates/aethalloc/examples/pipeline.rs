//! A packet pipeline on Aethalloc: threads that receive allocate, threads that work free. Prints the rate, and what the heap
//! holds during the work and after it.
//!
//! `cargo run --release -p aethalloc --example pipeline -- [PACKETS]`

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;

const PAIRS: usize = 2;
const BATCH: usize = 64;

type Packet = Vec<u8>;

/// Makes packets of 64 to 1500 bytes and sends them on in batches.
fn receive(packets: usize, seed: u64, out: SyncSender<Vec<Packet>>) {
    let mut state = seed;
    let mut left = packets;
    while left > 0 {
        let n = left.min(BATCH);
        let batch = (0..n).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let size = 64 + (state >> 33) as usize % 1437;
            vec![size as u8; size]
        });
        if out.send(batch.collect()).is_err() {
            return;
        }
        left -= n;
    }
}

/// Checks and frees packets; returns their bytes.
fn work(packets: Receiver<Vec<Packet>>) -> usize {
    let mut bytes = 0;
    for packet in packets.into_iter().flatten() {
        assert!(
            packet.iter().all(|b| *b == packet.len() as u8),
            "a packet changed on its way"
        );
        bytes += packet.len();
    }
    bytes
}

fn print_heap(when: &str) {
    let s = aethalloc::stats();
    let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
    println!(
        "{when:<8} {:6.2} MiB allocated, {:6.2} in caches, {:6.2} free and not given back, {} threads",
        mib(s.allocated),
        mib(s.cached),
        mib(s.retained),
        s.threads
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let packets: usize = match std::env::args().nth(1) {
        Some(n) => n.parse()?,
        None => 4_000_000,
    };
    let start = Instant::now();
    let bytes: usize = thread::scope(|s| {
        let workers: Vec<_> = (0..PAIRS)
            .map(|i| {
                let (sender, receiver) = sync_channel(32);
                s.spawn(move || receive(packets / PAIRS, i as u64 + 1, sender));
                s.spawn(move || work(receiver))
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        print_heap("working");
        let done = workers
            .into_iter()
            .map(|w| w.join().expect("a worker failed"));
        done.sum()
    });
    let seconds = start.elapsed().as_secs_f64();
    print_heap("done");
    let given = aethalloc::purge();
    print_heap("purged");
    println!(
        "{:.2} million packets/s, {:.0} MiB/s; purge gave back {} KiB",
        (packets / PAIRS * PAIRS) as f64 / seconds / 1e6,
        bytes as f64 / seconds / (1 << 20) as f64,
        given >> 10
    );
    Ok(())
}
