//! Starting the program: in place of this command, or as a child that is supervised.
//!
//! A supervised child stays in this command's process group, so what the terminal sends (Ctrl-C, Ctrl-Z, a resize)
//! reaches it without us; what another process sends to us is passed on. If job control stops it, this command stops too,
//! so that the shell sees the job stop.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::fail::Failure;
use crate::sys::{self, BlockedSignals, Change, Usage};

/// What runs a file that the kernel does not know how to run, as in execvp(3).
const SHELL: &str = "/bin/sh";

/// A program ready to start.
pub struct Program {
    /// The file.
    pub file: PathBuf,
    /// Its own name as it was typed (`argv[0]`).
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables to set in its environment.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How a supervised child ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its process id.
    pub pid: u32,
    /// Its status.
    pub status: ExitStatus,
    /// From start to end.
    pub wall: Duration,
    /// What it and the children that it waited for used.
    pub usage: Usage,
}

impl Program {
    /// Becomes the program. Returns only when that failed.
    pub fn replace_this_process(&self) -> Failure {
        let mut error = exec(self.command());
        if error.raw_os_error() == Some(libc::ENOEXEC) {
            error = exec(self.shell_command());
        }
        self.explain(&error)
    }

    /// Runs the program as a child and waits for it.
    pub fn supervise(&self) -> Result<Ended, Failure> {
        match supervise(self.command(), None) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
                supervise(self.shell_command(), None)
            }
            other => other,
        }
        .map_err(|error| self.explain(&error))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command
            .arg0(&self.name)
            .args(&self.arguments)
            .envs(self.variables());
        command
    }

    fn shell_command(&self) -> Command {
        let mut command = Command::new(SHELL);
        command
            .arg(&self.file)
            .args(&self.arguments)
            .envs(self.variables());
        command
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.environment.iter().map(|(k, v)| (*k, v.as_os_str()))
    }

    fn explain(&self, error: &io::Error) -> Failure {
        let message = format!("{}: {error}", Path::display(&self.file));
        match error.kind() {
            io::ErrorKind::NotFound => Failure::not_found(message),
            _ => Failure::cannot_run(message),
        }
    }
}

impl Ended {
    /// The exit code that says the same: the program's own, or 128 plus the signal's number.
    pub fn code(&self) -> u8 {
        let code = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => i32::from(Failure::OWN),
        };
        code as u8
    }
}

/// Becomes `command`, with the signal mask that this process was started with: left alone, the standard library clears
/// it.
fn exec(mut command: Command) -> io::Error {
    let signals = BlockedSignals::new();
    // SAFETY: the closure only makes two async-signal-safe calls.
    unsafe { command.pre_exec(signals.undo_in_child()) };
    command.exec()
}

/// How often `tick` is called while a child runs.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait for a signal when there is nothing to call meanwhile. The child's end is a signal too, but in a
/// process with several threads another one may take it, so it is looked for now and then.
const LONG: Duration = Duration::from_secs(1);

/// Runs `command` and waits for it, passing signals on; calls `tick` several times a second meanwhile.
pub fn supervise(mut command: Command, mut tick: Option<&mut dyn FnMut()>) -> io::Result<Ended> {
    // Blocked before the start, so that none is lost between fork and the first wait.
    let signals = BlockedSignals::new();
    // SAFETY: the closure only makes two async-signal-safe calls.
    unsafe { command.pre_exec(signals.undo_in_child()) };
    let started = Instant::now();
    let pid = command.spawn()?.id();
    loop {
        match sys::poll_child(pid as i32)? {
            Some(Change::Ended(status, usage)) => {
                return Ok(Ended {
                    pid,
                    status: ExitStatus::from_raw(status),
                    wall: started.elapsed(),
                    usage,
                });
            }
            Some(Change::Stopped(libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)) => {
                sys::stop_self();
                // Whoever continued us may have meant only us.
                sys::send_signal(pid as i32, libc::SIGCONT);
            }
            Some(Change::Stopped(_)) | None => {}
        }
        let patience = if tick.is_some() { TICK } else { LONG };
        match signals.wait(patience) {
            Some(taken) if taken.signal != libc::SIGCHLD && !taken.from_kernel => {
                sys::send_signal(pid as i32, taken.signal);
            }
            _ => {}
        }
        if let Some(tick) = &mut tick {
            tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Ended {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        supervise(command, None).unwrap()
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(shell("exit 0").code(), 0);
        assert_eq!(shell("exit 77").code(), 77);
        assert_eq!(shell("kill -9 $$").code(), 128 + 9);
    }

    #[test]
    fn ticks_come_while_the_child_runs() {
        let mut ticks = 0;
        let mut command = Command::new("/bin/sleep");
        command.arg("0.5");
        let ended = supervise(command, Some(&mut || ticks += 1)).unwrap();
        assert!(ended.status.success());
        assert!(ticks >= 2, "{ticks} ticks in {:?}", ended.wall);
    }
}
