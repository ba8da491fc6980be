//! Whole runs: right results, failures that stay where they are, Ctrl-C, two at once.

mod support;

use std::time::{Duration, Instant};

use support::{Outcome, bench, damaging, errors, library, result};

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
