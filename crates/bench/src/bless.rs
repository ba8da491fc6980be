//! Writes the checksums of the definitions: what each workload prints on the system's malloc.

use crate::checkout::Checkout;
use crate::definitions::{self, Workload};
use crate::launch::{Failure, Launcher};
use crate::real;
use crate::result::Output;
use crate::scaling;

/// Runs the named workloads (all if none), full size and miniature, and edits their files in place.
pub fn bless(checkout: &Checkout, names: &[String]) -> Result<(), String> {
    let launcher = Launcher::new(checkout)?;
    for workload in definitions::all(checkout)? {
        if !names.is_empty() && !names.contains(&workload.name) {
            continue;
        }
        if let Err(reason) = real::check_needs(&workload) {
            eprintln!("{}: left as it is: {reason}", workload.name);
            continue;
        }
        if scaling::has_rows(&workload) {
            rows(checkout, &launcher, &workload)?;
        }
        let full = match scaling::has_rows(&workload) {
            true => None,
            false => checksum(checkout, &launcher, &workload)?,
        };
        let quick = match workload.miniature() {
            Some(miniature) => checksum(checkout, &launcher, &miniature)?,
            None => None,
        };
        println!(
            "{} {} {}",
            workload.name,
            full.as_deref().unwrap_or("-"),
            quick.as_deref().unwrap_or("-")
        );
        write(checkout, &workload, full, quick)?;
    }
    Ok(())
}

/// The checksums of a definition's rows, in ascending order.
fn rows(checkout: &Checkout, launcher: &Launcher, workload: &Workload) -> Result<(), String> {
    let mut checksums = toml_edit::InlineTable::new();
    for row in scaling::KNOWN
        .iter()
        .filter_map(|n| Some((n, scaling::row(workload, *n)?)))
    {
        if let Some(sum) = checksum(checkout, launcher, &row.1)? {
            println!("{} {sum}", row.1.name);
            checksums.insert(row.0.to_string(), sum.into());
        }
    }
    edit(checkout, workload, |table| {
        table["checksums"] = toml_edit::value(checksums);
    })
}

fn checksum(
    checkout: &Checkout,
    launcher: &Launcher,
    workload: &Workload,
) -> Result<Option<String>, String> {
    let folder = launcher
        .folder()
        .join(format!("{}-{}", workload.suite, workload.name));
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    real::setup(checkout, workload, &folder).map_err(|e| format!("{}: {e}", workload.name))?;
    let finished = launcher
        .run(&workload.program(checkout, &folder)?)
        .map_err(|failure| match failure {
            Failure::Interrupted => "interrupted".to_string(),
            Failure::Failed(line) => format!("{}: {line}", workload.name),
        })?;
    if workload.plain_output {
        return Ok(Some(real::checksum(&finished.stdout)));
    }
    if finished.stdout.trim().is_empty() {
        return Ok(None);
    }
    let output: Output = serde_json::from_str(finished.stdout.trim())
        .map_err(|e| format!("{}: {e}", workload.name))?;
    Ok((!output.checksum.is_empty()).then_some(output.checksum))
}

fn write(
    checkout: &Checkout,
    workload: &Workload,
    full: Option<String>,
    quick: Option<String>,
) -> Result<(), String> {
    edit(checkout, workload, |table| {
        for (key, value) in [("checksum", &full), ("quick_checksum", &quick)] {
            if let Some(value) = value {
                table[key] = toml_edit::value(value.as_str());
            }
        }
    })
}

/// Changes the workload's entry in its file.
fn edit(
    checkout: &Checkout,
    workload: &Workload,
    change: impl FnOnce(&mut toml_edit::Table),
) -> Result<(), String> {
    let path = checkout
        .definitions_dir()
        .join(format!("{}.toml", workload.suite));
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|e| fail(&e))?;
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|e| fail(&e))?;
    let tables = document
        .get_mut("workload")
        .and_then(|w| w.as_array_of_tables_mut());
    let is_meant =
        |t: &toml_edit::Table| t.get("name").and_then(|n| n.as_str()) == Some(&workload.name);
    let table = tables.and_then(|t| t.iter_mut().find(|t| is_meant(t)));
    if let Some(table) = table {
        change(table);
    }
    std::fs::write(&path, document.to_string()).map_err(|e| fail(&e))
}
