//! `safety:tags`: where CPU and kernel ignore pointer bits (aarch64: on an emulator, in the step `aarch64`; x86 with LAM), pointers have tags
//! and every stale or forged one is caught when it comes back; elsewhere one line says why not, and the program runs as ever.

use aethalloc_testkit::{Finished, Program, Run, Source, emulated, misuse, test_library};

const CONF: &str = "safety:tags,safety_summary:on";

fn under(program: &Program) -> Run {
    program.preloaded().env("AETHALLOC_CONF", CONF)
}

/// What the library says of itself: `Some` number of tags, or none and the reason.
fn tagged(finished: &Finished) -> Result<u64, String> {
    let told = |start: &str| {
        let line = finished.stderr.lines().find_map(|l| l.strip_prefix(start));
        line.map(str::to_owned)
    };
    if let Some(why) = told("aethalloc: safety:tags is not active: ") {
        return Err(why);
    }
    let line = told("aethalloc: safety:tags: ").expect("a summary");
    let number = line.split(" tagged").next().and_then(|n| n.parse().ok());
    Ok(number.expect("a number"))
}

/// Whether this machine can: on aarch64 always, elsewhere what the library says, which is checked below.
fn active() -> Result<bool, aethalloc_testkit::Missing> {
    let finished = under(&Source::c("rules_realloc").build()?)
        .finish()
        .succeeded();
    let found = tagged(&finished);
    if emulated() {
        assert!(found.clone().is_ok_and(|n| n > 1000), "{found:?}");
    }
    Ok(found.is_ok())
}

#[test]
fn every_pointer_has_a_tag_or_one_line_says_why_not() {
    test_library(|| {
        let finished = under(&Source::c("rules_realloc").build()?)
            .finish()
            .succeeded();
        match tagged(&finished) {
            Ok(n) => assert!(n > 1000, "{n} tags"),
            Err(why) => {
                assert!(!emulated(), "every aarch64 CPU can: {why}");
                let reasons = [
                    "the CPU ignores no pointer bits (LAM, UAI)",
                    "the CPU has UAI, but Linux has no interface for it",
                    "the CPU has LAM, but the kernel has it off (Linux 6.4, CONFIG_ADDRESS_MASKING)",
                ];
                assert!(reasons.contains(&why.as_str()), "{why}");
                assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
            }
        }
        Ok(())
    });
}

#[test]
fn the_rules_hold_with_tags() {
    test_library(|| {
        let active = active()?;
        let programs = ["rules_calloc", "rules_realloc", "rules_aligned"];
        for name in programs.into_iter().chain(["life_key_destructors"]) {
            let run = under(&Source::c(name).build()?).timeout(240);
            let finished = run.finish().succeeded();
            if active {
                assert!(tagged(&finished).is_ok_and(|n| n > 0), "{name}");
            }
        }
        Ok(())
    });
}

#[test]
fn pointers_with_another_tag_are_caught_when_they_come_back() {
    test_library(|| {
        if !active()? {
            return Ok(());
        }
        let program = Source::c("misuse_stale_pointer").build()?;
        for size in ["16", "100", "1000", "20000"] {
            for (verb, line) in [
                ("free", "double free of"),
                ("realloc", "invalid realloc of freed"),
                ("size", "invalid malloc_usable_size of freed"),
            ] {
                for kind in ["stale", "stripped", "forged"] {
                    caught(&program, size, verb, kind, line);
                }
            }
        }
        // Freed large memory is given out again only after hundreds of others.
        for kind in ["stripped", "forged"] {
            caught(&program, "1000000", "free", kind, "double free of");
        }
        for verb in ["free", "realloc", "size"] {
            let run = under(&program).arg("100").arg(verb).arg("fine");
            run.finish().succeeded();
        }
        Ok(())
    });
}

fn caught(program: &Program, size: &str, verb: &str, kind: &str, line: &str) {
    let finished = under(program).arg(size).arg(verb).arg(kind).finish();
    let pointer = finished.stdout.trim().to_owned();
    assert!(
        finished.died_of_abort() && finished.stderr.contains(&format!("{line} {pointer}")),
        "{}",
        finished.describe("was to abort")
    );
}

#[test]
fn second_frees_are_caught() {
    test_library(|| misuse::second_frees_are_caught(CONF));
}
