//! Instructions per operation, counted by callgrind: repeatable where times are not.
//!
//! Each workload that names a form for it runs twice, with N and 2N operations; the difference holds no
//! start-up. What callgrind counts is user-mode instructions of the whole program, loop included.

use crate::checkout::Checkout;
use crate::definitions::Workload;
use crate::launch::{Failure, Launcher, Program};
use crate::peers::Peer;
use crate::result::{Output, ResultFile};

/// Fills `Cell::instructions`. Returns false after Ctrl-C.
pub fn count(
    checkout: &Checkout,
    peers: &[Peer],
    workloads: &[Workload],
    result: &mut ResultFile,
) -> Result<bool, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|dir| dir.join("valgrind").is_file()) {
        return Err("--instructions needs valgrind: apt-get install valgrind".into());
    }
    let launcher = Launcher::new(checkout)?;
    for workload in workloads {
        let Some(args) = &workload.instructions else {
            continue;
        };
        for peer in peers {
            let counted = per_operation(checkout, &launcher, args, workload.instructions_ops, peer);
            let cell = result
                .workloads
                .iter_mut()
                .find(|w| w.name == workload.name)
                .and_then(|w| w.cells.iter_mut().find(|c| c.peer == peer.name));
            match (counted, cell) {
                (Ok(value), Some(cell)) => {
                    eprintln!(
                        "{:<16} {:<14} {value:.1} instructions",
                        workload.name, peer.name
                    );
                    cell.instructions = Some(value);
                }
                (Ok(_), None) => {}
                (Err(Failure::Interrupted), _) => return Ok(false),
                (Err(Failure::Failed(line)), _) => {
                    eprintln!(
                        "bench: callgrind, {} under {}: {line}",
                        workload.name, peer.name
                    );
                }
            }
        }
    }
    Ok(true)
}

fn per_operation(
    checkout: &Checkout,
    launcher: &Launcher,
    args: &[String],
    ops: u64,
    peer: &Peer,
) -> Result<f64, Failure> {
    let (few, few_ops) = instructions(checkout, launcher, args, ops, peer)?;
    let (many, many_ops) = instructions(checkout, launcher, args, ops * 2, peer)?;
    if many_ops <= few_ops {
        return Err(Failure::Failed(
            "the workload does not scale with OPS".into(),
        ));
    }
    Ok((many as f64 - few as f64) / (many_ops - few_ops) as f64)
}

fn instructions(
    checkout: &Checkout,
    launcher: &Launcher,
    args: &[String],
    ops: u64,
    peer: &Peer,
) -> Result<(u64, u64), Failure> {
    let out = launcher.folder().join("callgrind.out");
    let _ = std::fs::remove_file(&out);
    let mut command = vec![
        "--tool=callgrind".to_string(),
        format!("--callgrind-out-file={}", out.display()),
        checkout.program("bench-work")?.display().to_string(),
    ];
    command.extend(args.iter().map(|a| a.replace("OPS", &ops.to_string())));
    let finished =
        launcher.run(&Program::new("valgrind", command).under(peer.library.as_deref()))?;
    let output: Output = serde_json::from_str(finished.stdout.trim())
        .map_err(|e| format!("unreadable output: {e}"))?;
    let profile = std::fs::read_to_string(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let total = profile
        .lines()
        .find_map(|line| {
            line.strip_prefix("summary: ")
                .or_else(|| line.strip_prefix("totals: "))
        })
        .and_then(|n| n.trim().parse().ok())
        .ok_or_else(|| "callgrind wrote no total".to_string())?;
    Ok((total, output.ops))
}
