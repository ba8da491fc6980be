//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::checkout::Checkout;
use crate::definitions::{self, Workload};
use crate::peers::{self, Absent, Peer};
use crate::result::ResultFile;
use crate::runner::{self, Plan};
use crate::{
    bless, callgrind, compare, docs, floor, html, interrupt, machine, modes, rank, report,
    robustness, scaling, selfcheck, six,
};

/// Measure allocators side by side, on unmodified programs.
///
/// Without a subcommand, runs a suite: every workload under every allocator, interleaved, and writes a result
/// (JSON) and a page (HTML). Lower is better everywhere.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    suite: SuiteArgs,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Allocators, by commas: names, NAME=FILE.so, or all [default: the required ones]
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

#[derive(Debug, clap::Args)]
struct SuiteArgs {
    /// throughput, scaling, memory, latency, real, quick (all in miniature, for correctness) or all
    #[arg(long, default_value = "throughput")]
    suite: String,
    /// Only these workloads, by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workloads: Vec<String>,
    /// Where the result goes [default: target/bench/SUITE.json, six.json]
    #[arg(long, global = true, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Where the page goes [default: beside the result]
    #[arg(long, value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Multiply the workloads' sizes and live sets, e.g. by 0.5 or 2: does a row depend on its constants?
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    scale: f64,
    /// Numbers of threads in suite scaling, by commas [default: 2, 4, 8, ... up to the number of CPUs]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    threads: Vec<usize>,
    /// Run each program once more and let it sleep so many seconds at its end: what stays resident?
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    idle: u64,
    /// Print every figure of every workload, not only the one it is judged by
    #[arg(long)]
    details: bool,
    /// Also count instructions per operation with callgrind
    #[arg(long)]
    instructions: bool,
    /// A variable for what is measured, e.g. AETHALLOC_CONF=support:off
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,
    /// Compare two results instead of measuring
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"])]
    compare: Option<Vec<PathBuf>>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the six small measuring programs, each with its goal
    Six,
    /// Build or find the peers and print their versions
    Peers,
    /// Print the suites and their workloads
    List,
    /// Write the page of an existing result
    Page {
        /// The result
        result: PathBuf,
        /// The page
        page: PathBuf,
    },
    /// Rank Aethalloc: the best other of each row is chosen in one result and compared in another
    Rank {
        /// Where the best are chosen
        a: PathBuf,
        /// Where they are compared
        b: PathBuf,
    },
    /// How little memory each workload of a result can do with, beside what was measured
    Floor {
        /// A result with aethalloc and mimalloc
        result: PathBuf,
        /// Only these workloads
        names: Vec<String>,
    },
    /// Does a row depend on its constants? Each with them at half, once and twice, to mimalloc
    Robustness {
        /// Only these workloads [default: suite throughput]
        names: Vec<String>,
        /// In miniature, for correctness: the times mean nothing
        #[arg(long)]
        quick: bool,
    },
    /// What `safety:guard` and `safety:hardened` cost beside the default, program by program
    Modes {
        /// Only these workloads [default: suite throughput]
        names: Vec<String>,
        /// In miniature, for correctness: the times mean nothing
        #[arg(long)]
        quick: bool,
    },
    /// Write README's and docs' tables and plots from the results kept in docs/results
    Docs {
        /// Only say what would change; fails if something would
        #[arg(long)]
        check: bool,
    },
    /// Check the bench itself: one library twice, and one slowed by 50 ns a call
    SelfCheck,
    /// Write the checksums of the definitions anew, from runs on the system's malloc
    #[command(hide = true)]
    Bless {
        /// Only these workloads
        names: Vec<String>,
    },
}

/// Runs the bench; prints one line and returns 1 where it cannot.
pub fn main_with(args: Args) -> ExitCode {
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let common = &args.common;
    if common.rounds == 0 {
        return Err("--rounds must be at least 1".into());
    }
    if let Some([a, b]) = args.suite.compare.as_deref() {
        print!(
            "{}",
            compare::text(&ResultFile::load(a)?, &ResultFile::load(b)?)?
        );
        return Ok(true);
    }
    if let Some(Action::Page { result, page }) = &args.action {
        return html::write(&ResultFile::load(result)?, page).map(|()| true);
    }
    if let Some(Action::Rank { a, b }) = &args.action {
        print!(
            "{}",
            rank::text(&ResultFile::load(a)?, &ResultFile::load(b)?)?
        );
        return Ok(true);
    }
    if let Some(Action::Docs { check }) = &args.action {
        return docs(*check);
    }
    let checkout = Checkout::open(!common.no_build)?;
    match &args.action {
        None => suite(&checkout, common, &args.suite),
        Some(Action::Six) => {
            let peers = prepare(&checkout, common, &["aethalloc", "glibc", "mimalloc"])?.0;
            interrupt::install();
            let out = args
                .suite
                .out
                .clone()
                .unwrap_or_else(|| six_file(&checkout));
            six::run(&checkout, &peers, common.rounds, &out)
        }
        Some(Action::Peers) => {
            let (peers, absent) = prepare(&checkout, common, &["all"])?;
            for peer in &peers {
                let place = peer
                    .library
                    .as_ref()
                    .map(|p| p.display().to_string())
                    .unwrap_or_default();
                println!("{:<15} {:<28} {place}", peer.name, peer.version);
            }
            Ok(absent.is_empty())
        }
        Some(Action::List) => {
            for workload in definitions::all(&checkout)? {
                println!(
                    "{:<12} {:<24} {}",
                    workload.suite, workload.name, workload.about
                );
            }
            Ok(true)
        }
        Some(Action::Floor { result, names }) => {
            interrupt::install();
            let result = ResultFile::load(result)?;
            print!("{}", floor::text(&checkout, &result, names)?);
            Ok(true)
        }
        Some(Action::Robustness { names, quick }) => {
            let workloads = throughput(&checkout, names, *quick)?;
            let peers = prepare(&checkout, common, &["aethalloc", "mimalloc"])?.0;
            interrupt::install();
            let out = args.suite.out.clone();
            let out = out.unwrap_or_else(|| checkout.target_dir().join("bench/robustness.json"));
            robustness::run(&checkout, &workloads, &peers, common.rounds, &out)
        }
        Some(Action::Modes { names, quick }) => {
            let workloads = throughput(&checkout, names, *quick)?;
            let peers = prepare(&checkout, common, &["aethalloc"])?.0;
            let ours = peers.first().ok_or("the library cannot be run")?;
            interrupt::install();
            let out = args.suite.out.clone();
            let out = out.unwrap_or_else(|| checkout.target_dir().join("bench/modes.json"));
            modes::run(&checkout, &workloads, ours, common.rounds, &out)
        }
        Some(Action::SelfCheck) => {
            interrupt::install();
            selfcheck::run(&checkout, common.rounds.max(selfcheck::ROUNDS))
        }
        Some(Action::Bless { names }) => bless::bless(&checkout, names).map(|()| true),
        Some(Action::Page { .. } | Action::Rank { .. } | Action::Docs { .. }) => Ok(true),
    }
}

/// The workloads of suite `throughput`, or of them in miniature, with these names.
fn throughput(checkout: &Checkout, names: &[String], quick: bool) -> Result<Vec<Workload>, String> {
    let suite = if quick {
        definitions::QUICK
    } else {
        "throughput"
    };
    definitions::choose(&definitions::all(checkout)?, suite, names, &[])
}

fn docs(check: bool) -> Result<bool, String> {
    let checkout = Checkout::open(false)?;
    let changed = docs::update(checkout.root(), check)?;
    for path in &changed {
        let what = if check { "differs" } else { "written" };
        println!("{}: {what}", path.display());
    }
    Ok(!check || changed.is_empty())
}

/// Measures a suite. False if a run failed or was wrong, or Ctrl-C came.
fn suite(checkout: &Checkout, common: &Common, args: &SuiteArgs) -> Result<bool, String> {
    let machine = machine::look();
    scaling::check(&args.threads)?;
    let threads = match args.threads.is_empty() {
        true => scaling::counts(machine.cpus),
        false => args.threads.clone(),
    };
    let definitions = definitions::all(checkout)?;
    let workloads = definitions::choose(&definitions, &args.suite, &args.workloads, &threads)?;
    let env = args
        .env
        .iter()
        .map(|word| variable(word))
        .collect::<Result<Vec<_>, _>>()?;
    if !(0.1..=10.0).contains(&args.scale) {
        return Err(format!("--scale wants 0.1 to 10, not {}", args.scale));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let name = match args.scale {
            1.0 => format!("bench/{}.json", args.suite),
            scale => format!("bench/{}-scale-{scale}.json", args.suite),
        };
        checkout.target_dir().join(name)
    });
    let page = args
        .page
        .clone()
        .unwrap_or_else(|| out.with_extension("html"));
    let (peers, absent) = prepare(checkout, common, &[])?;
    if peers.is_empty() {
        return Err("none of the chosen allocators can be run".into());
    }
    let mut result = ResultFile::new(&args.suite, common.rounds, machine, checkout.commit());
    result.scale = args.scale;
    result.peers = peers.clone();
    result.absent = absent;
    note_load(&mut result);
    for (name, value) in &env {
        result
            .disturbances
            .push(format!("measured with {name}={value}"));
    }
    interrupt::install();
    let finished = measure(
        checkout,
        common,
        &workloads,
        &peers,
        &env,
        &mut result,
        &out,
        args,
    )?;
    html::write(&result, &page)?;
    if args.details {
        println!("{}", report::details(&result));
    }
    print!("{}", report::text(&result));
    print!("{}", report::standings_text(&result, report::OURS));
    println!("result: {}\npage:   {}", out.display(), page.display());
    if !finished {
        eprintln!("bench: interrupted: what was finished is in the result");
    }
    let failed = result
        .workloads
        .iter()
        .flat_map(|w| &w.cells)
        .any(|c| c.failed.is_some());
    Ok(finished && !failed)
}

#[allow(clippy::too_many_arguments)]
fn measure(
    checkout: &Checkout,
    common: &Common,
    workloads: &[Workload],
    peers: &[Peer],
    env: &[(String, String)],
    result: &mut ResultFile,
    out: &std::path::Path,
    args: &SuiteArgs,
) -> Result<bool, String> {
    let plan = Plan {
        checkout,
        peers,
        workloads,
        rounds: common.rounds,
        scale: args.scale,
        idle: args.idle,
        env,
        out: out.to_path_buf(),
    };
    let mut finished = runner::run(&plan, result)?;
    if finished && args.instructions {
        finished = callgrind::count(checkout, peers, workloads, result)?;
        result.save(out)?;
    }
    Ok(finished)
}

fn six_file(checkout: &Checkout) -> PathBuf {
    checkout.target_dir().join("bench/six.json")
}

fn note_load(result: &mut ResultFile) {
    let (load, cpus) = (result.machine.load, result.machine.cpus);
    if load > 0.5 * cpus as f64 {
        result.disturbances.push(format!(
            "the machine was busy at the start: load {load:.1} on {cpus} CPUs"
        ));
    }
}

fn variable(word: &str) -> Result<(String, String), String> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("--env wants K=V, not '{word}'")),
    }
}

/// The chosen peers, or the given default. Absent ones are named on standard error.
fn prepare(
    checkout: &Checkout,
    common: &Common,
    default: &[&str],
) -> Result<(Vec<Peer>, Vec<Absent>), String> {
    let default: Vec<String> = default.iter().map(|n| (*n).to_string()).collect();
    let names = if common.peers.is_empty() {
        &default
    } else {
        &common.peers
    };
    let chosen = peers::choose(&peers::definitions(checkout)?, names)?;
    let (peers, absent) = peers::prepare(checkout, &chosen, common.retry_peers);
    for one in &absent {
        eprintln!("bench: {} is left out: {}", one.name, one.reason);
    }
    Ok((peers, absent))
}
