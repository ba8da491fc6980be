//! The six small measuring programs: the promises of the README, each with its goal, one command.
//!
//! All allocators run each program interleaved, round by round, in changing order. A verdict is printed
//! for each goal and every allocator but glibc and mimalloc, which are the yardsticks.

mod goals;

use crate::checkout::Checkout;
use crate::launch::{Failure, Finished, Launcher, Program};
use crate::peers::Peer;

/// One printed row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// The goal in words.
    pub goal: String,
    /// Figure per allocator, with the goal's verdict where it applies.
    pub cells: Vec<Cell>,
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Which allocator.
    pub peer: String,
    /// The figure in words, or why there is none.
    pub text: String,
    /// Whether the goal holds; none for the yardsticks and where there is no figure.
    pub holds: Option<bool>,
}

/// Everything one program needs.
struct Bench<'a> {
    checkout: &'a Checkout,
    launcher: Launcher,
    peers: &'a [Peer],
    rounds: usize,
}

/// Runs all six and prints each row as soon as it is there. True if every judged goal holds.
pub fn run(checkout: &Checkout, peers: &[Peer], rounds: usize) -> Result<bool, String> {
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
            }
            Err(Failure::Interrupted) => {
                eprintln!("interrupted: the rows above are complete");
                return Ok(false);
            }
            Err(Failure::Failed(message)) => return Err(message),
        }
    }
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

    /// A row from one result per peer: `Ok((value, words))` or the reason for none.
    fn row(
        &self,
        case: &str,
        goal: &str,
        results: Vec<Result<(f64, String), String>>,
        holds: impl Fn(f64) -> bool,
    ) -> Row {
        let cells = results.into_iter().enumerate().map(|(index, result)| {
            let peer = self.peers[index].name.clone();
            match result {
                Ok((value, text)) => Cell {
                    peer,
                    text,
                    holds: self.judged(index).then(|| holds(value)),
                },
                Err(text) => Cell {
                    peer,
                    text,
                    holds: self.judged(index).then_some(false),
                },
            }
        });
        Row {
            case: case.into(),
            goal: goal.into(),
            cells: cells.collect(),
        }
    }
}
