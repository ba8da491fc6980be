//! Programs that read files and write files or a text.

use crate::data::Numbers;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::fmt::Write;

/// The database in a file.
pub const SQLITE: Program = Program {
    name: "sqlite3",
    task: "tables, indexes, joins, JSON, full text, triggers, vacuum, integrity check, dump",
    tools: &[tool("sqlite3", "sqlite3")],
    from: Level::Normal,
    expected: processes(&["sqlite3"]),
    note: "",
    task_fn: sqlite,
};

fn sqlite(run: &Run) -> Result<Facts, Failure> {
    let script = include_str!("../../data/sqlite.sql");
    run.write(
        "script",
        script.replace("@ROWS@", &run.size(20_000, 120_000).to_string()),
    )?;
    let output = run
        .launch("sqlite3")
        .args(["-bail", "test.db"])
        .input("script")
        .ok()?;
    let dump = run.launch("sqlite3").args(["test.db", ".dump"]).ok()?;
    Ok(vec![("output".into(), output), ("dump".into(), dump)])
}

/// A solver with many small objects.
pub const Z3: Program = Program {
    name: "z3",
    task: "solves puzzles in integers, bit vectors and arrays",
    tools: &[tool("z3", "z3")],
    from: Level::Normal,
    expected: processes(&["z3"]),
    note: "",
    task_fn: z3,
};

/// Queens on a board, a multiplication to take apart, and a chain of array writes.
fn z3(run: &Run) -> Result<Facts, Failure> {
    let queens = run.size(8, 13);
    let mut text = String::from("(set-option :smt.random_seed 1)\n");
    // Writing to a String cannot fail.
    for i in 0..queens {
        let _ = writeln!(
            text,
            "(declare-const q{i} Int)(assert (and (<= 0 q{i}) (< q{i} {queens})))"
        );
        for j in 0..i {
            let d = i - j;
            let _ = writeln!(
                text,
                "(assert (distinct q{i} q{j}))(assert (distinct (- q{i} q{j}) {d} (- {d})))"
            );
        }
    }
    text.push_str("(check-sat)\n(get-model)\n(reset)\n");
    text.push_str(
        "(declare-const a (_ BitVec 28))(declare-const b (_ BitVec 28))\n\
         (assert (= (bvmul a b) #xd1d5e23))(assert (bvugt a #x0000001))(assert (bvult a b))\n\
         (assert (bvult b #x0010000))(check-sat)\n(get-model)\n(reset)\n",
    );
    text.push_str("(declare-const m0 (Array Int Int))\n");
    let chain = run.size(60, 2500);
    for i in 1..=chain {
        let from = i - 1;
        let _ = writeln!(
            text,
            "(define-fun m{i} () (Array Int Int) (store m{from} {} (+ 1 (select m{from} {}))))",
            i % 17,
            i * 7 % 17
        );
    }
    let _ = writeln!(text, "(assert (= (select m{chain} 3) 5))(check-sat)");
    run.write("puzzle.smt2", text)?;
    let output = run.launch("z3").args(["puzzle.smt2"]).ok()?;
    Ok(vec![("output".into(), output)])
}

/// PostScript to pixels.
pub const GHOSTSCRIPT: Program = Program {
    name: "ghostscript",
    task: "draws pages of text, curves and shadings into PNG files; bounding boxes",
    tools: &[tool("gs", "ghostscript")],
    from: Level::Normal,
    expected: processes(&["gs"]),
    note: "",
    task_fn: ghostscript,
};

fn ghostscript(run: &Run) -> Result<Facts, Failure> {
    let pages = run.size(1, 8);
    let script = include_str!("../../data/pages.ps");
    run.write("pages.ps", script.replace("@PAGES@", &pages.to_string()))?;
    let gs = |device: &str, resolution: &str, file: &str| {
        run.launch("gs")
            .args(["-q", "-dSAFER", "-dBATCH", "-dNOPAUSE"])
            .args([&format!("-sDEVICE={device}"), resolution])
            .args([&format!("-sOutputFile={file}"), "pages.ps"])
            .ok()
    };
    gs("png16m", "-r200", "page%d.png")?;
    gs("bbox", "-r72", "unused")?;
    let mut facts = Facts::new();
    for page in 1..=pages {
        let name = format!("page{page}.png");
        facts.push((name.clone(), run.read(&name)?));
    }
    Ok(facts)
}

/// Threads that compress.
pub const COMPRESS: Program = Program {
    name: "compress",
    task: "sort, xz and zstd with two threads each: a text sorted, compressed and back",
    tools: &[
        tool("xz", "xz-utils"),
        tool("zstd", "zstd"),
        tool("sort", "coreutils"),
    ],
    from: Level::Normal,
    expected: processes(&["xz", "zstd", "sort"]),
    note: "",
    task_fn: compress,
};

fn compress(run: &Run) -> Result<Facts, Failure> {
    let text = Numbers(42).text(run.size(100_000, 900_000));
    run.write("text", &text)?;
    let sorted = run
        .launch("sort")
        .args(["--parallel=2", "-S", "8M", "text"])
        .ok()?;
    run.write("sorted", &sorted)?;
    run.launch("xz")
        .args(["-T2", "-3", "--block-size=1MiB", "-k", "sorted"])
        .ok()?;
    run.launch("zstd")
        .args(["-q", "-T2", "-9", "sorted"])
        .ok()?;
    let mut facts = Facts::new();
    for (tool, file) in [("xz", "sorted.xz"), ("zstd", "sorted.zst")] {
        let back = run.launch(tool).args(["-d", "-c", "-q", file]).ok()?;
        if back != sorted {
            return Err(format!("{tool}: another text came back"));
        }
        facts.push((file.into(), run.read(file)?));
    }
    facts.push(("sorted".into(), sorted));
    Ok(facts)
}
