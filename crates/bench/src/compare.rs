//! Two results side by side: what changed beyond the stated intervals.

use std::fmt::Write;

use crate::report;
use crate::result::ResultFile;
use crate::stats;

/// The comparison as text: B against A, largest change first.
pub fn text(a: &ResultFile, b: &ResultFile) -> Result<String, String> {
    let mut rows = Vec::new();
    for before in &a.workloads {
        let Some(after) = b
            .workloads
            .iter()
            .find(|w| w.name == before.name && w.args == before.args)
        else {
            continue;
        };
        for cell in &before.cells {
            if let (Some(x), Some(y)) = (before.judged(&cell.peer), after.judged(&cell.peer)) {
                let clear = x.differs_from(&y);
                rows.push((
                    before.name.as_str(),
                    cell.peer.as_str(),
                    x,
                    y,
                    clear,
                    before.figure.unit.as_str(),
                ));
            }
        }
    }
    if rows.is_empty() {
        return Err(
            "the two results have no workload (same arguments) and allocator in common".into(),
        );
    }
    let change = |x: f64, y: f64| {
        if x > 0.0 && y > 0.0 {
            (y / x).ln().abs()
        } else {
            0.0
        }
    };
    rows.sort_by(|r, s| change(s.2.median, s.3.median).total_cmp(&change(r.2.median, r.3.median)));
    let mut out = format!(
        "A: {} {}   B: {} {}\n",
        a.suite, a.commit, b.suite, b.commit
    );
    for (what, x, y) in [
        ("CPU", &a.machine.cpu, &b.machine.cpu),
        ("kernel", &a.machine.kernel, &b.machine.kernel),
        ("huge pages", &a.machine.huge_pages, &b.machine.huge_pages),
    ] {
        if x != y {
            let _ = writeln!(out, "note: {what} differs: {x} and {y}");
        }
    }
    let _ = writeln!(
        out,
        "{:<24} {:<14} {:>12} {:>12} {:>8}",
        "workload", "allocator", "A", "B", "B / A"
    );
    for (workload, peer, x, y, clear, unit) in &rows {
        let verdict = match (clear, y.median < x.median) {
            (true, true) => "better",
            (true, false) => "worse",
            (false, _) => "",
        };
        let _ = writeln!(
            out,
            "{workload:<24} {peer:<14} {:>12} {:>12} {:>8.3} {verdict}",
            format!("{} {unit}", report::number(x.median)),
            format!("{} {unit}", report::number(y.median)),
            y.median / x.median
        );
    }
    for peer in &a.peers {
        let ratios = rows
            .iter()
            .filter(|r| r.1 == peer.name && r.2.median > 0.0)
            .map(|r| r.3.median / r.2.median);
        if let Some(mean) = stats::geometric_mean(ratios) {
            let _ = writeln!(
                out,
                "{:<24} {:<14} {:>34.3}",
                "geometric mean", peer.name, mean
            );
        }
    }
    Ok(out)
}
