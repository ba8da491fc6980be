//! CPython runs its own tests, every object of it through `malloc`.

use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// The interpreter's own tests.
pub const PYTHON: Program = Program {
    name: "python3",
    task: "its own tests of dict, list, json, re, threading, gc, subprocess (`PYTHONMALLOC=malloc`)",
    tools: &[
        tool("python3", "python3"),
        tool(
            "/usr/lib/python3.11/test/test_dict.py",
            "libpython3.11-testsuite",
        ),
    ],
    from: Level::Quick,
    expected: processes(&["python3"]),
    note: "",
    task_fn: |run| {
        let long = if run.level == Level::Quick { &[] } else { LONG };
        let tests: Vec<&str> = SHORT.iter().chain(long).copied().collect();
        own_tests(run, &tests, run.size(300, 1000))
    },
};

/// Event loops, pools of processes and of threads.
pub const PYTHON_PROCESSES: Program = Program {
    name: "python3-processes",
    task: "its own tests of asyncio, concurrent futures and multiprocessing (`PYTHONMALLOC=malloc`)",
    from: Level::Full,
    task_fn: |run| own_tests(run, PROCESSES, 1000),
    ..PYTHON
};

const SHORT: &[&str] = &["test_dict", "test_list", "test_json", "test_gc"];
const LONG: &[&str] = &["test_re", "test_threading", "test_subprocess"];
const PROCESSES: &[&str] = &[
    "test_asyncio",
    "test_concurrent_futures",
    "test_multiprocessing_fork",
];

/// Test cases that fail on a busy machine whatever the allocator: they wait for fractions of a second.
const TIMED: &[&str] = &["*WaitTests*", "*AsCompletedTests*", "*timeout*"];

/// Runs `names`, which hold at least `enough` test cases.
fn own_tests(run: &Run, names: &[&str], enough: usize) -> Result<Facts, Failure> {
    let output = run
        .launch("python3")
        .args(["-m", "test", "--junit-xml"])
        .arg(run.path("result.xml").to_string_lossy())
        .args(names)
        .args(TIMED.iter().flat_map(|pattern| ["--ignore", pattern]))
        .env("PYTHONMALLOC", "malloc")
        .limit(900)
        .output()?;
    let report = run.read("result.xml").unwrap_or_default();
    let report = String::from_utf8_lossy(&report);
    if !output.status.success() {
        let failed: Vec<&str> = report
            .split("<testcase ")
            .skip(1)
            .filter(|case| case.contains("<failure") || case.contains("<error"))
            .map(|case| case.split('>').next().unwrap_or(case))
            .collect();
        return Err(format!("python3: {}: {}", output.status, failed.join("; ")));
    }
    let tests = report.matches("<testcase ").count();
    if tests < enough {
        return Err(format!("only {tests} tests ran"));
    }
    Ok(vec![("outcomes".into(), outcomes(&report).into_bytes())])
}

/// Every test case with how it ended, without times.
fn outcomes(report: &str) -> String {
    let mut lines: Vec<String> = report
        .split("<testcase ")
        .skip(1)
        .map(|case| {
            let name = case
                .split_once("name=\"")
                .and_then(|(_, rest)| rest.split('"').next())
                .unwrap_or("?");
            let end = ["failure", "error", "skipped"]
                .into_iter()
                .find(|kind| case.contains(&format!("<{kind}")))
                .unwrap_or("passed");
            format!("{name} {end}\n")
        })
        .collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_a_report() {
        let report = r#"<testsuite><testcase name="b" time="1"><skipped>no</skipped></testcase>
            <testcase name="a" time="2" /></testsuite>"#;
        assert_eq!(super::outcomes(report), "a passed\nb skipped\n");
    }
}
