//! Reads the traces that strace wrote: which program images a run started, and whether the environment they got
//! names the library.

use crate::program::Failure;
use std::io::Read;
use std::path::Path;

/// One successful `execve`.
#[derive(Debug, PartialEq, Eq)]
pub struct Exec {
    /// The process.
    pub pid: u32,
    /// The file that was started.
    pub path: String,
    /// Whether its environment had `LD_PRELOAD` with the library.
    pub preloaded: bool,
    /// How this image of the process ended.
    pub end: End,
}

/// How a program image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It called `exit` or `_exit`.
    Exited,
    /// A signal that only others send, perhaps before it could report anything.
    Killed,
    /// Another signal, another image, or it runs still.
    Other,
}

/// All that the traces in `folder` hold.
pub fn read(folder: &Path, library: &str) -> Result<Vec<Exec>, Failure> {
    let list = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut execs = Vec::new();
    for entry in list.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some((_, pid)) = name.split_once(".exec.") else {
            continue;
        };
        let Ok(pid) = pid.parse() else { continue };
        let text = std::fs::read(entry.path()).map_err(|e| format!("{name}: {e}"))?;
        let text = String::from_utf8_lossy(&text);
        let before = execs.len();
        execs.extend(text.lines().filter_map(|line| exec(line, pid, library)));
        if let Some(last) = execs[before..].last_mut() {
            last.end = end(text.lines().last().unwrap_or(""));
        }
    }
    Ok(execs)
}

/// `execve("/bin/true", ["true"], ["A=1", ...]) = 0`; with `<pid changed to N ...>` at its end when a thread
/// that is not the first called it.
fn exec(line: &str, pid: u32, library: &str) -> Option<Exec> {
    let rest = line.strip_prefix("execve")?;
    let moved = rest
        .rsplit_once("<pid changed to ")
        .and_then(|(_, end)| end.split_whitespace().next()?.parse().ok());
    if moved.is_none() && !rest.ends_with("= 0") {
        return None;
    }
    let path = rest.split('"').nth(1)?.to_owned();
    let preloaded = rest
        .rsplit_once("], [")
        .or_else(|| rest.rsplit_once(", ["))
        .is_some_and(|(_, env)| env.contains(&format!("\"LD_PRELOAD={library}")));
    Some(Exec {
        pid: moved.unwrap_or(pid),
        path,
        preloaded,
        end: End::Other,
    })
}

/// `+++ exited with 0 +++`, `+++ killed by SIGKILL +++`; no such line when SIGKILL came before strace could ask.
fn end(line: &str) -> End {
    if line.starts_with("+++ exited with ") {
        End::Exited
    } else if !line.starts_with("+++ ")
        || ["KILL", "TERM", "INT", "HUP"]
            .iter()
            .any(|name| line == format!("+++ killed by SIG{name} +++"))
    {
        End::Killed
    } else {
        End::Other
    }
}

/// Whether the dynamic loader starts the file, so that a preload reaches it. What cannot be read is taken to be.
pub fn is_dynamic(path: &str) -> bool {
    const INTERPRETER: u32 = 3;
    let mut head = Vec::new();
    let Ok(file) = std::fs::File::open(path) else {
        return true;
    };
    if file.take(4096).read_to_end(&mut head).is_err() || !head.starts_with(b"\x7fELF\x02\x01") {
        return true; // A script, whose interpreter is what counts.
    }
    let number = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        if let Some(part) = head.get(at..at + len) {
            bytes[..len].copy_from_slice(part);
        }
        usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(0)
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|i| number(table + i * size, 4) == INTERPRETER as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "/l/libaethalloc.so";

    #[test]
    fn a_success_with_and_without_the_library() {
        let with = r#"execve("/bin/sh", ["sh", "-c", "a], ["], ["A=1", "LD_PRELOAD=/l/libaethalloc.so"]) = 0"#;
        let exec_with = exec(with, 7, LIB).expect("a success");
        assert_eq!(
            exec_with,
            Exec {
                pid: 7,
                path: "/bin/sh".into(),
                preloaded: true,
                end: End::Other,
            }
        );
        let without = r#"execve("/bin/true", ["LD_PRELOAD=/l/libaethalloc.so"], []) = 0"#;
        assert!(!exec(without, 7, LIB).expect("a success").preloaded);
    }

    #[test]
    fn failures_do_not_count() {
        let line = r#"execve("/x/sh", ["sh"], []) = -1 ENOENT (No such file or directory)"#;
        assert_eq!(exec(line, 7, LIB), None);
    }

    #[test]
    fn a_thread_becomes_the_process() {
        let line = r#"execve("/bin/true", ["true"], ["LD_PRELOAD=/l/libaethalloc.so"] <pid changed to 41 ...>"#;
        assert_eq!(exec(line, 7, LIB).map(|e| e.pid), Some(41));
    }

    #[test]
    fn ends() {
        assert_eq!(end("+++ exited with 3 +++"), End::Exited);
        assert_eq!(end("+++ killed by SIGKILL +++"), End::Killed);
        assert_eq!(end(r#"execve("/bin/true", ["true"], []) = 0"#), End::Killed);
        assert_eq!(end("+++ killed by SIGTERM +++"), End::Killed);
        assert_eq!(end("+++ killed by SIGSEGV +++"), End::Other);
    }

    #[test]
    fn this_test_is_dynamic() {
        assert!(is_dynamic("/proc/self/exe"));
    }
}
