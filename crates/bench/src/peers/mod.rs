//! The allocators under comparison: which there are, how each becomes a preloadable library, and
//! whether a library really is in front and of the version it claims.
//!
//! Definitions are data (`peers/peers.toml` in the checkout). A built library is kept in the target
//! folder beside a record of what it was built from; it is built again only when that changes.

mod build;
mod identify;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;

/// One entry of `peers.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What `--peers` calls it.
    pub name: String,
    /// What tables call it.
    pub title: String,
    /// How it becomes a library.
    pub kind: Kind,
    /// In the default set.
    #[serde(default)]
    pub required: bool,
    /// For the bench's own use: not in `all`.
    #[serde(default)]
    hidden: bool,
    #[serde(default, rename = "crate")]
    krate: String,
    #[serde(default)]
    archive: String,
    #[serde(default)]
    cxx: bool,
    #[serde(default)]
    alias: Vec<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    paths: Vec<PathBuf>,
    #[serde(default)]
    package: String,
    #[serde(default)]
    missing: String,
    #[serde(default)]
    version_prefix: String,
    #[serde(default)]
    note: String,
}

/// See `peers.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// No preload.
    #[default]
    None,
    /// A library of this workspace.
    Workspace,
    /// An existing file.
    Library,
    /// A static archive made by a crate's build script.
    Archive,
    /// A cmake target in a crate's sources.
    Cmake,
    /// C sources of a crate.
    Sources,
}

/// An allocator that can be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// What `--peers` calls it.
    pub name: String,
    /// What tables call it.
    pub title: String,
    /// What to preload; none for the system's malloc. A result keeps the file's name: its folder is nobody's business.
    #[serde(serialize_with = "only_the_name")]
    pub library: Option<PathBuf>,
    /// What it says its version is, or where it came from.
    pub version: String,
    /// What a reader of the results should know.
    #[serde(default)]
    pub note: String,
    /// Aethalloc's options (`AETHALLOC_CONF`), none as a rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub conf: String,
}

fn only_the_name<S: serde::Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let name = path.as_deref().and_then(Path::file_name);
    name.map(|n| n.to_string_lossy()).serialize(serializer)
}

/// An allocator that was asked for and cannot be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Absent {
    /// What `--peers` calls it.
    pub name: String,
    /// One line.
    pub reason: String,
}

#[derive(Deserialize)]
struct Definitions {
    peer: Vec<Definition>,
}

/// All definitions of the checkout.
pub fn definitions(checkout: &Checkout) -> Result<Vec<Definition>, String> {
    let path = checkout.peers_dir().join("peers.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let read: Definitions = toml_edit::de::from_str(&text)
        .map_err(|e| format!("{}: {e}", path.display()).replace('\n', " "))?;
    Ok(read.peer)
}

/// Chooses definitions: nothing given means the required ones, `all` means all; a name may be followed by
/// `=PATH` to use a library file under that name.
pub fn choose(all: &[Definition], names: &[String]) -> Result<Vec<Definition>, String> {
    if names.is_empty() {
        return Ok(all.iter().filter(|d| d.required).cloned().collect());
    }
    if names.iter().any(|n| n == "all") {
        return Ok(all.iter().filter(|d| !d.hidden).cloned().collect());
    }
    names.iter().map(|name| one(all, name)).collect()
}

fn one(all: &[Definition], name: &str) -> Result<Definition, String> {
    if let Some((name, path)) = name.split_once('=') {
        let path = std::fs::canonicalize(path).map_err(|e| format!("peer {name}: {path}: {e}"))?;
        return Ok(Definition {
            name: name.to_string(),
            title: name.to_string(),
            kind: Kind::Library,
            paths: vec![path],
            ..Definition::default()
        });
    }
    all.iter().find(|d| d.name == name).cloned().ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|d| d.name.as_str()).collect();
        format!(
            "unknown peer '{name}'; there are: {} (or NAME=FILE.so)",
            names.join(" ")
        )
    })
}

/// Builds or finds each; what cannot be had comes back with its reason.
pub fn prepare(
    checkout: &Checkout,
    chosen: &[Definition],
    retry: bool,
) -> (Vec<Peer>, Vec<Absent>) {
    let mut peers = Vec::new();
    let mut absent = Vec::new();
    for definition in chosen {
        match prepare_one(checkout, definition, retry) {
            Ok(peer) => peers.push(peer),
            Err(reason) => absent.push(Absent {
                name: definition.name.clone(),
                reason,
            }),
        }
    }
    (peers, absent)
}

fn prepare_one(checkout: &Checkout, definition: &Definition, retry: bool) -> Result<Peer, String> {
    let library = match definition.kind {
        Kind::None => None,
        Kind::Workspace => Some(checkout.library(&definition.product)?),
        Kind::Library => {
            Some(first_existing(&definition.paths).ok_or_else(|| definition.missing.clone())?)
        }
        Kind::Archive | Kind::Cmake | Kind::Sources => {
            Some(build::library(checkout, definition, retry)?)
        }
    };
    let identity = identify::ask(checkout, library.as_deref())?;
    let version = identify::version(checkout, definition, &identity);
    if !version.starts_with(&definition.version_prefix) {
        return Err(format!(
            "says its version is {version}, wanted {}x",
            definition.version_prefix
        ));
    }
    Ok(Peer {
        name: definition.name.clone(),
        title: definition.title.clone(),
        library,
        version,
        note: definition.note.clone(),
        conf: String::new(),
    })
}

fn first_existing(paths: &[PathBuf]) -> Option<PathBuf> {
    paths.iter().find(|p| Path::is_file(p)).cloned()
}
