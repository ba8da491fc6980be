//! The system's own tools: they read what is installed here, so both runs see the same.

use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// Package queries.
pub const APT: Program = Program {
    name: "apt",
    task: "lists, searches and simulates on the machine's own package data, several times",
    tools: &[tool("apt-cache", "apt"), tool("dpkg-query", "dpkg")],
    from: Level::Full,
    expected: processes(&["apt-cache", "dpkg-query", "apt-get"]),
    note: "",
    task_fn: apt,
};

fn apt(run: &Run) -> Result<Facts, Failure> {
    let cache = format!("Dir::Cache={}/", run.path("cache").display());
    crate::run::make_folder(&run.path("cache/archives/partial"))?;
    let mut facts = Facts::new();
    for (name, args) in [
        (
            "dpkg-query",
            &["-W", "-f", "${Package} ${Version} ${Status} ${Depends}\\n"][..],
        ),
        ("dpkg-query", &["-L", "coreutils"]),
        ("apt-cache", &["-o", &cache, "stats"]),
        (
            "apt-cache",
            &["-o", &cache, "search", "--full", "allocator"],
        ),
        (
            "apt-cache",
            &["-o", &cache, "depends", "--recurse", "--installed", "bash"],
        ),
        ("apt-cache", &["-o", &cache, "dumpavail"]),
        ("apt-get", &["-o", &cache, "-s", "remove", "bash"]),
        ("apt-config", &["dump"]),
    ] {
        let output = run.launch(name).args(args).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.replace(&*run.work().to_string_lossy(), "WORK");
        facts.push((format!("{name} {}", args.join(" ")), text.into_bytes()));
    }
    // The names of facts hold the private folder, which differs between the runs.
    for (name, _) in &mut facts {
        *name = name.replace(&*run.work().to_string_lossy(), "WORK");
    }
    Ok(facts)
}

/// systemd's tools, as far as they need no running manager.
pub const SYSTEMD: Program = Program {
    name: "systemd",
    task: "systemd-analyze (calendars, security of a unit, system call filters) and systemd-escape",
    tools: &[tool("systemd-analyze", "systemd")],
    from: Level::Full,
    expected: processes(&["systemd-analyze", "systemd-escape"]),
    note: "",
    task_fn: systemd,
};

fn systemd(run: &Run) -> Result<Facts, Failure> {
    run.write(
        "work.service",
        "[Unit]\nDescription=work\n[Service]\nExecStart=/bin/true\nProtectSystem=strict\n",
    )?;
    let mut facts = Facts::new();
    for round in 0..run.size(2, 40) {
        let day = format!("Mon..Fri *-*-{:02} 12:{:02}", round % 28 + 1, round);
        for (name, args) in [
            (
                "systemd-analyze",
                &[
                    "calendar",
                    "--iterations=20",
                    "--base-time=2024-01-01 00:00:00",
                    &day,
                ][..],
            ),
            (
                "systemd-analyze",
                &["security", "--offline=yes", "--no-pager", "work.service"],
            ),
            ("systemd-analyze", &["syscall-filter", "--no-pager"]),
            ("systemd-escape", &["--path", &day]),
        ] {
            let output = run.launch(name).args(args).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let text: String = text
                .lines()
                .filter(|line| !line.contains("From now"))
                .map(|line| format!("{line}\n"))
                .collect();
            facts.push((format!("{name} {}", args.join(" ")), text.into_bytes()));
        }
    }
    Ok(facts)
}
