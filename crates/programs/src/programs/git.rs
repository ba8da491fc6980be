//! git makes a repository, clones it, repacks it as hard as it can and checks it.

use crate::data::Numbers;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::io::Write;

/// The Debian package, whatever other git is in the path.
pub const GIT: Program = Program {
    name: "git",
    task: "fast-import, commits, clone, gc --aggressive, fsck, log, blame, grep",
    tools: &[tool("git", "git")],
    from: Level::Quick,
    expected: processes(&["git"]),
    note: "",
    task_fn: repository,
};

fn repository(run: &Run) -> Result<Facts, Failure> {
    run.write("history", history(run.size(60, 1200)))?;
    run.write(".gitconfig", CONFIG)?;
    let git = |folder: &str, args: &[&str]| {
        run.launch("git")
            .folder(folder)
            .args(args)
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .ok()
    };
    git("", &["init", "-q", "-b", "main", "origin"])?;
    run.launch("git")
        .folder("origin")
        .args(["fast-import", "--quiet"])
        .input("history")
        .ok()?;
    git("origin", &["reset", "-q", "--hard", "main"])?;
    for i in 0..run.size(3, 25) {
        run.write(&format!("origin/note-{i}"), format!("note {i}\n"))?;
        git("origin", &["add", "."])?;
        git("origin", &["commit", "-q", "-m", &format!("note {i}")])?;
    }
    git("", &["clone", "-q", "--no-local", "origin", "clone"])?;
    git("clone", &["gc", "-q", "--aggressive", "--prune=now"])?;
    git("clone", &["fsck", "--full", "--strict"])?;
    let mut facts = Facts::new();
    for (name, args) in [
        ("head", &["rev-parse", "HEAD"][..]),
        ("objects", &["rev-list", "--objects", "--all"]),
        (
            "sizes",
            &["cat-file", "--batch-all-objects", "--batch-check"],
        ),
        ("log", &["log", "--stat", "-M"]),
        ("patches", &["log", "-p", "--patience"]),
        ("blame", &["blame", "dir0/file0"]),
        ("grep", &["grep", "-c", "ab"]),
    ] {
        facts.push((name.into(), git("clone", args)?));
    }
    Ok(facts)
}

const CONFIG: &str = "\
[user]
name = Tester
email = tester@example.org
[gc]
auto = 0
[pack]
threads = 2
[advice]
detachedHead = false
";

/// A stream for fast-import: each commit changes a few of 160 files a little.
fn history(commits: usize) -> Vec<u8> {
    let mut numbers = Numbers(1991);
    let mut files: Vec<Vec<String>> = vec![Vec::new(); 160];
    let mut out = Vec::new();
    for commit in 0..commits {
        let mut changes = Vec::new();
        for _ in 0..=numbers.below(5) {
            let file = numbers.below(160) as usize;
            let lines = &mut files[file];
            for _ in 0..=numbers.below(12) {
                let line = numbers.text(9);
                let at = numbers.below(lines.len() as u64 + 1) as usize;
                if lines.len() > 300 {
                    lines[at.min(299)] = line;
                } else {
                    lines.insert(at, line);
                }
            }
            changes.push((file, lines.concat()));
        }
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "commit refs/heads/main\ncommitter T <t@example.org> {} +0000\ndata 10\ncommit{commit:04}\n",
            1_600_000_000 + commit * 60
        );
        for (file, text) in changes {
            let _ = write!(
                out,
                "M 100644 inline dir{}/file{file}\ndata {}\n{text}\n",
                file % 7,
                text.len()
            );
        }
    }
    out
}
