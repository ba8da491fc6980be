//! `safety:hardened`: what it catches, when, and that it says itself that it is active.

mod safety_modes;

use aethalloc_testkit::{Missing, Source, test_library};
use safety_modes::{all_is_well, figure, says, under};

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
            for size in [1, 8, 24, 56, 64, 1000, 1024, 29000, 32_764, 32_768, 100_000] {
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
