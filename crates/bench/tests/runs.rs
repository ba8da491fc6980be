//! Whole runs: right results, failures that stay where they are, Ctrl-C, two at once.

mod support;

use std::time::{Duration, Instant};

use support::{Outcome, bench, errors, library, result};

/// Every workload in miniature has the checksum of its definition.
#[test]
fn quick_suite_is_right_on_the_system_allocator() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("quick.json");
    let output = support::run(&[
        "--suite",
        "quick",
        "--peers",
        "glibc",
        "--rounds",
        "1",
        "--out",
        &out.display().to_string(),
    ])?;
    assert!(output.status.success(), "{}", errors(&output));
    let result = result(&out)?;
    assert_eq!(result["complete"], true);
    let workloads = result["workloads"].as_array().ok_or("no workloads")?;
    assert!(workloads.len() >= 45, "{} workloads", workloads.len());
    let ran = workloads
        .iter()
        .filter(|w| {
            w["cells"][0]["runs"]
                .as_array()
                .is_some_and(|r| r.len() == 1)
        })
        .count();
    let skipped = workloads
        .iter()
        .filter(|w| w["skipped"].is_string())
        .count();
    assert_eq!(ran + skipped, workloads.len());
    assert!(
        skipped <= 2,
        "only redis and memcached may be missing, {skipped} were skipped"
    );
    assert!(out.with_extension("html").is_file());
    Ok(())
}

/// A suite named throughput exists, with at least 20 workloads, all with checksums.
#[test]
fn throughput_suite_is_large_and_checked() -> Outcome {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/definitions/throughput.toml"
    ))?;
    let workloads = text.matches("[[workload]]").count();
    assert!(workloads >= 20, "{workloads}");
    assert_eq!(text.matches("\nchecksum = ").count(), workloads);
    Ok(())
}

/// Half, once and twice the constants, in one run: three rows of a program, whose runs agree, and a line in each table.
#[test]
fn robustness_runs_each_program_with_three_sets_of_constants() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("robustness.json");
    let ours = library(
        folder.path(),
        "ours",
        "#include <stddef.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         void *malloc(size_t n) { return __libc_malloc(n); } void free(void *p) { __libc_free(p); }",
    )?;
    let output = support::run(&[
        "robustness",
        "--quick",
        "--rounds",
        "2",
        "--peers",
        &format!("aethalloc={},glibc", ours.display()),
        "--out",
        &out.display().to_string(),
        "larson",
        "batch-few",
        "digits",
    ])?;
    let text = String::from_utf8(output.stdout.clone())?;
    assert!(output.status.success(), "{text}{}", errors(&output));
    for program in ["larson ", "batch-few "] {
        let lines = text.lines().filter(|l| l.starts_with(program)).count();
        assert_eq!(lines, 3, "{program}: {text}");
    }
    assert!(
        text.contains("without constants to scale: digits"),
        "{text}"
    );
    let result = result(&out)?;
    let rows = result["workloads"].as_array().ok_or("no workloads")?;
    let of = |name: &str| {
        rows.iter()
            .find(|w| w["name"] == name)
            .cloned()
            .ok_or(name.to_string())
    };
    for (name, blocks, rounds) in [
        ("batch-few@0.5", "blocks=50", "rounds=1000"),
        ("batch-few@1", "blocks=100", "rounds=500"),
        ("batch-few@2", "blocks=200", "rounds=250"),
    ] {
        let row = of(name)?;
        let args = row["args"].to_string();
        assert!(args.contains(blocks) && args.contains(rounds), "{args}");
        for cell in row["cells"].as_array().ok_or("no cells")? {
            assert_eq!(cell["runs"].as_array().map(Vec::len), Some(2), "{name}");
        }
    }
    Ok(())
}

/// A damaging library makes the runs of a program disagree, even where nobody knows the checksum.
#[test]
fn robustness_finds_damage_without_a_known_checksum() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let output = support::run(&[
        "robustness",
        "--quick",
        "--rounds",
        "1",
        "--peers",
        &format!("aethalloc={},glibc", damaging.display()),
        "--out",
        &folder.path().join("r.json").display().to_string(),
        "random-small",
    ])?;
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout.clone())? + &errors(&output);
    assert!(text.contains("random-small@2"), "{text}");
    Ok(())
}

/// Damages the block before last from the 5000th call on.
fn damaging(folder: &std::path::Path) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    library(
        folder,
        "damaging",
        "#include <stdlib.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         static int calls; static void *last; void free(void *p) { if (p == last) last = 0; __libc_free(p); }\n\
         void *malloc(size_t n) { if (++calls > 5000 && last) *(char *)last ^= 1; return last = __libc_malloc(n); }",
    )
}

/// One peer that crashes, one that damages blocks: named, with the reason; the others are measured.
#[test]
fn bad_peers_fail_alone() -> Outcome {
    let folder = tempfile::tempdir()?;
    // Both let small programs live: they turn bad after 5000 calls.
    let crashing = library(
        folder.path(),
        "crashing",
        "#include <stdlib.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         static int calls; void free(void *p) { __libc_free(p); }\n\
         void *malloc(size_t n) { if (++calls > 5000) abort(); return __libc_malloc(n); }",
    )?;
    let damaging = damaging(folder.path())?;
    let out = folder.path().join("r.json");
    let peers = format!(
        "crashing={},glibc,damaging={}",
        crashing.display(),
        damaging.display()
    );
    let workloads = [
        "--suite",
        "quick",
        "--workloads",
        "random-small",
        "--rounds",
        "2",
    ];
    let out_text = out.display().to_string();
    let output =
        support::run(&[&workloads[..], &["--peers", &peers, "--out", &out_text]].concat())?;
    assert!(!output.status.success());
    let text = errors(&output);
    assert!(
        text.contains("random-small under crashing: ended by signal 6 (SIGABRT)"),
        "{text}"
    );
    assert!(
        text.contains("random-small under damaging: ended with status 3: bench-work: block of"),
        "{text}"
    );
    let result = result(&out)?;
    let cells = result["workloads"][0]["cells"]
        .as_array()
        .ok_or("no cells")?;
    let runs = |i: usize| cells[i]["runs"].as_array().map_or(0, Vec::len);
    assert_eq!((runs(0), runs(1), runs(2)), (0, 2, 0));
    Ok(())
}

/// Ctrl-C keeps what is finished, says so, and leaves no process behind.
#[test]
fn interrupted_run_keeps_what_it_has() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("r.json");
    let args = [
        "--suite",
        "quick",
        "--workloads",
        "pair-16,random-small",
        "--peers",
        "glibc",
        "--rounds",
        "100000",
    ];
    let mut child = bench(&args)
        .args(["--out", &out.display().to_string()])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    while !out.is_file() {
        assert!(
            start.elapsed() < Duration::from_secs(300),
            "no result after a round"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: a signal to our own child.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let stopped = Instant::now();
    while child.try_wait()?.is_none() {
        if stopped.elapsed() > Duration::from_secs(300) {
            child.kill()?;
            return Err("did not stop".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output()?;
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("interrupted: what was finished is in the result"),
        "{}",
        errors(&output)
    );
    let result = result(&out)?;
    assert_eq!(result["complete"], false);
    assert!(
        result["workloads"][0]["cells"][0]["runs"]
            .as_array()
            .is_some_and(|r| !r.is_empty())
    );
    // Its private folder is gone, and with it everything that ran there.
    let left: Vec<_> = std::fs::read_dir(folder.path())?
        .flatten()
        .filter(|e| {
            e.file_name()
                .to_string_lossy()
                .starts_with("aethalloc-bench-")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Two benches at once: each has its own figures, and each says that it was not alone.
#[test]
fn two_at_once_do_not_mix() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut children = Vec::new();
    for (name, workload) in [("a", "pair-16"), ("b", "random-small")] {
        let out = folder.path().join(format!("{name}.json"));
        let args = [
            "--suite",
            "quick",
            "--workloads",
            workload,
            "--peers",
            "glibc",
            "--rounds",
            "150",
        ];
        let child = bench(&args)
            .args(["--out", &out.display().to_string()])
            .env("TMPDIR", folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        children.push((workload, out, child));
    }
    for (workload, out, child) in children {
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{}", errors(&output));
        let result = result(&out)?;
        assert_eq!(result["workloads"][0]["name"], workload);
        assert_eq!(
            result["workloads"][0]["cells"][0]["runs"]
                .as_array()
                .map(Vec::len),
            Some(150)
        );
        let notes = result["disturbances"].to_string();
        assert!(
            notes.contains("another bench (process"),
            "{workload}: {notes}"
        );
    }
    Ok(())
}

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

/// Other constants: sizes and live sets change, a damaged block is still found, and what has none to change says so.
#[test]
fn scaled_constants_are_checked_too() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let peers = format!("glibc,damaging={}", damaging.display());
    let workloads = "random-small,queue-4-1,start-up";
    let args = [
        "--suite",
        "quick",
        "--scale",
        "2",
        "--rounds",
        "1",
        "--workloads",
        workloads,
    ];
    let output = support::run(&[&args[..], &["--peers", &peers, "--out", &out_text]].concat())?;
    assert!(!output.status.success());
    let result = result(&out)?;
    assert_eq!(result["scale"], 2.0);
    let workload = |index: usize| &result["workloads"][index];
    assert_eq!(
        workload(0)["args"].to_string(),
        r#"["random","slots=2000","low=32","high=1024","ops=100000"]"#
    );
    for index in [0, 1] {
        let cells = &workload(index)["cells"];
        assert_eq!(cells[0]["runs"].as_array().map(Vec::len), Some(1));
        assert!(
            cells[1]["failed"]
                .as_str()
                .is_some_and(|line| line.contains("lost its content")),
            "{cells}"
        );
    }
    assert_eq!(workload(2)["skipped"], "has no constants to scale");
    Ok(())
}

/// Suite scaling: a row for each number of threads, each with its checksum, whether the definition knows it or not.
#[test]
fn rows_follow_the_number_of_threads() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let peers = format!("glibc,damaging={}", damaging.display());
    let args = [
        "--suite",
        "scaling",
        "--workloads",
        "many-churn",
        "--threads",
        "1,2,3",
    ];
    let more = ["--rounds", "1", "--peers", &peers, "--out", &out_text];
    let output = support::run(&[&args[..], &more].concat())?;
    assert!(!output.status.success());
    let result = result(&out)?;
    let rows = result["workloads"].as_array().ok_or("no workloads")?;
    assert_eq!(rows.len(), 3);
    for (row, threads) in rows.iter().zip(1..) {
        assert_eq!(row["name"], format!("many-churn-{threads}"));
        assert_eq!(row["series"]["threads"], threads);
        let args = row["args"].to_string();
        assert!(args.contains(&format!("\"at_once={threads}\"")), "{args}");
        // Judged by the time that one thread takes: us an operation, times the threads.
        let (us, unit) = (row["figure"]["scale"].as_f64(), &row["figure"]["unit"]);
        assert_eq!(
            (us, unit.as_str()),
            (Some(f64::from(threads) * 1e6), Some("us"))
        );
        let cells = &row["cells"];
        assert_eq!(
            cells[0]["runs"].as_array().map(Vec::len),
            Some(1),
            "{cells}"
        );
        let failed = cells[1]["failed"].as_str().unwrap_or_default();
        assert!(failed.contains("lost its content"), "{cells}");
    }
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
