//! A Rust program as anyone would write it: std, its default allocator, threads, channels, collections.
//! Prints a sum that does not depend on the allocator.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread;

const THREADS: u64 = 4;
const ITEMS: u64 = 20_000;

fn produce(thread: u64, to: &mpsc::SyncSender<(u64, String)>) {
    for item in 0..ITEMS {
        let text = "x".repeat(usize::try_from(item % 700).unwrap_or(0)) + &item.to_string();
        if to.send((thread * ITEMS + item, text)).is_err() {
            return;
        }
    }
}

fn main() {
    let (to, from) = mpsc::sync_channel(1000);
    let producers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let to = to.clone();
            thread::spawn(move || produce(thread, &to))
        })
        .collect();
    drop(to);
    let mut by_key = HashMap::new();
    let mut by_length: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (key, text) in from {
        if let Some(old) = by_key.insert(key % 5000, text) {
            by_length.entry(old.len()).or_default().push(old);
        }
    }
    for producer in producers {
        producer.join().expect("a producer panicked");
    }
    let grown: Vec<u64> = (0..1_000_000).collect(); // grows by realloc
    let lengths: usize = by_length
        .iter()
        .map(|(length, texts)| length * texts.len())
        .sum();
    let rest: usize = by_key.values().map(String::len).sum();
    println!("{}", lengths + rest + grown.len());
}
