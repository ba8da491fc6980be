//! Lines over the number of threads.

use std::fmt::Write;

use super::escape;
use super::svg::{COLOURS, WIDTH, range, shortened, trimmed};
use crate::report::number;

/// One allocator.
pub struct Line<'a> {
    /// Its name.
    pub label: &'a str,
    /// Index of its colour.
    pub colour: usize,
    /// Numbers of threads with values, ascending.
    pub points: &'a [(usize, f64)],
}

const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 204.0;
const ROW: f64 = 18.0;

/// Lines on two logarithmic axes; below them each name with its last value.
pub fn lines(lines: &[Line], unit: &str, title: &str) -> String {
    let points = || lines.iter().flat_map(|l| l.points.iter().copied());
    let (low, high) = range(points().map(|p| p.1));
    let mut counts: Vec<usize> = points().map(|p| p.0).collect();
    counts.sort_unstable();
    counts.dedup();
    let across = |threads: usize| match (counts.first(), counts.last()) {
        (Some(&first), Some(&last)) if first < last => {
            let share = (threads as f64 / first as f64).ln() / (last as f64 / first as f64).ln();
            LEFT + 10.0 + share * (RIGHT - LEFT - 20.0)
        }
        _ => (LEFT + RIGHT) / 2.0,
    };
    let up = |v: f64| BOTTOM - 8.0 - (v / low).ln() / (high / low).ln() * (BOTTOM - TOP - 16.0);
    let height = BOTTOM + 40.0 + ROW * lines.len().div_ceil(2) as f64;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\
         <path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>\
         <text class=\"soft\" x=\"{LEFT}\" y=\"{1:.1}\">{2}</text>\
         <text class=\"soft\" x=\"{RIGHT}\" y=\"{3:.1}\" text-anchor=\"end\">threads</text>",
        escape(title),
        TOP - 9.0,
        escape(unit),
        BOTTOM + 32.0
    );
    for count in &counts {
        let x = across(*count);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>",
            BOTTOM + 18.0
        );
    }
    for tick in decimal_ticks(low, high) {
        let y = up(tick);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {y:.1}h-5\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            trimmed(tick)
        );
    }
    for (row, line) in lines.iter().enumerate() {
        let colour = line.colour % COLOURS;
        let places: Vec<(f64, f64)> = line.points.iter().map(|p| (across(p.0), up(p.1))).collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let _ = write!(
            out,
            "<polyline fill=\"none\" points=\"{}\" style=\"stroke:var(--c{colour});stroke-width:2\"/>",
            path.join(" ")
        );
        for (x, y) in places {
            let _ = write!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" style=\"fill:var(--c{colour})\"/>"
            );
        }
        let (x, y) = (
            8.0 + 170.0 * (row % 2) as f64,
            BOTTOM + 42.0 + ROW * (row / 2) as f64,
        );
        let last = line.points.last().map_or("none".into(), |p| number(p.1));
        let _ = write!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" rx=\"2\" style=\"fill:var(--c{colour})\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{} {last}</text>",
            x + 18.0,
            y + 11.0,
            escape(&shortened(line.label, 100.0))
        );
    }
    out.push_str("</svg>");
    out
}

/// 1, 2 and 5 of every power of ten inside a range; its ends where there are none.
fn decimal_ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let all = powers.flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)));
    let ticks: Vec<f64> = all.filter(|t| (low..=high).contains(t)).collect();
    match ticks.len() {
        0 => vec![low, high],
        1..8 => ticks,
        // Many powers of ten: their ones alone.
        _ => ticks
            .into_iter()
            .filter(|t| t.log10().fract().abs() < 1e-9)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_of_any_lines_has_no_number_that_is_none() {
        let line = |points| Line {
            label: "a < b",
            colour: 3,
            points,
        };
        for set in [
            &[][..],
            &[line(&[])],
            &[line(&[(2, 5.0)])],
            &[
                line(&[(2, 5.0), (16, 5.0)]),
                line(&[(2, 1.0), (16, 5000.0)]),
            ],
        ] {
            let text = lines(set, "ns", "t");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.matches("<polyline").count(), set.len());
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(decimal_ticks(0.9, 11.0), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(decimal_ticks(5.5, 6.0), [5.5, 6.0]);
        assert_eq!(decimal_ticks(0.9, 1100.0), [1.0, 10.0, 100.0, 1000.0]);
    }
}
