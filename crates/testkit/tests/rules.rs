//! The rules of every exported function, each on plain glibc (is the test right?), under `LD_PRELOAD` and with
//! `libaethalloc.a` linked in.

use aethalloc_testkit::{Active, Missing, Source, emulated, oracle_only, test, test_library};

/// On all three.
fn everywhere(source: Source) -> Result<(), Missing> {
    // Whether the test is right does not depend on the machine, but an emulated glibc runs out of memory in some.
    if !emulated() {
        source.build()?.on_oracle().finish().succeeded();
    }
    ours(source)
}

/// On ours alone: glibc has no such functions.
fn ours(source: Source) -> Result<(), Missing> {
    if oracle_only() {
        return Ok(());
    }
    let active = Active::new();
    let preloaded = source.build()?.preloaded();
    preloaded
        .env("AETHALLOC_CONF", active.conf())
        .finish()
        .succeeded();
    active.assert_active();
    let active = Active::new();
    let linked = source.build_with_archive()?.as_built();
    linked
        .env("AETHALLOC_CONF", active.conf())
        .finish()
        .succeeded();
    active.assert_active();
    Ok(())
}

#[test]
fn malloc() {
    test(|| everywhere(Source::c("rules_malloc")));
}

#[test]
fn calloc() {
    test(|| everywhere(Source::c("rules_calloc")));
}

#[test]
fn realloc() {
    test(|| everywhere(Source::c("rules_realloc")));
}

#[test]
fn aligned() {
    test(|| everywhere(Source::c("rules_aligned")));
}

#[test]
fn free() {
    test(|| everywhere(Source::c("rules_free")));
}

#[test]
fn usable_size() {
    test(|| everywhere(Source::c("rules_usable_size")));
}

#[test]
fn info() {
    test(|| everywhere(Source::c("rules_info")));
}

#[test]
fn operators_new_and_delete() {
    test(|| everywhere(Source::cpp("rules_new")));
}

#[test]
fn mallocx_family() {
    test_library(|| ours(Source::c("rules_extended")));
}

#[test]
fn mallctl() {
    test_library(|| ours(Source::c("rules_mallctl")));
}
