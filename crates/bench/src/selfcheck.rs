//! The bench measures itself: does it find no difference where there is none, and the right one where there is?

use std::path::Path;

use crate::checkout::Checkout;
use crate::launch::{Failure, Launcher, Program};
use crate::peers::{self, Peer};
use crate::result::Output;
use crate::stats::{self, Summary};

/// What the slow library adds to each call, in ns (its source says the same).
const ADDED_NS: f64 = 50.0;
/// Half-width of a stated interval, as a share, beyond which the check says nothing.
const WIDEST: f64 = 0.1;
/// How far the measured addition may be off: the library's own call and clock reading count as well.
const TOLERANCE: f64 = 0.25;

/// Runs both checks and prints what came out. True if the bench can be trusted here.
pub fn run(checkout: &Checkout, rounds: usize) -> Result<bool, String> {
    let launcher = Launcher::new(checkout)?;
    let same = match same_library_twice(checkout, &launcher, rounds) {
        Err(Failure::Interrupted) => return Ok(false),
        other => other.map_err(words)?,
    };
    let slow = match known_slowdown(checkout, &launcher, rounds) {
        Err(Failure::Interrupted) => return Ok(false),
        other => other.map_err(words)?,
    };
    Ok(same && slow)
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Failed(line) => line,
        Failure::Interrupted => "interrupted".into(),
    }
}

/// One library under two names, in programs of one and of several threads.
fn same_library_twice(
    checkout: &Checkout,
    launcher: &Launcher,
    rounds: usize,
) -> Result<bool, Failure> {
    let peer = peer(checkout, "mimalloc")?;
    let copy = launcher.folder().join("libcopy.so");
    let library = peer.library.as_deref().unwrap_or(Path::new(""));
    std::fs::copy(library, &copy).map_err(|e| format!("{}: {e}", library.display()))?;
    let mut good = true;
    for args in [
        &["random", "slots=10000", "low=16", "high=512", "ops=3000000"][..],
        &[
            "queues",
            "producers=1",
            "consumers=1",
            "low=16",
            "high=1024",
            "queue=4096",
            "ops=1000000",
        ],
        &[
            "crossing",
            "threads=2",
            "slots=2000",
            "low=8",
            "high=16000",
            "ops=200000",
        ],
    ] {
        let program = Program::new(checkout.program("bench-work")?, args.iter().copied());
        let (a, b) = interleave(
            launcher,
            &program,
            Some(library),
            Some(&copy),
            rounds,
            |o, wall| {
                let _ = o;
                wall
            },
        )?;
        let ratio = stats::paired_ratio(&b, &a);
        let holds = ratio.sure.0 <= 1.0 && ratio.sure.1 >= 1.0;
        let verdict = match (ratio.spread() <= WIDEST, holds) {
            (false, _) => "INCONCLUSIVE: the machine is too busy to measure on",
            (true, true) => "1.00 lies within",
            (true, false) => "1.00 LIES OUTSIDE",
        };
        good &= holds && ratio.spread() <= WIDEST;
        println!(
            "one library twice, {:<10} {:.3}x, stated interval {:.3} to {:.3}: {}",
            args[0], ratio.median, ratio.sure.0, ratio.sure.1, verdict
        );
    }
    Ok(good)
}

/// The system's malloc, and the same with 50 ns spent in each call.
fn known_slowdown(
    checkout: &Checkout,
    launcher: &Launcher,
    rounds: usize,
) -> Result<bool, Failure> {
    let slow = peer(checkout, "glibc-slowed")?;
    let program = Program::new(
        checkout.program("bench-work")?,
        ["pair", "sizes=64", "ops=2000000"],
    );
    let pair = |o: &Output, _: f64| o.extra.get("ns_64").copied().unwrap_or(f64::NAN);
    let (a, b) = interleave(
        launcher,
        &program,
        None,
        slow.library.as_deref(),
        rounds,
        pair,
    )?;
    let added = Summary::of(a.iter().zip(&b).map(|(a, b)| (b - a) / 2.0));
    let holds = (added.median - ADDED_NS).abs() <= ADDED_NS * TOLERANCE;
    let verdict = match (added.spread() <= 2.0 * WIDEST, holds) {
        (false, _) => "INCONCLUSIVE: the machine is too busy to measure on",
        (true, true) => "as it is",
        (true, false) => "WRONG",
    };
    let holds = holds && added.spread() <= 2.0 * WIDEST;
    println!(
        "malloc and free slowed by {ADDED_NS:.0} ns each: measured {:.1} ns a call, stated interval {:.1} to {:.1}: {}",
        added.median, added.sure.0, added.sure.1, verdict
    );
    Ok(holds)
}

fn peer(checkout: &Checkout, name: &str) -> Result<Peer, String> {
    let chosen = peers::choose(&peers::definitions(checkout)?, &[name.to_string()])?;
    let (mut peers, absent) = peers::prepare(checkout, &chosen, false);
    peers.pop().ok_or_else(|| {
        absent
            .first()
            .map_or(String::new(), |a| format!("{name}: {}", a.reason))
    })
}

/// `rounds` of both, alternating which comes first; `figure` reads output and wall time.
fn interleave(
    launcher: &Launcher,
    program: &Program,
    a: Option<&Path>,
    b: Option<&Path>,
    rounds: usize,
    figure: impl Fn(&Output, f64) -> f64,
) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let mut series = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for second in [round % 2 == 1, round % 2 == 0] {
            let finished = launcher.run(&program.clone().under(if second { b } else { a }))?;
            let output: Output = serde_json::from_str(finished.stdout.trim())
                .map_err(|e| format!("unreadable output: {e}"))?;
            let wall = finished.usages.first().map_or(f64::NAN, |u| u.wall_s);
            let value = figure(&output, wall);
            if second {
                series.1.push(value)
            } else {
                series.0.push(value)
            }
        }
    }
    Ok(series)
}
