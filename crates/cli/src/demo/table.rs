//! The demo's table: medians over the rounds, with their spread.

use std::fmt::Write;

use super::Report;
use crate::pipeline::Measured;
use crate::text;

/// Median, smallest and largest of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    /// Of a list that is not empty; the median of an even number is the mean of the middle two.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values.get(middle.checked_sub(1)?)? + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Self {
            low: *values.first()?,
            median,
            high: *values.last()?,
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// One line of the table.
struct Row {
    title: &'static str,
    value: fn(&Measured) -> Option<f64>,
    show: fn(f64) -> String,
}

const ROWS: &[Row] = &[
    Row {
        title: "packets/s",
        value: |m| Some(m.packets_per_second),
        show: text::millions,
    },
    Row {
        title: "p99.9 receive to free",
        value: |m| m.p999_ns.map(|ns| ns as f64),
        show: text::nanos,
    },
    Row {
        title: "peak RSS",
        value: |m| Some(m.rss_peak as f64),
        show: show_bytes,
    },
    Row {
        title: "RSS while idle",
        value: |m| Some(m.rss_idle as f64),
        show: show_bytes,
    },
    Row {
        title: "user+sys",
        value: |m| Some(m.cpu_seconds),
        show: |s| format!("{s:.2} s"),
    },
    Row {
        title: "CPU per packet",
        value: |m| Some(m.cpu_per_packet_ns),
        show: text::nanos,
    },
];

fn show_bytes(n: f64) -> String {
    text::bytes(n as u64)
}

/// The report for people.
pub fn table(report: &Report) -> String {
    let config = &report.config;
    let rounds = report.system.len();
    let live = report.system.iter().chain(&report.aethalloc);
    let live = live.map(|m| m.live_peak).max().unwrap_or(0);
    let mut out = format!(
        "\nPacket pipeline: {} receive + {} worker threads, packets of 64-1500 B, at most {} in them at once.\n\
         {rounds} rounds each, of {:.1} s at full speed, {:.1} s at {} packets/s (for p99.9), {:.0} s idle.\n\n",
        config.receivers,
        config.workers,
        text::bytes(live),
        config.flood,
        config.paced,
        text::millions(config.rate),
        config.idle,
    );
    let mut lines = vec![[
        String::new(),
        report.system_name.clone(),
        "Aethalloc".into(),
        "ratio".into(),
    ]];
    for row in ROWS {
        let of = |side: &[Measured]| Spread::of(side.iter().filter_map(row.value).collect());
        let (Some(system), Some(ours)) = (of(&report.system), of(&report.aethalloc)) else {
            continue;
        };
        let cell = |s: &Spread| {
            let (low, high) = ((row.show)(s.low), (row.show)(s.high));
            format!("{} ({low} - {high})", (row.show)(s.median))
        };
        let close = if system.overlaps(&ours) { " ~" } else { "" };
        lines.push([
            row.title.into(),
            cell(&system),
            cell(&ours),
            format!("{:.2}{close}", ours.median / system.median),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for [title, system, ours, ratio] in &lines {
        let line = format!(
            "{title:<a$}  {system:<b$}  {ours:<c$}  {ratio}",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let counted = report
        .library_allocations
        .iter()
        .min()
        .copied()
        .unwrap_or(0);
    let _ = writeln!(
        out,
        "\nMedian (lowest - highest) of the rounds; ~ means that the two ranges overlap: no difference shown.\n\
         Checked in every round: malloc came from {}, which counted at least {} allocations;\n\
         in the others from {}.",
        report.library,
        text::count(counted),
        report.system.first().map_or("", |m| m.malloc_from.as_str()),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Config;

    fn measured(packets_per_second: f64, rss_idle: u64) -> Measured {
        Measured {
            packets: 1,
            packets_per_second,
            cpu_per_packet_ns: 500.0,
            p50_ns: Some(1_000),
            p999_ns: Some(20_000),
            live_peak: 50 << 20,
            rss_peak: 60 << 20,
            rss_drained: 55 << 20,
            rss_idle,
            cpu_seconds: 9.5,
            malloc_from: "/lib/libc.so.6".into(),
        }
    }

    #[test]
    fn medians_and_ranges() {
        let odd = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 2.0, 3.0));
        let even = Spread::of(vec![4.0, 1.0]).unwrap();
        assert_eq!((even.low, even.median, even.high), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(vec![]), None);
        assert!(odd.overlaps(&even) && even.overlaps(&odd));
        assert!(!odd.overlaps(&Spread::of(vec![3.5]).unwrap()));
    }

    #[test]
    fn the_table_shows_both_sides_and_marks_what_is_no_difference() {
        let report = Report {
            system_name: "glibc 2.36".into(),
            library: "/opt/libaethalloc.so".into(),
            config: Config {
                receivers: 1,
                workers: 1,
                flood: 3.0,
                paced: 2.0,
                rate: 1e6,
                idle: 3.0,
            },
            system: vec![measured(2e6, 60 << 20), measured(3e6, 64 << 20)],
            aethalloc: vec![measured(2.5e6, 8 << 20), measured(2.6e6, 8 << 20)],
            library_allocations: vec![7_000_000, 6_000_000],
        };
        let text = table(&report);
        let row = |title: &str| {
            let line = text.lines().find(|l| l.starts_with(title)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            row("packets/s"),
            "packets/s 2.50 M (2.00 M - 3.00 M) 2.55 M (2.50 M - 2.60 M) 1.02 ~"
        );
        assert_eq!(
            row("RSS while idle"),
            "RSS while idle 62.0 MiB (60.0 MiB - 64.0 MiB) 8.00 MiB (8.00 MiB - 8.00 MiB) 0.13"
        );
        assert!(text.contains("at least 6 000 000 allocations"));
        assert!(text.contains("at most 50.0 MiB in them at once"));
    }
}
