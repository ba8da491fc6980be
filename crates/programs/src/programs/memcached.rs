//! memcached on the loopback interface, under a load, stopped by a signal.

use super::web::connect;
use crate::data::Numbers;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Four threads, eight clients, values of many sizes, eviction.
pub const MEMCACHED: Program = Program {
    name: "memcached",
    task: "eight clients set, get, append, delete and verify values of 1 B to 100 KiB",
    tools: &[tool("memcached", "memcached")],
    from: Level::Normal,
    expected: processes(&["memcached"]),
    note: "keeps its items in slabs of its own, which it takes from `malloc` by the megabyte",
    task_fn: memcached,
};

const CLIENTS: u64 = 8;

fn memcached(run: &Run) -> Result<Facts, Failure> {
    let port = run.free_port()?;
    let user: &[&str] = if rustix::process::geteuid().is_root() {
        &["-u", "root"]
    } else {
        &[]
    };
    let mut server = run
        .launch("memcached")
        .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0"])
        .args(["-t", "4", "-m", "512"])
        .args(user)
        .start()?;
    server.wait_until("listening", || connect(port).is_ok())?;
    run.must_be_active(&server)?;
    let steps = run.size(2_000, 9_000);
    let sums = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|id| scope.spawn(move || client(port, id, steps)))
            .collect();
        clients
            .into_iter()
            .map(|c| c.join().map_err(|_| "a client panicked".to_owned())?)
            .collect::<Result<Vec<String>, Failure>>()
    })?;
    let mut facts = vec![("sums".into(), sums.join("\n").into_bytes())];
    let stats = Client::new(port)
        .and_then(|mut c| c.stats())
        .map_err(|e| format!("stats: {e}"))?;
    facts.push(("stats".into(), stats.into_bytes()));
    server.signal(Signal::TERM)?;
    server.wait()?;
    Ok(facts)
}

/// Sets and changes keys of its own and checks each answer against what it remembers; its checksum.
fn client(port: u16, id: u64, steps: usize) -> Result<String, Failure> {
    const KEYS: usize = 300;
    let mut numbers = Numbers(id);
    let mut model: Vec<Option<Vec<u8>>> = vec![None; KEYS];
    let mut play = || -> std::io::Result<u64> {
        let mut client = Client::new(port)?;
        let mut sum = 0u64;
        for _ in 0..steps {
            let slot = numbers.below(KEYS as u64) as usize;
            let key = format!("c{id}k{slot}");
            let kind = numbers.below(10);
            let bits = 3 + numbers.below(14);
            let size = 1 + numbers.below(1 << bits) as usize;
            let byte = b'a' + numbers.below(26) as u8;
            match kind {
                0..=2 => {
                    client.store("set", &key, &vec![byte; size])?;
                    model[slot] = Some(vec![byte; size]);
                }
                3 => {
                    let stored = client.store("append", &key, &[byte; 7])?;
                    if let Some(value) = model[slot].as_mut().filter(|_| stored) {
                        value.extend([byte; 7]);
                    }
                }
                4 => {
                    client.line(&format!("delete {key}\r\n"))?;
                    model[slot] = None;
                }
                _ => {
                    let value = client.get(&key)?;
                    if value != model[slot] {
                        return Err(std::io::Error::other(format!("{key}: another value")));
                    }
                    sum = sum
                        .wrapping_mul(31)
                        .wrapping_add(value.map_or(7, |v| v.len() as u64));
                }
            }
        }
        Ok(sum)
    };
    play()
        .map(|sum| format!("client {id}: {sum}"))
        .map_err(|e| format!("memcached client {id}: {e}"))
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(port: u16) -> std::io::Result<Self> {
        Ok(Client(BufReader::new(connect(port)?)))
    }

    /// Sends a command; the first line of the answer.
    fn line(&mut self, command: &str) -> std::io::Result<String> {
        self.0.get_mut().write_all(command.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Whether the value was stored.
    fn store(&mut self, how: &str, key: &str, value: &[u8]) -> std::io::Result<bool> {
        let mut command = format!("{how} {key} 0 0 {}\r\n", value.len()).into_bytes();
        command.extend_from_slice(value);
        command.extend_from_slice(b"\r\n");
        self.0.get_mut().write_all(&command)?;
        match self.answer()?.as_str() {
            "STORED" => Ok(true),
            "NOT_STORED" => Ok(false),
            other => Err(std::io::Error::other(format!("{how}: {other}"))),
        }
    }

    fn get(&mut self, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        let head = self.line(&format!("get {key}\r\n"))?;
        if head == "END" {
            return Ok(None);
        }
        let size = head.rsplit(' ').next().and_then(|n| n.parse().ok());
        let size: usize = size.ok_or_else(|| std::io::Error::other(head))?;
        let mut value = vec![0; size + 2];
        self.0.read_exact(&mut value)?;
        value.truncate(size);
        self.answer()?;
        Ok(Some(value))
    }

    /// The counters that depend on the clients alone.
    fn stats(&mut self) -> std::io::Result<String> {
        let mut line = self.line("stats\r\n")?;
        let mut text = String::new();
        while line != "END" {
            if [
                "cmd_get",
                "cmd_set",
                "get_hits",
                "delete_hits",
                "curr_items",
                "evictions",
            ]
            .iter()
            .any(|name| line.starts_with(&format!("STAT {name} ")))
            {
                text.push_str(&line);
                text.push('\n');
            }
            line = self.answer()?;
        }
        Ok(text)
    }
}
