//! Asks a process that runs under a library which malloc it has: that the preload took effect, and
//! which version it is.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::{Definition, Kind};
use crate::checkout::Checkout;

/// What `bench-work identify` prints.
#[derive(Debug, Deserialize)]
pub struct Identity {
    /// File that the symbol `malloc` came from.
    pub malloc_from: String,
    /// File that the symbol `free` came from.
    pub free_from: String,
    /// `mi_version()`, 0 without.
    pub mimalloc: i64,
    /// jemalloc's `version`, empty without.
    pub jemalloc: String,
    /// `gnu_get_libc_version()`.
    pub glibc: String,
}

/// Runs the question under `library` and checks that malloc and free come from it.
pub fn ask(checkout: &Checkout, library: Option<&Path>) -> Result<Identity, String> {
    let mut command = Command::new(checkout.program("bench-work")?);
    command.arg("identify").env_remove("LD_PRELOAD");
    if let Some(library) = library {
        command.env("LD_PRELOAD", library);
    }
    let output = command
        .output()
        .map_err(|e| format!("bench-work identify: {e}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().next().unwrap_or("no message");
    if !output.status.success() {
        return Err(format!(
            "a small program does not run on it: {} ({first})",
            output.status
        ));
    }
    let identity: Identity = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("bench-work identify: {e}; {first}"))?;
    if let Some(library) = library {
        for from in [&identity.malloc_from, &identity.free_from] {
            if !same_file(Path::new(from), library) {
                return Err(format!(
                    "is not in front: malloc comes from {from} ({first})"
                ));
            }
        }
    }
    Ok(identity)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The version in words: what the library itself says, else the crate or package it came from.
pub fn version(checkout: &Checkout, definition: &Definition, identity: &Identity) -> String {
    match definition.kind {
        Kind::None => identity.glibc.clone(),
        Kind::Workspace => checkout.commit(),
        Kind::Library if definition.package.is_empty() => {
            let name = definition.paths.first().and_then(|p| p.file_name());
            name.map_or(String::new(), |n| n.to_string_lossy().into_owned())
        }
        Kind::Library => package_version(&definition.package),
        // mimalloc packs its version as major * 10000 + minor * 100 + patch.
        _ if identity.mimalloc > 0 => {
            let v = identity.mimalloc;
            format!("{}.{}.{}", v / 10000, v / 100 % 100, v % 100)
        }
        _ if !identity.jemalloc.is_empty() => identity
            .jemalloc
            .split('-')
            .next()
            .unwrap_or_default()
            .to_string(),
        _ if definition.krate.is_empty() => identity.glibc.clone(),
        _ => crate_version(checkout, &definition.krate),
    }
}

fn package_version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f=${Version}", package])
        .output();
    match output {
        Ok(o) if o.status.success() => format!("{package} {}", String::from_utf8_lossy(&o.stdout)),
        _ => package.to_string(),
    }
}

fn crate_version(checkout: &Checkout, krate: &str) -> String {
    let lock = std::fs::read_to_string(checkout.peers_dir().join("Cargo.lock")).unwrap_or_default();
    let name = format!("name = \"{krate}\"");
    let version = lock
        .split("[[package]]")
        .find(|p| p.contains(&name))
        .and_then(|p| p.lines().find_map(|l| l.strip_prefix("version = ")))
        .map(|v| v.trim_matches('"'))
        .unwrap_or("?");
    format!("crate {krate} {version}")
}
