//! Safety modes: what they catch, that the report says what happened, and that they say themselves that they are active.

use aethalloc_testkit::{Finished, Missing, Run, Source, test_library};

/// Runs under options.
fn under(run: Run, conf: &str) -> Run {
    run.env("AETHALLOC_CONF", conf)
}

/// Every object a sample, guards made as on this kernel and as on old ones.
const GUARD: [&str; 2] = [
    "safety:guard,guard_rate:1",
    "safety:guard,guard_rate:1,guard_pages:protect",
];

/// The line's first, with its numbers as given.
fn says(finished: &Finished, first: &str, others: &[&str]) {
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with(&format!("aethalloc: {first}")));
    assert!(
        at.is_some(),
        "{}",
        finished.describe(&format!("was to say {first}"))
    );
    for other in others {
        assert!(
            lines.iter().any(|line| line.contains(other)),
            "{}",
            finished.describe(&format!("was to say {other}"))
        );
    }
}

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

/// The figures of the summary line.
fn figures(finished: &Finished) -> Vec<(String, u64)> {
    let line = finished
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("aethalloc: safety:"));
    let Some((_, list)) = line.and_then(|line| line.split_once(": ")) else {
        panic!("{}", finished.describe("printed no summary"));
    };
    list.split(", ")
        .map(|pair| {
            let (number, what) = pair.split_once(' ').expect("number and word");
            (what.to_owned(), number.parse().expect("a number"))
        })
        .collect()
}

fn figure(finished: &Finished, what: &str) -> u64 {
    let all = figures(finished);
    let found = all.iter().find(|(name, _)| name == what);
    found
        .unwrap_or_else(|| panic!("no figure {what} in {all:?}"))
        .1
}

/// The rules hold under each mode, and the mode says that it did something.
fn all_is_well(conf: &str, busy: &[&str]) -> Result<(), Missing> {
    let seed = aethalloc_testkit::seed().to_string();
    let programs: [(&str, &[&str]); 8] = [
        ("rules_malloc", &[]),
        ("rules_calloc", &[]),
        ("rules_realloc", &[]),
        ("rules_aligned", &[]),
        ("rules_free", &[]),
        ("life_fork", &["10", "fork"]),
        ("life_short_threads", &[]),
        ("stress", &["1", &seed, "4"]),
    ];
    for (name, args) in programs {
        let conf = format!("{conf},safety_summary:on");
        let run = under(Source::c(name).build()?.preloaded(), &conf);
        let finished = args
            .iter()
            .fold(run, aethalloc_testkit::Run::arg)
            .finish()
            .succeeded();
        let strange = finished
            .stderr
            .lines()
            .find(|line| !line.starts_with("aethalloc: safety:"));
        assert!(
            strange.is_none(),
            "{}",
            finished.describe(&format!("complains under {conf}"))
        );
        if name == "stress" {
            for what in busy {
                assert!(figure(&finished, what) > 0, "{}", finished.describe(what));
            }
        }
    }
    Ok(())
}

const GUARD_DOES: [&str; 4] = ["guarded", "sampled", "quarantined", "checked"];

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

const HARDENED: [&str; 2] = ["safety:hardened", "safety:hardened,guard_pages:protect"];
const HARDENED_DOES: [&str; 3] = ["guarded", "quarantined", "checked"];

#[test]
fn hardened_is_well() {
    test_library(|| all_is_well("safety:hardened", &HARDENED_DOES));
}

#[test]
fn hardened_without_guard_regions_is_well() {
    test_library(|| all_is_well("safety:hardened,guard_pages:protect", &HARDENED_DOES));
}

#[test]
fn hardened_without_guard_pages_is_well() {
    test_library(|| all_is_well("safety:hardened,guard_pages:off", &HARDENED_DOES[1..]));
}

#[test]
fn hardened_finds_writes_behind_objects_at_the_free() {
    test_library(|| {
        let program = Source::c("misuse_overflow").build()?;
        for conf in HARDENED {
            for size in [1, 8, 24, 56, 64, 1000, 1024, 29000, 32_764, 100_000] {
                let run = program
                    .preloaded()
                    .arg(size.to_string())
                    .arg("1")
                    .arg("store");
                let line = format!(
                    "aethalloc: overflow: byte {size} of the object of {size} bytes at 0x[0-9a-f]+ was changed \\(found at free\\)"
                );
                under(run, conf).finish().aborted_with(&line);
            }
        }
        Ok(())
    });
}

#[test]
fn hardened_finds_writes_after_free_at_exit_or_reuse() {
    test_library(|| {
        let program = Source::c("misuse_use_after_free").build()?;
        for others in [None, Some("3000")] {
            for size in [8, 24, 64, 1000, 1024, 20000] {
                let run = program.preloaded().arg(size.to_string()).arg("write");
                let run = match others {
                    Some(others) => run.arg(others),
                    None => run,
                };
                let line = format!(
                    "aethalloc: write into the free block of [0-9]+ bytes at 0x[0-9a-f]+: byte {} was changed",
                    size / 2
                );
                under(run, "safety:hardened").finish().aborted_with(&line);
            }
        }
        Ok(())
    });
}

#[test]
fn hardened_compares_the_size_of_a_sized_delete() {
    test_library(|| {
        let program = Source::cpp("misuse_delete_size").build()?;
        for (size, said) in [("24", "16"), ("24", "32"), ("100000", "99999")] {
            for form in ["one", "array", "aligned"] {
                let run = program.preloaded().arg(size).arg(said).arg(form);
                let line = format!(
                    "aethalloc: invalid free of 0x[0-9a-f]+ \\(an object of {size} bytes freed as one of {said}\\)"
                );
                under(run, "safety:hardened").finish().aborted_with(&line);
            }
        }
        // The right size is right.
        let run = program.preloaded().arg("24").arg("24").arg("one");
        under(run, "safety:hardened").finish().succeeded();
        Ok(())
    });
}

#[test]
fn hardened_takes_foreign_frees_for_misuse() {
    test_library(|| {
        let run = Source::c("misuse_free_stack").build()?.preloaded();
        under(run, "safety:hardened").finish().aborted_with(
            "aethalloc: invalid free of 0x[0-9a-f]+ \\(not allocated by aethalloc\\)",
        );
        Ok(())
    });
}

#[test]
fn hardened_finds_every_second_free_at_once() {
    test_library(|| {
        for name in [
            "misuse_double_free",
            "misuse_double_free_interleaved",
            "misuse_double_free_late",
            "misuse_double_free_remote",
            "misuse_double_free_after_thread",
        ] {
            let program = Source::c(name).build()?;
            for size in ["16", "100", "1000", "20000", "1048576"] {
                if size == "1048576" && name.ends_with("late") {
                    continue;
                }
                let finished = under(program.preloaded().arg(size), "safety:hardened").finish();
                assert!(
                    finished.died_of_abort(),
                    "{}",
                    finished.describe("was to abort")
                );
                says(&finished, "double free of 0x", &[]);
            }
        }
        Ok(())
    });
}

/// Freed blocks are handed out in an order that nobody can tell.
#[test]
fn hardened_hands_out_slots_in_random_order() {
    test_library(|| {
        let program = Source::c("safety_order").build()?;
        let order = |conf: &str| -> Result<String, Missing> {
            let run = under(program.preloaded().arg("64").arg("40"), conf);
            Ok(run.finish().succeeded().stdout)
        };
        let (first, second) = (order("safety:hardened")?, order("safety:hardened")?);
        assert_ne!(first, second, "the same order twice");
        assert_eq!(
            order("")?,
            order("")?,
            "the default's order is the same each time"
        );
        Ok(())
    });
}

/// What such a plug-in gets from `malloc` is checked like everything else, and is nobody's foreign block.
#[test]
fn hardened_serves_plug_ins_with_deep_binding() {
    test_library(|| {
        let plugin = Source::c("life_deepbind_plugin").build_shared()?;
        let host = Source::c("life_deepbind").build()?;
        for conf in HARDENED {
            let run = host.preloaded().arg(plugin.path());
            under(run, conf).finish().succeeded();
        }
        Ok(())
    });
}

/// What the library tells of itself counts the objects of a mode too.
#[test]
fn allocations_under_a_mode_are_counted() {
    test_library(|| {
        for conf in ["safety:hardened", "safety:guard,guard_rate:50"] {
            let active = aethalloc_testkit::Active::new();
            let conf = format!("{},{conf}", active.conf());
            let run = Source::c("safety_order").build()?.preloaded();
            under(run.arg("64").arg("40"), &conf).finish().succeeded();
            assert_eq!(active.assert_active().len(), 1);
        }
        Ok(())
    });
}

/// The support thread looks at memory while the program runs.
#[test]
fn hardened_finds_damage_while_the_program_runs() {
    test_library(|| {
        let program = Source::c("misuse_found_running").build()?;
        for size in ["48", "3000", "100000"] {
            let run = program.preloaded().arg(size).arg("behind");
            let line = format!(
                "aethalloc: overflow: byte {size} of the object of {size} bytes at 0x[0-9a-f]+ was changed \\(found by the sweep\\)"
            );
            under(run, "safety:hardened,support:on")
                .finish()
                .aborted_with(&line);
        }
        let run = program.preloaded().arg("3000").arg("freed");
        let line = "aethalloc: write into the free block of [0-9]+ bytes at 0x[0-9a-f]+: byte 1500 was changed";
        under(run, "safety:hardened,support:on")
            .finish()
            .aborted_with(line);
        Ok(())
    });
}

/// Callers without magazines, too: those of `cache:off`, and threads whose cache is gone.
#[test]
fn hardened_delays_reuse_for_every_caller() {
    test_library(|| {
        let program = Source::c("safety_reuse").build()?;
        for (conf, who) in [
            ("safety:hardened", "main"),
            ("safety:hardened,cache:off", "main"),
            ("safety:hardened", "thread"),
        ] {
            let run = program.preloaded().arg("1000").arg("40").arg(who);
            let run = under(run, &format!("{conf},safety_summary:on"));
            let finished = run.finish().succeeded();
            assert!(figure(&finished, "quarantined") >= 41, "{conf} {who}");
        }
        Ok(())
    });
}
