//! The bench measures itself: does it find no difference where there is none, and the right one where there is?

use std::path::Path;
use std::time::{Duration, Instant};

use crate::checkout::Checkout;
use crate::launch::{Failure, Launcher, Program};
use crate::peers::{self, Peer};
use crate::result::Output;
use crate::stats::{self, Summary};

/// What the slow library adds to each call, in ns (its source says the same).
const ADDED_NS: f64 = 50.0;
/// Half-width of a stated interval, as a share, at which a check takes no more rounds.
const NARROW: f64 = 0.03;
/// Half-width beyond which a check says nothing.
const WIDEST: f64 = 0.1;
/// No round begins after this time of one check.
const LONGEST: Duration = Duration::from_secs(180);
/// How surely 1.00 must lie within the stated interval. Three programs are compared: at 95 % each, one check in seven
/// would find a difference where there is none; at 99 %, one in thirty.
const CONFIDENCE: f64 = 0.99;
/// The fewest rounds: the interval is narrower than the whole range then.
pub const ROUNDS: usize = 25;
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
            "ops=4000000",
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
        let pair = Pair {
            launcher,
            program: &program,
            libraries: [Some(library), Some(&copy)],
            figure: |_, wall| wall,
        };
        let ratio = until_narrow(
            rounds,
            NARROW,
            within(LONGEST),
            |round| pair.run(round),
            |a, b| stats::paired_ratio(b, a, CONFIDENCE),
        )?;
        let verdict = Verdict::of(&ratio, WIDEST, ratio.sure.0 <= 1.0 && ratio.sure.1 >= 1.0);
        good &= verdict == Verdict::Right;
        println!(
            "one library twice, {:<10} {:.3}x, stated interval {:.3} to {:.3} ({} rounds): {}",
            args[0],
            ratio.median,
            ratio.sure.0,
            ratio.sure.1,
            ratio.count,
            verdict.words("1.00 lies within", "1.00 LIES OUTSIDE")
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
    let pair = Pair {
        launcher,
        program: &program,
        libraries: [None, slow.library.as_deref()],
        figure: |o, _| o.extra.get("ns_64").copied().unwrap_or(f64::NAN),
    };
    let added = until_narrow(
        rounds,
        2.0 * NARROW,
        within(LONGEST),
        |round| pair.run(round),
        |a, b| Summary::of(a.iter().zip(b).map(|(a, b)| (b - a) / 2.0)),
    )?;
    let holds = (added.median - ADDED_NS).abs() <= ADDED_NS * TOLERANCE;
    let verdict = Verdict::of(&added, 2.0 * WIDEST, holds);
    println!(
        "malloc and free slowed by {ADDED_NS:.0} ns each: measured {:.1} ns a call, stated interval {:.1} to {:.1} ({} rounds): {}",
        added.median,
        added.sure.0,
        added.sure.1,
        added.count,
        verdict.words("as it is", "WRONG")
    );
    Ok(verdict == Verdict::Right)
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Right,
    Wrong,
    /// The stated interval is too wide to say anything.
    Inconclusive,
}

impl Verdict {
    fn of(figure: &Summary, widest: f64, holds: bool) -> Verdict {
        match (figure.spread() <= widest, holds) {
            (false, _) => Verdict::Inconclusive,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::Wrong,
        }
    }

    fn words(self, right: &'static str, wrong: &'static str) -> &'static str {
        match self {
            Verdict::Right => right,
            Verdict::Wrong => wrong,
            Verdict::Inconclusive => {
                "INCONCLUSIVE: the machine is too busy to measure on, even with more rounds"
            }
        }
    }
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

/// One program under two libraries.
struct Pair<'a> {
    launcher: &'a Launcher,
    program: &'a Program,
    libraries: [Option<&'a Path>; 2],
    /// Reads output and wall time.
    figure: fn(&Output, f64) -> f64,
}

impl Pair<'_> {
    /// Both figures of a round; the first library comes first in every other one.
    fn run(&self, round: usize) -> Result<[f64; 2], Failure> {
        let mut figures = [f64::NAN; 2];
        for which in [round % 2, 1 - round % 2] {
            let program = self.program.clone().under(self.libraries[which]);
            let finished = self.launcher.run(&program)?;
            let output: Output = serde_json::from_str(finished.stdout.trim())
                .map_err(|e| format!("unreadable output: {e}"))?;
            let wall = finished.usages.first().map_or(f64::NAN, |u| u.wall_s);
            figures[which] = (self.figure)(&output, wall);
        }
        Ok(figures)
    }
}

/// True until so much time has gone by.
fn within(time: Duration) -> impl Fn() -> bool {
    let begin = Instant::now();
    move || begin.elapsed() < time
}

/// `least` rounds, then more while the stated interval is wider than `narrow` to each side and there is time. When it
/// stops hangs on the interval's width alone, not on where it lies.
fn until_narrow(
    least: usize,
    narrow: f64,
    is_time: impl Fn() -> bool,
    mut round: impl FnMut(usize) -> Result<[f64; 2], Failure>,
    judge: impl Fn(&[f64], &[f64]) -> Summary,
) -> Result<Summary, Failure> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    loop {
        let figures = round(a.len())?;
        a.push(figures[0]);
        b.push(figures[1]);
        if a.len() < least {
            continue;
        }
        let judged = judge(&a, &b);
        if judged.spread() <= narrow || !is_time() {
            return Ok(judged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two made-up series of one library, the second slower by a factor: noise of 4 % that hits both, 1 % of each's own.
    fn verdict(factor: f64) -> Verdict {
        let noise = |round: usize, of: usize| ((round * 7 + of) % 11) as f64 / 10.0 - 0.5;
        let series = |own: usize, factor: f64| -> Vec<f64> {
            (0..ROUNDS)
                .map(|r| factor * (1.0 + 0.08 * noise(r, 0) + 0.02 * noise(r * 3, own)))
                .collect()
        };
        let ratio = stats::paired_ratio(&series(5, factor), &series(9, 1.0), CONFIDENCE);
        Verdict::of(&ratio, WIDEST, ratio.sure.0 <= 1.0 && ratio.sure.1 >= 1.0)
    }

    #[test]
    fn a_bench_that_favours_one_side_is_found_out() {
        assert_eq!(verdict(1.0), Verdict::Right);
        assert_eq!(verdict(1.03), Verdict::Wrong);
        assert_eq!(verdict(0.97), Verdict::Wrong);
    }

    /// Rounds of one library twice on a machine where a run may take half as long again, for reasons of its own.
    fn busy(rounds: usize) -> Summary {
        let noise = |n: usize| {
            let mut bits = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((bits ^ (bits >> 31)) >> 40) as f64 / (1u64 << 24) as f64
        };
        until_narrow(
            ROUNDS,
            NARROW,
            || true, // there is always time: the rounds given are the only limit
            |n| match n < rounds {
                true => Ok([1.0 + noise(2 * n) / 2.0, 1.0 + noise(2 * n + 1) / 2.0]),
                false => Err(Failure::Failed("no more rounds".into())),
            },
            |a, b| stats::paired_ratio(b, a, CONFIDENCE),
        )
        .unwrap_or_default()
    }

    #[test]
    fn a_busy_machine_costs_rounds_not_the_verdict() {
        let ratio = busy(5000);
        assert!(ratio.count > 2 * ROUNDS, "{ratio:?}");
        assert!(ratio.spread() <= NARROW, "{ratio:?}");
        assert!(ratio.sure.0 <= 1.0 && ratio.sure.1 >= 1.0, "{ratio:?}");
        let before = Summary::default();
        assert_eq!(busy(ROUNDS), before, "{ROUNDS} rounds were enough");
    }

    #[test]
    fn time_ends_a_check() -> Result<(), String> {
        let wild = |n: usize| Ok([1.0, if n.is_multiple_of(2) { 0.5 } else { 2.0 }]);
        let judge = |a: &[f64], b: &[f64]| stats::paired_ratio(b, a, CONFIDENCE);
        let ratio = until_narrow(ROUNDS, NARROW, || false, wild, judge).map_err(words)?;
        assert_eq!(ratio.count, ROUNDS);
        assert_eq!(Verdict::of(&ratio, WIDEST, true), Verdict::Inconclusive);
        Ok(())
    }

    #[test]
    fn a_busy_machine_says_nothing() {
        let wild = Summary::of([0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7]);
        assert_eq!(Verdict::of(&wild, WIDEST, true), Verdict::Inconclusive);
    }
}
