//! Under valgrind's memcheck: what the library and the programs on it read was written, and lies in mapped memory.
//!
//! memcheck replaces `malloc` in every library; told not to, it watches the library do its work. Blocks are then
//! plain memory to it: what it finds are uses of undefined values and accesses outside of mappings, in the library
//! or because of it.

use aethalloc_testkit::{Active, Missing, Program, Source, Tool, quick, test_library};

fn watched(source: Source, args: &[&str]) -> Result<(), Missing> {
    let valgrind = Program::existing("valgrind", Tool::find("valgrind")?.path());
    let program = source.build()?;
    let active = Active::new();
    let mut run = valgrind
        .preloaded()
        .env("AETHALLOC_CONF", active.conf())
        .arg("-q")
        .arg("--error-exitcode=99")
        .arg("--soname-synonyms=somalloc=nouserintercepts")
        .arg(program.path());
    for arg in args {
        run = run.arg(arg);
    }
    let finished = run.timeout(900).finish().succeeded();
    assert!(
        !finished.stderr.contains("=="),
        "memcheck says:\n{}",
        finished.stderr
    );
    active.assert_active();
    Ok(())
}

#[test]
fn rules() {
    test_library(|| {
        let all = ["rules_malloc", "rules_calloc", "rules_aligned"];
        for name in &all[..if quick() { 1 } else { all.len() }] {
            watched(Source::c(name), &[])?;
        }
        Ok(())
    });
}

#[test]
fn plain_program() {
    test_library(|| watched(Source::c("life_plain"), &[]));
}

#[test]
fn threads_and_late_frees() {
    test_library(|| watched(Source::c("life_key_destructors"), &[]));
}

#[test]
fn stress() {
    test_library(|| watched(Source::c("stress"), &["2", "7", "3"]));
}

/// A read of a value that was never written is found, so the others can be.
#[test]
fn an_undefined_value_is_noticed() {
    test_library(|| {
        let valgrind = Program::existing("valgrind", Tool::find("valgrind")?.path());
        let program = Source::c("memcheck_undefined").build()?;
        let run = valgrind.preloaded().arg("-q").arg("--error-exitcode=99");
        let finished = run
            .arg("--soname-synonyms=somalloc=nouserintercepts")
            .arg(program.path())
            .timeout(120)
            .finish();
        assert!(
            finished.stderr.contains("uninitialised value"),
            "memcheck says:\n{}",
            finished.stderr
        );
        Ok(())
    });
}
