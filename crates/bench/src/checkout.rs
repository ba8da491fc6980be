//! The source checkout the bench runs in: where its parts are and how to build them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set by `aethalloc bench`, which has just built everything: the checkout's folder.
const BUILT: &str = "AETHALLOC_BENCH_CHECKOUT";

/// A checkout whose programs and libraries are built.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
    target: PathBuf,
    /// Built programs and libraries by file name.
    built: BTreeMap<String, PathBuf>,
}

impl Checkout {
    /// Finds the checkout around the current folder or this program, and builds what the bench needs
    /// (unless `build` is false or `aethalloc bench` has done so: then it takes what lies beside this program).
    pub fn open(build: bool) -> Result<Checkout, String> {
        let exe = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
        let here = std::env::current_dir().map_err(|e| format!("current folder: {e}"))?;
        let told = std::env::var_os(BUILT).map(PathBuf::from);
        let build = build && told.is_none();
        let root = told
            .or_else(|| find_root(&here))
            .or_else(|| find_root(&exe))
            .ok_or("not inside a checkout: the bench builds its peers from source (run it in the repository)")?;
        let bin_dir = exe.parent().unwrap_or(Path::new("/")).to_path_buf();
        let bin_dir = if bin_dir.ends_with("deps") {
            bin_dir.join("..")
        } else {
            bin_dir
        };
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        let mut checkout = Checkout {
            root,
            target,
            built: BTreeMap::new(),
        };
        if build {
            checkout.build()?;
        } else {
            checkout.collect(&bin_dir);
        }
        Ok(checkout)
    }

    fn build(&mut self) -> Result<(), String> {
        let output = self
            .cargo()
            .args([
                "build",
                "--release",
                "--message-format=json-render-diagnostics",
            ])
            .args(["-p", "aethalloc-abi", "-p", "aethalloc-bench"])
            .arg("--manifest-path")
            .arg(self.root.join("Cargo.toml"))
            .env_remove("LD_PRELOAD")
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("cargo: {e}"))?;
        if !output.status.success() {
            return Err("cargo build failed (see above)".into());
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            let files = message["filenames"].as_array().into_iter().flatten();
            for path in files
                .filter_map(|f| f.as_str())
                .chain(message["executable"].as_str())
            {
                self.remember(Path::new(path));
            }
        }
        Ok(())
    }

    fn collect(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            self.remember(&entry.path());
        }
    }

    fn remember(&mut self, path: &Path) {
        if let Some(name) = path.file_name() {
            self.built
                .insert(name.to_string_lossy().into_owned(), path.to_path_buf());
        }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub fn target_dir(&self) -> &Path {
        &self.target
    }

    /// Where the peers are defined.
    pub fn peers_dir(&self) -> PathBuf {
        self.root.join("peers")
    }

    /// Where the workloads are defined.
    pub fn definitions_dir(&self) -> PathBuf {
        self.root.join("crates/bench/definitions")
    }

    /// Inputs of the real programs.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("crates/bench/data")
    }

    /// A program of the bench.
    pub fn program(&self, name: &str) -> Result<PathBuf, String> {
        self.built
            .get(name)
            .cloned()
            .ok_or_else(|| format!("{name} is not built"))
    }

    /// A library of the workspace.
    pub fn library(&self, name: &str) -> Result<PathBuf, String> {
        self.built.get(name).cloned().ok_or_else(|| {
            format!("{name} is not built: run cargo build --release -p aethalloc-abi")
        })
    }

    /// cargo, the one that runs us if any.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.stdin(Stdio::null());
        command
    }

    /// Commit of the checkout, with a mark if files differ from it.
    pub fn commit(&self) -> String {
        let git = |args: &[&str]| {
            let output = Command::new("git")
                .arg("-C")
                .arg(&self.root)
                .args(args)
                .output()
                .ok()?;
            output
                .status
                .success()
                .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
        };
        match git(&["rev-parse", "--short=12", "HEAD"]) {
            Some(commit) => match git(&["status", "--porcelain", "--untracked-files=no"]) {
                Some(changes) if changes.is_empty() => commit,
                _ => format!("{commit}+changes"),
            },
            None => "no commit".to_string(),
        }
    }
}

fn find_root(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .find(|dir| dir.join("peers/peers.toml").is_file())
        .map(Path::to_path_buf)
}
