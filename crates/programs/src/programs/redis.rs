//! redis-server under redis-benchmark, saving in the background meanwhile; then a known data set, saved, loaded
//! again and compared by digest.

use crate::data::Numbers;
use crate::launch::Running;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The server with one thread for clients.
pub const REDIS: Program = Program {
    name: "redis",
    task: "redis-benchmark during BGSAVE; a data set saved, loaded, compared by digest",
    tools: &[
        tool("redis-server", "redis-server"),
        tool("redis-benchmark", "redis-tools"),
    ],
    from: Level::Quick,
    expected: processes(&["redis-check-rdb", "redis-benchmark", "redis-cli"]),
    note: "",
    task_fn: |run| serve(run, run.size(5_000, 60_000), &[]),
};

/// The server with threads that read and write for it.
pub const REDIS_THREADS: Program = Program {
    name: "redis-threads",
    task: "the same with two threads that read and write for the server (`io-threads`)",
    from: Level::Normal,
    task_fn: |run| {
        serve(
            run,
            run.size(1_000, 10_000),
            &["--io-threads", "2", "--io-threads-do-reads", "yes"],
        )
    },
    ..REDIS
};

const TESTS: &str = "set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,lrange_100,mset";

fn serve(run: &Run, requests: usize, extra: &[&str]) -> Result<Facts, Failure> {
    let mut facts = Facts::new();
    let server = Server::start(run, extra)?;
    let requests = requests.to_string();
    let load = run
        .launch("redis-benchmark")
        .args(["-p", &server.port, "-n", &requests, "-t", TESTS])
        .args(["-r", "100000", "-d", "100", "-P", "8", "-c", "50", "--csv"])
        .start()?;
    std::thread::sleep(Duration::from_millis(300));
    server.save()?;
    let load = load.wait()?;
    if !load.status.success() {
        return Err(format!("redis-benchmark: {}", load.status));
    }
    let table = String::from_utf8_lossy(&load.stdout).into_owned();
    let names: Vec<&str> = table.lines().filter_map(|l| l.split(',').next()).collect();
    facts.push(("benchmarks".into(), names.join("\n").into_bytes()));

    server.cli(&["FLUSHALL"])?;
    run.write("load", commands(run.size(5_000, 60_000)))?;
    run.launch("redis-cli")
        .args(["-p", &server.port, "--pipe"])
        .input("load")
        .ok()?;
    server.save()?;
    facts.push(("keys".into(), server.cli(&["DBSIZE"])?));
    facts.push(("digest".into(), server.cli(&["DEBUG", "DIGEST"])?));
    server.stop()?;

    let server = Server::start(run, extra)?;
    facts.push((
        "digest after loading".into(),
        server.cli(&["DEBUG", "DIGEST"])?,
    ));
    server.stop()?;
    if facts[2].1 != facts[3].1 {
        return Err("the loaded data set is not the saved one".into());
    }
    run.launch("redis-check-rdb").arg("dump.rdb").ok()?;
    Ok(facts)
}

struct Server<'a> {
    run: &'a Run,
    port: String,
    process: Running,
}

impl<'a> Server<'a> {
    fn start(run: &'a Run, extra: &[&str]) -> Result<Self, Failure> {
        let port = run.free_port()?;
        let mut process = run
            .launch("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "local"])
            .args(extra)
            .start()?;
        process.wait_until("answering", || pong(port).unwrap_or(false))?;
        run.must_be_active(&process)?;
        Ok(Server {
            run,
            port: port.to_string(),
            process,
        })
    }

    fn cli(&self, command: &[&str]) -> Result<Vec<u8>, Failure> {
        self.run
            .launch("redis-cli")
            .args(["-e", "-p", &self.port])
            .args(command)
            .ok()
    }

    /// Saves in the background and waits for it.
    fn save(&self) -> Result<(), Failure> {
        self.cli(&["BGSAVE"])?;
        for _ in 0..600 {
            let info = self.cli(&["INFO", "persistence"])?;
            let info = String::from_utf8_lossy(&info).into_owned();
            if info.contains("rdb_bgsave_in_progress:0") {
                return if info.contains("rdb_last_bgsave_status:ok") {
                    Ok(())
                } else {
                    Err("the background save failed".into())
                };
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the background save does not end".into())
    }

    fn stop(self) -> Result<(), Failure> {
        self.cli(&["SHUTDOWN", "NOSAVE"])?;
        let output = self.process.wait()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("redis-server: {}", output.status))
        }
    }
}

fn pong(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    Ok(&reply == b"+PONG")
}

/// Commands that build keys of every type, grow and shrink them, and remove some.
fn commands(count: usize) -> String {
    let mut numbers = Numbers(6379);
    let mut text = String::new();
    for _ in 0..count {
        let key = numbers.below(count as u64 / 4);
        let value = numbers.next();
        let long = "v".repeat(numbers.below(400) as usize);
        // Writing to a String cannot fail.
        let _ = match numbers.below(9) {
            0 | 1 => write!(text, "SET s{key} {value}{long}\r\n"),
            2 => write!(text, "APPEND s{key} {long}x\r\n"),
            3 => write!(text, "RPUSH l{} {value} {long}x\r\n", key % 500),
            4 => write!(text, "LPOP l{}\r\n", key % 500),
            5 => write!(text, "SADD t{} {value} {key}\r\n", key % 500),
            6 => write!(text, "HSET h{} {key} {long}x\r\n", key % 500),
            7 => write!(text, "ZADD z{} {key} {value}\r\n", key % 500),
            _ => write!(text, "DEL s{key} h{}\r\n", key % 5000),
        };
    }
    text
}
