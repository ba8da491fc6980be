//! Comparisons of results, and the documents that are made from kept ones.

mod support;

use std::fs;
use std::path::Path;

use support::{Outcome, errors, library};

/// A result in which `aethalloc` is a library that wastes thousands of instructions in each call.
fn measured(folder: &Path, more: &[&str], name: &str) -> Outcome {
    let slow = library(
        folder,
        "slow",
        "#include <stdlib.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         void free(void *p) { __libc_free(p); }\n\
         void *malloc(size_t n) { for (volatile int i = 0; i < 5000; i++); return __libc_malloc(n); }",
    )?;
    let out = folder.join(name).display().to_string();
    let peers = format!("aethalloc={},glibc", slow.display());
    let args = [
        "--suite",
        "quick",
        "--workloads",
        "pair-16,waves",
        "--rounds",
        "3",
    ];
    let output = support::run(&[&args[..], &["--peers", &peers, "--out", &out], more].concat())?;
    assert!(output.status.success(), "{}", errors(&output));
    Ok(())
}

/// README, docs/results.md and the plots are what `bench docs` makes of the kept results.
#[test]
fn the_documents_match_the_kept_results() -> Outcome {
    let output = support::run(&["docs", "--check"])?;
    assert!(
        output.status.success(),
        "run `cargo run --release -- bench docs`: {}{}",
        String::from_utf8_lossy(&output.stdout),
        errors(&output)
    );
    Ok(())
}

/// In a checkout of its own: losses come first, other constants get a table, stale plots go, a second run of a suite is
/// refused.
#[test]
fn documents_are_made_from_kept_results() -> Outcome {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let results = root.join("docs/results");
    fs::create_dir_all(&results)?;
    measured(&results, &[], "quick.json")?;
    measured(&results, &["--scale", "2"], "quick-twice.json")?;
    let block = |name: &str| format!("<!-- {name}:begin -->\nold\n<!-- {name}:end -->\n");
    fs::write(
        root.join("README.md"),
        format!("before\n{}{}after\n", block("six"), block("standings")),
    )?;
    fs::write(root.join("docs/results.md"), block("results"))?;
    fs::write(results.join("stale.svg"), "")?;
    let docs = |args: &[&str]| {
        support::bench(&[&["docs"], args].concat())
            .env("AETHALLOC_BENCH_CHECKOUT", root)
            .output()
    };
    assert!(!docs(&["--check"])?.status.success());
    let output = docs(&[])?;
    assert!(output.status.success(), "{}", errors(&output));
    assert!(docs(&["--check"])?.status.success());
    assert!(!results.join("stale.svg").exists());

    let readme = fs::read_to_string(root.join("README.md"))?;
    assert!(readme.starts_with("before\n") && readme.ends_with("after\n"));
    assert!(!readme.contains("old\n"), "{readme}");
    let row = readme
        .lines()
        .find(|l| l.starts_with("| quick | 0 | 0 | 2: "))
        .ok_or_else(|| format!("no row of losses in:\n{readme}"))?;
    assert!(row.contains("x glibc"), "{row}");
    let text = fs::read_to_string(root.join("docs/results.md"))?;
    for wanted in ["## Suite quick", "## Other constants, suite quick"] {
        assert!(text.contains(wanted), "no {wanted} in:\n{text}");
    }
    assert!(text.contains("x glibc** |"), "no loss is bold in:\n{text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert!(fs::read_to_string(results.join("quick.html"))?.contains("id=\"waves\""));
    let links = text.split("](results/").skip(1);
    let names: Vec<_> = links.filter_map(|link| link.split(')').next()).collect();
    let plots: Vec<_> = names.iter().filter(|n| n.ends_with(".svg")).collect();
    assert!(plots.len() >= 3, "{text}");
    for name in plots {
        let drawing = fs::read_to_string(results.join(name))?;
        assert!(drawing.starts_with("<svg xmlns") && !drawing.contains("NaN"));
    }

    let refused = |name: &str, from: &str, why: &str| -> Outcome {
        fs::copy(results.join(from), results.join(name))?;
        let output = docs(&[])?;
        assert!(!output.status.success());
        assert!(errors(&output).contains(why), "{}", errors(&output));
        Ok(fs::remove_file(results.join(name))?)
    };
    refused("again.json", "quick.json", "keep it as quick.json")?;
    refused("again.json", "quick-twice.json", "'quick' is kept twice")?;
    fs::write(
        results.join("again.json"),
        "{\"format\":\"aethalloc-bench\",\"version\":99}",
    )?;
    assert!(errors(&docs(&[])?).contains("version 99, this bench reads 1"));
    Ok(())
}

/// `--compare` finds a change beyond the intervals, in both directions, and names what differs besides.
#[test]
fn two_results_side_by_side() -> Outcome {
    let folder = tempfile::tempdir()?;
    measured(folder.path(), &[], "a.json")?;
    let (a, b) = (folder.path().join("a.json"), folder.path().join("b.json"));
    let mut value = support::result(&a)?;
    for workload in value["workloads"].as_array_mut().into_iter().flatten() {
        for cell in workload["cells"].as_array_mut().into_iter().flatten() {
            let factor = if cell["peer"] == "glibc" { 100.0 } else { 0.01 };
            for run in cell["runs"].as_array_mut().into_iter().flatten() {
                let wall = run["usage"]["wall_s"].as_f64().ok_or("no time")?;
                run["usage"]["wall_s"] = (wall * factor).into();
            }
        }
    }
    value["machine"]["kernel"] = "0.0.1".into();
    fs::write(&b, value.to_string())?;
    let compared = support::run(&[
        "--compare",
        &a.display().to_string(),
        &b.display().to_string(),
    ])?;
    assert!(compared.status.success(), "{}", errors(&compared));
    let text = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(text.contains("note: kernel differs"), "{text}");
    assert_eq!(text.matches(" 100.000 worse").count(), 2, "{text}");
    assert_eq!(text.matches(" 0.010 better").count(), 2, "{text}");
    // The best other is glibc in A; in B it has become slow and ours fast.
    let ranked = support::run(&["rank", &a.display().to_string(), &b.display().to_string()])?;
    let text = String::from_utf8_lossy(&ranked.stdout).into_owned();
    assert!(
        text.contains("wall time: aethalloc to the best other"),
        "{text}"
    );
    assert!(text.contains("above 1.03x: 0 of 2"), "{text}");
    let ranked = support::run(&["rank", &a.display().to_string(), &a.display().to_string()])?;
    let text = String::from_utf8_lossy(&ranked.stdout).into_owned();
    assert!(text.contains("above 1.03x: 2 of 2"), "{text}");
    let behind = |line: &str| line.contains("x glibc") && line.ends_with("  BEHIND");
    assert!(text.lines().filter(|l| behind(l)).count() >= 2, "{text}");
    // Nothing of the machine's folders is kept.
    let kept = fs::read_to_string(&a)?;
    assert!(kept.contains("\"libslow.so\""), "{kept}");
    assert!(!kept.contains(&folder.path().display().to_string()));
    Ok(())
}
