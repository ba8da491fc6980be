//! A command that was built in a source checkout, and how it gets its library there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::fail::{Failure, Outcome, note};

/// The workspace member that makes the library, and its package name.
const MEMBER: &str = "crates/abi";
const PACKAGE: &str = "aethalloc-abi";
/// The package of the bench.
const BENCH_PACKAGE: &str = "aethalloc-bench";
/// As new as the last time that cargo found the library up to date; lies beside it.
const STAMP: &str = ".libaethalloc-checked";
/// Cargo puts the first into every target folder that it makes, the second also into one that was there.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// A source checkout and the target folder that this command was built into.
#[derive(Debug, PartialEq, Eq)]
pub struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// The checkout that `command` was built in; `None` for an installed command.
    ///
    /// The command must lie in a cargo target folder. The checkout is the workspace around that folder, or, where the
    /// target folder is elsewhere (`CARGO_TARGET_DIR`), the one that it was compiled from, if that still exists.
    pub fn of(command: &Path) -> Option<Self> {
        let compiled_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Self::find(command, &compiled_from)
    }

    fn find(command: &Path, compiled_from: &Path) -> Option<Self> {
        // target/release/aethalloc, or target/TRIPLE/release/aethalloc
        let target = command
            .ancestors()
            .skip(2)
            .take(2)
            .find(|folder| TARGET_MARKS.iter().any(|mark| folder.join(mark).is_file()))?;
        let root = target
            .ancestors()
            .skip(1)
            .find(|folder| is_workspace(folder))
            .map(Path::to_owned)
            .or_else(|| {
                is_workspace(compiled_from)
                    .then(|| compiled_from.canonicalize().ok())
                    .flatten()
            })?;
        Some(Self {
            root,
            target: target.to_owned(),
        })
    }

    /// The library called `name`, built first if its sources are newer.
    pub fn library(&self, name: &str) -> Outcome<PathBuf> {
        let built = self.target.join("release").join(name);
        if !self.is_fresh(&built) {
            let began = SystemTime::now();
            self.build(name, &[PACKAGE])?;
            // Cargo leaves the library as it is when a newer file changes nothing. Without the stamp it would be asked
            // again on every run, and no more than that happens where the stamp cannot be written.
            let _ =
                fs::File::create(built.with_file_name(STAMP)).and_then(|f| f.set_modified(began));
        }
        if built.is_file() {
            Ok(built)
        } else {
            Err(Failure::own(format!(
                "cargo built {PACKAGE}, but {} is not there",
                built.display()
            )))
        }
    }

    /// The bench, built with the library and everything else that it starts. Cargo is always asked: beside the
    /// minutes of a measurement that costs nothing.
    pub fn bench(&self, name: &str) -> Outcome<PathBuf> {
        self.build(name, &[PACKAGE, BENCH_PACKAGE])?;
        Ok(self.target.join("release").join(name))
    }

    /// The folder with the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The target folder.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Is `built`, or cargo's last look at it, newer than every source that cargo's dependency file names, and than all
    /// manifests? Then cargo would do nothing, and asking it would cost time and lines on every run.
    fn is_fresh(&self, built: &Path) -> bool {
        let Some(made) = modified(built) else {
            return false;
        };
        let made = made.max(modified(&built.with_file_name(STAMP)).unwrap_or(made));
        let Ok(list) = fs::read_to_string(built.with_extension("d")) else {
            return false;
        };
        let members = fs::read_dir(self.root.join("crates"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|member| member.path().join("Cargo.toml"))
            .filter(|manifest| manifest.is_file());
        let workspace = ["Cargo.toml", "Cargo.lock"].map(|file| self.root.join(file));
        sources(&list)
            .into_iter()
            .chain(members)
            .chain(workspace)
            .all(|source| modified(&source).is_some_and(|changed| changed < made))
    }

    fn build(&self, name: &str, packages: &[&str]) -> Outcome<()> {
        let packages: Vec<&str> = packages.iter().flat_map(|p| ["-p", p]).collect();
        note(format_args!(
            "building {name} (cargo build --release {})",
            packages.join(" ")
        ));
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(&cargo)
            .args(["build", "--release"])
            .args(&packages)
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.root)
            .env_remove("LD_PRELOAD")
            // Our standard output belongs to the program that is to be run.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| {
                Failure::own(format!("cannot build {name}: {}: {error}", cargo.display()))
            })?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::own(format!(
                "cannot build {name}: cargo failed ({status})"
            )))
        }
    }
}

fn is_workspace(folder: &Path) -> bool {
    folder.join(MEMBER).join("Cargo.toml").is_file()
        && fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|m| m.contains("[workspace]"))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The files behind the colon of a dependency file in make's syntax: `lib.so: a.rs b\ c.rs`.
fn sources(list: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for line in list.lines() {
        let Some((_, files)) = line.split_once(": ") else {
            continue;
        };
        // A space inside a name is written "\ ".
        let joined = files.replace("\\ ", "\0");
        out.extend(
            joined
                .split_whitespace()
                .map(|file| PathBuf::from(file.replace('\0', " "))),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A workspace with a target folder inside and one outside.
    fn workspace(base: &Path) {
        for folder in [
            "ws/crates/abi",
            "ws/target/release",
            "out/x86_64/release",
            "ws/made/release",
            "plain/release",
        ] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        for file in [
            "ws/crates/abi/Cargo.toml",
            "ws/target/CACHEDIR.TAG",
            "out/CACHEDIR.TAG",
            "ws/made/.rustc_info.json",
        ] {
            fs::write(base.join(file), "").unwrap();
        }
        fs::write(base.join("ws/Cargo.toml"), "[workspace]\n").unwrap();
    }

    #[test]
    fn only_a_target_folder_makes_a_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        workspace(&base);
        let ws = base.join("ws");
        let find = |command: &str, from: &Path| {
            Checkout::find(&base.join(command), from).map(|c| (c.root, c.target))
        };

        let inside = Some((ws.clone(), ws.join("target")));
        assert_eq!(
            find("ws/target/release/aethalloc", Path::new("/none")),
            inside
        );
        let made = Some((ws.clone(), ws.join("made")));
        assert_eq!(find("ws/made/release/aethalloc", Path::new("/none")), made);
        let outside = Some((ws.clone(), base.join("out")));
        assert_eq!(find("out/x86_64/release/aethalloc", &ws), outside);
        assert_eq!(
            find("out/x86_64/release/aethalloc", Path::new("/none")),
            None
        );
        assert_eq!(find("plain/release/aethalloc", &ws), None);
        assert_eq!(find("ws/aethalloc", &ws), None);
    }

    #[test]
    fn a_newer_source_makes_the_library_stale() {
        let dir = tempfile::tempdir().unwrap();
        workspace(dir.path());
        let root = dir.path().join("ws");
        let checkout = Checkout {
            root: root.clone(),
            target: root.join("target"),
        };
        let built = root.join("target/release/lib.so");
        let source = root.join("a b.rs");
        let at = |path: &Path, seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::options()
                .append(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        for file in [&built, &source, &root.join("Cargo.lock")] {
            fs::write(file, "").unwrap();
        }
        let escaped = source.display().to_string().replace(' ', "\\ ");
        fs::write(
            built.with_extension("d"),
            format!("{}: {escaped}\n", built.display()),
        )
        .unwrap();
        for file in [
            &source,
            &root.join("Cargo.toml"),
            &root.join("Cargo.lock"),
            &root.join("crates/abi/Cargo.toml"),
        ] {
            at(file, 1000);
        }
        at(&built, 2000);
        assert!(checkout.is_fresh(&built));
        at(&root.join("crates/abi/Cargo.toml"), 3000);
        assert!(!checkout.is_fresh(&built));
        // Cargo was asked, and had nothing to do.
        let stamp = built.with_file_name(STAMP);
        fs::write(&stamp, "").unwrap();
        at(&stamp, 4000);
        assert!(checkout.is_fresh(&built));
        at(&source, 5000);
        assert!(!checkout.is_fresh(&built));
        fs::remove_file(&source).unwrap();
        assert!(!checkout.is_fresh(&built));
    }
}
