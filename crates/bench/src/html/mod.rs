//! A result as one self-contained page: no script, no request to anywhere, light and dark, wide and narrow.

mod details;
mod lines;
mod svg;

use std::fmt::Write;
use std::path::Path;

use crate::report::{self, OURS};
use crate::result::{ResultFile, WorkloadResult};
use lines::Line;
pub use svg::{Bar, Dot, bars, scatter};

/// Writes the page of a result.
pub fn write(result: &ResultFile, path: &Path) -> Result<(), String> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    std::fs::write(path, page(result)).map_err(|e| format!("{}: {e}", path.display()))
}

/// The page as text.
pub fn page(result: &ResultFile) -> String {
    let mut out = String::with_capacity(1 << 16);
    let title = format!("Allocators, suite {}", escape(&result.suite));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{}</style></head><body><main>\n<h1>{title}</h1>\n",
        include_str!("page.css")
    );
    header(&mut out, result);
    overview(&mut out, result);
    threads(&mut out, result);
    standings(&mut out, result);
    out.push_str("<h2>Workloads</h2>\n<p>Median, with the interval that holds the true median with 95 % (fewer than \
                  six runs: smallest to largest). Lower is better.</p>\n<div class=\"grid\">\n");
    for workload in &result.workloads {
        card(&mut out, result, workload);
    }
    out.push_str("</div>\n");
    machine(&mut out, result);
    out.push_str("</main></body></html>\n");
    out
}

fn header(out: &mut String, result: &ResultFile) {
    let runs: usize = result
        .workloads
        .iter()
        .flat_map(|w| &w.cells)
        .map(|c| c.runs.len())
        .sum();
    let _ = writeln!(
        out,
        "<p>{}, commit {}: {runs} runs in {} rounds, interleaved, on {} ({} CPUs{}), {}.{}</p>",
        date(result.started),
        escape(&result.commit),
        result.rounds,
        escape(&result.machine.cpu),
        result.machine.cpus,
        if result.machine.virtual_machine {
            ", virtual machine"
        } else {
            ""
        },
        escape(&result.machine.system),
        if result.complete {
            ""
        } else {
            " <strong>Interrupted: what is here was finished.</strong>"
        }
    );
    if result.suite == crate::definitions::QUICK {
        out.push_str("<p class=\"warn\">Miniatures, run for their correctness: the times mean nothing.</p>\n");
    }
    for line in &result.disturbances {
        let _ = writeln!(out, "<p class=\"warn\">{}</p>", escape(line));
    }
    for absent in &result.absent {
        let _ = writeln!(
            out,
            "<p class=\"warn\">{} is absent: {}</p>",
            escape(&absent.name),
            escape(&absent.reason)
        );
    }
}

fn standings(out: &mut String, result: &ResultFile) {
    let rows = report::standings(result, OURS);
    if rows.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Where Aethalloc stands</h2>\n<p>Against the best of the others in each row, losses first; grey where the \
         intervals overlap or come from fewer than three runs.</p>\n<div class=\"ranks\">\n",
    );
    for row in rows {
        let class = match (row.clear, row.ratio > 1.0) {
            (false, _) => "even",
            (true, true) => "loss",
            (true, false) => "win",
        };
        let name = escape(&row.workload);
        let _ = writeln!(
            out,
            "<a class=\"{class}\" href=\"#{name}\"><span>{name}</span><b>{:.2}x</b><span>{}</span></a>",
            row.ratio,
            escape(&row.best)
        );
    }
    out.push_str("</div>\n");
}

fn overview(out: &mut String, result: &ResultFile) {
    let Some(base) = report::base(result) else {
        return;
    };
    let _ = writeln!(
        out,
        "<h2>All workloads together</h2>\n<p>Geometric means against {}; a workload counts where every allocator has the figure.</p>\
         \n<div class=\"grid\">",
        escape(base)
    );
    let means = report::means(result);
    for mean in &means {
        let bars: Vec<Bar> = result
            .peers
            .iter()
            .zip(&mean.ratios)
            .map(|(peer, (_, value))| Bar {
                label: &peer.title,
                colour: colour(result, &peer.name),
                value: *value,
                low: *value,
                high: *value,
            })
            .collect();
        let best = mean.best_others.map_or(String::new(), |best| {
            format!("; the best other of each row: {best:.2}x")
        });
        let about = format!("suite {}, {} workloads{best}", mean.suite, mean.workloads);
        figure(out, mean.title, &about, &svg::bars(&bars, "x", mean.title));
    }
    let mut suites: Vec<&str> = means.iter().map(|m| m.suite.as_str()).collect();
    suites.dedup();
    for suite in suites {
        let find = |path| {
            means
                .iter()
                .find(|m| m.suite == suite && m.path == Some(path))
        };
        // Where not every row is a time, CPU time stands for it.
        let (Some(time), Some(memory)) = (find("wall_s").or(find("cpu_s")), find("peak_kib"))
        else {
            continue;
        };
        let dots: Vec<Dot> = result
            .peers
            .iter()
            .zip(&time.ratios)
            .zip(&memory.ratios)
            .map(|((peer, (_, x)), (_, y))| Dot {
                label: &peer.title,
                colour: colour(result, &peer.name),
                x: *x,
                y: *y,
            })
            .collect();
        let title = "Time against memory";
        let about = format!(
            "suite {suite}: {} across, peak RSS up; towards the lower left is better",
            time.title
        );
        figure(out, title, &about, &svg::scatter(&dots, title));
    }
    out.push_str("</div>\n");
}

/// Drawings over the number of threads, where there are several or the suite is made for it.
fn threads(out: &mut String, result: &ResultFile) {
    let Some(means) = report::means_by_threads(result) else {
        return;
    };
    out.push_str(
        "<h2>Over the number of threads</h2>\n<p>The time that one thread takes for an operation, both axes logarithmic: a level line \
         is a program that threads do not slow down. The figures are those with the most threads.</p>\n<div class=\"grid\">\n",
    );
    for curves in [means].into_iter().chain(report::curves(result)) {
        figure(
            out,
            &escape(&curves.name),
            &escape(&curves.about),
            &drawing(result, &curves),
        );
    }
    out.push_str("</div>\n");
}

/// The drawing of some curves.
pub fn drawing(result: &ResultFile, curves: &report::Curves) -> String {
    let title = |name: &str| result.peers.iter().find(|p| p.name == *name);
    let set: Vec<Line> = curves
        .lines
        .iter()
        .map(|(name, points)| Line {
            label: title(name).map_or("", |p| p.title.as_str()),
            colour: colour(result, name),
            points,
        })
        .collect();
    lines::lines(
        &set,
        &curves.unit,
        &format!("{} over the number of threads", curves.name),
    )
}

fn card(out: &mut String, result: &ResultFile, workload: &WorkloadResult) {
    let mut bars = Vec::new();
    let mut notes = String::new();
    for peer in &result.peers {
        match workload.judged(&peer.name) {
            Some(s) => {
                bars.push(Bar {
                    label: &peer.title,
                    colour: colour(result, &peer.name),
                    value: s.median,
                    low: s.sure.0,
                    high: s.sure.1,
                });
            }
            None => {
                let reason = workload
                    .skipped
                    .as_deref()
                    .or_else(|| workload.cell(&peer.name)?.failed.as_deref());
                let reason = reason.unwrap_or("not run");
                let _ = write!(
                    notes,
                    "<p class=\"warn\">{}: {}</p>",
                    escape(&peer.title),
                    escape(reason)
                );
            }
        }
    }
    let drawing = svg::bars(&bars, &workload.figure.unit, &workload.name);
    let _ = write!(
        out,
        "<section class=\"card\" id=\"{0}\"><h3>{0}</h3><p>{1}</p>",
        escape(&workload.name),
        escape(&workload.about)
    );
    out.push_str(&drawing);
    out.push_str(&notes);
    details::table(out, result, workload);
    out.push_str("</section>\n");
}

fn figure(out: &mut String, title: &str, about: &str, drawing: &str) {
    let about = if about.is_empty() {
        String::new()
    } else {
        format!("<p>{about}</p>")
    };
    let _ = writeln!(
        out,
        "<section class=\"card\"><h3>{title}</h3>{about}{drawing}</section>"
    );
}

fn machine(out: &mut String, result: &ResultFile) {
    let m = &result.machine;
    out.push_str("<h2>Measured on</h2>\n<div class=\"scroll\"><table><tbody>\n");
    let rows = [
        (
            "CPU",
            format!(
                "{} ({} usable{})",
                m.cpu,
                m.cpus,
                if m.virtual_machine { ", virtual" } else { "" }
            ),
        ),
        ("memory", format!("{} MiB", m.memory_mib)),
        ("kernel", m.kernel.clone()),
        (
            "transparent huge pages",
            format!("{} (defrag {})", m.huge_pages, m.huge_pages_defrag),
        ),
        ("overcommit", m.overcommit.clone()),
        ("frequency governor", m.governor.clone()),
        ("load at the start", format!("{:.2}", m.load)),
        ("compiler", m.rustc.clone()),
        ("duration", crate::progress::words(result.seconds)),
        (
            "smallest peak that can be told",
            format!("{} KiB", result.peak_floor_kib),
        ),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "<tr><td>{name}<td>{}</tr>", escape(value));
    }
    for peer in &result.peers {
        let note = if peer.note.is_empty() {
            String::new()
        } else {
            format!(" ({})", peer.note)
        };
        let _ = writeln!(
            out,
            "<tr><td>{}<td>{}</tr>",
            escape(&peer.title),
            escape(&format!("{}{note}", peer.version))
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// The colour of an allocator: the same in every page, whatever else was measured.
pub fn colour(result: &ResultFile, name: &str) -> usize {
    const KNOWN: [&str; 6] = [
        OURS, "glibc", "mimalloc", "jemalloc", "snmalloc", "tcmalloc",
    ];
    let others = || {
        result
            .peers
            .iter()
            .filter(|p| !KNOWN.contains(&p.name.as_str()))
    };
    KNOWN
        .iter()
        .position(|known| *known == name)
        .unwrap_or_else(|| KNOWN.len() + others().position(|p| p.name == name).unwrap_or(0))
}

/// Text as HTML text or attribute.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Seconds since 1970 as a date (UTC).
pub fn date(seconds: u64) -> String {
    let days = (seconds / 86_400) as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        seconds / 3600 % 24,
        seconds / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
