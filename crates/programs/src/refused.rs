//! Programs that the library cannot serve: `aethalloc run` must say so in one line, and start only those that work.

use crate::kept::version;
use crate::program::{Level, Tool, tool};
use crate::run::{find, make_folder, set_mode};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// One program.
pub struct Refused {
    /// What selects it.
    pub program: &'static str,
    /// Its command line.
    pub command: &'static [&'static str],
    /// What it needs; the first names the version.
    pub tools: &'static [Tool],
    /// The lowest level that runs it.
    pub from: Level,
    /// Whether it is started after the line.
    pub runs: bool,
    /// Started by a user who is not root.
    pub as_nobody: bool,
    /// What the line must say.
    pub says: &'static str,
}

/// All, in the order of the page.
pub const ALL: &[Refused] = &[
    Refused {
        program: "busybox-static",
        command: &["/bin/busybox", "true"],
        tools: &[tool("/usr/share/doc/busybox-static", "busybox-static")],
        from: Level::Normal,
        runs: false,
        as_nobody: false,
        says: "statically linked",
    },
    Refused {
        program: "passwd",
        command: &["/usr/bin/passwd", "--help"],
        tools: &[tool("/usr/bin/passwd", "passwd")],
        from: Level::Quick,
        runs: false,
        as_nobody: true,
        says: "is setuid",
    },
    Refused {
        program: "go-tools",
        command: &["/usr/lib/go-1.19/pkg/tool/linux_amd64/compile", "-V"],
        tools: &[tool("go", "golang-go")],
        from: Level::Full,
        runs: false,
        as_nobody: false,
        says: "statically linked",
    },
    Refused {
        program: "rustc",
        command: &[RUSTC, "--version"],
        tools: &[],
        from: Level::Full,
        runs: true,
        as_nobody: false,
        says: "jemalloc",
    },
    Refused {
        program: "chromium-program",
        command: &["/usr/lib/chromium/chromium", "--version"],
        tools: &[tool("chromium", "chromium")],
        from: Level::Full,
        runs: true,
        as_nobody: false,
        says: "malloc",
    },
];

/// Stands for the compiler beside the cargo that built this program.
const RUSTC: &str = "RUSTC";

/// What was said about one program.
#[derive(Clone, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub program: String,
    /// The version of its package.
    pub version: String,
    /// The line.
    pub says: String,
}

/// Packages that are missing for `cases`.
pub fn missing(cases: &[&Refused]) -> Vec<&'static str> {
    let tools = cases.iter().flat_map(|c| c.tools);
    tools
        .filter(|t| find(t.name).is_none())
        .map(|t| t.package)
        .collect()
}

/// Asks the command `aethalloc`, which lies beside this program, about one program.
pub fn ask(case: &Refused, library: &Path, folder: &Path) -> Result<Line, String> {
    make_folder(folder)?;
    let built = std::env::current_exe()
        .map_err(|e| e.to_string())?
        .with_file_name("aethalloc");
    let copy = folder.join("aethalloc");
    std::fs::copy(&built, &copy).map_err(|e| {
        format!(
            "{}: {e} (cargo build -p aethalloc-cli builds it)",
            built.display()
        )
    })?;
    set_mode(&copy, 0o755)?;
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let rustc = rustc.to_string_lossy();
    let words = case
        .command
        .iter()
        .map(|w| if *w == RUSTC { &*rustc } else { w });
    let root = rustix::process::geteuid().is_root();
    let mut command = if case.as_nobody && root {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&copy);
        command
    } else {
        Command::new(&copy)
    };
    let output = command
        .args(["run", "--lib", &library.to_string_lossy(), "--"])
        .args(words)
        .current_dir(folder)
        .output()
        .map_err(|e| format!("{}: {e}", copy.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("aethalloc: "))
        .collect();
    let refused = output.status.code() == Some(126);
    match lines.as_slice() {
        [line] if line.contains(case.says) && refused != case.runs => Ok(Line {
            program: case.program.into(),
            version: case
                .tools
                .first()
                .map_or_else(|| first_line(&output.stdout), |tool| version(tool.package)),
            says: line
                .trim_start_matches("aethalloc: ")
                .replace(&*rustc, "rustc"),
        }),
        _ => Err(format!("{} and {text:?}", output.status)),
    }
}

fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().next().unwrap_or("").to_owned()
}
