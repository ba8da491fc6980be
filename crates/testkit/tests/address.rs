//! What can be seen by address: whose cache lines, and how much memory after many hand-offs.

use aethalloc_testkit::{Missing, Source, quick, seed, test, test_library};

const LINES: Source = Source::c("address_lines");

/// The checker sees what it is for: glibc gives a line to two threads within moments.
#[test]
fn shared_lines_are_seen() {
    test(|| {
        let run = LINES.build()?.on_oracle().arg("10").arg("1").arg("4");
        let finished = run.finish().found_fault();
        assert!(
            finished.stderr.contains("where thread"),
            "{}",
            finished.describe("found something else")
        );
        Ok(())
    });
}

#[test]
fn no_line_is_held_by_two_threads() {
    test_library(|| {
        let seconds = if quick() { "2" } else { "10" };
        let seed = seed();
        for threads in [2, 4, 8] {
            let run = LINES
                .build()?
                .preloaded()
                .arg(seconds)
                .arg(seed.to_string());
            let finished = run.arg(threads.to_string()).finish().succeeded();
            println!("{}", finished.stdout.trim().replace('\n', ", "));
        }
        Ok(())
    });
}

/// Producers allocate, a consumer frees everything, fifty times.
fn hand_offs(producers: &str) -> Result<(), Missing> {
    let program = Source::c("address_hand_off").build()?;
    for size in ["16", "48", "64", "592", "5000", "40000", "0"] {
        let run = program.preloaded().arg(size).arg(producers).timeout(120);
        println!("{}", run.finish().succeeded().stdout.trim());
    }
    Ok(())
}

#[test]
fn memory_does_not_grow_while_producers_stay() {
    test_library(|| hand_offs("stay"));
}

#[test]
fn memory_does_not_grow_while_producers_come_and_go() {
    test_library(|| hand_offs("leave"));
}

/// The program sees growth where there is some: its consumer keeps every fourth block.
#[test]
fn growth_is_seen() {
    test(|| {
        let run = Source::c("address_hand_off")
            .build()?
            .on_oracle()
            .arg("592")
            .arg("leak");
        let finished = run.finish().found_fault();
        assert!(
            finished.stderr.contains("grows from"),
            "{}",
            finished.describe("found something else")
        );
        Ok(())
    });
}

/// The oracle has no such mapping; ours has, and little of it is resident.
#[test]
fn cold_code_is_not_resident() {
    test_library(|| {
        let program = Source::c("address_cold_code").build()?;
        program.on_oracle().finish().found_fault();
        let finished = program.preloaded().finish().succeeded();
        println!("{}", finished.stdout.trim());
        Ok(())
    });
}
