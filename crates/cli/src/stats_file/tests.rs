//! Reading and summing up what the library wrote.

use std::ffi::OsStr;
use std::io::Write;

use super::*;

fn exit_line(pid: u32, allocations: u64) -> String {
    format!(
        r#"{{"event":"exit","pid":{pid},"exe":"/bin/p{pid}","allocations":{allocations},"allocated":1536,"mapped":4194304,"retained":0,"metadata":65536,"purged":10,"threads":2}}"#
    )
}

fn start_line(pid: u32, exe: &str) -> String {
    format!(r#"{{"event":"start","pid":{pid},"exe":"{exe}"}}"#)
}

fn parse(lines: &[String]) -> Report {
    Report::parse((lines.join("\n") + "\n").as_bytes())
}

#[test]
fn a_process_that_starts_and_ends() {
    let report = parse(&[start_line(7, "/bin/p7"), exit_line(7, 12_345)]);
    let figures = Figures {
        allocations: 12_345,
        allocated: 1536,
        mapped: 4 << 20,
        retained: 0,
        metadata: 65536,
        purged: 10,
        threads: 2,
    };
    assert_eq!(
        report.processes,
        [Process {
            pid: 7,
            exe: "/bin/p7".into(),
            exit: Some(figures),
            replaced: false
        }]
    );
    assert_eq!(report.figures_of(7), Some(figures));
    assert_eq!(report.figures_of(8), None);
    let summary = report.summary();
    assert_eq!(
        summary[0],
        "Aethalloc was active in 1 process, 12 345 allocations"
    );
    assert_eq!(summary.len(), 3);
    let row: Vec<&str> = summary[2].split_whitespace().collect();
    assert_eq!(
        row,
        [
            "7", "12", "345", "1.50", "KiB", "4.00", "MiB", "0", "B", "64.0", "KiB", "10", "B",
            "2", "/bin/p7"
        ]
    );
}

#[test]
fn exec_replaces_and_a_kill_is_silent() {
    let report = parse(&[
        start_line(1, "/bin/sh"),
        start_line(1, "/bin/p1"),
        exit_line(1, 5),
        start_line(2, "/bin/killed"),
        exit_line(3, 6),
    ]);
    assert_eq!(report.processes.len(), 4);
    assert!(report.processes[0].replaced);
    assert_eq!(report.processes[2].exit, None);
    assert_eq!(
        report.summary()[0],
        "Aethalloc was active in 3 processes, 11 allocations (1 without a report: killed, still running, or ended by _exit)"
    );
}

#[test]
fn a_process_id_can_come_again() {
    let report = parse(&[
        start_line(1, "/bin/a"),
        exit_line(1, 5),
        start_line(1, "/bin/b"),
        exit_line(1, 9),
    ]);
    assert!(
        report
            .processes
            .iter()
            .all(|p| p.exit.is_some() && !p.replaced)
    );
    assert_eq!(report.figures_of(1).map(|f| f.allocations), Some(9));
}

#[test]
fn cut_and_foreign_lines_are_left_out() {
    let text = [
        &b"\xff\xfe garbage\n\n{\"event\":\"later\",\"pid\":1}\n"[..],
        start_line(1, "/bin/a").as_bytes(),
        b"\n{\"event\":\"exit\",\"pid\":1,\"alloca",
    ]
    .concat();
    let report = Report::parse(&text);
    assert_eq!(report.processes.len(), 1);
    assert_eq!(report.processes[0].exit, None);
}

#[test]
fn nobody_reported() {
    assert_eq!(
        Report::parse(b"").summary(),
        ["Aethalloc was not active: no process reported"]
    );
}

#[test]
fn a_long_table_is_cut() {
    let lines: Vec<String> = (0..15).map(|pid| exit_line(pid, pid.into())).collect();
    let summary = parse(&lines).summary();
    assert_eq!(summary.len(), 2 + SHOWN + 1);
    assert!(summary[2].contains("/bin/p14"));
    assert!(summary.last().unwrap().contains("and 5 with fewer"));
}

#[test]
fn our_file_is_removed_and_the_users_is_read_from_where_it_ended() {
    let own = StatsFile::create(OsStr::new("cache:off")).unwrap();
    let path = own.path().to_owned();
    assert_eq!(own.report().unwrap(), Report::default());
    fs::write(&path, exit_line(4, 1)).unwrap();
    assert_eq!(own.report().unwrap().processes.len(), 1);
    assert!(
        own.option()
            .unwrap()
            .display()
            .to_string()
            .starts_with("stats_file:/")
    );
    drop(own);
    assert!(!path.exists());

    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", exit_line(1, 1)).unwrap();
    let conf = format!(
        "stats_file:/elsewhere,stats_file:{},cache:off",
        file.path().display()
    );
    let users = StatsFile::create(OsStr::new(&conf)).unwrap();
    assert_eq!(users.path(), file.path());
    assert_eq!(users.option(), None);
    writeln!(file, "{}", exit_line(2, 2)).unwrap();
    let report = users.report().unwrap();
    assert_eq!(report.processes.len(), 1);
    assert_eq!(report.processes[0].pid, 2);
}
