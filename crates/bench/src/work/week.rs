//! A week in a minute: a server with days and nights, worker threads replaced each phase, a nightly job with
//! other sizes, a request mix that drifts. What is resident at the end of each phase, and does it grow?

use std::time::Duration;

use crate::heap::Block;
use crate::params::Params;
use crate::proc;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

const WORKERS: usize = 4;

/// One worker's part of the server; another thread takes it over each phase.
struct Part {
    sessions: Table<Option<Block>>,
    cache: Table<Option<Block>>,
    rng: Rng,
    sum: u64,
}

/// `days=7 sessions=N requests=N pause=MS` (both per worker and phase): marks per phase, "d1-morning" and so on;
/// `night_ratio` is resident to live bytes at the last night's end, `growth` the last night's resident size to the first's.
pub fn run(params: &mut Params) -> Report {
    let days = params.need("days");
    let sessions = params.need("sessions") as usize;
    let requests = params.need("requests");
    let pause = Duration::from_millis(params.need("pause"));
    let mut parts = Table::new(WORKERS, |worker| Part {
        sessions: Table::new(sessions, |_| None),
        cache: Table::new(sessions / 2, |_| None),
        rng: Rng::new(17, worker as u64),
        sum: 0,
    });
    let own = proc::memory().rss_kib;
    let mut marks = Vec::with_capacity(64);
    let mut nights = Vec::with_capacity(16);
    let (sum, seconds) = timed(|| {
        for day in 1..=days {
            phase(&mut parts, |part| part.serve(day, requests, 100));
            marks.push((day, "morning", proc::memory()));
            phase(&mut parts, |part| part.serve(day, requests, 50));
            phase(&mut parts, |part| part.leave(20));
            marks.push((day, "evening", proc::memory()));
            phase(&mut parts, |part| part.nightly(requests / 8));
            std::thread::sleep(pause);
            let memory = proc::memory();
            marks.push((day, "night", memory));
            nights.push((memory.rss_kib.saturating_sub(own), live(&parts)));
        }
        parts.iter_mut().fold(0u64, |sum, part| {
            let rest =
                single::empty(&mut part.sessions).wrapping_add(single::empty(&mut part.cache));
            sum.wrapping_add(part.sum).wrapping_add(rest)
        })
    });
    let mut report = Report::new(sum, days * requests * WORKERS as u64 * 2, seconds);
    for (day, name, memory) in marks {
        report.mark(format!("d{day}-{name}"), memory);
    }
    if let (Some(first), Some(last)) = (nights.first(), nights.last()) {
        report.extra("night_ratio", last.0 as f64 * 1024.0 / last.1 as f64);
        report.extra("growth", last.0 as f64 / first.0 as f64);
        report.extra("night_kib", last.0 as f64);
        report.extra("live_kib", last.1 as f64 / 1024.0);
    }
    report
}

/// New threads take over the parts, each another one's than last time.
fn phase(parts: &mut [Part], work: impl Fn(&mut Part) + Sync) {
    parts.rotate_left(1);
    std::thread::scope(|scope| {
        for part in parts.iter_mut() {
            let work = &work;
            scope.spawn(move || work(part));
        }
    });
}

fn live(parts: &[Part]) -> u64 {
    let sizes = |t: &[Option<Block>]| t.iter().flatten().map(Block::size).sum::<u64>();
    parts
        .iter()
        .map(|p| sizes(&p.sessions) + sizes(&p.cache))
        .sum()
}

impl Part {
    /// Requests: each allocates and frees a few temporaries and replaces a session or a cache entry.
    fn serve(&mut self, day: u64, requests: u64, share: u64) {
        let sessions = self.sessions.len() as u64 * share / 100;
        for _ in 0..requests {
            let mut temporaries: [Option<Block>; 6] = [const { None }; 6];
            for slot in &mut temporaries {
                *slot = Some(Block::new(
                    self.rng.octaves(16, 4096),
                    self.rng.next() as u32,
                ));
            }
            // What a session holds grows a little from day to day, as programs do.
            let size = self.rng.octaves(32, 1024) + day * 24;
            let session = Block::filled(size, self.rng.next() as u32);
            let place = self.rng.below(sessions) as usize;
            self.replace(place, session);
            if self.rng.below(4) == 0 {
                let entry = Block::filled(self.rng.octaves(128, 8192), self.rng.next() as u32);
                let place = self.rng.below(self.cache.len() as u64) as usize;
                if let Some(old) = self.cache[place].replace(entry) {
                    self.sum = self.sum.wrapping_add(old.release());
                }
            }
            self.sum = self.sum.wrapping_add(single::empty(&mut temporaries));
        }
    }

    /// Sessions end until about `keep` percent are left.
    fn leave(&mut self, keep: u64) {
        for slot in self.sessions.iter_mut() {
            if self.rng.below(100) >= keep
                && let Some(block) = slot.take()
            {
                self.sum = self.sum.wrapping_add(block.release());
            }
        }
    }

    /// The nightly job: many records of its own sizes, and a few large buffers, all gone when it ends.
    fn nightly(&mut self, records: u64) {
        let mut table = Table::new(records as usize, |_| None::<Block>);
        for (index, slot) in table.iter_mut().enumerate() {
            let size = if index % 4096 == 0 {
                1 << 20
            } else {
                self.rng.between(200, 3000)
            };
            *slot = Some(Block::filled(size, self.rng.next() as u32));
        }
        self.sum = self.sum.wrapping_add(single::empty(&mut table));
    }

    fn replace(&mut self, place: usize, block: Block) {
        if let Some(old) = self.sessions[place].replace(block) {
            self.sum = self.sum.wrapping_add(old.release());
        }
    }
}
