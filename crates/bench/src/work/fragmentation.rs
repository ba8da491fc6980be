//! Fill, free most of it at random, wait; then fill again with other sizes. How much of what is free is given
//! back, and how much can be used again?

use std::time::{Duration, Instant};

use crate::heap::Block;
use crate::params::{self, Params};
use crate::proc;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::table::Table;

/// `bytes=600m mix=server|one keep=15 wait=10`: marks "full", "sparse", "idle" and "refilled"; `live_kib` is what
/// the program holds in the sparse state, `refill_s` what the second filling takes, `idle_ratio` the resident size for it.
pub fn run(params: &mut Params) -> Report {
    let bytes = params.need("bytes");
    let keep = params.number("keep", 15);
    let wait = params.number("wait", 0);
    let (first, second, mean): (Mix, Mix, u64) = match params.word("mix", "server").as_str() {
        "server" => (server, server_later, 700),
        "one" => (|_| 128, |_| 192, 128),
        other => params::fail(&format!("mix: server or one, not '{other}'")),
    };
    let slots = (bytes / mean) as usize + 16;
    let mut rng = Rng::new(16, 0);
    let mut table = Table::new(slots, |_| None::<Block>);
    let before = proc::memory().rss_kib;
    let mut marks = Vec::new();
    let mut live = 0;
    let mut refill = Duration::ZERO;
    let (sum, seconds) = timed(|| {
        let full = fill(&mut table, &mut rng, bytes, first);
        marks.push(("full", proc::memory()));
        live = full;
        let mut sum = 0u64;
        for slot in table.iter_mut() {
            if rng.below(100) >= keep
                && let Some(block) = slot.take()
            {
                live -= block.size();
                sum = sum.wrapping_add(block.release());
            }
        }
        marks.push(("sparse", proc::memory()));
        std::thread::sleep(Duration::from_secs(wait));
        marks.push(("idle", proc::memory()));
        let start = Instant::now();
        fill(&mut table, &mut rng, full - live, second);
        refill = start.elapsed();
        marks.push(("refilled", proc::memory()));
        sum.wrapping_add(crate::single::empty(&mut table))
    });
    let mut report = Report::new(sum, slots as u64, seconds);
    let live_kib = live as f64 / 1024.0;
    report.extra("refill_s", refill.as_secs_f64());
    for (name, memory) in marks {
        if name == "idle" {
            report.extra(
                "idle_ratio",
                memory.rss_kib.saturating_sub(before) as f64 / live_kib,
            );
        }
        if name == "refilled" {
            let wanted = bytes as f64 / 1024.0;
            report.extra(
                "refilled_ratio",
                memory.rss_kib.saturating_sub(before) as f64 / wanted,
            );
        }
        report.mark(name, memory);
    }
    report.extra("live_kib", live_kib);
    report.extra("own_kib", before as f64);
    report
}

type Mix = fn(&mut Rng) -> u64;

/// 60 % of 16 to 128 B, 30 % to 1 KiB, 9 % to 8 KiB, 1 % to 64 KiB.
fn server(rng: &mut Rng) -> u64 {
    match rng.below(100) {
        0..60 => rng.between(16, 128),
        60..90 => rng.between(129, 1024),
        90..99 => rng.between(1025, 8192),
        _ => rng.between(8193, 65536),
    }
}

/// The same program a version later: the sizes have moved.
fn server_later(rng: &mut Rng) -> u64 {
    match rng.below(100) {
        0..40 => rng.between(40, 300),
        40..85 => rng.between(301, 1500),
        85..99 => rng.between(1501, 12000),
        _ => rng.between(12001, 40000),
    }
}

/// Fills empty slots until `bytes` are allocated; returns how many were.
fn fill(table: &mut [Option<Block>], rng: &mut Rng, bytes: u64, mix: Mix) -> u64 {
    let mut total = 0;
    for slot in table.iter_mut().filter(|slot| slot.is_none()) {
        if total >= bytes {
            break;
        }
        let size = mix(rng);
        *slot = Some(Block::filled(size, rng.next() as u32));
        total += size;
    }
    total
}
