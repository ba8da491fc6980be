//! Bars and points, at the width of a phone so that their letters keep their size there.

use std::fmt::Write;

use super::escape;
use crate::report::number;

/// Width of a drawing.
pub const WIDTH: f64 = 346.0;
/// Colours of the style sheets.
pub const COLOURS: usize = 10;
/// Width of a letter at the drawings' font size, in wide fonts.
const LETTER: f64 = 8.0;

/// One bar with its interval.
pub struct Bar<'a> {
    /// Its name.
    pub label: &'a str,
    /// Index of its colour.
    pub colour: usize,
    /// Length.
    pub value: f64,
    /// Interval.
    pub low: f64,
    /// Interval.
    pub high: f64,
}

/// Horizontal bars from zero. One that is far longer than the rest is cut, with its figure beside it.
pub fn bars(bars: &[Bar], unit: &str, title: &str) -> String {
    const LABEL: f64 = 128.0;
    const FIGURE: f64 = 74.0;
    const ROW: f64 = 24.0;
    let room = WIDTH - LABEL - FIGURE;
    let top = longest_drawn(bars);
    let height = ROW * bars.len() as f64 + 4.0;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\"><title>{}</title>",
        escape(title),
        escape(title)
    );
    for (row, bar) in bars.iter().enumerate() {
        let y = ROW * row as f64 + 4.0;
        let place = |v: f64| LABEL + (v / top).clamp(0.0, 1.0) * room;
        let middle = y + 8.0;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"16\" rx=\"2\" style=\"fill:var(--c{})\"/>",
            LABEL - 8.0,
            y + 12.5,
            escape(&shortened(bar.label, LABEL - 8.0)),
            (place(bar.value) - LABEL).max(1.0),
            bar.colour % COLOURS
        );
        if bar.value > top {
            let x = LABEL + room - 14.0;
            let _ = write!(
                out,
                "<path class=\"cut\" d=\"M{x:.1} {y:.1}l5 0l-4 16l-5 0zM{:.1} {y:.1}l5 0l-4 16l-5 0z\"/>",
                x + 8.0
            );
        } else if bar.high > bar.low {
            let _ = write!(
                out,
                "<path class=\"whisker\" d=\"M{0:.1} {middle}H{1:.1}M{0:.1} {2}v8M{1:.1} {2}v8\"/>",
                place(bar.low),
                place(bar.high),
                middle - 4.0
            );
        }
        let after = place(bar.value.max(bar.high.min(top))) + 6.0;
        let _ = write!(
            out,
            "<text x=\"{after:.1}\" y=\"{:.1}\">{} {}</text>",
            y + 12.5,
            number(bar.value),
            escape(unit)
        );
    }
    out.push_str("</svg>");
    out
}

/// The largest value, unless it is more than five times the median: then twice the largest of the others
/// that are not.
fn longest_drawn(bars: &[Bar]) -> f64 {
    let mut values: Vec<f64> = bars.iter().map(|b| b.value).collect();
    values.sort_by(f64::total_cmp);
    let Some(&median) = values.get(values.len() / 2) else {
        return 1.0;
    };
    let usual = |v: &f64| *v <= 5.0 * median;
    let cut = values.iter().any(|v| !usual(v));
    let top = if cut {
        values.iter().copied().filter(usual).fold(0.0, f64::max) * 1.6
    } else {
        bars.iter()
            .map(|b| b.high.min(b.value * 1.3))
            .fold(0.0, f64::max)
    };
    if top > 0.0 { top } else { 1.0 }
}

/// One point.
pub struct Dot<'a> {
    /// Its name.
    pub label: &'a str,
    /// Index of its colour.
    pub colour: usize,
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
}

/// Points on two logarithmic axes, their names beside them where they cover least.
pub fn scatter(dots: &[Dot], title: &str) -> String {
    const HEIGHT: f64 = 280.0;
    const LEFT: f64 = 40.0;
    const RIGHT: f64 = WIDTH - 12.0;
    const TOP: f64 = 12.0;
    const BOTTOM: f64 = HEIGHT - 36.0;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\
         <path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>",
        escape(title)
    );
    let (x_low, x_high) = range(dots.iter().map(|d| d.x));
    let (y_low, y_high) = range(dots.iter().map(|d| d.y));
    let across =
        |v: f64| LEFT + 8.0 + (v / x_low).ln() / (x_high / x_low).ln() * (RIGHT - LEFT - 16.0);
    let up =
        |v: f64| BOTTOM - 8.0 - (v / y_low).ln() / (y_high / y_low).ln() * (BOTTOM - TOP - 16.0);
    for tick in ticks(x_low, x_high) {
        let x = across(tick);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}x</text>",
            BOTTOM + 18.0,
            trimmed(tick)
        );
    }
    for tick in ticks(y_low, y_high) {
        let y = up(tick);
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {y:.1}h-5\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}x</text>",
            LEFT - 8.0,
            y + 4.0,
            trimmed(tick)
        );
    }
    let points: Vec<(f64, f64)> = dots.iter().map(|d| (across(d.x), up(d.y))).collect();
    for (dot, (x, y)) in dots.iter().zip(&points) {
        let colour = dot.colour % COLOURS;
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\" style=\"fill:var(--c{colour})\"/>"
        );
    }
    let mut taken: Vec<Area> = points.iter().map(|p| Area::around_dot(*p)).collect();
    for (dot, point) in dots.iter().zip(&points) {
        let area = place_label(dot.label, *point, &taken, (LEFT, TOP, RIGHT, BOTTOM));
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            area.left,
            area.bottom - 4.0,
            escape(dot.label)
        );
        taken.push(area);
    }
    let _ = write!(
        out,
        "<text class=\"soft\" x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">time</text>\
         <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">memory</text></svg>",
        HEIGHT - 3.0,
        LEFT + 6.0,
        TOP + 4.0
    );
    out
}

/// A rectangle that is in use.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn around_dot((x, y): (f64, f64)) -> Area {
        Area {
            left: x - 7.0,
            top: y - 7.0,
            right: x + 7.0,
            bottom: y + 7.0,
        }
    }

    fn overlap(&self, other: &Area) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }
}

/// The place near its dot where a label covers least of what is there already: right, left, then ever further
/// above and below.
fn place_label(
    label: &str,
    (x, y): (f64, f64),
    taken: &[Area],
    frame: (f64, f64, f64, f64),
) -> Area {
    let width = width_of(label);
    let candidates = [0.0, -14.0, 14.0, -26.0, 26.0].into_iter().flat_map(|dy| {
        [x + 10.0, x - 10.0 - width, x - width / 2.0].map(|left| Area {
            left,
            top: y + dy - 8.0,
            right: left + width,
            bottom: y + dy + 8.0,
        })
    });
    let cost = |area: &Area| {
        let outside = (frame.0 - area.left).max(0.0)
            + (area.right - frame.2).max(0.0)
            + (frame.1 - area.top).max(0.0);
        let below = (area.bottom - frame.3).max(0.0);
        taken.iter().map(|t| area.overlap(t)).sum::<f64>() + 1000.0 * (outside + below)
    };
    // The first of equally good ones: min_by keeps it.
    candidates
        .min_by(|a, b| cost(a).total_cmp(&cost(b)))
        .unwrap_or(Area::around_dot((x, y)))
}

/// Width of a text in this font, a little generous.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The text, cut to what fits.
pub fn shortened(text: &str, room: f64) -> String {
    if width_of(text) <= room {
        return text.to_string();
    }
    let kept = (room / LETTER) as usize - 1;
    text.chars().take(kept).chain(['\u{2026}']).collect()
}

/// The values with some room around them, never a single point.
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    if high <= 0.0 || !low.is_finite() {
        (0.5, 2.0)
    } else {
        (low / 1.12, high * 1.12)
    }
}

/// Round values inside a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let all = [
        0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0,
    ];
    let inside: Vec<f64> = all
        .into_iter()
        .filter(|t| (low..=high).contains(t))
        .collect();
    if inside.is_empty() {
        vec![low, high]
    } else {
        inside
    }
}

/// Two digits behind the point at most.
pub fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64) -> Bar<'static> {
        Bar {
            label: "a",
            colour: 0,
            value,
            low: value,
            high: value,
        }
    }

    #[test]
    fn an_outlier_is_cut_and_does_not_flatten_the_rest() {
        let set = [bar(1.0), bar(1.2), bar(0.9), bar(90.0)];
        let top = longest_drawn(&set);
        assert!((1.2..3.0).contains(&top), "{top}");
        assert!(bars(&set, "s", "t").contains("class=\"cut\""));
        assert!(!bars(&set[..3], "s", "t").contains("class=\"cut\""));
    }

    #[test]
    fn no_drawing_holds_a_number_that_is_none() {
        for text in [
            bars(&[], "s", "t"),
            bars(&[bar(0.0)], "s", "t"),
            scatter(&[], "t"),
        ] {
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
        let one = scatter(
            &[Dot {
                label: "a",
                colour: 0,
                x: 1.0,
                y: 1.0,
            }],
            "t",
        );
        assert!(!one.contains("NaN"), "{one}");
    }
}
