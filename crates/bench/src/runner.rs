//! Runs every workload under every peer, interleaved.
//!
//! Round by round over all workloads, within a workload peer after peer, each round beginning with another
//! one: what changes slowly (clock, temperature, other processes) hits all alike, and after Ctrl-C every
//! finished round is a fair comparison.

use std::path::PathBuf;

use crate::checkout::Checkout;
use crate::definitions::Workload;
use crate::interrupt;
use crate::launch::{Failure, Finished, Launcher, Program, Usage};
use crate::neighbours::Sign;
use crate::peers::Peer;
use crate::progress::Progress;
use crate::real;
use crate::result::{Cell, Output, ResultFile, Run, WorkloadResult};
use crate::scale;
use crate::stats::Summary;

/// What is run.
pub struct Plan<'a> {
    /// Programs and libraries.
    pub checkout: &'a Checkout,
    /// Under what.
    pub peers: &'a [Peer],
    /// What.
    pub workloads: &'a [Workload],
    /// How often.
    pub rounds: usize,
    /// What the workloads' constants are multiplied by.
    pub scale: f64,
    /// Seconds that one more run of each program sleeps at its end; 0 for no such run.
    pub idle: u64,
    /// Further variables for what is measured.
    pub env: &'a [(String, String)],
    /// Where the result is kept, after each round.
    pub out: PathBuf,
}

/// One prepared workload.
struct Ready {
    /// As it is run: scaled, with the checksum that is expected then.
    workload: Workload,
    program: Program,
    rounds: usize,
    /// Seconds of its last run: the estimate for its next.
    estimate: f64,
}

/// Runs the plan into `result` and saves it after each round. Returns false after Ctrl-C.
pub fn run(plan: &Plan, result: &mut ResultFile) -> Result<bool, String> {
    let launcher = Launcher::new(plan.checkout)?;
    let sign = Sign::put_up(&std::env::temp_dir())?;
    let start = std::time::Instant::now();
    let mut ready = Vec::new();
    for workload in plan.workloads {
        if interrupt::asked() {
            result.seconds = start.elapsed().as_secs_f64();
            result.save(&plan.out)?;
            return Ok(false);
        }
        let prepared = prepare(plan, &launcher, workload);
        let skipped = prepared.as_ref().err().cloned();
        let run = prepared.as_ref().map_or(workload, |r| &r.workload);
        result.workloads.push(WorkloadResult {
            name: workload.name.clone(),
            suite: workload.suite.clone(),
            about: workload.about.clone(),
            args: run.args.clone(),
            figure: workload.figure(),
            skipped,
            series: run.series.clone(),
            cells: plan
                .peers
                .iter()
                .map(|p| Cell {
                    peer: p.name.clone(),
                    ..Cell::default()
                })
                .collect(),
        });
        ready.push(prepared.ok());
    }
    let steps = ready
        .iter()
        .flatten()
        .map(|r| r.rounds * plan.peers.len())
        .sum();
    let mut progress = Progress::new(0.0, steps);
    for round in 0..plan.rounds {
        for (index, workload) in plan.workloads.iter().enumerate() {
            let Some(ready_one) = ready[index].as_ref().filter(|r| round < r.rounds) else {
                continue;
            };
            let (program, expected) = (ready_one.program.clone(), ready_one.workload.clone());
            for step in 0..plan.peers.len() {
                let peer = &plan.peers[(round + step) % plan.peers.len()];
                note_others(&sign, result);
                progress.retotal(whole(&ready, plan.peers.len()));
                progress.show(&format!(
                    "{} under {}, round {}",
                    workload.name,
                    peer.name,
                    round + 1
                ));
                let Some(cell) = result.workloads[index]
                    .cells
                    .iter_mut()
                    .find(|c| c.peer == peer.name)
                else {
                    continue;
                };
                let begin = std::time::Instant::now();
                if cell.failed.is_none() {
                    match one(&launcher, &program, &expected, peer) {
                        Ok((run, floor_kib)) => {
                            cell.runs.push(run);
                            result.peak_floor_kib = result.peak_floor_kib.max(floor_kib);
                        }
                        Err(Failure::Failed(line)) => {
                            progress.end();
                            eprintln!("bench: {} under {}: {line}", workload.name, peer.name);
                            cell.failed = Some(line);
                        }
                        Err(Failure::Interrupted) => {}
                    }
                }
                if interrupt::asked() {
                    progress.end();
                    result.seconds = start.elapsed().as_secs_f64();
                    result.save(&plan.out)?;
                    return Ok(false);
                }
                let seconds = begin.elapsed().as_secs_f64();
                let estimate = ready[index].as_mut().map_or(0.0, |r| {
                    let expected = r.estimate;
                    r.estimate = if expected == 0.0 {
                        seconds
                    } else {
                        expected * 0.7 + seconds * 0.3
                    };
                    r.estimate
                });
                progress.step(estimate);
            }
        }
        result.seconds = start.elapsed().as_secs_f64();
        result.complete = round + 1 == plan.rounds && plan.idle == 0;
        result.save(&plan.out)?;
    }
    progress.end();
    if plan.idle == 0 {
        return Ok(true);
    }
    result.complete = idle_runs(plan, &launcher, &ready, result)?;
    result.seconds = start.elapsed().as_secs_f64();
    result.save(&plan.out)?;
    Ok(result.complete)
}

/// One more run of each program that can sleep at its end and does not do so anyway, for what is resident then.
/// Returns false after Ctrl-C.
fn idle_runs(
    plan: &Plan,
    launcher: &Launcher,
    ready: &[Option<Ready>],
    result: &mut ResultFile,
) -> Result<bool, String> {
    let can = |ready: &Ready| ready.workload.program == "bench-work";
    let steps = ready.iter().flatten().filter(|r| can(r)).count() * plan.peers.len();
    let mut progress = Progress::new(steps as f64, steps);
    for (ready, measured) in ready.iter().zip(&mut result.workloads) {
        let Some(ready) = ready.as_ref().filter(|r| can(r)) else {
            continue;
        };
        let mut program = ready.program.clone();
        program.args.push(format!("idle={}", plan.idle));
        program.timeout += plan.idle as u32;
        for peer in plan.peers {
            progress.show(&format!(
                "{} under {}, idle",
                ready.workload.name, peer.name
            ));
            progress.step(1.0);
            let cell = measured.cells.iter_mut().find(|c| c.peer == peer.name);
            let Some(cell) =
                cell.filter(|c| c.failed.is_none() && c.summary("marks.idle.rss_kib").is_none())
            else {
                continue;
            };
            match one(launcher, &program, &ready.workload, peer) {
                Ok((run, _)) => cell.idle.push(run),
                Err(Failure::Failed(line)) => cell.failed = Some(line),
                Err(Failure::Interrupted) => {
                    progress.end();
                    return Ok(false);
                }
            }
        }
    }
    progress.end();
    Ok(true)
}

/// Estimated seconds of the whole plan: what has not run yet is taken to be as long as the others.
fn whole(ready: &[Option<Ready>], peers: usize) -> f64 {
    let known: Vec<f64> = ready
        .iter()
        .flatten()
        .map(|r| r.estimate)
        .filter(|e| *e > 0.0)
        .collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let each = |r: &Ready| if r.estimate > 0.0 { r.estimate } else { mean };
    ready
        .iter()
        .flatten()
        .map(|r| each(r) * (r.rounds * peers) as f64)
        .sum()
}

fn prepare(plan: &Plan, launcher: &Launcher, workload: &Workload) -> Result<Ready, String> {
    real::check_needs(workload)?;
    let folder = launcher.folder().join(&workload.name);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    real::setup(plan.checkout, workload, &folder)?;
    let mut workload = scale::scaled(workload, plan.scale)?;
    let mut program = workload.program(plan.checkout, &folder)?;
    // What the definitions do not know.
    if plan.scale != 1.0 || (workload.series.is_some() && workload.checksum.is_none()) {
        workload.checksum = Some(checksum_of(launcher, &program, &workload)?);
    }
    program.env.extend(plan.env.iter().cloned());
    let rounds = workload
        .rounds
        .map_or(plan.rounds, |most| most.min(plan.rounds));
    Ok(Ready {
        workload,
        program,
        rounds,
        estimate: 0.0,
    })
}

/// For other constants and numbers of threads: the checksum of a run on the system's malloc.
fn checksum_of(
    launcher: &Launcher,
    program: &Program,
    workload: &Workload,
) -> Result<String, String> {
    match launcher.run(program) {
        Ok(finished) => Ok(read(&finished, workload)?.output.checksum),
        Err(Failure::Failed(line)) => Err(format!("fails on the system's malloc: {line}")),
        Err(Failure::Interrupted) => Err("interrupted".into()),
    }
}

fn one(
    launcher: &Launcher,
    program: &Program,
    workload: &Workload,
    peer: &Peer,
) -> Result<(Run, u64), Failure> {
    let mut program = real::under(program, workload, peer.library.as_deref());
    if !peer.conf.is_empty() {
        let conf = peer.conf.clone();
        program.env.push(("AETHALLOC_CONF".into(), conf));
    }
    let finished = launcher.run(&program)?;
    Ok((read(&finished, workload)?, finished.floor_kib))
}

fn read(finished: &Finished, workload: &Workload) -> Result<Run, String> {
    let mut usage = middle(&finished.usages);
    let text = finished.stdout.trim();
    let output = if workload.plain_output {
        Output {
            checksum: real::checksum(&finished.stdout),
            ..Output::default()
        }
    } else if text.is_empty() && workload.checksum.is_none() {
        Output::default()
    } else {
        let reported: real::Reported = serde_json::from_str(text)
            .map_err(|e| format!("unreadable output of the workload: {e}"))?;
        if let Some(server) = reported.usage {
            usage = server;
        }
        reported.output
    };
    match &workload.checksum {
        Some(wanted) if *wanted != output.checksum => Err(format!(
            "wrong result: checksum {} instead of {wanted}",
            output.checksum
        )),
        _ => Ok(Run { usage, output }),
    }
}

/// Medians over the repetitions of one launch.
fn middle(usages: &[Usage]) -> Usage {
    let of = |field: fn(&Usage) -> f64| Summary::of(usages.iter().map(field)).median;
    Usage {
        wall_s: of(|u| u.wall_s),
        user_s: of(|u| u.user_s),
        sys_s: of(|u| u.sys_s),
        peak_kib: of(|u| u.peak_kib as f64) as u64,
        minor_faults: of(|u| u.minor_faults as f64) as u64,
        major_faults: of(|u| u.major_faults as f64) as u64,
        switches: [
            of(|u| u.switches[0] as f64) as u64,
            of(|u| u.switches[1] as f64) as u64,
        ],
    }
}

fn note_others(sign: &Sign, result: &mut ResultFile) {
    for pid in sign.others() {
        let line = format!(
            "another bench (process {pid}) ran at the same time: times are not to be trusted"
        );
        if !result.disturbances.contains(&line) {
            eprintln!("\nbench: {line}");
            result.disturbances.push(line);
        }
    }
}
