//! The rules hold whatever the options say, and an option that is wrong costs one line, not the program.

use aethalloc_testkit::{Missing, Source, seed, test_library};

/// Runs what touches every part of the allocator under one setting.
fn all_is_well(conf: &str) -> Result<(), Missing> {
    let seed = seed().to_string();
    let programs: [(&str, &[&str]); 7] = [
        ("rules_malloc", &[]),
        ("rules_calloc", &[]),
        ("rules_realloc", &[]),
        ("rules_aligned", &[]),
        ("life_key_destructors", &[]),
        ("stress", &["1", &seed, "4"]),
        ("address_lines", &["1", &seed, "4"]),
    ];
    for (name, args) in programs {
        let run = Source::c(name)
            .build()?
            .preloaded()
            .env("AETHALLOC_CONF", conf);
        let finished = args
            .iter()
            .fold(run, aethalloc_testkit::Run::arg)
            .finish()
            .succeeded();
        assert!(
            finished.stderr.is_empty(),
            "{}",
            finished.describe(&format!("complains under {conf}"))
        );
    }
    Ok(())
}

#[test]
fn no_thread_caches() {
    test_library(|| all_is_well("cache:off"));
}

#[test]
fn no_moving_of_pages() {
    test_library(|| all_is_well("remap:off"));
}

#[test]
fn nothing_retained() {
    test_library(|| all_is_well("retain:0,retain_share:0"));
}

#[test]
fn smallest_batches() {
    test_library(|| all_is_well("batch_count:1,batch_bytes:4096"));
}

#[test]
fn small_reservations() {
    test_library(|| all_is_well("reserve:1m"));
}

#[test]
fn a_wrong_option_costs_one_line() {
    test_library(|| {
        let program = Source::c("life_main_ends").build()?;
        for wrong in [
            "nonsense:1",
            "retain:much",
            "retain",
            "retain:99999999999999999999",
        ] {
            let run = program.preloaded().env("AETHALLOC_CONF", wrong);
            let finished = run.finish().succeeded();
            let lines: Vec<_> = finished.stderr.lines().collect();
            let one =
                lines.len() == 1 && lines[0].starts_with("aethalloc: ") && lines[0].contains(wrong);
            assert!(
                one,
                "{}",
                finished.describe("was to write one line about its option")
            );
        }
        Ok(())
    });
}

/// libstdc++ allocates before the library has read its options.
#[test]
fn the_reservation_is_small_though_another_constructor_allocates_first() {
    test_library(|| {
        let run = Source::cpp("life_early_reserve").build()?.preloaded();
        run.env("AETHALLOC_CONF", "reserve:5g").finish().succeeded();
        Ok(())
    });
}
