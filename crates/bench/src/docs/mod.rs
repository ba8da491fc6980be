//! The documents' tables and plots, from the results that are kept in `docs/results`: `bench docs`.
//!
//! ```text
//! docs/results/NAME.json ─> README.md          between the markers "six" and "standings"
//!                        ─> docs/results.md    between the markers "results"
//!                        ─> docs/results/*.svg, and a page for each suite, *.html
//! ```
//! Nobody writes a figure into them by hand: a test compares them with what this makes.

mod page;
mod parts;
mod plots;
mod readme;
mod scaled;

use std::path::{Path, PathBuf};

use crate::html;
use crate::result::ResultFile;
use crate::six::SixFile;

/// The folder of kept results.
const RESULTS: &str = "docs/results";
/// In this order; others follow by name.
const SUITES: [&str; 5] = ["throughput", "scaling", "memory", "real", "latency"];

/// What is kept.
#[derive(Default)]
struct Kept {
    six: Option<SixFile>,
    /// One suite each, with the workloads' own constants.
    suites: Vec<ResultFile>,
    /// One suite each, with other constants.
    scaled: Vec<ResultFile>,
}

/// Writes the documents of the checkout, or only (`check`) says which would change.
pub fn update(root: &Path, check: bool) -> Result<Vec<PathBuf>, String> {
    let mut changed = Vec::new();
    for (path, wanted) in documents(root)? {
        let full = root.join(&path);
        if std::fs::read_to_string(&full).ok() == wanted {
            continue;
        }
        if !check {
            match &wanted {
                Some(text) => std::fs::write(&full, text),
                None => std::fs::remove_file(&full),
            }
            .map_err(|e| format!("{}: {e}", full.display()))?;
        }
        changed.push(path);
    }
    Ok(changed)
}

/// Every document with its wanted content; none where a file has to go.
fn documents(root: &Path) -> Result<Vec<(PathBuf, Option<String>)>, String> {
    let kept = kept(&root.join(RESULTS))?;
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"));
    let readme = read("README.md")?;
    let readme = between(&readme, "README.md", "six", &readme::six(&kept))?;
    let readme = between(&readme, "README.md", "standings", &readme::standings(&kept))?;
    let path = "docs/results.md";
    let results = between(&read(path)?, path, "results", &page::results(&kept))?;
    let mut files = plots::all(&kept);
    for result in &kept.suites {
        files.push((format!("{}.html", result.suite), html::page(result)));
    }
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(root.join(RESULTS))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let made = name.ends_with(".svg") || name.ends_with(".html");
        if made && !files.iter().any(|(file, _)| *file == name) {
            stale.push((Path::new(RESULTS).join(name), None));
        }
    }
    let mut all = vec![
        (PathBuf::from("README.md"), Some(readme)),
        (PathBuf::from(path), Some(results)),
    ];
    all.extend(
        files
            .into_iter()
            .map(|(name, text)| (Path::new(RESULTS).join(name), Some(text))),
    );
    all.extend(stale);
    Ok(all)
}

/// Reads all results of a folder, suite by suite.
fn kept(folder: &Path) -> Result<Kept, String> {
    let mut kept = Kept::default();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    for path in paths {
        if path.file_stem().is_some_and(|name| name == "six") {
            kept.six = Some(SixFile::load(&path)?);
            continue;
        }
        let file = ResultFile::load(&path)?;
        for suite in suites_of(&file) {
            let part = file.only(&suite);
            if part.scale == 1.0 && path.file_stem().is_none_or(|name| *name != *suite) {
                return Err(format!(
                    "{}: holds suite '{suite}': keep it as {suite}.json",
                    path.display()
                ));
            }
            let list = match part.scale {
                1.0 => &mut kept.suites,
                _ => &mut kept.scaled,
            };
            if list
                .iter()
                .any(|r| r.suite == suite && r.scale == part.scale)
            {
                return Err(format!("{}: suite '{suite}' is kept twice", path.display()));
            }
            list.push(part);
        }
    }
    let place = |r: &ResultFile| {
        SUITES
            .iter()
            .position(|s| *s == r.suite)
            .unwrap_or(SUITES.len())
    };
    kept.suites.sort_by_key(place);
    kept.scaled.sort_by(|a, b| {
        (place(a), a.scale)
            .partial_cmp(&(place(b), b.scale))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(kept)
}

fn suites_of(file: &ResultFile) -> Vec<String> {
    let mut suites: Vec<String> = file.workloads.iter().map(|w| w.suite.clone()).collect();
    suites.dedup();
    suites
}

/// The text with what lies between two markers replaced.
fn between(text: &str, path: &str, name: &str, content: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let missing = || format!("{path}: the markers {} are missing", begin.trim());
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{content}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
        let new = between(text, "f", "x", "new\n").unwrap_or_default();
        assert_eq!(new, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n");
        assert!(between(text, "f", "y", "").is_err_and(|e| e.contains("y:begin")));
    }
}
