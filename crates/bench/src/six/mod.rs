//! The six small measuring programs: the promises of the README, each with its goal, one command.
//!
//! All allocators run each program interleaved, round by round, in changing order. A verdict is printed
//! for each goal and every allocator but glibc and mimalloc, which are the yardsticks.

mod goals;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::launch::{Failure, Finished, Launcher, Program};
use crate::machine::{self, Machine};
use crate::peers::Peer;
use crate::result;

/// Marks a file as a result of the six.
const FORMAT: &str = "aethalloc-bench-six";
const VERSION: u32 = 1;

/// What is kept of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SixFile {
    format: String,
    version: u32,
    /// Seconds since 1970.
    pub started: u64,
    /// Where it ran.
    pub machine: Machine,
    /// Commit of the checkout.
    pub commit: String,
    /// What was compared.
    pub peers: Vec<Peer>,
    /// One per goal.
    pub rows: Vec<Row>,
}

impl SixFile {
    /// Reads a file, checking that it is ours and of our version.
    pub fn load(path: &Path) -> Result<SixFile, String> {
        result::load(path, FORMAT, VERSION)
    }
}

/// One printed row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was measured, in a few words.
    pub title: String,
    /// What was measured.
    pub case: String,
    /// The goal in words.
    pub goal: String,
    /// Figure per allocator, with the goal's verdict where it applies.
    pub cells: Vec<Cell>,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Which allocator.
    pub peer: String,
    /// The figure that the goal is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The figure in words, or why there is none.
    pub text: String,
    /// The same in fewer words.
    pub short: String,
    /// Whether the goal holds; none for the yardsticks and where there is no figure.
    pub holds: Option<bool>,
}

/// A measured figure: for the goal, in words, in fewer words.
struct Figure {
    value: f64,
    text: String,
    short: String,
}

/// Everything one program needs.
struct Bench<'a> {
    checkout: &'a Checkout,
    launcher: Launcher,
    peers: &'a [Peer],
    rounds: usize,
}

/// Runs all six, prints each row as soon as it is there and keeps them in `out`. True if every judged goal holds.
pub fn run(checkout: &Checkout, peers: &[Peer], rounds: usize, out: &Path) -> Result<bool, String> {
    let mut kept = SixFile {
        format: FORMAT.into(),
        version: VERSION,
        started: result::now(),
        machine: machine::look(),
        commit: checkout.commit(),
        peers: peers.to_vec(),
        rows: Vec::new(),
    };
    let bench = Bench {
        checkout,
        launcher: Launcher::new(checkout)?,
        peers,
        rounds,
    };
    type Case = fn(&Bench) -> Result<Vec<Row>, Failure>;
    let cases: [Case; 6] = [
        goals::pair,
        goals::tiny,
        goals::threads,
        goals::handoff,
        goals::dormant,
        goals::fork,
    ];
    let mut holds = true;
    for case in cases {
        match case(&bench) {
            Ok(more) => {
                more.iter().for_each(print);
                holds &= more
                    .iter()
                    .flat_map(|r| &r.cells)
                    .all(|c| c.holds != Some(false));
                kept.rows.extend(more);
                result::save(&kept, out)?;
            }
            Err(Failure::Interrupted) => {
                eprintln!("interrupted: the rows above are complete");
                return Ok(false);
            }
            Err(Failure::Failed(message)) => return Err(message),
        }
    }
    println!("result: {}", out.display());
    Ok(holds)
}

fn print(row: &Row) {
    println!("{}\n  goal: {}", row.case, row.goal);
    for cell in &row.cells {
        let verdict = match cell.holds {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "",
        };
        println!("  {:<14} {:<58} {verdict}", cell.peer, cell.text);
    }
    println!();
}

impl Bench<'_> {
    fn work(&self, args: &[&str]) -> Result<Program, Failure> {
        Ok(Program::new(
            self.checkout.program("bench-work")?,
            args.iter().copied(),
        ))
    }

    /// `rounds` runs of `program` under every peer, interleaved, the first of each round changing.
    /// One list per peer; an error is the line of its first failed run.
    fn interleave(
        &self,
        program: &Program,
        rounds: usize,
    ) -> Result<Vec<Result<Vec<Finished>, String>>, Failure> {
        let mut all: Vec<Result<Vec<Finished>, String>> =
            self.peers.iter().map(|_| Ok(Vec::new())).collect();
        for round in 0..rounds {
            for step in 0..self.peers.len() {
                let index = (round + step) % self.peers.len();
                let Ok(runs) = &mut all[index] else { continue };
                let program = program.clone().under(self.peers[index].library.as_deref());
                match self.launcher.run(&program) {
                    Ok(finished) => runs.push(finished),
                    Err(Failure::Failed(message)) => all[index] = Err(message),
                    Err(Failure::Interrupted) => return Err(Failure::Interrupted),
                }
            }
        }
        Ok(all)
    }

    /// The yardsticks are measured but not judged.
    fn judged(&self, index: usize) -> bool {
        !matches!(self.peers[index].name.as_str(), "glibc" | "mimalloc")
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|p| p.name == name)
    }

    /// A row from one figure per peer, or the reason for none.
    fn row(
        &self,
        (title, case, goal): (&str, &str, &str),
        results: Vec<Result<Figure, String>>,
        holds: impl Fn(f64) -> bool,
    ) -> Row {
        let cells = results.into_iter().enumerate().map(|(index, result)| {
            let (value, text, short) = match result {
                Ok(figure) => (Some(figure.value), figure.text, figure.short),
                Err(text) => (None, text, "failed".into()),
            };
            Cell {
                peer: self.peers[index].name.clone(),
                holds: self.judged(index).then(|| value.is_some_and(&holds)),
                value,
                text,
                short,
            }
        });
        Row {
            title: title.into(),
            case: case.into(),
            goal: goal.into(),
            cells: cells.collect(),
        }
    }
}
