//! `aethalloc-bench`: the bench as a program of its own.

use clap::Parser;

fn main() -> std::process::ExitCode {
    aethalloc_bench::main_with(aethalloc_bench::Args::parse())
}
