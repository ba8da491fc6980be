//! A server and its load: starts the server (with the allocator under test in front, if one is given), drives it
//! with requests whose answers are checked, reads its memory, stops it, and reports what it cost.
//!
//! ```text
//! bench-session PROTOCOL connections=N requests=N idle=S -- SERVER ARGS...
//! ```
//! `{port}` and `{folder}` in the arguments are replaced. Only the server gets the library named by
//! BENCH_SESSION_PRELOAD; this program and its load run on the system's malloc, outside the measurement.

mod client;
mod protocol;
mod server;

#[path = "../work/rng.rs"]
#[allow(dead_code)]
mod rng;

use std::time::{Duration, Instant};

struct Options {
    protocol: protocol::Protocol,
    connections: u64,
    requests: u64,
    idle: u64,
    command: Vec<String>,
}

fn main() {
    let outcome = options().and_then(|options| session(&options));
    match outcome {
        Ok(line) => println!("{line}"),
        Err(message) => {
            eprintln!("bench-session: {message}");
            std::process::exit(1);
        }
    }
}

fn options() -> Result<Options, String> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("PROTOCOL is missing")?;
    let mut options = Options {
        protocol: protocol::Protocol::named(&name)?,
        connections: 1,
        requests: 1000,
        idle: 0,
        command: Vec::new(),
    };
    while let Some(word) = args.next() {
        if word == "--" {
            options.command = args.collect();
            break;
        }
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| format!("'{word}' is not key=value"))?;
        let value: u64 = value
            .parse()
            .map_err(|_| format!("{key}: not a number: '{value}'"))?;
        match key {
            "connections" => options.connections = value,
            "requests" => options.requests = value,
            "idle" => options.idle = value,
            _ => return Err(format!("no parameter '{key}'")),
        }
    }
    if options.command.is_empty() {
        return Err("no server after --".into());
    }
    Ok(options)
}

fn session(options: &Options) -> Result<String, String> {
    let mut server = server::Server::start(&options.command)?;
    server.wait_until_ready()?;
    let start = Instant::now();
    let checksum = client::drive(
        server.port(),
        options.protocol,
        options.connections,
        options.requests,
    )?;
    let seconds = start.elapsed().as_secs_f64();
    let end = server.memory();
    std::thread::sleep(Duration::from_secs(options.idle));
    let idle = server.memory();
    let usage = server.stop()?;
    let ops = options.connections * options.requests;
    let mut marks = format!("\"end\":{end}");
    if options.idle > 0 {
        marks += &format!(",\"idle\":{idle}");
    }
    Ok(format!(
        "{{\"checksum\":\"{checksum:016x}\",\"ops\":{ops},\"seconds\":{seconds:.9},\"marks\":{{{marks}}},\
         \"usage\":{},\"extra\":{{\"requests_per_s\":{:.1}}}}}",
        usage.json(seconds),
        ops as f64 / seconds
    ))
}
