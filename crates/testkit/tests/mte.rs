//! `safety:mte`: where the CPU has memory tagging (an emulator, in the step `aarch64`), every misuse that the rules promise faults; where
//! it has none, one line says so and the program runs as ever.

use aethalloc_testkit::{Finished, Program, Run, Source, full, misuse, seed, test_library};

/// The emulated CPU has memory tagging.
fn has_tags() -> bool {
    std::env::var("AETHALLOC_EMULATOR").is_ok_and(|e| e.contains("-cpu max"))
}

const CONF: &str = "safety:mte,safety_summary:on";

fn under(program: &Program) -> Run {
    program.preloaded().env("AETHALLOC_CONF", CONF)
}

/// The number before `word` in the summary that the library prints at exit.
fn counted(finished: &Finished, word: &str) -> u64 {
    let line = finished
        .stderr
        .lines()
        .find_map(|l| l.strip_prefix("aethalloc: safety:mte: "));
    let part = line.and_then(|l| l.split(", ").find_map(|p| p.strip_suffix(word)));
    part.and_then(|n| n.trim().parse().ok())
        .unwrap_or_else(|| panic!("{}", finished.describe("printed no summary")))
}

fn trials(kind: &str) {
    // After a free the heap goes on for hundreds of calls in each trial.
    let number = if full() || !kind.ends_with("free") {
        "10000"
    } else {
        "1000"
    };
    test_library(|| {
        if !has_tags() {
            return Ok(());
        }
        let run = under(&Source::c("mte_trials").build()?).timeout(200);
        let run = run.arg(kind).arg(number).arg(seed().to_string());
        let finished = run.finish().succeeded();
        println!("{}", finished.stdout);
        assert!(
            finished.stdout.contains(" 0 missed") && !finished.stdout.contains(" 0 tag faults"),
            "{}",
            finished.stdout
        );
        assert!(counted(&finished, "tagged") >= 10_000);
        Ok(())
    });
}

#[test]
fn every_overflow_faults() {
    trials("overflow");
}

#[test]
fn every_underflow_faults() {
    trials("underflow");
}

#[test]
fn every_read_after_free_faults() {
    trials("read_after_free");
}

#[test]
fn every_write_after_free_faults() {
    trials("write_after_free");
}

#[test]
fn the_rules_hold_with_tags() {
    test_library(|| {
        // On an emulator those that go through much memory take half a minute each.
        let mut names = vec!["rules_calloc", "rules_realloc", "rules_aligned"];
        names.push("life_key_destructors");
        if full() {
            names.extend(["rules_free", "rules_usable_size"]);
        }
        for name in names {
            let run = under(&Source::c(name).build()?).timeout(240);
            let finished = run.finish().succeeded();
            if has_tags() {
                assert!(counted(&finished, "tagged") > 0, "{name}");
            }
        }
        Ok(())
    });
}

/// Double frees and frees through a pointer of what was there before.
#[test]
fn stale_pointers_are_caught_when_they_come_back() {
    test_library(|| misuse::second_frees_are_caught(CONF));
}

#[test]
fn a_fault_is_reported_and_ends_the_program() {
    test_library(|| {
        if !has_tags() {
            return Ok(());
        }
        let run = under(&Source::c("misuse_use_after_free").build()?);
        let finished = run.arg("100").arg("write").finish();
        assert!(
            finished.died_of_segv() && finished.stderr.contains("with a wrong tag at 0x"),
            "{}",
            finished.describe("was to fault")
        );
        Ok(())
    });
}

#[test]
fn without_the_cpu_one_line_says_so() {
    test_library(|| {
        if has_tags() {
            return Ok(());
        }
        let finished = under(&Source::c("rules_realloc").build()?)
            .finish()
            .succeeded();
        let line = "aethalloc: safety:mte is not active: the CPU has no memory tagging\n";
        assert_eq!(finished.stderr, line);
        Ok(())
    });
}
