//! What cannot be done is said in one line.

mod support;

use support::{Outcome, refuses};

#[test]
fn unknown_names() -> Outcome {
    refuses(
        &["--suite", "speed"],
        &["unknown suite 'speed'", "throughput"],
    )?;
    refuses(
        &["--workloads", "larsen"],
        &["unknown workload 'larsen'", "list"],
    )?;
    refuses(
        &["--peers", "dlmalloc"],
        &["unknown peer 'dlmalloc'", "mimalloc"],
    )?;
    refuses(
        &["--peers", "mine=/no/such/file.so"],
        &["mine", "/no/such/file.so"],
    )?;
    refuses(&["--rounds", "0"], &["--rounds"])?;
    refuses(&["--scale", "0"], &["--scale"])?;
    refuses(
        &["--suite", "scaling", "--threads", "2,0"],
        &["--threads", "not 0"],
    )?;
    refuses(&["--env", "NOVALUE", "--peers", "glibc"], &["K=V"])
}

/// A copy of the program where no sources are.
#[test]
fn outside_a_checkout() -> Outcome {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("aethalloc-bench");
    // Another process writes it: see the command's own tests.
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_aethalloc-bench"))
        .arg(&copy)
        .status()?;
    assert!(copied.success());
    let output = std::process::Command::new(&copy)
        .args(["--suite", "quick"])
        .current_dir(folder.path())
        .output()?;
    let text = support::errors(&output);
    assert!(!output.status.success());
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("not inside a checkout"), "{text}");
    Ok(())
}

#[test]
fn a_library_that_is_none() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("text.so");
    std::fs::write(&file, "not a library")?;
    let output = support::run(&["peers", "--peers", &format!("mine={}", file.display())])?;
    let text = support::errors(&output);
    assert!(!output.status.success());
    assert!(
        text.contains("mine is left out") && text.contains("not in front"),
        "{text}"
    );
    Ok(())
}

#[test]
fn results_that_cannot_be_read() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("r.json");
    let text = path.display().to_string();
    refuses(&["--compare", &text, &text], &["r.json"])?;
    std::fs::write(&path, "hello")?;
    refuses(&["--compare", &text, &text], &["not a result file"])?;
    std::fs::write(&path, "{\"format\":\"other\"}")?;
    refuses(
        &["--compare", &text, &text],
        &["not a result file of this bench"],
    )?;
    std::fs::write(&path, "{\"format\":\"aethalloc-bench\",\"version\":99}")?;
    refuses(
        &["--compare", &text, &text],
        &["version 99", "this bench reads 1"],
    )
}

#[test]
fn help_names_every_command() -> Outcome {
    let output = support::run(&["--help"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in [
        "six",
        "peers",
        "list",
        "page",
        "rank",
        "docs",
        "self-check",
        "--scale",
        "--threads",
        "--idle",
        "--details",
        "--suite",
        "--compare",
        "--rounds",
    ] {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
    Ok(())
}
