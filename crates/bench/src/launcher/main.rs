//! Starts one program, waits for it, and writes what the kernel says about it.
//!
//! A process of its own because `ru_maxrss` of a child starts at its parent's peak: forked from
//! the bench (tens of MiB), every small program would report the bench's size. This one holds
//! about 2 MiB and reports what a child that never calls exec has as its peak: the floor of all others.
//!
//! ```text
//! bench-launcher --out FILE [--repeat N] [--timeout S] [--env K=V]... [--cwd DIR]
//!                [--stdin FILE] [--stdout FILE] [--stderr FILE] -- PROGRAM ARGS...
//! ```
//!
//! FILE receives one line per run:
//! `wall_ns user_us sys_us maxrss_kib minflt majflt vcsw ivcsw status`, where status is the exit
//! code, or `-SIGNAL`, or 124 when the time was up. Line 0 is `floor KIB`.
//! SIGTERM ends the child's whole process group and then the launcher.

mod child;
mod options;

use std::io::Write;

fn main() {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(message) => fail(&message),
    };
    let plan = match child::Plan::new(&options) {
        Ok(plan) => plan,
        Err(message) => fail(&message),
    };
    let mut lines = Vec::with_capacity(options.repeat);
    for _ in 0..options.repeat {
        match plan.run() {
            Ok(usage) => lines.push(usage),
            Err(message) => fail(&message),
        }
    }
    let mut text = match child::floor_kib() {
        Ok(kib) => format!("floor {kib}\n"),
        Err(message) => fail(&message),
    };
    for usage in &lines {
        text.push_str(&usage.line());
        text.push('\n');
    }
    let written =
        std::fs::File::create(&options.out).and_then(|mut f| f.write_all(text.as_bytes()));
    if let Err(error) = written {
        fail(&format!("cannot write {}: {error}", options.out.display()));
    }
}

fn fail(message: &str) -> ! {
    eprintln!("bench-launcher: {message}");
    std::process::exit(125)
}
