//! Drawings as files of their own, light, for the documents.

use super::Kept;
use crate::html::{self, Bar, Dot};
use crate::report::{self, OURS};
use crate::result::ResultFile;

/// Colours and letters; the same as the page's light ones.
const STYLE: &str = "svg{font:13px system-ui,sans-serif;--c0:#d1495b;--c1:#5f6b78;--c2:#0072b2;--c3:#e69f00;--c4:#009e73;\
--c5:#cc79a7;--c6:#56b4e9;--c7:#8c6d31;--c8:#7b5ea7;--c9:#444}text{fill:#1b1f24}.soft{fill:#5b6570;font-size:12px}\
.axis{stroke:#d5dae0}.whisker{stroke:#1b1f24;stroke-width:1.5}.cut{fill:#fff}";

/// All drawings by file name.
pub fn all(kept: &Kept) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for result in &kept.suites {
        for (index, mean) in report::means(result).iter().enumerate() {
            let bars: Vec<Bar> = mean
                .ratios
                .iter()
                .map(|(name, value)| Bar {
                    label: title(result, name),
                    colour: html::colour(result, name),
                    value: *value,
                    low: *value,
                    high: *value,
                })
                .collect();
            let about = format!("suite {}: {}", result.suite, mean.title);
            plots.push((
                name(result, index),
                alone(&html::bars(&bars, "x", &about), &about),
            ));
        }
        for curves in curves(result) {
            let about = format!("suite {}, {}", result.suite, curves.name);
            plots.push((
                curves_name(result, &curves),
                alone(&html::drawing(result, &curves), &about),
            ));
        }
        let dots = scatter(result);
        if dots.len() > 1 {
            let about = format!("suite {}: time against memory", result.suite);
            plots.push((
                scatter_name(result),
                alone(&html::scatter(&dots, &about), &about),
            ));
        }
    }
    plots
}

/// File of the drawing of a suite's mean.
pub fn name(result: &ResultFile, mean: usize) -> String {
    format!("{}-mean-{}.svg", result.suite, mean + 1)
}

/// What a suite has over the number of threads: the means, then each program.
pub fn curves(result: &ResultFile) -> Vec<report::Curves> {
    let means = report::means_by_threads(result);
    means.into_iter().chain(report::curves(result)).collect()
}

/// File of such a drawing.
pub fn curves_name(result: &ResultFile, curves: &report::Curves) -> String {
    format!("{}-over-{}.svg", result.suite, curves.name)
}

/// File of a suite's scatter of time and memory.
pub fn scatter_name(result: &ResultFile) -> String {
    format!("{}-scatter.svg", result.suite)
}

/// Whether a suite has one.
pub fn has_scatter(result: &ResultFile) -> bool {
    scatter(result).len() > 1
}

fn scatter(result: &ResultFile) -> Vec<Dot<'_>> {
    let means = report::means(result);
    let find = |path| means.iter().find(|m| m.path == Some(path));
    let (Some(time), Some(memory)) = (find("wall_s"), find("peak_kib")) else {
        return Vec::new();
    };
    time.ratios
        .iter()
        .zip(&memory.ratios)
        .map(|((name, x), (_, y))| Dot {
            label: title(result, name),
            colour: html::colour(result, name),
            x: *x,
            y: *y,
        })
        .collect()
}

/// What tables call an allocator.
pub fn title<'a>(result: &'a ResultFile, name: &str) -> &'a str {
    let peer = result.peers.iter().find(|p| p.name == name);
    peer.map_or(if name == OURS { "Aethalloc" } else { "?" }, |p| {
        p.title.as_str()
    })
}

/// Room for the title above a drawing.
const TITLE: f64 = 24.0;

/// A drawing of the page as a file: with its size, its style, a white ground and its title in sight.
fn alone(drawing: &str, title: &str) -> String {
    let size = drawing
        .split_once("viewBox=\"0 0 ")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("346 280", |(size, _)| size);
    let (width, height) = size.split_once(' ').unwrap_or(("346", "280"));
    let full = height.parse::<f64>().unwrap_or(280.0) + TITLE;
    let frame = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{full}\" viewBox=\"0 -{TITLE} {width} {full}\" "
    );
    let ground = format!(
        "><style>{STYLE}</style><rect y=\"-{TITLE}\" width=\"{width}\" height=\"{full}\" fill=\"#fff\"/>\
         <text x=\"8\" y=\"-8\" font-weight=\"600\">{}</text>",
        html::escape(title)
    );
    let rest = drawing
        .replacen(&format!("<svg viewBox=\"0 0 {size}\" "), &frame, 1)
        .replacen('>', &ground, 1);
    rest + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_stands_alone() {
        let text = alone(&html::bars(&[], "x", "t"), "a < b");
        assert!(text.starts_with("<svg xmlns="), "{text}");
        assert!(
            text.contains("width=\"346\" height=\"28\" viewBox=\"0 -24 346 28\" "),
            "{text}"
        );
        assert!(text.contains(">a &lt; b</text>"), "{text}");
        assert_eq!(text.matches("<style>").count(), 1);
        assert!(text.ends_with("</svg>\n"));
    }
}
