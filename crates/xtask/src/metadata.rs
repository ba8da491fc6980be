//! The crates of the workspace and of its dependencies, as `cargo metadata` tells them.

use serde::Deserialize;
use std::process::Command;

/// All packages of the dependency graph.
#[derive(Deserialize)]
pub struct Metadata {
    /// Members and dependencies.
    pub packages: Vec<Package>,
}

/// One crate.
#[derive(Deserialize)]
pub struct Package {
    /// Name in its manifest.
    pub name: String,
    /// Where it comes from; none for members of the workspace.
    pub source: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// Minimum Rust version that it states.
    pub rust_version: Option<String>,
    /// What its manifest asks for.
    pub dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Deserialize)]
pub struct Dependency {
    /// Name of the crate.
    pub name: String,
    /// None for a normal dependency, else `dev` or `build`.
    pub kind: Option<String>,
}

impl Package {
    /// Whether this is one of ours.
    pub fn is_member(&self) -> bool {
        self.source.is_none()
    }
}

/// Asks cargo; the error is one line.
pub fn load() -> Result<Metadata, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(crate::root())
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata: {}", text.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}
