//! The server's life: start, ready, memory, stop.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server in a folder of its own; ended when dropped.
pub struct Server {
    child: Child,
    port: u16,
    name: String,
    errors: std::path::PathBuf,
}

/// What wait4 said about the server.
pub struct Usage {
    raw: libc::rusage,
}

impl Server {
    /// Starts it on a free port.
    pub fn start(command: &[String]) -> Result<Server, String> {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|l| l.local_addr())
            .map_err(|e| format!("no free port: {e}"))?
            .port();
        let folder = std::env::current_dir()
            .map_err(|e| format!("folder: {e}"))?
            .join(format!("run-{port}"));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let errors = folder.join("output");
        let output = File::create(&errors).map_err(|e| format!("{}: {e}", errors.display()))?;
        let copy = output
            .try_clone()
            .map_err(|e| format!("{}: {e}", errors.display()))?;
        let mut words = command.iter().map(|w| {
            w.replace("{port}", &port.to_string())
                .replace("{folder}", &folder.display().to_string())
        });
        let name = words.next().unwrap_or_default();
        let mut command = Command::new(&name);
        command
            .args(words)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(copy);
        if let Some(library) = std::env::var_os("BENCH_SESSION_PRELOAD") {
            command.env("LD_PRELOAD", library);
        }
        // SAFETY: prctl is async-signal-safe; the server must not outlive a session that is killed.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            })
        };
        let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
        Ok(Server {
            child,
            port,
            name,
            errors,
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it accepts connections.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "{} ended at once: {status}{}",
                    self.name,
                    self.last_words()
                ));
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!(
            "{} accepts no connection{}",
            self.name,
            self.last_words()
        ))
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        text.lines()
            .last()
            .map_or(String::new(), |line| format!(": {line}"))
    }

    /// Its memory now, as JSON.
    pub fn memory(&self) -> String {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(0)
        };
        format!(
            "{{\"rss_kib\":{},\"pss_kib\":{},\"private_dirty_kib\":{},\"anonymous_kib\":{},\"huge_kib\":{}}}",
            field("Rss"),
            field("Pss"),
            field("Private_Dirty"),
            field("Anonymous"),
            field("AnonHugePages")
        )
    }

    /// Stops it by SIGTERM (SIGKILL after ten seconds) and returns its usage.
    pub fn stop(self) -> Result<Usage, String> {
        let pid = self.child.id() as i32;
        let start = Instant::now();
        // SAFETY: plain system calls on our own child; an all-zero rusage is valid.
        unsafe {
            libc::kill(pid, libc::SIGTERM);
            let mut raw: libc::rusage = std::mem::zeroed();
            let mut status = 0;
            while libc::wait4(pid, &mut status, libc::WNOHANG, &mut raw) == 0 {
                if start.elapsed() > Duration::from_secs(10) {
                    libc::kill(pid, libc::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let by_request = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM;
            if by_request || (libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0) {
                Ok(Usage { raw })
            } else {
                Err(format!(
                    "{} ended badly (wait status {status:#x}){}",
                    self.name,
                    self.last_words()
                ))
            }
        }
    }
}

impl Usage {
    /// As the bench reads it; wall time is that of the load.
    pub fn json(&self, wall_s: f64) -> String {
        let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
        format!(
            "{{\"wall_s\":{wall_s:.9},\"user_s\":{:.6},\"sys_s\":{:.6},\"peak_kib\":{},\"minor_faults\":{},\
             \"major_faults\":{},\"switches\":[{},{}]}}",
            seconds(self.raw.ru_utime),
            seconds(self.raw.ru_stime),
            self.raw.ru_maxrss,
            self.raw.ru_minflt,
            self.raw.ru_majflt,
            self.raw.ru_nvcsw,
            self.raw.ru_nivcsw
        )
    }
}
