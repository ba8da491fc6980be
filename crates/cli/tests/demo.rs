//! `aethalloc demo`, with a stand-in for the library.

mod common;

use std::fs;

use common::{aethalloc, counting_library, folder, program, said};
use serde_json::Value;

#[test]
fn the_demo_measures_both_sides_and_proves_which_is_which() {
    let temporary = folder();
    let done = said(
        aethalloc()
            .args([
                "demo",
                "--seconds",
                "1",
                "--idle",
                "0",
                "--rounds",
                "2",
                "--json",
                "--lib",
            ])
            .arg(counting_library())
            // A library preloaded into the demo itself must not reach the system's rounds.
            .env("LD_PRELOAD", counting_library())
            .env("TMPDIR", temporary.path()),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    // Without a terminal: what it is about to do, and one line per round.
    assert_eq!(done.err.lines().count(), 1 + 4, "{}", done.err);

    let report: Value = serde_json::from_str(&done.out).unwrap();
    let library = counting_library().canonicalize().unwrap();
    for (side, served_by) in [("system", "libc"), ("aethalloc", library.to_str().unwrap())] {
        let rounds = report[side].as_array().unwrap();
        assert_eq!(rounds.len(), 2);
        for round in rounds {
            let number = |field: &str| round[field].as_f64().unwrap();
            assert!(
                round["malloc_from"].as_str().unwrap().contains(served_by),
                "{round}"
            );
            assert!(number("packets") > number("packets_per_second") * 0.1);
            assert!(number("rss_peak") > number("live_peak") && number("rss_idle") > 0.0);
            assert!(number("p999_ns") >= number("p50_ns") && number("p50_ns") > 0.0);
        }
    }
    // One packet, one allocation; the program's own come on top.
    let rounds = report["aethalloc"].as_array().unwrap();
    for (round, counted) in rounds
        .iter()
        .zip(report["library_allocations"].as_array().unwrap())
    {
        let (packets, counted) = (
            round["packets"].as_u64().unwrap(),
            counted.as_u64().unwrap(),
        );
        assert!(
            (packets..packets + 10_000).contains(&counted),
            "{packets} packets, {counted} counted"
        );
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_library_that_does_not_report_proves_nothing() {
    let dir = folder();
    let text = "#include <stddef.h>\nvoid *__libc_malloc(size_t);\nvoid *malloc(size_t n) { return __libc_malloc(n); }";
    let mute = program(dir.path(), "mute.so", text, &["-shared", "-fPIC"]);
    let mut command = aethalloc();
    command
        .args(["demo", "--seconds", "1", "--idle", "0", "--lib"])
        .arg(&mute);
    let done = said(&mut command);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{done:?}");
    assert_eq!(
        done.err.lines().last().unwrap(),
        "aethalloc: the library was preloaded, but reported no allocation"
    );
}

#[test]
fn a_library_that_fails_packets_is_named() {
    // One packet in the midst of the flood cannot be had.
    let dir = folder();
    let text = "#include <stddef.h>\nvoid *__libc_malloc(size_t);\nstatic unsigned long n;\n\
                void *malloc(size_t s) { return ++n == 5000 ? 0 : __libc_malloc(s); }";
    let failing = program(dir.path(), "failing.so", text, &["-shared", "-fPIC"]);
    let mut command = aethalloc();
    command
        .args(["demo", "--seconds", "1", "--idle", "0", "--lib"])
        .arg(&failing);
    let done = said(&mut command);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.err.contains("malloc returned null in the pipeline"),
        "{done:?}"
    );
    assert!(
        done.err
            .contains("the pipeline on Aethalloc did not end well"),
        "{done:?}"
    );
}
