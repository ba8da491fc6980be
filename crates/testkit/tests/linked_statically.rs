//! Programs that contain `libaethalloc.a`, with a dynamic linker and without one.

use aethalloc_testkit::{Active, Limit, Missing, Run, Source, seed, test_library};

/// Runs both forms of a program, with proof that the library served them.
fn both_forms(source: Source, prepare: impl Fn(Run) -> Run) -> Result<(), Missing> {
    for program in [source.build_with_archive()?, source.build_fully_static()?] {
        let active = Active::new();
        let run = program.as_built().env("AETHALLOC_CONF", active.conf());
        prepare(run).finish().succeeded();
        active.assert_active();
    }
    Ok(())
}

#[test]
fn rules() {
    test_library(|| {
        for name in [
            "rules_malloc",
            "rules_calloc",
            "rules_realloc",
            "rules_aligned",
            "rules_extended",
        ] {
            both_forms(Source::c(name), |run| run)?;
        }
        Ok(())
    });
}

#[test]
fn operators_new_and_delete() {
    test_library(|| both_forms(Source::cpp("rules_new"), |run| run));
}

#[test]
fn thread_teardown() {
    test_library(|| both_forms(Source::c("life_key_destructors"), |run| run));
}

#[test]
fn fork_under_load() {
    test_library(|| both_forms(Source::c("life_fork"), |run| run.arg("30").arg("fork")));
}

#[test]
fn little_address_space() {
    test_library(|| {
        let limit = Limit::AddressSpace(64 << 20);
        both_forms(Source::c("life_limit"), |run| {
            run.arg("64").arg("1000").limit(limit)
        })
    });
}

#[test]
fn stress() {
    test_library(|| {
        let seed = seed().to_string();
        both_forms(Source::c("stress"), |run| run.arg("1").arg(&seed).arg("4"))
    });
}
