//! Runs one program, with a time limit, and says how it ended.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;

use crate::Library;
use crate::emulator;
use crate::kernel::{self, Call, Filter, Refusal, Traced, Verdict};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, setrlimit};

/// Long enough for the slowest machine, short enough to notice a deadlock.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A limit set before the program starts, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// `RLIMIT_AS`
    AddressSpace(u64),
    /// `RLIMIT_DATA`
    Data(u64),
    /// `RLIMIT_MEMLOCK`
    Locked(u64),
}

/// A run to be made.
#[derive(Debug)]
pub struct Run {
    name: String,
    command: Command,
    timeout: Duration,
}

/// A run that ended by itself.
#[derive(Debug)]
pub struct Finished {
    title: String,
    status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Run {
    /// A run of `program` on the allocator it is linked with.
    pub fn new(name: &str, program: &Path) -> Self {
        let mut command = emulator::command(program);
        if !emulator::emulated() {
            command.env_remove("AETHALLOC_CONF");
        }
        command
            .env_remove("LD_PRELOAD")
            .env_remove("AETHALLOC_ORACLE")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .process_group(0);
        // SAFETY: between fork and exec, only a system call is made.
        unsafe {
            command.pre_exec(|| {
                let none = Rlimit {
                    current: Some(0),
                    maximum: Some(0),
                };
                setrlimit(Resource::Core, none)?; // misuse programs abort on purpose
                Ok(())
            });
        }
        if emulator::emulated() {
            let most = Rlimit {
                current: Some(emulator::MOST),
                maximum: Some(emulator::MOST),
            };
            // SAFETY: as above.
            unsafe {
                command.pre_exec(move || setrlimit(Resource::Data, most).map_err(Into::into))
            };
        }
        Self {
            name: name.to_owned(),
            command,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.name, " {}", arg.as_ref().display());
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable of the program.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = emulator::variable(name, value.as_ref());
        self.command.env(name, value);
        self
    }

    /// Loads a library before all others.
    pub fn preload(mut self, library: &Path) -> Self {
        self.name.insert_str(0, "LD_PRELOAD ");
        self.env("LD_PRELOAD", library)
    }

    /// Kills the program, and fails the test, after this time.
    pub fn timeout(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Sets a limit of the system before the program starts.
    pub fn limit(mut self, limit: Limit) -> Self {
        let (resource, bytes) = match limit {
            Limit::AddressSpace(bytes) => (Resource::As, bytes),
            Limit::Data(bytes) => (Resource::Data, bytes),
            Limit::Locked(bytes) => (Resource::Memlock, bytes),
        };
        let _ = write!(self.name, " [{limit:?}]");
        let both = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        // SAFETY: between fork and exec, only a system call is made.
        unsafe {
            self.command
                .pre_exec(move || setrlimit(resource, both).map_err(Into::into));
        }
        self
    }

    /// Has the named system calls fail in the program and in all it starts.
    pub fn refuse(self, refusals: &[Refusal]) -> Self {
        let filter = Filter::refusing(refusals);
        self.prepare(&format!("{refusals:?}"), move || filter.install())
    }

    /// Lets `action` run in the child before the program starts; `what` names it in messages. It makes system calls
    /// and nothing else.
    pub fn prepare(
        mut self,
        what: &str,
        action: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let _ = write!(self.name, " [{what}]");
        // SAFETY: between fork and exec, only system calls are made.
        unsafe { self.command.pre_exec(action) };
        self
    }

    /// Runs it; `judge` says what becomes of each system call that the library makes.
    ///
    /// # Panics
    /// As [`Run::finish`].
    pub fn finish_traced(mut self, judge: &mut dyn FnMut(&Call) -> Verdict) -> (Finished, Traced) {
        let filter = Filter::tracing(kernel::traced_numbers());
        // SAFETY: between fork and exec, only system calls are made.
        unsafe {
            self.command.pre_exec(move || {
                kernel::arm()?;
                filter.install()
            });
        }
        let (child, mut stdout, mut stderr, start) = self.start();
        let pid = child.id() as i32;
        let library = Library::get().so.display().to_string();
        let guard = Watchdog::new(pid, self.timeout);
        let (status, traced) = kernel::follow(pid, &library, judge);
        let late = guard.done();
        println!(
            "traced: {} ({status}, {} calls, {} refused)",
            self.name, traced.calls, traced.refused
        );
        let finished = Finished {
            title: self.name,
            status,
            stdout: read(&mut stdout),
            stderr: emulator::said_by_program(read(&mut stderr)),
            elapsed: start.elapsed(),
        };
        assert!(!late, "{}", finished.describe("did not end in time"));
        (finished, traced)
    }

    fn start(&mut self) -> (Child, File, File, Instant) {
        let (stdout, stderr) = (scratch(), scratch());
        self.command.stdout(handle(&stdout)).stderr(handle(&stderr));
        let start = Instant::now();
        match self.command.spawn() {
            Ok(child) => (child, stdout, stderr, start),
            Err(error) => panic!("{} does not start: {error}", self.name),
        }
    }

    /// Runs it.
    ///
    /// # Panics
    /// If it does not start, or does not end in time (it is killed then, with its children).
    pub fn finish(mut self) -> Finished {
        let (child, mut stdout, mut stderr, start) = self.start();
        let mut child = Group(child);
        let status = loop {
            match child.0.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if start.elapsed() < self.timeout => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) => {
                    drop(child);
                    panic!(
                        "{} did not end within {:?}\n--- stdout\n{}--- stderr\n{}",
                        self.name,
                        self.timeout,
                        read(&mut stdout),
                        read(&mut stderr)
                    );
                }
                Err(error) => panic!("waiting for {}: {error}", self.name),
            }
        };
        let elapsed = start.elapsed();
        println!("ran: {} ({status}, {elapsed:.1?})", self.name);
        Finished {
            title: self.name,
            status,
            stdout: read(&mut stdout),
            stderr: emulator::said_by_program(read(&mut stderr)),
            elapsed,
        }
    }
}

impl Finished {
    /// Checks that it exited with 0.
    ///
    /// # Panics
    /// Otherwise, with its output.
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{}", self.describe("failed"));
        self
    }

    /// Checks that it exited with 1, the programs' own "a check failed", and not in any other way.
    ///
    /// # Panics
    /// Otherwise, with its output.
    pub fn found_fault(self) -> Self {
        assert!(
            self.status.code() == Some(1),
            "{}",
            self.describe("was to report a failed check")
        );
        self
    }

    /// It exited with 0.
    pub fn has_succeeded(&self) -> bool {
        self.status.success()
    }

    /// It was killed by SIGSEGV.
    pub fn died_of_segv(&self) -> bool {
        self.status.signal() == Some(Signal::SEGV.as_raw())
    }

    /// It was killed by SIGABRT.
    pub fn died_of_abort(&self) -> bool {
        self.status.signal() == Some(Signal::ABORT.as_raw())
    }

    /// Checks that it was killed by SIGABRT and that stderr is one line that `pattern` matches from end to end.
    ///
    /// # Panics
    /// Otherwise, with its output.
    pub fn aborted_with(self, pattern: &str) -> Self {
        assert!(
            self.died_of_abort(),
            "{}",
            self.describe("was to end by SIGABRT")
        );
        let line = Regex::new(&format!("^(?:{pattern})\n$"))
            .unwrap_or_else(|error| panic!("pattern {pattern}: {error}"));
        assert!(
            line.is_match(&self.stderr),
            "{}",
            self.describe(&format!(
                "was to write one line like\n  {pattern}\nto stderr"
            ))
        );
        self
    }

    /// One report of what happened, for messages.
    pub fn describe(&self, what: &str) -> String {
        format!(
            "{} {what}; it ended with {} after {:.1?}\n--- stdout\n{}--- stderr\n{}",
            self.title,
            self.status,
            self.elapsed,
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}

/// A child that leads its own process group; nothing of the group outlives it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // The group is gone already where the program and its children ended by themselves.
            let _ = kill_process_group(leader, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Kills a process group that does not end in time, while its caller waits for it.
struct Watchdog {
    ended: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Watchdog {
    fn new(leader: i32, time: Duration) -> Self {
        let (ended, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let late = wait.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if let (true, Some(leader)) = (late, Pid::from_raw(leader)) {
                let _ = kill_process_group(leader, Signal::KILL);
            }
            late
        });
        Self { ended, thread }
    }

    /// True if it had to act.
    fn done(self) -> bool {
        let _ = self.ended.send(());
        self.thread.join().unwrap_or(true)
    }
}

/// A file without a name: a pipe would fill up, or stay open in children.
fn scratch() -> File {
    tempfile::tempfile().unwrap_or_else(|error| panic!("no temporary file: {error}"))
}

fn handle(file: &File) -> Stdio {
    file.try_clone()
        .unwrap_or_else(|error| panic!("no file handle: {error}"))
        .into()
}

fn read(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .unwrap_or_else(|error| panic!("output of the program: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of a long output.
fn tail(text: &str) -> String {
    const LINES: usize = 40;
    let skip = text.lines().count().saturating_sub(LINES);
    text.lines()
        .skip(skip)
        .fold(String::new(), |all, line| all + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::{Finished, Limit, Run};
    use std::path::Path;

    fn shell(script: &str) -> Run {
        Run::new("sh", Path::new("/bin/sh")).arg("-c").arg(script)
    }

    fn fails(check: impl FnOnce() -> Finished + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(check).expect_err("the check accepts it");
        *panic.downcast::<String>().expect("a message")
    }

    #[test]
    fn exits_are_told_apart() {
        shell("exit 0").finish().succeeded();
        shell("exit 1").finish().found_fault();
        assert!(fails(|| shell("echo out; exit 3").finish().succeeded()).contains("out"));
        fails(|| shell("exit 3").finish().found_fault());
    }

    #[test]
    fn an_abort_needs_signal_and_exact_line() {
        let line = "aethalloc: double free of 0x[0-9a-f]+ \\(large\\)";
        let good = "echo 'aethalloc: double free of 0x7f00 (large)' >&2;";
        shell(&format!("{good} kill -ABRT $$"))
            .finish()
            .aborted_with(line);
        fails(|| {
            shell(&format!("{good} exit 134"))
                .finish()
                .aborted_with(line)
        });
        fails(|| {
            shell(&format!("{good} kill -SEGV $$"))
                .finish()
                .aborted_with(line)
        });
        fails(|| {
            shell(&format!("{good} {good} kill -ABRT $$"))
                .finish()
                .aborted_with(line)
        });
        fails(|| shell("kill -ABRT $$").finish().aborted_with(line));
    }

    #[test]
    fn time_limit_ends_the_whole_group() {
        let message = fails(|| shell("echo begun; sleep 60 & wait").timeout(1).finish());
        assert!(
            message.contains("did not end") && message.contains("begun"),
            "{message}"
        );
    }

    #[test]
    fn limits_reach_the_program() {
        let run = shell("ulimit -v")
            .limit(Limit::AddressSpace(1 << 30))
            .finish();
        assert_eq!(run.succeeded().stdout.trim(), "1048576");
    }
}
