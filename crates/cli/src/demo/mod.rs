//! The demo's parent process: runs the pipeline as children, alternating between the allocators, and compares.

mod progress;
mod round;
mod table;

use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::fail::Outcome;
use crate::locate::Library;
use crate::pipeline::{Config, Measured};
use crate::sys;
use progress::Progress;
use round::Rounds;

pub use table::table;

/// Seconds of the trial that sets the paced phase's rate.
const TRIAL: f64 = 1.0;
/// The share of a round's seconds in which packets go as fast as they can; the rest is paced.
const FLOOD_SHARE: f64 = 0.6;
/// The paced rate, as a share of what the system allocator reached in the trial.
const PACED_LOAD: f64 = 0.2;
/// More threads of a kind than this show nothing new.
const MOST_THREADS: usize = 8;

/// What to measure.
pub struct Plan {
    seconds: f64,
    idle: f64,
    rounds: u32,
    receivers: usize,
    workers: usize,
}

impl Plan {
    /// `seconds` per round and `idle` ones behind them, and one thread for each CPU that this process may use: half of them receive, half work.
    pub fn new(seconds: f64, idle: f64, rounds: u32) -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let receivers = (cpus / 2).clamp(1, MOST_THREADS);
        let workers = cpus.saturating_sub(receivers).clamp(1, MOST_THREADS);
        Self {
            seconds,
            idle,
            rounds,
            receivers,
            workers,
        }
    }

    fn trial(&self) -> Config {
        Config {
            receivers: self.receivers,
            workers: self.workers,
            flood: TRIAL,
            paced: 0.0,
            rate: 0.0,
            idle: 0.0,
        }
    }

    fn round(&self, rate: f64) -> Config {
        Config {
            receivers: self.receivers,
            workers: self.workers,
            flood: self.seconds * FLOOD_SHARE,
            paced: self.seconds * (1.0 - FLOOD_SHARE),
            rate,
            idle: self.idle,
        }
    }

    /// How long everything takes.
    fn duration(&self) -> Duration {
        let round = self.seconds + self.idle;
        Duration::from_secs_f64(TRIAL + 2.0 * f64::from(self.rounds) * round)
    }
}

/// The two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the program gets without us.
    System,
    /// The library preloaded.
    Aethalloc,
}

/// All figures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The system allocator's name.
    pub system_name: String,
    /// The library's path.
    pub library: String,
    /// What each round ran.
    pub config: Config,
    /// Each round on the system allocator.
    pub system: Vec<Measured>,
    /// Each round on Aethalloc.
    pub aethalloc: Vec<Measured>,
    /// Allocations that the library itself counted in each of its rounds.
    pub library_allocations: Vec<u64>,
}

/// Runs all rounds.
pub fn measure(plan: &Plan, library: &Library) -> Outcome<Report> {
    let rounds = Rounds::new(library)?;
    let mut progress = Progress::new(plan.duration());
    let system_name = sys::glibc_version().map_or("system".into(), |v| format!("glibc {v}"));

    progress.begin("trial to set the pace");
    let trial = rounds
        .run(Side::System, &plan.trial(), &mut progress)?
        .measured;
    let config = plan.round(trial.packets_per_second * PACED_LOAD);
    let mut report = Report {
        system_name,
        library: library.path.display().to_string(),
        config,
        system: Vec::new(),
        aethalloc: Vec::new(),
        library_allocations: Vec::new(),
    };
    for number in 1..=plan.rounds {
        for side in [Side::System, Side::Aethalloc] {
            let name = match side {
                Side::System => report.system_name.as_str(),
                Side::Aethalloc => "Aethalloc",
            };
            progress.begin(&format!("round {number} of {}, {name}", plan.rounds));
            let round = rounds.run(side, &report.config, &mut progress)?;
            progress.done(&round.measured);
            match side {
                Side::System => report.system.push(round.measured),
                Side::Aethalloc => {
                    report.aethalloc.push(round.measured);
                    report.library_allocations.push(round.library_allocations);
                }
            }
        }
    }
    progress.finish();
    Ok(report)
}
