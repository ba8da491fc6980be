//! Safety modes: what they catch, that the report says what happened, and that they say themselves that they are active.

mod safety_modes;

use aethalloc_testkit::{Finished, Source, oracle_only, test, test_library};
use safety_modes::{all_is_well, says, under};

/// Every object a sample, guards made as on this kernel and as on old ones.
const GUARD: [&str; 2] = [
    "safety:guard,guard_rate:1",
    "safety:guard,guard_rate:1,guard_pages:protect",
];

/// Ended by the fault, as it would have without the library.
fn faulted(finished: Finished) -> Finished {
    assert!(
        finished.died_of_segv(),
        "{}",
        finished.describe("was to end by SIGSEGV")
    );
    finished
}

const SIZES: [usize; 7] = [8, 24, 64, 1000, 1024, 29000, 1 << 20];

#[test]
fn overflow_of_a_guarded_object_faults() {
    test_library(|| {
        let program = Source::c("misuse_overflow").build()?;
        for conf in GUARD {
            for size in SIZES {
                for (distance, how) in [
                    (32, "store"),
                    (32, "memcpy"),
                    (32, "read"),
                    (1 << 20, "memcpy"),
                ] {
                    let run = program.preloaded().arg(size.to_string());
                    let run = under(run.arg(distance.to_string()).arg(how), conf);
                    let finished = faulted(run.finish());
                    let verb = if how == "read" { "read" } else { "write" };
                    let object = format!("of {size} bytes at ");
                    says(
                        &finished,
                        &format!("{verb} out of bounds at 0x"),
                        &[
                            "behind the end of the object",
                            &object,
                            "misuse_overflow+0x",
                            "allocated by thread",
                        ],
                    );
                }
            }
        }
        Ok(())
    });
}

/// What lies between the object and its page's end shows at the free.
#[test]
fn small_overflow_and_underflow_of_a_sampled_object_show_at_the_free() {
    test_library(|| {
        for conf in GUARD {
            for (name, byte) in [("misuse_overflow", "24"), ("misuse_underflow", "-1")] {
                let run = Source::c(name).build()?.preloaded();
                let finished = under(run.arg("24").arg("1").arg("store"), conf).finish();
                assert!(
                    finished.died_of_abort(),
                    "{}",
                    finished.describe("was to abort")
                );
                says(
                    &finished,
                    &format!("overflow: byte {byte} of the object of 24 bytes at 0x"),
                    &["allocated by thread", "freed by thread"],
                );
            }
        }
        Ok(())
    });
}

#[test]
fn use_after_free_of_a_guarded_object_faults() {
    test_library(|| {
        let program = Source::c("misuse_use_after_free").build()?;
        for conf in GUARD {
            for size in SIZES {
                // Also after two hundred others: the last 256 freed samples stay out of use.
                for (verb, others) in [("read", "0"), ("write", "0"), ("write", "200")] {
                    let run = program
                        .preloaded()
                        .arg(size.to_string())
                        .arg(verb)
                        .arg(others);
                    let finished = faulted(under(run, conf).finish());
                    says(
                        &finished,
                        &format!("{verb} after free at 0x"),
                        &[
                            " bytes inside the object of ",
                            "allocated by thread",
                            "freed by thread",
                        ],
                    );
                }
            }
        }
        Ok(())
    });
}

/// Large objects that are no samples have a guard too.
#[test]
fn overflow_of_every_large_object_faults() {
    test_library(|| {
        let program = Source::c("misuse_overflow").build()?;
        for conf in ["safety:guard", "safety:guard,guard_pages:protect"] {
            for size in [65536, 1 << 20, 3 << 20] {
                let run = program
                    .preloaded()
                    .arg(size.to_string())
                    .arg("1")
                    .arg("store");
                let finished = faulted(under(run, conf).finish());
                let line = format!("0 bytes behind the end of the object of {size} bytes");
                says(&finished, "write out of bounds at 0x", &[&line]);
            }
        }
        Ok(())
    });
}

/// A guard stays where it is for the next object, of whatever size fits the same run, and is behind each.
#[test]
fn guards_of_large_objects_stay_for_the_next_one() {
    test_library(|| {
        let program = Source::c("guard_reuse").build()?;
        for conf in ["safety:guard", "safety:guard,guard_pages:protect"] {
            for pages in [9, 20, 31, 56] {
                let run = program.preloaded().arg(pages.to_string());
                let finished = faulted(under(run, conf).finish());
                assert_eq!(finished.stdout, "reused\n");
                let bytes = pages * 4096;
                let line = format!("0 bytes behind the end of the object of {bytes} bytes");
                says(&finished, "write out of bounds at 0x", &[&line]);
            }
        }
        Ok(())
    });
}

const GUARD_DOES: [&str; 4] = ["guarded", "sampled", "quarantined", "checked"];

/// A mode's handler stands between a signal that somebody sends and its effect, which stays the same.
#[test]
fn a_sent_signal_has_its_effect() {
    test(|| {
        let program = Source::c("safety_signal").build()?;
        let ends = |finished: Finished, how: &str| {
            let said = faulted(finished).stdout;
            assert_eq!(said, if how == "ignored" { "alive\n" } else { "" }, "{how}");
        };
        for how in ["raise", "kill", "thread", "queue", "ignored"] {
            ends(program.on_oracle().arg(how).finish(), how);
            if oracle_only() {
                continue;
            }
            for mode in ["off", "guard", "hardened", "tags"] {
                let run = program.preloaded().arg(how);
                ends(under(run, &format!("safety:{mode}")).finish(), how);
            }
        }
        Ok(())
    });
}

#[test]
fn guard_is_well() {
    test_library(|| all_is_well("safety:guard", &GUARD_DOES[..1]));
}

#[test]
fn guard_with_many_samples_is_well() {
    test_library(|| all_is_well("safety:guard,guard_rate:50", &GUARD_DOES));
}

#[test]
fn guard_with_many_samples_among_caches_is_well() {
    test_library(|| all_is_well("safety:guard,guard_rate:5000", &GUARD_DOES));
}

#[test]
fn guard_without_guard_regions_is_well() {
    test_library(|| {
        all_is_well(
            "safety:guard,guard_rate:50,guard_pages:protect",
            &GUARD_DOES,
        )
    });
}
