//! What the tests of several safety modes share.

use aethalloc_testkit::{Finished, Missing, Run, Source};

/// Runs under options.
pub fn under(run: Run, conf: &str) -> Run {
    run.env("AETHALLOC_CONF", conf)
}

/// The line's first, with its numbers as given.
pub fn says(finished: &Finished, first: &str, others: &[&str]) {
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

pub fn figure(finished: &Finished, what: &str) -> u64 {
    let all = figures(finished);
    let found = all.iter().find(|(name, _)| name == what);
    found
        .unwrap_or_else(|| panic!("no figure {what} in {all:?}"))
        .1
}

/// The rules hold under each mode, and the mode says that it did something.
pub fn all_is_well(conf: &str, busy: &[&str]) -> Result<(), Missing> {
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
