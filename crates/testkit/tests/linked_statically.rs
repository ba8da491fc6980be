//! Programs that contain `libaethalloc.a`, with a dynamic linker and without one.

use aethalloc_testkit::{Active, Limit, Missing, Run, Source, cannot_run_here, seed, test_library};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};

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

/// A program with more rights than its caller takes no option from the caller: one of them names a file to write.
#[test]
fn options_are_not_for_programs_with_more_rights() {
    test_library(|| {
        let source = Source::c("life_secure");
        for program in [source.build_with_archive()?, source.build_fully_static()?] {
            let run = |rights: &str| {
                let active = Active::new();
                let run = program.as_built().env("AETHALLOC_CONF", active.conf());
                assert_eq!(run.finish().succeeded().stdout, rights);
                active
            };
            run("usual\n").assert_active();
            if chown(program.path(), Some(65534), None).is_err() {
                return cannot_run_here("only root can make a program that is another user's");
            }
            std::fs::set_permissions(program.path(), Permissions::from_mode(0o4755)).expect("mode");
            let reports = std::fs::read_to_string(run("more\n").path()).expect("a file");
            assert_eq!(reports, "", "options were taken from the caller");
        }
        Ok(())
    });
}
