//! A server that runs for long: what is resident, mapped, open and described does not grow.
//!
//! `tests/c/soak.c` prints one line of figures each night, when what is live is the same every time. A figure grows if
//! its slope (the median of the slopes of all pairs of nights, so that no single night counts), taken over all nights
//! after the warm-up, comes to more than its noise. The figures do not depend on how fast the machine is: a slow one
//! sees fewer nights, but never fewer than the program's least.
//!
//! Run by the step `soak` of `./test`: 20 minutes with `--full`, 2 without, seconds with `--quick`. That it notices
//! growth is shown by a run that loses blocks, mappings and files on purpose.

use aethalloc_testkit::{Active, Source, oracle_only, seed, soak_seconds, test, test_library};
use std::collections::BTreeMap;

const MIB: f64 = 1_048_576.0;

/// The figures that must not grow, and what they may seem to grow by over a whole run.
///
/// `rss`: free memory that demand asks for comes and goes. `active`, `metadata`: slabs are used
/// a little differently every day. `maps`: stacks of threads that the C library keeps or not. The rest is exact.
const NOISE: &[(&str, f64)] = &[
    ("rss", 8.0 * MIB),
    ("maps", 12.0),
    ("files", 0.0),
    ("active", 1.0 * MIB),
    ("metadata", 0.25 * MIB),
    ("slabs", 16.0),
    ("caches", 0.0),
    ("allocated", 0.25 * MIB),
];

/// Nights, first to last, each with its figures; and the figures before the first day and after the last.
struct Log {
    begin: BTreeMap<String, f64>,
    nights: Vec<BTreeMap<String, f64>>,
    end: BTreeMap<String, f64>,
}

impl Log {
    fn parse(text: &str) -> Log {
        let mut log = Log {
            begin: BTreeMap::new(),
            nights: Vec::new(),
            end: BTreeMap::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pairs = words.get(2..).unwrap_or_default().chunks_exact(2);
            let figures = pairs
                .map(|p| (p[0].to_owned(), p[1].parse().expect("a figure")))
                .collect();
            match words.first() {
                Some(&"begin") => log.begin = figures,
                Some(&"night") => log.nights.push(figures),
                Some(&"end") => log.end = figures,
                _ => panic!("unexpected line: {line}"),
            }
        }
        log
    }

    /// The figure, night by night, after the warm-up: a quarter of the nights.
    fn series(&self, name: &str) -> Vec<f64> {
        let warm = self.nights.len() / 4;
        self.nights[warm..].iter().map(|n| n[name]).collect()
    }

    /// Every figure that grows by more than its noise, in words.
    fn growing(&self) -> Vec<String> {
        let judge = |(name, noise): &(&str, f64)| {
            let series = self.series(name);
            let growth = slope(&series) * (series.len() - 1) as f64;
            println!(
                "{name}: {growth:+.0} over {} nights, noise {noise}",
                series.len()
            );
            (growth > *noise)
                .then(|| format!("{name} grows by {growth:.0} over {} nights", series.len()))
        };
        NOISE.iter().filter_map(judge).collect()
    }
}

/// The median slope of all pairs, a step.
fn slope(series: &[f64]) -> f64 {
    // Of very long series every pair of some nights, evenly spread.
    let step = series.len() / 1500 + 1;
    let points: Vec<(usize, f64)> = series.iter().copied().enumerate().step_by(step).collect();
    let mut slopes: Vec<f64> = Vec::new();
    for (i, (x, y)) in points.iter().enumerate() {
        slopes.extend(points[..i].iter().map(|(v, w)| (y - w) / (x - v) as f64));
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

fn run(seconds: u64, loses: Option<&str>) -> Result<Log, aethalloc_testkit::Missing> {
    let program = Source::c("soak").build()?;
    let active = Active::new();
    let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
    let mut run = run.arg(seconds.to_string()).arg(seed().to_string());
    if let Some(what) = loses {
        run = run.arg(what);
    }
    // Hangs are noticed, slowness is not.
    let finished = run.timeout(seconds * 4 + 900).finish().succeeded();
    active.assert_active();
    let log = Log::parse(&finished.stdout);
    println!("{} nights in {:.0?}", log.nights.len(), finished.elapsed);
    Ok(log)
}

#[test]
fn a_long_run_does_not_grow() {
    test(|| {
        let program = Source::c("soak").build()?;
        let oracle = program.on_oracle().arg("1").arg(seed().to_string());
        oracle.timeout(900).finish().succeeded();
        if oracle_only() {
            return Ok(());
        }
        let log = run(soak_seconds(), None)?;
        let grown = log.growing();
        assert!(grown.is_empty(), "{}", grown.join("\n"));
        // When all is freed, what is left is what was there before.
        let left = |name: &str| log.end[name] - log.begin[name];
        println!(
            "left: {:.0} bytes resident, {} slabs",
            left("rss"),
            left("slabs")
        );
        assert!(
            left("rss") < 3.0 * MIB,
            "{} bytes stay resident",
            left("rss")
        );
        assert!(left("slabs") < 16.0, "{} slabs stay", left("slabs"));
        Ok(())
    });
}

#[test]
fn growth_is_noticed() {
    test_library(|| {
        let grown = run(1, Some("lose"))?.growing();
        for figure in ["rss", "maps", "files", "active", "slabs", "allocated"] {
            let noticed = grown.iter().any(|line| line.starts_with(figure));
            assert!(noticed, "growth of {figure} is not noticed: {grown:?}");
        }
        Ok(())
    });
}

#[test]
fn a_slope_is_that_of_most_nights() {
    assert_eq!(slope(&[5.0; 9]), 0.0);
    let rising: Vec<f64> = (0..40).map(f64::from).collect();
    assert_eq!(slope(&rising), 1.0);
    let mut one_night = vec![5.0; 40];
    one_night[39] = 1000.0;
    assert_eq!(slope(&one_night), 0.0);
    let long: Vec<f64> = (0..5000)
        .map(|n| f64::from(n % 7) + f64::from(n) * 0.5)
        .collect();
    assert!((slope(&long) - 0.5).abs() < 0.01);
}
