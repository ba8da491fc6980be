//! What the tests of the command share.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fs};

use tempfile::TempDir;

/// A folder on the file system of the build, which is not mounted nosuid or noexec.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Compiles C. A compiler is there: rustc links with it.
pub fn compile(source: &Path, out: &Path, flags: &[&str]) {
    let cc = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(cc)
        .args(["-O1", "-Wall", "-o"])
        .args([out, source])
        .args(flags)
        .status()
        .unwrap();
    assert!(status.success(), "cc {}", source.display());
}

/// Compiles the text of a C program.
pub fn program(folder: &Path, name: &str, text: &str, flags: &[&str]) -> PathBuf {
    let source = folder.join(name).with_extension("c");
    fs::write(&source, text).unwrap();
    let out = folder.join(name);
    compile(&source, &out, flags);
    out
}

/// Writes an executable script. Another process does the writing: a descriptor open for writing here would be
/// inherited by whatever another test starts at this moment, and the kernel executes no file that is open for writing.
pub fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let status = Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .arg(text)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

/// Copies an executable, by another process for the same reason.
pub fn copy_program(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// The stand-in for the library, compiled once per test program.
pub fn counting_library() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = folder();
        let path = folder.path().join("libcounting.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/counting.c");
        compile(&source, &path, &["-shared", "-fPIC"]);
        (folder, path)
    });
    path
}

/// The command, without what the surroundings of the tests may have set.
pub fn aethalloc() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aethalloc"));
    for variable in ["AETHALLOC_LIB", "AETHALLOC_CONF", "LD_PRELOAD"] {
        command.env_remove(variable);
    }
    command
}

/// `aethalloc run --lib <the stand-in> ARGS`.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = aethalloc();
    command
        .args(["run", "--lib"])
        .arg(counting_library())
        .args(arguments);
    command
}

/// A finished command as text.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Said {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Said {
    /// Nothing on stdout, exactly one line on stderr that contains `needle`, and this exit code.
    #[track_caller]
    pub fn refused(&self, code: i32, needle: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("aethalloc: "), "{self:?}");
        assert!(self.err.contains(needle), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
    }
}
