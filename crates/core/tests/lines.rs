//! By address: no 64-byte line is ever handed to two threads while both hold blocks in it. Blocks of a thread that
//! ended stay that thread's until they are freed.

mod common;

use aethalloc_base::units::LINE;
use aethalloc_core::front;
use common::Random;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const PLACES: usize = 4;
const GENERATIONS: usize = 25;
const STEPS: usize = 6000;
const KEPT: usize = 800;
const SHARDS: usize = 64;

/// A block: its address, the bytes that may be used.
type Block = (usize, usize);

/// Who holds blocks in each line, and how many.
struct Lines {
    shards: Vec<Mutex<HashMap<usize, (u32, u32)>>>,
    threads: AtomicU32,
}

impl Lines {
    fn each(&self, (at, usable): Block, mut f: impl FnMut(&mut HashMap<usize, (u32, u32)>, usize)) {
        for line in at / LINE..(at + usable).div_ceil(LINE) {
            f(
                &mut self.shards[line % SHARDS].lock().expect("no thread failed"),
                line,
            );
        }
    }
    /// Thread `me` was handed `block`.
    fn hold(&self, me: u32, block: Block) {
        self.each(block, |lines, line| {
            let (owner, n) = lines.entry(line).or_insert((me, 0));
            if *owner != me {
                let (owner, at) = (*owner, line * LINE);
                panic!("line {at:#x} of block {block:x?} handed to thread {me} while thread {owner} holds blocks in it");
            }
            *n += 1;
        });
    }
    /// `block`, whoever was handed it, is about to be freed.
    fn drop(&self, block: Block) {
        self.each(block, |lines, line| {
            let (_, n) = lines.get_mut(&line).expect("the line of a live block");
            *n -= 1;
            if *n == 0 {
                lines.remove(&line);
            }
        });
    }
    fn allocate(&self, me: u32, size: usize) -> Block {
        let p = front::allocate(size);
        assert!(!p.is_null());
        // SAFETY: live.
        let block = (p.addr(), unsafe { front::usable_size(p) });
        self.hold(me, block);
        block
    }
    fn free(&self, block: Block) {
        self.drop(block);
        // SAFETY: live, and nothing uses it afterwards.
        unsafe { front::deallocate(aethalloc_core::space::pointer(block.0)) };
    }
}

fn work(lines: &Lines, inbox: &Receiver<Block>, out: &[Sender<Block>], mut random: Random) {
    let me = lines.threads.fetch_add(1, Relaxed) + 1;
    let mut mine: Vec<Block> = Vec::new();
    // Few sizes, so that some classes become hot and others stay cold; small ones share lines.
    let most = [64, 256, 1009];
    let liked: Vec<usize> = most.iter().map(|most| 16 + random.below(*most)).collect();
    for _ in 0..STEPS {
        while let Ok(b) = inbox.try_recv() {
            lines.free(b);
        }
        if mine.len() < KEPT && !random.once_in(3) {
            let size = if random.once_in(10) {
                1 + random.below(1024)
            } else {
                liked[random.below(liked.len())]
            };
            mine.push(lines.allocate(me, size));
        } else if !mine.is_empty() {
            let b = mine.swap_remove(random.below(mine.len()));
            if random.once_in(2) {
                lines.free(b);
            } else {
                out[random.below(out.len())]
                    .send(b)
                    .expect("inboxes outlive workers");
            }
        }
        if random.once_in(1500) {
            front::purge();
        }
    }
    // The thread ends with live blocks: others free them, later.
    for b in mine {
        out[random.below(out.len())]
            .send(b)
            .expect("inboxes outlive workers");
    }
}

#[test]
fn no_line_is_held_by_two_threads() {
    let seed = common::seed();
    let lines = Arc::new(Lines {
        shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
        threads: AtomicU32::new(0),
    });
    let (to, from): (Vec<_>, Vec<_>) = (0..PLACES).map(|_| channel()).unzip();
    let places: Vec<_> = from
        .into_iter()
        .enumerate()
        .map(|(place, mut inbox)| {
            let (lines, to) = (lines.clone(), to.clone());
            std::thread::spawn(move || {
                for g in 0..GENERATIONS {
                    let (lines, to) = (lines.clone(), to.clone());
                    let random = Random::new(seed, (place * 1000 + g) as u64);
                    let worker = std::thread::spawn(move || {
                        work(&lines, &inbox, &to, random);
                        inbox
                    });
                    inbox = worker.join().expect("a worker failed");
                }
                inbox
            })
        })
        .collect();
    let inboxes: Vec<_> = places
        .into_iter()
        .map(|p| p.join().expect("a worker failed"))
        .collect();
    for inbox in inboxes {
        inbox.try_iter().for_each(|b| lines.free(b));
    }
    assert!(
        lines
            .shards
            .iter()
            .all(|s| s.lock().expect("no thread failed").is_empty()),
        "a live block was not freed"
    );
}
