//! What a figure is of: the program itself, and repeatable where it says so.

mod support;

use support::{Outcome, errors, result};

/// A child's peak is its own, not the bench's or the launcher's.
#[test]
fn peak_is_the_programs_own() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let args = [
        "--suite",
        "quick",
        "--workloads",
        "start-up,large",
        "--peers",
        "glibc",
        "--rounds",
        "1",
    ];
    let output = support::run(&[&args[..], &["--out", &out_text]].concat())?;
    assert!(output.status.success(), "{}", errors(&output));
    let result = result(&out)?;
    let peak = |index: usize| {
        result["workloads"][index]["cells"][0]["runs"][0]["usage"]["peak_kib"].as_u64()
    };
    let tiny = peak(0).ok_or("no peak")?;
    assert!(
        (500..6000).contains(&tiny),
        "a program with one block: {tiny} KiB"
    );
    assert!(peak(1).ok_or("no peak")? > 20_000);
    assert!(
        result["peak_floor_kib"]
            .as_u64()
            .is_some_and(|floor| floor < tiny)
    );
    Ok(())
}

/// A run that sleeps at its end is a run of its own: it says what is resident then and does not count as a time.
#[test]
fn idle_runs_are_apart_and_details_show_them() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let args = [
        "--suite",
        "quick",
        "--workloads",
        "pair-16,idle-after-burst",
        "--peers",
        "glibc",
        "--rounds",
        "2",
        "--idle",
        "1",
        "--details",
    ];
    let output = support::run(&[&args[..], &["--out", &out_text]].concat())?;
    assert!(output.status.success(), "{}", errors(&output));
    let result = result(&out)?;
    assert_eq!(result["complete"], true);
    let cell = |index: usize| &result["workloads"][index]["cells"][0];
    assert_eq!(cell(0)["runs"].as_array().map(Vec::len), Some(2));
    let idle = &cell(0)["idle"][0];
    assert!(
        idle["marks"]["idle"]["pss_kib"].as_u64() > Some(0),
        "{idle}"
    );
    assert!(idle["usage"]["wall_s"].as_f64() >= Some(1.0), "{idle}");
    // The other sleeps in each of its runs anyway.
    assert!(cell(1)["idle"].is_null());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for figure in [
        "end RSS MiB",
        "end PSS MiB",
        "idle RSS MiB",
        "idle PSS MiB",
        "page faults",
        "peak RSS MiB",
        "user + sys s",
    ] {
        let lines = text.lines().filter(|l| l.trim_start().starts_with(figure));
        assert!(lines.count() >= 1, "no {figure} in:\n{text}");
    }
    Ok(())
}

/// From the mark "freed" on, the pointer tables of the dormant program are not resident.
#[test]
fn the_dormant_program_gives_its_own_tables_back() -> Outcome {
    let program = env!("CARGO_BIN_EXE_bench-work");
    let args = ["owners=4", "bytes=8m", "low=16", "high=256", "wait=1"];
    let output = std::process::Command::new(program)
        .arg("dormant")
        .args(args)
        .output()?;
    assert!(output.status.success(), "{}", errors(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let extra = |name: &str| report["extra"][name].as_f64().unwrap_or(-1.0);
    let resident = |mark: &str| report["marks"][mark]["rss_kib"].as_f64().unwrap_or(-1.0);
    assert!(extra("table_kib") > 4000.0, "{report}");
    assert!(
        resident("full") - resident("freed") >= extra("table_kib"),
        "{report}"
    );
    assert_eq!(extra("own_kib"), resident("start") - extra("table_kib"));
    assert_eq!(extra("above_1s_kib"), resident("1s") - extra("own_kib"));
    Ok(())
}

/// Instructions are counted, and the same from run to run where times are not.
#[test]
fn instructions_are_repeatable() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut counts = Vec::new();
    for name in ["a.json", "b.json"] {
        let out = folder.path().join(name);
        let out_text = out.display().to_string();
        let args = [
            "--suite",
            "quick",
            "--workloads",
            "pair-16",
            "--peers",
            "glibc",
            "--rounds",
            "1",
            "--instructions",
        ];
        let output = support::run(&[&args[..], &["--out", &out_text]].concat())?;
        assert!(output.status.success(), "{}", errors(&output));
        let count = &result(&out)?["workloads"][0]["cells"][0]["instructions"];
        counts.push(count.as_f64().ok_or("no count")?);
    }
    assert!((20.0..500.0).contains(&counts[0]), "{counts:?}");
    assert!((counts[0] - counts[1]).abs() < 0.5, "{counts:?}");
    Ok(())
}
