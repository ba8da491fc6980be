//! The nth system call fails: the library as it ships, traced from outside, under a program that checks every object
//! after every refusal and, when the faults have stopped, that everything works and all memory has come back.

use std::collections::BTreeSet;

use aethalloc_testkit::kernel::{self, Call, LIBRARY_CALLS, Refusal, Traced, Verdict};
use aethalloc_testkit::{
    Finished, Limit, Missing, Run, Source, full, quick, seed, test, test_library,
};

const MIB: u64 = 1 << 20;

/// What a move of pages that fails half way may cost: the address space it was going to, at most the program's largest
/// object.
const ONE_LOST_RUN: u64 = 9 * MIB;

/// What each of the C library's two tables for threads, all that is allocated at the end, may have more where the program
/// could not use their size often before: a block of the next class.
const CLASS_STEP: u64 = 32;
/// What such a block's slab takes.
const SLAB: u64 = 64 << 10;

/// The error that a call is refused with.
fn error_of(call: &Call) -> i32 {
    LIBRARY_CALLS
        .iter()
        .find(|known| known.number == call.number)
        .map_or(libc::ENOSYS, |known| known.errno)
}

/// Runs the program with the library's calls `from..from + length` refused, counted from 1.
fn refusing(run: Run, from: u64, length: u64) -> (Finished, Traced) {
    println!("from call {from} on, {length}:");
    let mut n = 0;
    run.timeout(120).finish_traced(&mut |call| {
        n += 1;
        if n >= from && n - from < length {
            Verdict::Refuse(error_of(call))
        } else {
            Verdict::Pass
        }
    })
}

/// The figures that `fault_run` prints: refusals it saw, bytes active and allocated at its end.
fn figures(finished: Finished) -> (u64, u64, u64) {
    let finished = finished.succeeded();
    let numbers: Vec<u64> = finished
        .stdout
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [refusals, active, allocated] => (refusals, active, allocated),
        _ => panic!("{}", finished.describe("was to print three figures")),
    }
}

/// Lets calls `n..n + length` fail for every `n`, or every `step`th in runs that are not full, until one is past the
/// last.
fn every(length: u64, step: u64, configure: impl Fn(Run) -> Run) -> Result<(), Missing> {
    kernel::available()?;
    let program = Source::c("fault_run").build()?;
    let run = || configure(program.preloaded().arg("1").arg("2"));
    let (plain, whole) = refusing(run(), u64::MAX, 0);
    let (_, base_active, base_allocated) = figures(plain);
    let mut kinds = BTreeSet::new();
    let (mut n, mut places, mut seen) = (1, 0, 0);
    loop {
        // What is lost is lost each time; a slab that the support thread has in hand at the end is not.
        let mut tries = 0;
        let (traced, refusals) = loop {
            let (finished, traced) = refusing(run(), n, length);
            let (refusals, active, allocated) = figures(finished);
            let more = allocated.wrapping_sub(base_allocated);
            assert!(
                more.is_multiple_of(CLASS_STEP) && more <= 2 * CLASS_STEP,
                "after calls from {n} on failed: {allocated} bytes allocated at the end instead of {base_allocated}"
            );
            let moved = traced.refused_numbers.contains(&libc::SYS_mremap);
            let allowed = more / CLASS_STEP * SLAB + if moved { ONE_LOST_RUN } else { 0 };
            if active <= base_active + allowed {
                break (traced, refusals);
            }
            tries += 1;
            assert!(
                tries < 4,
                "after calls from {n} on failed: {active} bytes active at the end, {base_active} without faults"
            );
        };
        if traced.refused == 0 {
            break;
        }
        kinds.extend(traced.refused_numbers);
        places += 1;
        seen += u64::from(refusals > 0);
        n += match (full(), quick()) {
            (true, _) => 1,
            (_, true) => 9,
            _ => step,
        };
    }
    println!(
        "{places} of {} calls; the program saw {seen} of the faults",
        whole.calls
    );
    assert!(places * step >= 60 || quick(), "only {places} places");
    for name in ["MMAP", "MPROTECT", "MADVISE", "MREMAP"] {
        assert!(
            kinds.contains(&kernel::named(name).number),
            "no {name} among the calls"
        );
    }
    Ok(())
}

fn little_space(run: Run) -> Run {
    run.limit(Limit::AddressSpace(192 * MIB))
}

#[test]
fn the_list_of_calls_is_complete() {
    test(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../sys/src/call.rs");
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let of_x86_64 = text.split("pub mod nr").nth(1).unwrap_or_default();
        let made: BTreeSet<&str> = of_x86_64
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("pub const ")?
                    .split_once(": usize")
            })
            .map(|(name, _)| name)
            .collect();
        let listed: BTreeSet<&str> = LIBRARY_CALLS.iter().map(|call| call.name).collect();
        assert_eq!(
            listed, made,
            "crates/testkit/src/kernel/calls.rs and {file}"
        );
        Ok(())
    });
}

/// Without the tracer: the program's own rules are right, also for glibc.
#[test]
fn the_program_itself() {
    test(|| {
        let program = Source::c("fault_run").build()?;
        program.on_oracle().arg("2").arg("4").finish().succeeded();
        Ok(())
    });
}

#[test]
fn each_call_fails_once() {
    test_library(|| every(1, 1, |run| run));
}

#[test]
fn each_call_fails_once_in_little_space() {
    test_library(|| every(1, 1, little_space));
}

#[test]
fn all_calls_fail_from_each_on() {
    test_library(|| every(u64::MAX, 3, |run| run));
}

#[test]
fn all_calls_fail_from_each_on_in_little_space() {
    test_library(|| every(u64::MAX, 3, little_space));
}

/// A larger program with more threads, places and lengths at random.
#[test]
fn some_calls_fail_in_a_large_run() {
    test_library(|| {
        kernel::available()?;
        let program = Source::c("fault_run").build()?;
        let seed = seed();
        println!("seed {seed}");
        let mut random = seed;
        let mut below = |bound: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for conf in [
            "",
            "retain:0,retain_share:0",
            "cache:off",
            "batch_count:1,batch_bytes:4096",
        ] {
            let run = || {
                program
                    .preloaded()
                    .env("AETHALLOC_CONF", conf)
                    .arg("3")
                    .arg("6")
            };
            let (plain, whole) = refusing(run(), u64::MAX, 0);
            figures(plain);
            let rounds = if full() {
                40
            } else if quick() {
                1
            } else {
                4
            };
            for _ in 0..rounds {
                let (from, length) = (below(whole.calls) + 1, 1 << below(8));
                let (finished, traced) = refusing(run(), from, length);
                println!(
                    "seed {seed}, {conf:?}: {} calls from {from} on failed",
                    traced.refused
                );
                figures(finished);
            }
        }
        Ok(())
    });
}

/// No process can be made: the fork handlers have run, and everything goes on.
#[test]
fn fork_fails() {
    test(|| {
        let program = Source::c("fault_fork").build()?;
        let refusals = [libc::SYS_clone, libc::SYS_fork, libc::SYS_clone3]
            .map(|number| Refusal::all(number, libc::EAGAIN));
        program.on_oracle().refuse(&refusals).finish().succeeded();
        if !aethalloc_testkit::oracle_only() {
            program.preloaded().refuse(&refusals).finish().succeeded();
        }
        Ok(())
    });
}
