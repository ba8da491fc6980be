//! What a person at a terminal uses: editors without a screen, tmux, rsync.

use crate::data::Numbers;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// The editor in its line mode.
pub const VIM: Program = Program {
    name: "vim",
    task: "edits a long text by commands: substitutions, sorting, folds, undo and redo, a script",
    tools: &[tool("vim", "vim")],
    from: Level::Normal,
    expected: processes(&["vim"]),
    note: "",
    task_fn: vim,
};

fn vim(run: &Run) -> Result<Facts, Failure> {
    run.write("text", Numbers(91).text(run.size(3_000, 10_000)))?;
    run.write("commands", include_str!("../../data/vim.vim"))?;
    run.launch("vim")
        .args([
            "-es", "-N", "-u", "NONE", "-i", "NONE", "-n", "-S", "commands", "text",
        ])
        .ok()?;
    Ok(vec![
        ("text".into(), run.read("edited")?),
        ("report".into(), run.read("report")?),
    ])
}

/// An editor with a garbage collector.
pub const EMACS: Program = Program {
    name: "emacs",
    task: "edits and indents a text, byte-compiles and runs Lisp, in batch mode",
    tools: &[tool("emacs", "emacs-nox")],
    from: Level::Full,
    expected: processes(&["emacs"]),
    note: "",
    task_fn: emacs,
};

fn emacs(run: &Run) -> Result<Facts, Failure> {
    run.write("text", Numbers(92).text(run.size(5_000, 60_000)))?;
    run.write("work.el", include_str!("../../data/work.el"))?;
    let output = run
        .launch("emacs")
        .args(["-Q", "--batch", "-l", "work.el", "--eval"])
        .arg(format!("(work \"text\" {})", run.size(2, 12)))
        .ok()?;
    Ok(vec![
        ("output".into(), output),
        ("text".into(), run.read("edited")?),
    ])
}

/// A server with panes.
pub const TMUX: Program = Program {
    name: "tmux",
    task: "a session with four panes, each running a shell; resized, searched, captured",
    tools: &[tool("tmux", "tmux")],
    from: Level::Normal,
    expected: processes(&["tmux", "bash"]),
    note: "",
    task_fn: tmux,
};

fn tmux(run: &Run) -> Result<Facts, Failure> {
    let socket = run.path("socket").to_string_lossy().into_owned();
    let lines = run.size(500, 8_000);
    let shell =
        format!("for ((i = 0; i < {lines}; i++)); do echo line $i of $0; done; echo ended; read");
    let tmux = |args: &[&str]| {
        run.launch("tmux")
            .args(["-f", "/dev/null", "-S", &socket])
            .args(args)
    };
    let pane = |number: usize| format!("bash -c '{shell}' pane{number}");
    // The server is a child of this call and lives until the end.
    let mut server = tmux(&[
        "new-session",
        "-d",
        "-s",
        "work",
        "-x",
        "120",
        "-y",
        "60",
        &pane(0),
        ";",
        "set-option",
        "-g",
        "history-limit",
        "100000",
        ";",
        "set-option",
        "-g",
        "remain-on-exit",
        "on",
    ])
    .start()?;
    server.wait_until("answering", || {
        tmux(&["has-session", "-t", "work"])
            .output()
            .is_ok_and(|o| o.status.success())
    })?;
    for number in 1..4 {
        tmux(&[
            "split-window",
            "-t",
            "work",
            &pane(number),
            ";",
            "select-layout",
            "-t",
            "work",
            "tiled",
        ])
        .ok()?;
    }
    let mut facts = Facts::new();
    for number in 1..4 {
        let target = format!("work.{number}");
        let capture = || tmux(&["capture-pane", "-p", "-J", "-S", "-", "-t", &target]).ok();
        let mut text = Vec::new();
        server.wait_until("through with its output", || {
            text = capture().unwrap_or_default();
            String::from_utf8_lossy(&text).contains("ended")
        })?;
        let rows: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect();
        facts.push((format!("pane {number}"), rows.join("\n").into_bytes()));
    }
    tmux(&["resize-window", "-t", "work", "-x", "80", "-y", "24"]).ok()?;
    facts.push((
        "panes".into(),
        tmux(&[
            "list-panes",
            "-t",
            "work",
            "-F",
            "#{pane_index} #{pane_width}x#{pane_height}",
        ])
        .ok()?,
    ));
    for number in 0..4 {
        tmux(&["send-keys", "-t", &format!("work.{number}"), "Enter"]).ok()?;
    }
    tmux(&["kill-server"]).ok()?;
    server.wait()?;
    Ok(facts)
}

/// Two processes that compare trees.
pub const RSYNC: Program = Program {
    name: "rsync",
    task: "copies a tree, then its changes by checksums, with compression and deletion",
    tools: &[tool("rsync", "rsync")],
    from: Level::Normal,
    expected: processes(&["rsync"]),
    note: "",
    task_fn: rsync,
};

fn rsync(run: &Run) -> Result<Facts, Failure> {
    let mut numbers = Numbers(93);
    let files = run.size(200, 1500);
    let name = |i: usize| format!("from/d{}/e{}/f{i}", i % 17, i % 5);
    for i in 0..files {
        let words = 20 + numbers.below(600) as usize;
        run.write(&name(i), numbers.text(words))?;
    }
    let rsync = |args: &[&str]| {
        run.launch("rsync")
            .args(["-r", "-c", "-i", "--no-whole-file", "--delete"])
            .args(args)
            .args(["from/", "to/"])
            .ok()
    };
    let mut facts = vec![("first".into(), rsync(&[])?)];
    for i in (0..files).step_by(7) {
        let mut text = run.read(&name(i))?;
        let at = text.len() / 2;
        text.splice(at..at, b"changed".iter().copied());
        run.write(&name(i), text)?;
    }
    for i in (3..files).step_by(50) {
        std::fs::remove_file(run.path(&name(i))).map_err(|e| format!("{}: {e}", name(i)))?;
    }
    facts.push(("changes".into(), rsync(&["-z"])?));
    for i in (0..files).step_by(7) {
        let (from, to) = (name(i), name(i).replace("from/", "to/"));
        if run.path(&from).exists() && run.read(&from)? != run.read(&to)? {
            return Err(format!("{to}: not what was copied"));
        }
    }
    facts.push((
        "list".into(),
        run.launch("rsync")
            .args(["-r", "--list-only", "--out-format=%n", "--no-t", "to/"])
            .ok()?,
    ));
    // The list shows times; names and sizes are what counts.
    if let Some((_, list)) = facts.last_mut() {
        let text = String::from_utf8_lossy(list).into_owned();
        let rows = text.lines().map(|l| {
            let words: Vec<&str> = l.split_whitespace().collect();
            format!(
                "{} {}\n",
                words.get(1).unwrap_or(&""),
                words.last().unwrap_or(&"")
            )
        });
        *list = rows
            .filter(|r| r.contains("/f"))
            .collect::<String>()
            .into_bytes();
    }
    Ok(facts)
}
