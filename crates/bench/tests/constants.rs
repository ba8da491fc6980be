//! Runs with other constants than the definitions have, and rows over the number of threads.

mod support;

use support::{Outcome, damaging, errors, library, result};

/// Half, once and twice the constants, in one run: three rows of a program, whose runs agree, and a line in each table.
#[test]
fn robustness_runs_each_program_with_three_sets_of_constants() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("robustness.json");
    let ours = library(
        folder.path(),
        "ours",
        "#include <stddef.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         void *malloc(size_t n) { return __libc_malloc(n); } void free(void *p) { __libc_free(p); }",
    )?;
    let output = support::run(&[
        "robustness",
        "--quick",
        "--rounds",
        "2",
        "--peers",
        &format!("aethalloc={},glibc", ours.display()),
        "--out",
        &out.display().to_string(),
        "larson",
        "batch-few",
        "digits",
    ])?;
    let text = String::from_utf8(output.stdout.clone())?;
    assert!(output.status.success(), "{text}{}", errors(&output));
    for program in ["larson ", "batch-few "] {
        let lines = text.lines().filter(|l| l.starts_with(program)).count();
        assert_eq!(lines, 3, "{program}: {text}");
    }
    assert!(
        text.contains("without constants to scale: digits"),
        "{text}"
    );
    let result = result(&out)?;
    let rows = result["workloads"].as_array().ok_or("no workloads")?;
    let of = |name: &str| {
        rows.iter()
            .find(|w| w["name"] == name)
            .cloned()
            .ok_or(name.to_string())
    };
    for (name, blocks, rounds) in [
        ("batch-few@0.5", "blocks=50", "rounds=1000"),
        ("batch-few@1", "blocks=100", "rounds=500"),
        ("batch-few@2", "blocks=200", "rounds=250"),
    ] {
        let row = of(name)?;
        let args = row["args"].to_string();
        assert!(args.contains(blocks) && args.contains(rounds), "{args}");
        for cell in row["cells"].as_array().ok_or("no cells")? {
            assert_eq!(cell["runs"].as_array().map(Vec::len), Some(2), "{name}");
        }
    }
    Ok(())
}

/// A damaging library makes the runs of a program disagree, even where nobody knows the checksum.
#[test]
fn robustness_finds_damage_without_a_known_checksum() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let output = support::run(&[
        "robustness",
        "--quick",
        "--rounds",
        "1",
        "--peers",
        &format!("aethalloc={},glibc", damaging.display()),
        "--out",
        &folder.path().join("r.json").display().to_string(),
        "random-small",
    ])?;
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout.clone())? + &errors(&output);
    assert!(text.contains("random-small@2"), "{text}");
    Ok(())
}

/// Other constants: sizes and live sets change, a damaged block is still found, and what has none to change says so.
#[test]
fn scaled_constants_are_checked_too() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let peers = format!("glibc,damaging={}", damaging.display());
    let workloads = "random-small,queue-4-1,start-up";
    let args = [
        "--suite",
        "quick",
        "--scale",
        "2",
        "--rounds",
        "1",
        "--workloads",
        workloads,
    ];
    let output = support::run(&[&args[..], &["--peers", &peers, "--out", &out_text]].concat())?;
    assert!(!output.status.success());
    let result = result(&out)?;
    assert_eq!(result["scale"], 2.0);
    let workload = |index: usize| &result["workloads"][index];
    assert_eq!(
        workload(0)["args"].to_string(),
        r#"["random","slots=2000","low=32","high=1024","ops=100000"]"#
    );
    for index in [0, 1] {
        let cells = &workload(index)["cells"];
        assert_eq!(cells[0]["runs"].as_array().map(Vec::len), Some(1));
        assert!(
            cells[1]["failed"]
                .as_str()
                .is_some_and(|line| line.contains("lost its content")),
            "{cells}"
        );
    }
    assert_eq!(workload(2)["skipped"], "has no constants to scale");
    Ok(())
}

/// Suite scaling: a row for each number of threads, each with its checksum, whether the definition knows it or not.
#[test]
fn rows_follow_the_number_of_threads() -> Outcome {
    let folder = tempfile::tempdir()?;
    let damaging = damaging(folder.path())?;
    let out = folder.path().join("r.json");
    let out_text = out.display().to_string();
    let peers = format!("glibc,damaging={}", damaging.display());
    let args = [
        "--suite",
        "scaling",
        "--workloads",
        "many-churn",
        "--threads",
        "1,2,3",
    ];
    let more = ["--rounds", "1", "--peers", &peers, "--out", &out_text];
    let output = support::run(&[&args[..], &more].concat())?;
    assert!(!output.status.success());
    let result = result(&out)?;
    let rows = result["workloads"].as_array().ok_or("no workloads")?;
    assert_eq!(rows.len(), 3);
    for (row, threads) in rows.iter().zip(1..) {
        assert_eq!(row["name"], format!("many-churn-{threads}"));
        assert_eq!(row["series"]["threads"], threads);
        let args = row["args"].to_string();
        assert!(args.contains(&format!("\"at_once={threads}\"")), "{args}");
        // Judged by the time that one thread takes: us an operation, times the threads.
        let (us, unit) = (row["figure"]["scale"].as_f64(), &row["figure"]["unit"]);
        assert_eq!(
            (us, unit.as_str()),
            (Some(f64::from(threads) * 1e6), Some("us"))
        );
        let cells = &row["cells"];
        assert_eq!(
            cells[0]["runs"].as_array().map(Vec::len),
            Some(1),
            "{cells}"
        );
        let failed = cells[1]["failed"].as_str().unwrap_or_default();
        assert!(failed.contains("lost its content"), "{cells}");
    }
    Ok(())
}
