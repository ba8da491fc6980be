//! Synthetic workloads, one subcommand each: `bench-work NAME key=value ...`.
//!
//! Plain programs on the system's malloc; which allocator that is, only LD_PRELOAD decides. Nothing
//! here knows or asks. Every workload prints one JSON line with a checksum over what it read back
//! from its blocks before freeing them; a block that lost its content ends the program with status 3.
//! Pointer tables and queues live in mappings of their own (`table`), so that a workload's resident
//! size is its blocks plus what the allocator adds.

mod heap;
mod identify;
mod params;
mod proc;
mod report;
mod ring;
mod rng;
mod table;

mod bodies;
mod churn;
mod collector;
mod containers;
mod cubes;
mod dormant;
mod fork;
mod fragmentation;
mod handoff;
mod keyspace;
mod larson;
mod latency;
mod pair;
mod pauses;
mod pool;
mod queues;
mod sharing;
mod single;
mod stress;
mod threads;
mod waves;
mod week;

use params::Params;
use report::Report;

/// A workload: reads its parameters, runs, reports.
type Workload = fn(&mut Params) -> Report;

const WORKLOADS: &[(&str, Workload)] = &[
    ("pair", pair::run),
    ("random", single::random),
    ("batch", single::batch),
    ("realloc", single::realloc),
    ("calloc", single::calloc),
    ("aligned", single::aligned),
    ("large", single::large),
    ("larson", larson::run),
    ("queues", queues::run),
    ("batches", queues::batches),
    ("pool", pool::run),
    ("waves", waves::run),
    ("mixed", stress::mixed),
    ("rounds", stress::rounds),
    ("crossing", stress::crossing),
    ("sharing", sharing::run),
    ("churn", churn::run),
    ("words", containers::words),
    ("btree", containers::btree),
    ("trees", containers::trees),
    ("digits", containers::digits),
    ("messages", containers::messages),
    ("keyspace", keyspace::run),
    ("collector", collector::run),
    ("bodies", bodies::run),
    ("cubes", cubes::run),
    ("fragmentation", fragmentation::run),
    ("week", week::run),
    ("latency", latency::run),
    ("pauses", pauses::run),
    ("threads", threads::run),
    ("handoff", handoff::run),
    ("dormant", dormant::run),
    ("fork", fork::run),
];

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    if name == "identify" {
        return identify::print();
    }
    let Some((_, workload)) = WORKLOADS.iter().find(|(n, _)| *n == name) else {
        let names: Vec<_> = WORKLOADS.iter().map(|(n, _)| *n).collect();
        params::fail(&format!(
            "unknown workload '{name}'; there are: {}",
            names.join(" ")
        ));
    };
    let mut params = Params::parse(args);
    let idle = params.number("idle", 0);
    let mut report = workload(&mut params);
    params.done();
    report.finish(idle);
    println!("{}", report.json(&name));
}
