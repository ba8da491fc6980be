//! A key-value store in one thread: a chained hash table that is rehashed a bucket at a time, values that are
//! strings, lists and small records, replies built for each request.

use std::collections::VecDeque;

use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::{Rng, mix};

struct Entry {
    key: Bytes,
    value: Value,
    next: Link,
}

type Link = Option<Box<Entry>>;

type Bytes = Box<[u8]>;

enum Value {
    Text(Vec<u8>),
    List(VecDeque<Bytes>),
    Record(Vec<(Bytes, Bytes)>),
}

/// Two tables while entries move from the old one to the new one.
struct Store {
    old: Vec<Link>,
    new: Vec<Link>,
    moved: usize,
    entries: usize,
}

/// `keys=N ops=N`: writes, reads, appends, pushes, pops and deletions on keys of which some are asked for often.
pub fn run(params: &mut Params) -> Report {
    let keys = params.need("keys");
    let ops = params.need("ops");
    let (sum, seconds) = timed(|| {
        let mut store = Store {
            old: Vec::new(),
            new: empty_table(16),
            moved: 0,
            entries: 0,
        };
        let mut rng = Rng::new(23, 0);
        let mut sum = 0u64;
        for _ in 0..ops {
            let id = rng.below(rng.clone().below(keys) + 1);
            let key = format!("object:{:x}:{id}", mix(id) >> 40);
            let reply = store.request(key.as_bytes(), &mut rng);
            sum = sum.wrapping_add(reply.len() as u64).rotate_left(1);
        }
        sum ^ store.entries as u64
    });
    Report::new(sum, ops, seconds)
}

fn empty_table(buckets: usize) -> Vec<Link> {
    (0..buckets).map(|_| None).collect()
}

fn hash(key: &[u8]) -> usize {
    key.iter()
        .fold(0u64, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
        })
        .rotate_left(20) as usize
}

fn bytes(rng: &mut Rng, low: u64, high: u64) -> Bytes {
    let length = rng.octaves(low, high) as usize;
    vec![length as u8; length].into_boxed_slice()
}

impl Store {
    fn request(&mut self, key: &[u8], rng: &mut Rng) -> Vec<u8> {
        self.move_a_bucket();
        match rng.below(10) {
            0..4 => {
                let value = match rng.below(8) {
                    0 => Value::List((0..rng.below(6)).map(|_| bytes(rng, 8, 64)).collect()),
                    1 => Value::Record(
                        (0..rng.between(1, 6))
                            .map(|_| (bytes(rng, 4, 16), bytes(rng, 8, 128)))
                            .collect(),
                    ),
                    _ => Value::Text(bytes(rng, 16, 512).into_vec()),
                };
                self.set(key, value);
                b"+OK".to_vec()
            }
            9 => match self.remove(key) {
                Some(_) => b":1".to_vec(),
                None => b":0".to_vec(),
            },
            kind => match self.find(key) {
                None => b"$-1".to_vec(),
                Some(value) => value.request(kind, rng),
            },
        }
    }

    fn find(&mut self, key: &[u8]) -> Option<&mut Value> {
        let mut link = self.bucket(key);
        while let Some(entry) = link {
            if *entry.key == *key {
                return Some(&mut entry.value);
            }
            link = &mut entry.next;
        }
        None
    }

    fn set(&mut self, key: &[u8], value: Value) {
        if let Some(place) = self.find(key) {
            *place = value;
            return;
        }
        let link = self.bucket(key);
        let next = link.take();
        *link = Some(Box::new(Entry {
            key: key.into(),
            value,
            next,
        }));
        self.entries += 1;
        if self.old.is_empty() && self.entries > self.new.len() {
            let larger = empty_table(self.new.len() * 2);
            self.old = std::mem::replace(&mut self.new, larger);
            self.moved = 0;
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Value> {
        let mut link = self.bucket(key);
        while link.as_ref().is_some_and(|entry| *entry.key != *key) {
            link = &mut link.as_mut()?.next;
        }
        let entry = link.take()?;
        *link = entry.next;
        self.entries -= 1;
        Some(entry.value)
    }

    /// The bucket of a key: in the old table unless that part has moved.
    fn bucket(&mut self, key: &[u8]) -> &mut Link {
        let hash = hash(key);
        if !self.old.is_empty() {
            let index = hash & (self.old.len() - 1);
            if index >= self.moved {
                return &mut self.old[index];
            }
        }
        let index = hash & (self.new.len() - 1);
        &mut self.new[index]
    }

    fn move_a_bucket(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let mut link = self.old[self.moved].take();
        self.moved += 1;
        while let Some(mut entry) = link {
            link = entry.next.take();
            let index = hash(&entry.key) & (self.new.len() - 1);
            entry.next = self.new[index].take();
            self.new[index] = Some(entry);
        }
        if self.moved == self.old.len() {
            self.old = Vec::new();
        }
    }
}

impl Value {
    fn request(&mut self, kind: u64, rng: &mut Rng) -> Vec<u8> {
        match self {
            Value::Text(text) => {
                if kind == 8 && text.len() < 4096 {
                    text.extend_from_slice(b"appended to what was there");
                }
                text.clone()
            }
            Value::List(list) => {
                if kind >= 7 && list.len() < 64 {
                    list.push_back(bytes(rng, 8, 64));
                } else if kind == 6 {
                    list.pop_front();
                }
                list.iter()
                    .take(4)
                    .flat_map(|item| item.iter())
                    .copied()
                    .collect()
            }
            Value::Record(fields) => {
                let at = rng.below(fields.len() as u64) as usize;
                if kind >= 7 {
                    fields[at].1 = bytes(rng, 8, 128);
                }
                fields[at].1.to_vec()
            }
        }
    }
}
