//! Each misuse under each profile: when it is caught. The table in `docs/safety.md` comes from this run.
//!
//! `AETHALLOC_BLESS=1 cargo test -p aethalloc-testkit --test safety_table` writes it anew.

use aethalloc_testkit::{Finished, Missing, Source, test_library};
use std::collections::BTreeSet;

const PROFILES: [(&str, &str); 3] = [
    ("default", "safety:off"),
    ("guard, all sampled", "safety:guard,guard_rate:1"),
    ("hardened", "safety:hardened"),
];

/// How often each is run: slots are random.
const RUNS: usize = 3;

/// A misuse: name, program, its arguments with `N` for the size, sizes, and for each profile whether it must be caught
/// (`+`), is not (`-`), or depends on what lies there (`?`).
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [usize],
    &'static str,
);

const ALL: &[usize] = &[8, 24, 64, 1000, 1 << 20];
/// Sizes that fill no page: the byte behind is not the guard's yet.
const SMALL: &[usize] = &[8, 24, 56, 1000];
const LARGE: &[usize] = &[1 << 20];
const ONCE: &[usize] = &[0];

const ROWS: &[Row] = &[
    (
        "write 1 byte behind, small",
        "misuse_overflow",
        "N 1 store",
        SMALL,
        "?++",
    ),
    (
        "write 1 byte behind, large",
        "misuse_overflow",
        "N 1 store",
        LARGE,
        "-++",
    ),
    (
        "write 1 byte behind, memcpy",
        "misuse_overflow",
        "N 1 memcpy",
        SMALL,
        "?++",
    ),
    (
        "write 32 bytes behind, store",
        "misuse_overflow",
        "N 32 store",
        ALL,
        "-++",
    ),
    (
        "write 32 bytes behind, memcpy",
        "misuse_overflow",
        "N 32 memcpy",
        ALL,
        "-++",
    ),
    (
        "write 1 MiB behind, memcpy",
        "misuse_overflow",
        "N 1048576 memcpy",
        ALL,
        "?++",
    ),
    (
        "write 1 MiB behind, one store",
        "misuse_overflow",
        "N 1048576 store",
        ALL,
        "???",
    ),
    (
        "read 32 bytes behind",
        "misuse_overflow",
        "N 32 read",
        ALL,
        "-+?",
    ),
    (
        "write 1 byte before, small",
        "misuse_underflow",
        "N 1 store",
        SMALL,
        "?++",
    ),
    (
        "write 32 bytes before, small",
        "misuse_underflow",
        "N 32 store",
        SMALL,
        "?++",
    ),
    (
        "write 32 bytes before, memcpy",
        "misuse_underflow",
        "N 32 memcpy",
        SMALL,
        "?++",
    ),
    (
        "write 32 bytes before, large",
        "misuse_underflow",
        "N 32 store",
        LARGE,
        "???",
    ),
    (
        "read 32 bytes before",
        "misuse_underflow",
        "N 32 read",
        SMALL,
        "???",
    ),
    (
        "write 1 MiB before, memcpy",
        "misuse_underflow",
        "N 1048576 memcpy",
        SMALL,
        "???",
    ),
    (
        "read after free",
        "misuse_use_after_free",
        "N read",
        SMALL,
        "-+-",
    ),
    (
        "read after free, large",
        "misuse_use_after_free",
        "N read",
        LARGE,
        "-++",
    ),
    (
        "write after free",
        "misuse_use_after_free",
        "N write",
        ALL,
        "-++",
    ),
    (
        "write after free and 100 others",
        "misuse_use_after_free",
        "N write 100",
        ALL,
        "-++",
    ),
    (
        "read by the old address of a reused block",
        "misuse_use_after_reuse",
        "N read",
        SMALL,
        "-?-",
    ),
    (
        "write by the old address of a reused block",
        "misuse_use_after_reuse",
        "N write",
        SMALL,
        "-??",
    ),
    ("double free", "misuse_double_free", "N", ALL, "+++"),
    (
        "double free after thousands of others",
        "misuse_double_free_late",
        "N",
        &[8, 24, 64, 1000],
        "+++",
    ),
    (
        "double free after reuse",
        "misuse_double_free_reused",
        "N",
        ALL,
        "+++",
    ),
    (
        "double free after others",
        "misuse_double_free_interleaved",
        "N",
        ALL,
        "+++",
    ),
    (
        "double free by another thread",
        "misuse_double_free_remote",
        "N",
        ALL,
        "+++",
    ),
    (
        "free inside an object",
        "misuse_free_inside",
        "N 8",
        &[64, 1000, 1 << 20],
        "+++",
    ),
    (
        "free of an unaligned address inside an object, twice",
        "misuse_free_unaligned",
        "N 3",
        &[64, 1000, 1 << 20],
        "+++",
    ),
    (
        "free of a stack address",
        "misuse_free_stack",
        "",
        ONCE,
        "+++",
    ),
    (
        "free of a far address",
        "misuse_free_wild",
        "0x4141414141414140",
        ONCE,
        "+++",
    ),
    (
        "free of an unaligned far address",
        "misuse_free_wild",
        "0x4141414141414141",
        ONCE,
        "+++",
    ),
    (
        "sized delete with another size",
        "misuse_delete_size",
        "N 17 one",
        &[24, 1000],
        "--+",
    ),
    (
        "delete of what new[] made",
        "misuse_delete_form",
        "N array",
        &[24, 1000, 1 << 20],
        "---",
    ),
    (
        "delete[] of what new made",
        "misuse_delete_form",
        "N scalar",
        &[24, 1000, 1 << 20],
        "---",
    ),
    (
        "delete of what malloc made",
        "misuse_delete_form",
        "N c",
        &[24, 1000, 1 << 20],
        "---",
    ),
    (
        "write into 0 bytes",
        "misuse_zero_size",
        "write",
        ONCE,
        "-?+",
    ),
    ("read of 0 bytes", "misuse_zero_size", "read", ONCE, "---"),
    (
        "freed data visible in a new object",
        "misuse_uninitialised",
        "N",
        &[24, 1000],
        "?++",
    ),
    (
        "execution of heap memory",
        "misuse_execute",
        "N",
        &[64, 1 << 20],
        "+++",
    ),
    (
        "impossibly large request",
        "misuse_impossible",
        "",
        ONCE,
        "+++",
    ),
];

/// How a run ended.
fn outcome(finished: &Finished, row: &Row) -> &'static str {
    let survived = finished.stdout.contains("survived");
    if matches!(row.1, "misuse_uninitialised" | "misuse_impossible") {
        return if survived { "prevented" } else { "no" };
    }
    if finished.died_of_segv() {
        return "at the access";
    }
    if !finished.died_of_abort() {
        assert!(
            survived,
            "{}",
            finished.describe("ended in an unexpected way")
        );
        return "no";
    }
    match (survived, &finished.stderr) {
        (true, _) => "at exit",
        (_, text) if text.contains("found at free") => "at free",
        (_, text) if text.contains("the free block") => "at reuse",
        _ => "at the call",
    }
}

fn cell(row: &Row, conf: &str, wanted: char) -> Result<String, Missing> {
    let (name, program, args, sizes, _) = *row;
    let program = match program.starts_with("misuse_delete") {
        true => Source::cpp(program).build()?,
        false => Source::c(program).build()?,
    };
    let mut outcomes = BTreeSet::new();
    for size in sizes {
        for _ in 0..RUNS {
            let mut run = program.preloaded().env("AETHALLOC_CONF", conf);
            for arg in args.split_whitespace() {
                run = run.arg(if arg == "N" {
                    size.to_string()
                } else {
                    arg.to_owned()
                });
            }
            let finished = run.finish();
            let outcome = outcome(&finished, row);
            let right = match wanted {
                '+' => outcome != "no",
                '-' => outcome == "no",
                _ => true,
            };
            assert!(
                right,
                "{}",
                finished.describe(&format!("({name}, {conf}) is caught: {outcome}"))
            );
            outcomes.insert(outcome);
        }
    }
    let list: Vec<&str> = outcomes.into_iter().collect();
    Ok(list.join(", "))
}

#[test]
fn every_misuse_under_every_profile() {
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/safety.md");
    const BEGIN: &str = "<!-- table:begin -->\n";
    const END: &str = "<!-- table:end -->\n";
    test_library(|| {
        let mut table = String::from("| misuse |");
        PROFILES
            .iter()
            .for_each(|(name, _)| table += &format!(" {name} |"));
        table += "\n|---|---|---|---|\n";
        for row in ROWS {
            table += &format!("| {} |", row.0);
            for ((_, conf), wanted) in PROFILES.iter().zip(row.4.chars()) {
                table += &format!(" {} |", cell(row, conf, wanted)?);
            }
            table.push('\n');
        }
        let page = std::fs::read_to_string(PAGE).expect("docs/safety.md");
        let begin = page.find(BEGIN).expect("the table's begin") + BEGIN.len();
        let end = page.find(END).expect("the table's end");
        println!("{table}");
        if std::env::var_os("AETHALLOC_BLESS").is_some() {
            let new = format!("{}{table}{}", &page[..begin], &page[end..]);
            std::fs::write(PAGE, new).expect("docs/safety.md is written");
            return Ok(());
        }
        // Cells whose outcome is random may differ; the rows may not.
        let rows = |text: &str| -> Vec<String> {
            let first = |line: &str| line.split('|').nth(1).map(|s| s.trim().to_owned());
            text.lines().filter_map(first).collect()
        };
        assert_eq!(
            rows(&page[begin..end]),
            rows(&table),
            "run again with AETHALLOC_BLESS=1"
        );
        Ok(())
    });
}
