//! Runs one program through the launcher and collects what it cost.
//!
//! Each bench has a private temporary folder, so two at once never read each other's figures.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::interrupt;

/// Variables that change an allocator's behaviour: none is inherited by what is measured.
const ALLOCATOR_VARIABLES: &[&str] = &[
    "LD_PRELOAD",
    "GLIBC_TUNABLES",
    "MALLOC_CONF",
    "MALLOC_ARENA_MAX",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_CHECK_",
    "MALLOC_PERTURB_",
    "SCUDO_OPTIONS",
    "AETHALLOC_CONF",
];

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path, or a name that PATH resolves.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Library to put in front.
    pub preload: Option<PathBuf>,
    /// Further variables.
    pub env: Vec<(String, String)>,
    /// Folder to run in.
    pub cwd: Option<PathBuf>,
    /// Seconds after which it is ended; 0 for never.
    pub timeout: u32,
    /// How often, one after the other, in one launcher.
    pub repeat: usize,
}

impl Program {
    /// A program run once, with two minutes to end.
    pub fn new(
        path: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Program {
        Program {
            path: path.into(),
            args: args.into_iter().map(Into::into).collect(),
            preload: None,
            env: Vec::new(),
            cwd: None,
            timeout: 120,
            repeat: 1,
        }
    }

    /// The same program with a library in front.
    pub fn under(mut self, library: Option<&Path>) -> Program {
        self.preload = library.map(Path::to_path_buf);
        self
    }
}

/// What wait4 said about one run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// From before fork to the return of wait4.
    pub wall_s: f64,
    /// User time of the process.
    pub user_s: f64,
    /// System time of the process.
    pub sys_s: f64,
    /// Peak resident size.
    pub peak_kib: u64,
    /// Page faults without disk.
    pub minor_faults: u64,
    /// Page faults with disk.
    pub major_faults: u64,
    /// Context switches: waited, preempted.
    pub switches: [u64; 2],
}

/// A program that ended well.
#[derive(Debug)]
pub struct Finished {
    /// One per repetition.
    pub usages: Vec<Usage>,
    /// The peak of a child that ends before exec: smaller peaks cannot be told.
    pub floor_kib: u64,
    /// What it printed (of the last repetition).
    pub stdout: String,
}

/// Why there is no measurement.
#[derive(Debug)]
pub enum Failure {
    /// Ctrl-C.
    Interrupted,
    /// One line.
    Failed(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Failed(message)
    }
}

/// Starts programs.
pub struct Launcher {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Launcher {
    /// A launcher with a private folder.
    pub fn new(checkout: &Checkout) -> Result<Launcher, String> {
        let folder = tempfile::Builder::new()
            .prefix("aethalloc-bench-")
            .tempdir()
            .map_err(|e| format!("temporary folder: {e}"))?;
        Ok(Launcher {
            program: checkout.program("bench-launcher")?,
            folder,
        })
    }

    /// The private folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `program` to its end.
    pub fn run(&self, program: &Program) -> Result<Finished, Failure> {
        if interrupt::asked() {
            return Err(Failure::Interrupted);
        }
        let file = |name: &str| self.folder.path().join(name);
        let (out, stdout, stderr) = (file("usage"), file("stdout"), file("stderr"));
        let _ = std::fs::remove_file(&out);
        let mut command = Command::new(&self.program);
        command
            .arg("--out")
            .arg(&out)
            .arg("--stdout")
            .arg(&stdout)
            .arg("--stderr")
            .arg(&stderr);
        command.args([
            "--repeat",
            &program.repeat.to_string(),
            "--timeout",
            &program.timeout.to_string(),
        ]);
        if let Some(dir) = &program.cwd {
            command.arg("--cwd").arg(dir);
        }
        for name in std::env::vars_os().map(|(name, _)| name) {
            let text = name.to_string_lossy();
            let tunes = ALLOCATOR_VARIABLES.contains(&text.as_ref())
                || text.starts_with("MIMALLOC_")
                || text.starts_with("TCMALLOC_");
            if tunes {
                command.env_remove(&name);
            }
        }
        if let Some(library) = &program.preload {
            command.args(["--env", &format!("LD_PRELOAD={}", library.display())]);
        }
        for (name, value) in &program.env {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg("--").arg(&program.path).args(&program.args);
        // A group of its own: Ctrl-C reaches only the bench, which ends the launcher in an orderly way.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|e| format!("{}: {e}", self.program.display()))?;
        interrupt::watch(child.id() as i32);
        let output = child.wait_with_output();
        interrupt::watch(0);
        if interrupt::asked() {
            return Err(Failure::Interrupted);
        }
        let output = output.map_err(|e| format!("launcher: {e}"))?;
        if !output.status.success() {
            return Err(Failure::Failed(
                String::from_utf8_lossy(&output.stderr).trim().to_string(),
            ));
        }
        let text = std::fs::read_to_string(&out).map_err(|e| format!("{}: {e}", out.display()))?;
        let (usages, floor_kib) = usages(&text, program, &stderr)?;
        let stdout =
            String::from_utf8_lossy(&std::fs::read(&stdout).unwrap_or_default()).into_owned();
        Ok(Finished {
            usages,
            floor_kib,
            stdout,
        })
    }
}

fn usages(text: &str, program: &Program, stderr: &Path) -> Result<(Vec<Usage>, u64), String> {
    let mut floor = 0;
    let mut usages = Vec::new();
    for line in text.lines() {
        if let Some(kib) = line.strip_prefix("floor ") {
            floor = kib.parse().unwrap_or(0);
            continue;
        }
        let n: Vec<i64> = line.split(' ').filter_map(|w| w.parse().ok()).collect();
        let [
            wall,
            user,
            sys,
            peak,
            minor,
            major,
            waited,
            preempted,
            status,
        ] = n[..]
        else {
            return Err(format!("launcher wrote '{line}'"));
        };
        if status != 0 {
            return Err(how_it_ended(status, program, stderr));
        }
        usages.push(Usage {
            wall_s: wall as f64 / 1e9,
            user_s: user as f64 / 1e6,
            sys_s: sys as f64 / 1e6,
            peak_kib: peak as u64,
            minor_faults: minor as u64,
            major_faults: major as u64,
            switches: [waited as u64, preempted as u64],
        });
    }
    Ok((usages, floor))
}

fn how_it_ended(status: i64, program: &Program, stderr: &Path) -> String {
    let errors = std::fs::read(stderr).unwrap_or_default();
    let errors = String::from_utf8_lossy(&errors[..errors.len().min(4096)]).into_owned();
    let said = match errors.lines().find(|l| !l.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim().chars().take(160).collect::<String>()),
        None => String::new(),
    };
    match status {
        124 => format!("did not end within {} s{said}", program.timeout),
        126 | 127 => format!("{} could not be started{said}", program.path.display()),
        _ if status < 0 => format!(
            "ended by signal {} ({}){said}",
            -status,
            signal_name(-status as i32)
        ),
        _ => format!("ended with status {status}{said}"),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGKILL => "SIGKILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGTERM => "SIGTERM",
        _ => "signal",
    }
}
