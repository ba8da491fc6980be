//! Starts processes under `strace`, which records every `execve` with its environment and nothing else; the
//! proof later holds each of them against what the library reported.

use crate::program::{Failure, Safety};
use crate::run::{Run, find};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(5);

/// A process to start.
pub struct Launch<'a> {
    run: &'a Run,
    name: String,
    number: u32,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folder: PathBuf,
    input: Option<PathBuf>,
    limit: Duration,
}

/// What a process left behind.
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    name: String,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(run: &'a Run, name: &str, number: u32) -> Self {
        Launch {
            run,
            name: name.into(),
            number,
            args: Vec::new(),
            env: Vec::new(),
            folder: run.work(),
            input: None,
            limit: Duration::from_secs(300),
        }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Adds one argument.
    pub fn arg(self, arg: impl AsRef<str>) -> Self {
        self.args([arg])
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs in a folder below the working folder.
    pub fn folder(mut self, name: &str) -> Self {
        self.folder = self.run.path(name);
        self
    }

    /// Reads a file of the working folder as standard input.
    pub fn input(mut self, name: &str) -> Self {
        self.input = Some(self.run.path(name));
        self
    }

    /// Ends it after so many seconds.
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Runs it to its end, however it ends.
    pub fn output(self) -> Result<Output, Failure> {
        let mut running = self.start()?;
        let limit = running.limit;
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = running.poll()? {
                break status;
            }
            if begin.elapsed() > limit {
                return Err(format!(
                    "{}: still running after {} s{}",
                    running.name,
                    limit.as_secs(),
                    running.words()
                ));
            }
            std::thread::sleep(TICK);
        };
        running.into_output(status)
    }

    /// Runs it to its end, which must be a success; its standard output.
    pub fn ok(self) -> Result<Vec<u8>, Failure> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let (name, status) = (&output.name, output.status);
        Err(format!("{name}: {status}{}", output.words()))
    }

    /// Starts it.
    pub fn start(self) -> Result<Running, Failure> {
        let program = find(&self.name).ok_or_else(|| format!("{}: not installed", self.name))?;
        let capture = |kind: &str| -> Result<(PathBuf, File), Failure> {
            let path = self.run.traces().join(format!("{}.{kind}", self.number));
            let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok((path, file))
        };
        let (stdout, stdout_file) = capture("stdout")?;
        let (stderr, stderr_file) = capture("stderr")?;
        let trace = self.run.traces().join(format!("{}.exec", self.number));
        let mut command = Command::new("strace");
        command
            .args(["-f", "-ff", "-q", "--seccomp-bpf", "-v", "-s", "1000000"])
            .args(["-e", "trace=execve,execveat", "-e", "signal=none", "-o"])
            .arg(&trace);
        if let Some(library) = &self.run.library {
            command
                .arg("-E")
                .arg(format!("LD_PRELOAD={}", library.display()))
                .arg("-E")
                .arg(format!(
                    "AETHALLOC_CONF=stats_file:{}{}",
                    self.run.stats().display(),
                    self.run.safety.map_or("", Safety::option)
                ));
        }
        for (name, value) in &self.env {
            command.arg("-E").arg(format!("{name}={value}"));
        }
        let input = match &self.input {
            Some(path) => File::open(path)
                .map_err(|e| format!("{}: {e}", path.display()))?
                .into(),
            None => Stdio::null(),
        };
        let child = command
            .arg(&program)
            .args(&self.args)
            .env_clear()
            .envs(self.run.environment())
            .current_dir(&self.folder)
            .stdin(input)
            .stdout(stdout_file)
            .stderr(stderr_file)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("strace: {e}"))?;
        Ok(Running {
            name: self.name,
            child,
            stdout,
            stderr,
            limit: self.limit,
            ended: false,
        })
    }
}

impl Output {
    fn words(&self) -> String {
        let mut text = last_words(&self.stderr);
        if text.is_empty() {
            text = last_words(&self.stdout);
        }
        text
    }
}

/// A process that was started. Dropped while it runs, its process group is killed.
pub struct Running {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    limit: Duration,
    ended: bool,
}

impl Running {
    /// The process itself, which is strace's only child.
    pub fn pid(&self) -> Result<Pid, Failure> {
        let tracer = self.child.id();
        let path = format!("/proc/{tracer}/task/{tracer}/children");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        text.split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| format!("{}: has ended{}", self.name, self.words()))
    }

    /// Whether `part` is mapped into the process now.
    pub fn maps(&self, part: &str) -> Result<bool, Failure> {
        let path = format!("/proc/{}/maps", self.pid()?.as_raw_nonzero());
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        Ok(text.contains(part))
    }

    /// Waits until `ready` says so; fails when the process ends before.
    pub fn wait_until(
        &mut self,
        what: &str,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        while !ready() {
            if let Some(status) = self.poll()? {
                return Err(format!("{}: {status}{}", self.name, self.words()));
            }
            if begin.elapsed() > Duration::from_secs(60) {
                return Err(format!(
                    "{}: not {what} after 60 s{}",
                    self.name,
                    self.words()
                ));
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill_process(self.pid()?, signal).map_err(|e| format!("{}: {e}", self.name))
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<Output, Failure> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.poll()? {
                return self.into_output(status);
            }
            if begin.elapsed() > Duration::from_secs(60) {
                return Err(format!("{}: does not end{}", self.name, self.words()));
            }
            std::thread::sleep(TICK);
        }
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let status = self
            .child
            .try_wait()
            .map_err(|e| format!("{}: {e}", self.name))?;
        self.ended = status.is_some();
        Ok(status)
    }

    fn into_output(self, status: ExitStatus) -> Result<Output, Failure> {
        let read =
            |path: &PathBuf| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        Ok(Output {
            status,
            stdout: read(&self.stdout)?,
            stderr: read(&self.stderr)?,
            name: self.name.clone(),
        })
    }

    fn words(&self) -> String {
        [&self.stderr, &self.stdout]
            .into_iter()
            .map(|path| last_words(&std::fs::read(path).unwrap_or_default()))
            .find(|words| !words.is_empty())
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Ok(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The last lines of an output, for an error message.
fn last_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(8)..];
    if tail.is_empty() {
        String::new()
    } else {
        format!("\n    {}", tail.join("\n    "))
    }
}
