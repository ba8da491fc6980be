//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::checkout::Checkout;
use crate::peers::{self, Absent, Peer};
use crate::{interrupt, six};

/// Measure allocators side by side.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Allocators, separated by commas: names, NAME=FILE.so, or all [default: the required ones]
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAMES")]
    peers: Vec<String>,
    /// How often each program runs under each allocator
    #[arg(long, global = true, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Use what is built beside this program instead of calling cargo first
    #[arg(long, global = true)]
    no_build: bool,
    /// Build peers again whose build failed before
    #[arg(long, global = true)]
    retry_peers: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the six small measuring programs, each with its goal
    Six,
    /// Build or find the peers and print their versions
    Peers,
}

/// Runs the bench; prints one line and returns 1 where it cannot.
pub fn main_with(args: Args) -> ExitCode {
    match run(&args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, String> {
    let common = &args.common;
    if common.rounds == 0 {
        return Err("--rounds must be at least 1".into());
    }
    let checkout = Checkout::open(!common.no_build)?;
    match args.command {
        Some(Action::Peers) => {
            let all = ["all".to_string()];
            let names = if common.peers.is_empty() {
                &all
            } else {
                &common.peers[..]
            };
            let (peers, absent) = prepare(&checkout, common, names)?;
            for peer in &peers {
                let place = peer
                    .library
                    .as_ref()
                    .map(|p| p.display().to_string())
                    .unwrap_or_default();
                println!("{:<15} {:<28} {place}", peer.name, peer.version);
            }
            absent
                .iter()
                .for_each(|a| println!("{:<15} absent: {}", a.name, a.reason));
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::Six) | None => {
            let names = ["aethalloc", "glibc", "mimalloc"].map(str::to_string);
            let names = if common.peers.is_empty() {
                &names
            } else {
                &common.peers[..]
            };
            let (peers, absent) = prepare(&checkout, common, names)?;
            absent
                .iter()
                .for_each(|a| eprintln!("bench: peer {} is left out: {}", a.name, a.reason));
            interrupt::install();
            let rows = six::run(&checkout, &peers, common.rounds)?;
            let missed = rows
                .iter()
                .flat_map(|r| &r.cells)
                .filter(|c| c.holds == Some(false))
                .count();
            Ok(if missed == 0 && rows.len() == 7 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

fn prepare(
    checkout: &Checkout,
    common: &Common,
    names: &[String],
) -> Result<(Vec<Peer>, Vec<Absent>), String> {
    let chosen = peers::choose(&peers::definitions(checkout)?, names)?;
    Ok(peers::prepare(checkout, &chosen, common.retry_peers))
}
