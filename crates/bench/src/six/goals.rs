//! The six programs: how each is run, what is compared, and its goal.

use serde_json::Value;

use super::{Bench, Figure, Row};
use crate::launch::{Failure, Finished, Program};
use crate::stats::{self, Summary};

const SIZES: [u32; 7] = [16, 32, 64, 128, 256, 512, 1024];

/// One size after the other, malloc and free: not slower than mimalloc, with the checks on.
pub fn pair(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let sizes = SIZES.map(|s| s.to_string()).join(",");
    let program = bench.work(&["pair", &format!("sizes={sizes}"), "ops=4000000"])?;
    let runs = bench.interleave(&program, bench.rounds.max(9))?;
    let medians: Vec<Result<Vec<f64>, String>> = runs
        .into_iter()
        .map(|runs| {
            let outputs = parse_all(&runs?)?;
            Ok(SIZES
                .iter()
                .map(|s| median(&outputs, |v| v["extra"][format!("ns_{s}")].as_f64()))
                .collect())
        })
        .collect();
    let yardstick = bench
        .index("mimalloc")
        .and_then(|i| medians[i].clone().ok());
    let results = medians.into_iter().map(|medians| {
        let medians = medians?;
        let Some(yardstick) = &yardstick else {
            return Err("mimalloc has no figure to compare with".into());
        };
        let ratios: Vec<f64> = medians.iter().zip(yardstick).map(|(a, b)| a / b).collect();
        let ratio = stats::geometric_mean(ratios.iter().copied()).unwrap_or(f64::NAN);
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let mean = stats::geometric_mean(medians).unwrap_or(f64::NAN);
        Ok(Figure {
            value: ratio,
            text: format!("{mean:.2} ns a pair, {ratio:.3}x mimalloc (worst size {worst:.3}x)"),
            short: format!("{mean:.2} ns, {ratio:.3}x"),
        })
    });
    let results = results.collect();
    Ok(vec![bench.row(
        (
            "malloc and free of one size, 16 to 1024 B (mean)",
            "pair: malloc and free of one size, 16 to 1024 B, one thread (geometric mean of medians)",
            "at most 1.0x mimalloc's time",
        ),
        results,
        |ratio| ratio <= 1.0,
    )])
}

/// A program that allocates one block: what the library costs it.
pub fn tiny(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let path = bench.checkout.program("bench-tiny")?;
    let mut program = Program::new(&path, [] as [&str; 0]);
    // 1000 starts per allocator in 20 interleaved parts.
    program.repeat = 50;
    let times: Vec<Result<Summary, String>> = bench
        .interleave(&program, 20)?
        .into_iter()
        .map(|runs| {
            Ok(Summary::of(
                runs?.iter().flat_map(|r| &r.usages).map(|u| u.wall_s * 1e6),
            ))
        })
        .collect();
    let sizes: Vec<Result<f64, String>> = bench
        // What a fault in a file maps along depends on where the loader put it, up to 100 KiB either way.
        .interleave(&Program::new(&path, ["rss"]), 41)?
        .into_iter()
        .map(|runs| {
            Ok(median(&parse_all(&runs?)?, |v| {
                v["marks"]["end"]["rss_kib"].as_f64()
            }))
        })
        .collect();
    let glibc = bench.index("glibc");
    let base_size = glibc.and_then(|i| sizes[i].clone().ok());
    let base_time = glibc.and_then(|i| times[i].clone().ok());
    let size_results = sizes
        .into_iter()
        .map(|kib| {
            let kib = kib?;
            let more = kib - base_size.ok_or("glibc has no figure to compare with")?;
            Ok(Figure {
                value: more,
                text: format!("{kib:.0} KiB resident, {more:+.0} KiB against glibc"),
                short: against(more, kib, "KiB"),
            })
        })
        .collect();
    let time_results = times
        .into_iter()
        .map(|time| {
            let time = time?;
            let more = time.median
                - base_time
                    .ok_or("glibc has no figure to compare with")?
                    .median;
            Ok(Figure {
                value: more,
                text: format!(
                    "{:.0} us a start (quartiles {:.0} to {:.0}), {more:+.0} us",
                    time.median, time.low, time.high
                ),
                short: against(more, time.median, "us"),
            })
        })
        .collect();
    Ok(vec![
        bench.row(
            (
                "a program with one block: resident",
                "tiny: resident size of a program with one block",
                "at most 200 KiB more than glibc",
            ),
            size_results,
            |more| more <= 200.0,
        ),
        bench.row(
            (
                "the same: start to end",
                "tiny: start to end, median of 1000 runs",
                "at most 200 us more than glibc",
            ),
            time_results,
            |more| more <= 200.0,
        ),
    ])
}

/// 2000 threads with small stacks and a few objects each.
pub fn threads(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let count = 2000;
    let args = [
        "threads",
        &format!("threads={count}"),
        "stack=64k",
        "objects=64",
        "low=16",
        "high=560",
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let bare = bench.work(&[&args[..], &["mode=none"]].concat())?;
    let mut base = Vec::new();
    for _ in 0..3 {
        base.push(parse(&bench.launcher.run(&bare)?)?);
    }
    let base_kib = median(&base, |v| v["marks"]["full"]["rss_kib"].as_f64());
    let runs = bench.interleave(&bench.work(&args)?, bench.rounds.min(3))?;
    let results = runs
        .into_iter()
        .map(|runs| {
            let outputs = parse_all(&runs?)?;
            let full = median(&outputs, |v| v["marks"]["full"]["rss_kib"].as_f64());
            let objects = median(&outputs, |v| v["extra"]["objects_kib"].as_f64());
            let each = (full - base_kib - objects) / f64::from(count);
            Ok(Figure {
                value: each,
                text: format!(
                    "{each:.2} KiB a thread ({:.0} MiB in all, {:.0} MiB objects)",
                    full / 1024.0,
                    objects / 1024.0
                ),
                short: format!("{each:.2} KiB"),
            })
        })
        .collect();
    let case = format!(
        "threads: {count} with 64 KiB stacks and 64 objects each, beyond objects and the {:.0} MiB of the same program without malloc",
        base_kib / 1024.0
    );
    Ok(vec![bench.row(
        (
            "2000 threads, 64 objects each: per thread beyond the objects",
            &case,
            "at most 4 KiB a thread",
        ),
        results,
        |each| each <= 4.0,
    )])
}

/// Eight producers, one thread that only frees.
pub fn handoff(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let program = bench.work(&[
        "handoff",
        "producers=8",
        "live=20000",
        "size=592",
        "queue=4096",
        "ops=300000",
    ])?;
    let runs = bench.interleave(&program, bench.rounds.min(5))?;
    let results = runs
        .into_iter()
        .map(|runs| {
            let outputs = parse_all(&runs?)?;
            let ratio = median(&outputs, |v| v["extra"]["ratio"].as_f64());
            let resident = median(&outputs, |v| v["extra"]["resident_kib"].as_f64()) / 1024.0;
            let wanted = median(&outputs, |v| v["extra"]["live_and_queued_kib"].as_f64()) / 1024.0;
            Ok(Figure {
                value: ratio,
                text: format!(
                    "{ratio:.3}: {resident:.0} MiB resident for {wanted:.0} live and queued"
                ),
                short: format!("{ratio:.3}"),
            })
        })
        .collect();
    Ok(vec![bench.row(
        (
            "8 producers, one thread that only frees: peak resident",
            "hand-off: 8 producers with 20 000 live blocks of 592 B, bounded queues, one thread that only frees",
            "peak resident at most 1.05x (live + queued)",
        ),
        results,
        |ratio| ratio <= 1.05,
    )])
}

/// Eight threads fill and sleep, main frees. The program unmaps its own pointer tables while it frees.
pub fn dormant(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let program = bench.work(&[
        "dormant",
        "owners=8",
        "bytes=40m",
        "low=16",
        "high=1024",
        "wait=4",
    ])?;
    let runs = bench.interleave(&program, bench.rounds.min(2))?;
    let results = runs
        .into_iter()
        .map(|runs| {
            let outputs = parse_all(&runs?)?;
            let at =
                |mark: &str| median(&outputs, |v| v["marks"][mark]["rss_kib"].as_f64()) / 1024.0;
            let own = median(&outputs, |v| v["extra"]["own_kib"].as_f64()) / 1024.0;
            let soon = at("1s");
            Ok(Figure {
                value: soon,
                text: format!(
                    "{soon:.1} MiB within 1 s ({own:.1} the program's own), {:.1} after 4 s (of {:.0})",
                    at("idle"),
                    at("full")
                ),
                short: format!("{soon:.1} MiB"),
            })
        })
        .collect();
    Ok(vec![bench.row(
        (
            "8 sleeping owners of 40 MiB, another thread frees all: resident after 1 s",
            "dormant owners: 8 threads fill 40 MiB each and sleep, main frees everything and unmaps its own tables",
            "at most 16 MiB resident within a second",
        ),
        results,
        |mib| mib <= 16.0,
    )])
}

/// Fork under a large heap, the parent frees half.
pub fn fork(bench: &Bench) -> Result<Vec<Row>, Failure> {
    let program = bench.work(&["fork", "blocks=2500000", "size=160"])?;
    let runs = bench.interleave(&program, bench.rounds.min(3))?;
    let results = runs
        .into_iter()
        .map(|runs| {
            let outputs = parse_all(&runs?)?;
            let share = median(&outputs, |v| v["extra"]["copied_share"].as_f64());
            let copied = median(&outputs, |v| v["extra"]["copied_kib"].as_f64()) / 1024.0;
            let percent = share * 100.0;
            Ok(Figure {
                value: share,
                text: format!("{percent:.2} % ({copied:.1} MiB)"),
                short: format!("{percent:.2} %"),
            })
        })
        .collect();
    Ok(vec![bench.row(
        (
            "fork, then the parent frees half of 381 MiB: pages copied",
            "fork: 2.5 million blocks of 160 B, after fork the parent frees a random half: heap pages copied",
            "at most 2 % of the heap's pages",
        ),
        results,
        |share| share <= 0.02,
    )])
}

/// What the yardstick has, or what there is beyond it.
fn against(more: f64, whole: f64, unit: &str) -> String {
    match more {
        0.0 => format!("{whole:.0} {unit}"),
        more => format!("{more:+.0} {unit}"),
    }
}

fn parse(finished: &Finished) -> Result<Value, String> {
    serde_json::from_str(finished.stdout.trim())
        .map_err(|e| format!("unreadable output of a workload: {e}"))
}

fn parse_all(runs: &[Finished]) -> Result<Vec<Value>, String> {
    runs.iter().map(parse).collect()
}

fn median(outputs: &[Value], figure: impl Fn(&Value) -> Option<f64>) -> f64 {
    Summary::of(outputs.iter().filter_map(figure)).median
}
