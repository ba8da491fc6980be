//! Reads the symbol table of the library with `nm`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Missing, Tool};

/// The names that a shared library offers to others.
///
/// # Errors
/// [`Missing`] without `nm`; so for the others.
pub fn exported(library: &Path) -> Result<BTreeSet<String>, Missing> {
    let listing = nm(&["-D", "--defined-only"], library)?;
    Ok(listing
        .lines()
        .filter_map(name)
        .map(without_version)
        .collect())
}

/// The readable names of all symbols that are defined in a file.
///
/// # Errors
/// See [`exported`].
pub fn defined(library: &Path) -> Result<BTreeSet<String>, Missing> {
    let listing = nm(&["-C", "--defined-only"], library)?;
    Ok(listing.lines().filter_map(name).collect())
}

/// Address and size in bytes of an exported function.
///
/// # Errors
/// See [`exported`].
pub fn function(library: &Path, wanted: &str) -> Result<Option<(u64, u64)>, Missing> {
    let listing = nm(&["-D", "-S", "--defined-only"], library)?;
    Ok(listing.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let size = u64::from_str_radix(words.next()?, 16).ok()?;
        let found = without_version(words.nth(1)?.to_owned());
        (found == wanted).then_some((address, size))
    }))
}

fn nm(options: &[&str], file: &Path) -> Result<String, Missing> {
    let path = file.to_string_lossy();
    Ok(Tool::find("nm")?.output(&[options, &[&*path]].concat()))
}

/// The name in a line `address type name`.
fn name(line: &str) -> Option<String> {
    let mut words = line.splitn(3, ' ');
    let (_address, kind, name) = (words.next()?, words.next()?, words.next()?);
    (kind.len() == 1).then(|| name.to_owned())
}

fn without_version(name: String) -> String {
    match name.split_once('@') {
        Some((plain, _)) => plain.to_owned(),
        None => name,
    }
}
