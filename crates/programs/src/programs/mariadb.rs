//! MariaDB: a fresh data folder, four clients at once, queries whose answers are compared.

use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use rustix::process::Signal;

/// A server with a thread per client.
pub const MARIADB: Program = Program {
    name: "mariadb",
    task: "install, four clients with transactions, joins, sorts, JSON, checks; the answers compared",
    tools: &[
        tool("mariadbd", "mariadb-server-core"),
        tool("mariadb", "mariadb-client-core"),
    ],
    from: Level::Full,
    expected: processes(&["mariadbd", "mariadb"]),
    note: "",
    task_fn: mariadb,
};

fn mariadb(run: &Run) -> Result<Facts, Failure> {
    let data = format!("--datadir={}", run.path("data").display());
    let socket = format!("--socket={}", run.path("socket").display());
    crate::run::make_folder(&run.path("data"))?;
    let common = [
        "--no-defaults",
        &data,
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=16M",
    ];
    let root = rustix::process::geteuid().is_root();
    let user: &[&str] = if root { &["--user=root"] } else { &[] };
    run.launch("mariadb-install-db")
        .args(common)
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .args(user)
        .ok()?;
    let mut server = run
        .launch("mariadbd")
        .args(common)
        .args([
            &socket,
            "--skip-networking",
            "--sort-buffer-size=64K",
            "--tmp-table-size=64K",
        ])
        .args(user)
        .start()?;
    let client = |input: &str| {
        run.launch("mariadb")
            .args(["--no-defaults", &socket, "-u", "root", "-N", "-B"])
            .input(input)
    };
    run.write("ping", "select 1;\n")?;
    server.wait_until("answering", || {
        client("ping").output().is_ok_and(|o| o.status.success())
    })?;
    run.must_be_active(&server)?;
    let rows = run.size(500, 4000).to_string();
    run.write(
        "setup",
        include_str!("../../data/mariadb-setup.sql").replace("@ROWS@", &rows),
    )?;
    client("setup").ok()?;
    let mut clients = Vec::new();
    for number in 0..4 {
        let name = format!("client{number}");
        run.write(
            &name,
            format!("use work;\ncall load_rows({number}, {rows});\n"),
        )?;
        clients.push(client(&name).start()?);
    }
    for running in clients {
        let output = running.wait()?;
        if !output.status.success() {
            return Err(format!(
                "a client: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    run.write("queries", include_str!("../../data/mariadb.sql"))?;
    let answers = client("queries").ok()?;
    server.signal(Signal::TERM)?;
    let output = server.wait()?;
    if !output.status.success() {
        return Err(format!("mariadbd: {}", output.status));
    }
    Ok(vec![("answers".into(), answers)])
}
