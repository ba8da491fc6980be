//! PostgreSQL: a fresh cluster, its own benchmark with several clients, and queries whose answers are compared.

use crate::launch::Launch;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use rustix::process::Signal;
use std::process::Command;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Runs as the user that the package makes, when the test itself is root.
pub const POSTGRES: Program = Program {
    name: "postgres",
    task: "initdb, pgbench with four clients, sorts, hashes, indexes, JSON, vacuum",
    tools: &[tool("/usr/lib/postgresql/15/bin/postgres", "postgresql-15")],
    from: Level::Full,
    expected: processes(&["postgres", "initdb", "pgbench", "psql"]),
    note: "",
    task_fn: postgres,
};

fn postgres(run: &Run) -> Result<Facts, Failure> {
    let work = run.work();
    let root = rustix::process::geteuid().is_root();
    if root {
        let status = Command::new("chown").arg("postgres").arg(&work).status();
        if !status.is_ok_and(|s| s.success()) {
            return Err("chown: the working folder cannot be given to postgres".into());
        }
    }
    let start = |program: &str| -> Launch<'_> {
        let path = format!("{BIN}/{program}");
        if root {
            run.launch("setpriv").args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                &path,
            ])
        } else {
            run.launch(&path)
        }
    };
    let data = run.path("data").to_string_lossy().into_owned();
    let port = run.free_port()?.to_string();
    start("initdb")
        .args([
            "-D",
            &data,
            "--no-sync",
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ])
        .ok()?;
    let mut server = start("postgres")
        .args(["-D", &data, "-p", &port, "-h", "127.0.0.1"])
        .args(["-k", &work.to_string_lossy(), "-F"])
        .args([
            "-c",
            "max_parallel_workers_per_gather=2",
            "-c",
            "work_mem=1MB",
        ])
        .start()?;
    let mut log = Vec::new();
    server.wait_until("ready", || {
        log = std::fs::read(run.path("data/postmaster.pid")).unwrap_or_default();
        String::from_utf8_lossy(&log).contains("ready")
    })?;
    run.must_be_active(&server)?;
    let connect = ["-h", "127.0.0.1", "-p", &port, "-U", "tester"];
    start("createdb").args(connect).arg("test").ok()?;
    start("pgbench")
        .args(connect)
        .args(["-i", "-q", "-s", "2", "test"])
        .ok()?;
    let transactions = run.size(100, 1500).to_string();
    start("pgbench")
        .args(connect)
        .args([
            "-c",
            "4",
            "-j",
            "2",
            "-t",
            &transactions,
            "--random-seed=7",
            "test",
        ])
        .ok()?;
    run.write("queries", include_str!("../../data/postgres.sql"))?;
    let answers = start("psql")
        .args(connect)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "test"])
        .input("queries")
        .ok()?;
    server.signal(Signal::INT)?;
    let output = server.wait()?;
    if !output.status.success() {
        return Err(format!("postgres: {}", output.status));
    }
    Ok(vec![("answers".into(), answers)])
}
