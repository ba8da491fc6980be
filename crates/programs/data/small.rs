//! A small program for the compiler to build.

use std::collections::{BTreeMap, HashMap};

fn main() {
    let mut index: HashMap<String, Vec<usize>> = HashMap::new();
    for i in 0..50_000usize {
        index.entry(format!("key{}", i * 7919 % 1009)).or_default().push(i);
    }
    let sorted: BTreeMap<_, _> = index.iter().map(|(k, v)| (v.iter().sum::<usize>(), k)).collect();
    let text: String = sorted.values().flat_map(|k| k.chars().rev()).collect();
    println!("{} {}", sorted.len(), text.bytes().fold(0u64, |s, b| s * 31 % 1_000_003 + u64::from(b)));
}
