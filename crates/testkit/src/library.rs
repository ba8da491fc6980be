//! The files under test: `libaethalloc.so` and `libaethalloc.a`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The library under test, as files.
#[derive(Debug)]
pub struct Library {
    /// The shared library, for `LD_PRELOAD` and `dlopen`.
    pub so: PathBuf,
    /// The static library.
    pub archive: PathBuf,
}

impl Library {
    /// The library: the files that `AETHALLOC_LIB` and `AETHALLOC_A` name, or else the ones that cargo builds now,
    /// once per test program.
    ///
    /// # Panics
    /// If a named file is not there or the build fails: no test can say anything then.
    pub fn get() -> &'static Self {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(
            || match (named_file("AETHALLOC_LIB"), named_file("AETHALLOC_A")) {
                (Some(so), Some(archive)) => Self { so, archive },
                (Some(so), None) => Self {
                    archive: so.with_extension("a"),
                    so,
                },
                (None, archive) => {
                    let built = build();
                    Self {
                        archive: archive.unwrap_or(built.archive),
                        so: built.so,
                    }
                }
            },
        )
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn named_file(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(error) => panic!("{variable}={}: {error}", path.display()),
    }
}

fn build() -> Library {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "aethalloc-abi"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cargo does not start: {error}"));
    assert!(
        output.status.success(),
        "cargo build --release -p aethalloc-abi failed ({})",
        output.status
    );
    let files: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .collect();
    let find = |name: &str| {
        files
            .iter()
            .find(|file| file.file_name().is_some_and(|found| found == name))
            .unwrap_or_else(|| panic!("cargo built no {name}, but {files:?}"))
            .clone()
    };
    Library {
        so: find("libaethalloc.so"),
        archive: find("libaethalloc.a"),
    }
}
