//! What ordinary programs do: collections of the standard library on the system's malloc.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::{Rng, mix};

/// `words=N distinct=N`: counts words: a String each, a hash map of Strings to lists of positions.
pub fn words(params: &mut Params) -> Report {
    let words = params.need("words");
    let distinct = params.need("distinct");
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(13, 0);
        // Fixed keys, so that each run does the same work.
        let mut map: HashMap<String, Vec<u32>, BuildHasherDefault<DefaultHasher>> =
            HashMap::default();
        for position in 0..words {
            let id = rng.below(rng.clone().below(distinct) + 1);
            let length = 3 + mix(id) as usize % 14;
            let word: String = (0..length)
                .map(|i| char::from(b'a' + (mix(id ^ (i as u64) << 32) % 26) as u8))
                .collect();
            map.entry(word).or_default().push(position as u32);
        }
        map.iter().fold(0u64, |sum, (word, places)| {
            let last = places.last().copied().unwrap_or(0);
            sum.wrapping_add(
                word.bytes()
                    .fold(u64::from(last), |h, b| mix(h ^ u64::from(b))),
            )
        })
    });
    Report::new(sum, words, seconds)
}

/// `keys=N ops=N`: an ordered map of keys to byte strings, inserts and removals at random.
pub fn btree(params: &mut Params) -> Report {
    let keys = params.need("keys");
    let ops = params.need("ops");
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(14, 0);
        let mut map: BTreeMap<u64, Box<[u8]>> = BTreeMap::new();
        let mut sum = 0u64;
        for _ in 0..ops {
            let key = rng.below(keys);
            match map.remove(&key) {
                Some(value) => sum = sum.wrapping_add(u64::from(value[0]) + value.len() as u64),
                None => {
                    let value = vec![key as u8; rng.between(8, 200) as usize];
                    map.insert(key, value.into_boxed_slice());
                }
            }
        }
        map.iter()
            .fold(sum, |sum, (k, v)| sum.wrapping_add(k ^ v.len() as u64))
    });
    Report::new(sum, ops, seconds)
}

struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

impl Node {
    fn tree(depth: u64) -> Option<Box<Node>> {
        (depth > 0).then(|| {
            Box::new(Node {
                left: Node::tree(depth - 1),
                right: Node::tree(depth - 1),
            })
        })
    }

    fn count(node: &Option<Box<Node>>) -> u64 {
        node.as_ref()
            .map_or(0, |n| 1 + Node::count(&n.left) + Node::count(&n.right))
    }
}

/// `depth=D rounds=N threads=T`: binary trees built and dropped, while one long-lived tree stays.
pub fn trees(params: &mut Params) -> Report {
    let depth = params.need("depth");
    let rounds = params.need("rounds");
    let threads = params.need("threads");
    let (sum, seconds) = timed(|| {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(move || {
                        let stays = Node::tree(depth);
                        let mut sum = 0;
                        for round in 0..rounds {
                            sum += Node::count(&Node::tree(depth - 4 * (round % 3)));
                        }
                        sum + Node::count(&stays)
                    })
                })
                .collect();
            handles
                .into_iter()
                .map(|h| h.join().unwrap_or(0))
                .sum::<u64>()
        })
    });
    Report::new(sum, rounds * threads, seconds)
}

/// `terms=N`: sums a series of big fractions in fresh vectors of digits, as a calculator does.
pub fn digits(params: &mut Params) -> Report {
    let terms = params.need("terms");
    let (sum, seconds) = timed(|| {
        let mut total: Vec<u32> = vec![0];
        let mut power: Vec<u32> = vec![1];
        for term in 1..=terms {
            power = times(&power, (mix(term) as u32) | 1);
            if power.len() > 24 {
                power.drain(..20);
            }
            total = plus(&total, &power);
            if total.len() > 48 {
                total = total[8..].to_vec();
            }
        }
        total.iter().fold(0u64, |h, d| mix(h ^ u64::from(*d)))
    });
    Report::new(sum, terms, seconds)
}

fn times(a: &[u32], by: u32) -> Vec<u32> {
    let mut carry = 0u64;
    let mut out = Vec::new();
    for &digit in a {
        carry += u64::from(digit) * u64::from(by);
        out.push(carry as u32);
        carry >>= 32;
    }
    if carry > 0 {
        out.push(carry as u32);
    }
    out
}

fn plus(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut carry = 0u64;
    let mut out = Vec::new();
    for i in 0..a.len().max(b.len()) {
        carry +=
            u64::from(a.get(i).copied().unwrap_or(0)) + u64::from(b.get(i).copied().unwrap_or(0));
        out.push(carry as u32);
        carry >>= 32;
    }
    if carry > 0 {
        out.push(carry as u32);
    }
    out
}

/// A message of a made-up protocol, nested.
enum Message {
    Number(u64),
    Text(String),
    List(Vec<Message>),
    Map(Vec<(String, Message)>),
}

impl Message {
    fn make(rng: &mut Rng, depth: u64) -> Message {
        match rng.below(if depth == 0 { 2 } else { 4 }) {
            0 => Message::Number(rng.next()),
            1 => Message::Text("x".repeat(rng.between(1, 60) as usize)),
            2 => Message::List(
                (0..rng.between(1, 6))
                    .map(|_| Message::make(rng, depth - 1))
                    .collect(),
            ),
            _ => Message::Map(
                (0..rng.between(1, 6))
                    .map(|i| (format!("key{i}"), Message::make(rng, depth - 1)))
                    .collect(),
            ),
        }
    }

    fn write(&self, out: &mut String) {
        use std::fmt::Write;
        match self {
            Message::Number(n) => {
                let _ = write!(out, "{n}");
            }
            Message::Text(text) => out.push_str(text),
            Message::List(items) => items.iter().for_each(|item| item.write(out)),
            Message::Map(items) => items.iter().for_each(|(key, item)| {
                out.push_str(key);
                item.write(out);
            }),
        }
    }
}

/// `messages=N window=N`: nested messages are built, written out and dropped some time later.
pub fn messages(params: &mut Params) -> Report {
    let messages = params.need("messages");
    let window = params.need("window") as usize;
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(15, 0);
        let mut kept = VecDeque::new();
        let mut sum = 0u64;
        for _ in 0..messages {
            let message = Message::make(&mut rng, 5);
            let mut out = String::new();
            message.write(&mut out);
            sum = sum.wrapping_add(out.len() as u64).rotate_left(1);
            kept.push_back((message, out));
            if kept.len() > window {
                kept.pop_front();
            }
        }
        sum
    });
    Report::new(sum, messages, seconds)
}
