//! One child: fork, exec, wait4.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::options::Options;

/// Process group of the running child, for the signal handlers; 0 while there is none.
static GROUP: AtomicI32 = AtomicI32::new(0);
/// Set by the alarm.
static TIMED_OUT: AtomicBool = AtomicBool::new(false);

/// What the kernel reported about one finished child.
pub struct Usage {
    wall_ns: u64,
    user_us: u64,
    sys_us: u64,
    maxrss_kib: i64,
    minflt: i64,
    majflt: i64,
    voluntary: i64,
    involuntary: i64,
    status: i32,
}

impl Usage {
    /// The nine numbers of one line of the result file.
    pub fn line(&self) -> String {
        format!(
            "{} {} {} {} {} {} {} {} {}",
            self.wall_ns,
            self.user_us,
            self.sys_us,
            self.maxrss_kib,
            self.minflt,
            self.majflt,
            self.voluntary,
            self.involuntary,
            self.status
        )
    }
}

/// A child prepared as C strings, so that nothing is allocated between fork and exec.
pub struct Plan {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: Option<CString>,
    files: [(CString, i32); 3],
    timeout: u32,
}

impl Plan {
    /// Resolves the program and the environment and installs the signal handlers.
    pub fn new(options: &Options) -> Result<Plan, String> {
        let path = resolve(&options.command[0])?;
        let argv = options
            .command
            .iter()
            .map(|a| c_string(a.as_bytes()))
            .collect::<Result<_, _>>()?;
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        for (key, value) in &options.env {
            env.retain(|(k, _)| k != key);
            if !value.is_empty() {
                env.push((key.clone(), value.clone()));
            }
        }
        let env = env
            .into_iter()
            .map(|(mut key, value)| {
                key.push("=");
                key.push(value);
                c_string(&key.into_vec())
            })
            .collect::<Result<_, _>>()?;
        let write = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let files = [
            (
                c_string(options.stdin.as_os_str().as_bytes())?,
                libc::O_RDONLY,
            ),
            (c_string(options.stdout.as_os_str().as_bytes())?, write),
            (c_string(options.stderr.as_os_str().as_bytes())?, write),
        ];
        let cwd = match &options.cwd {
            Some(dir) => Some(c_string(dir.as_os_str().as_bytes())?),
            None => None,
        };
        install(libc::SIGTERM, on_term);
        install(libc::SIGINT, on_term);
        install(libc::SIGALRM, on_alarm);
        Ok(Plan {
            path,
            argv,
            env,
            cwd,
            files,
            timeout: options.timeout,
        })
    }

    /// Runs the program once. Wall time is from just before fork to the return of wait4.
    pub fn run(&self) -> Result<Usage, String> {
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        TIMED_OUT.store(false, Ordering::Relaxed);
        let start = std::time::Instant::now();
        // SAFETY: this process has one thread; the child calls only async-signal-safe functions.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(format!("fork: {}", std::io::Error::last_os_error()));
        }
        if pid == 0 {
            self.become_program(&argv, &env);
        }
        GROUP.store(pid, Ordering::Relaxed);
        // SAFETY: plain system calls on our own child; setpgid races harmlessly with the child's.
        unsafe {
            libc::setpgid(pid, pid);
            libc::alarm(self.timeout);
        }
        let (status, usage) = wait(pid)?;
        let wall_ns = start.elapsed().as_nanos() as u64;
        // What the child left behind in its group (a server's workers) must not run into the next measurement.
        // SAFETY: plain system calls.
        unsafe {
            libc::alarm(0);
            libc::kill(-pid, libc::SIGKILL);
        }
        GROUP.store(0, Ordering::Relaxed);
        let status = if TIMED_OUT.load(Ordering::Relaxed) {
            124
        } else if libc::WIFSIGNALED(status) {
            -libc::WTERMSIG(status)
        } else {
            libc::WEXITSTATUS(status)
        };
        let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
        Ok(Usage {
            wall_ns,
            user_us: micros(usage.ru_utime),
            sys_us: micros(usage.ru_stime),
            maxrss_kib: usage.ru_maxrss,
            minflt: usage.ru_minflt,
            majflt: usage.ru_majflt,
            voluntary: usage.ru_nvcsw,
            involuntary: usage.ru_nivcsw,
            status,
        })
    }

    /// The child's side of the fork. Never returns; 127 when exec fails, as in a shell.
    fn become_program(&self, argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> ! {
        // SAFETY: only async-signal-safe calls on strings made before the fork; both pointer
        // arrays end with null.
        unsafe {
            libc::setpgid(0, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for (target, (path, flags)) in self.files.iter().enumerate() {
                let fd = libc::open(path.as_ptr(), *flags, 0o600);
                if fd < 0 || libc::dup2(fd, target as i32) < 0 {
                    libc::_exit(126);
                }
                if fd > 2 {
                    libc::close(fd);
                }
            }
            if let Some(dir) = &self.cwd
                && libc::chdir(dir.as_ptr()) != 0
            {
                libc::_exit(126);
            }
            libc::execve(self.path.as_ptr(), argv.as_ptr(), env.as_ptr());
            libc::_exit(127)
        }
    }
}

/// What a child reports as its peak if it ends before exec: below this, no program's peak can be told.
pub fn floor_kib() -> Result<i64, String> {
    // SAFETY: this process has one thread; the child ends at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(0) };
    }
    if pid < 0 {
        return Err(format!("fork: {}", std::io::Error::last_os_error()));
    }
    Ok(wait(pid)?.1.ru_maxrss)
}

fn wait(pid: i32) -> Result<(i32, libc::rusage), String> {
    loop {
        let mut status = 0;
        // SAFETY: an all-zero rusage is valid; wait4 fills both.
        let (got, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::wait4(pid, &mut status, 0, &mut usage), usage)
        };
        if got == pid {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("wait4: {error}"));
        }
    }
}

fn kill_group() {
    let group = GROUP.load(Ordering::Relaxed);
    if group > 0 {
        // SAFETY: a plain system call, async-signal-safe.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

extern "C" fn on_term(_: libc::c_int) {
    kill_group();
    // SAFETY: async-signal-safe.
    unsafe { libc::_exit(130) }
}

extern "C" fn on_alarm(_: libc::c_int) {
    TIMED_OUT.store(true, Ordering::Relaxed);
    kill_group();
}

fn install(signal: i32, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: both handlers call only async-signal-safe functions; no SA_RESTART is needed
    // because wait() repeats on EINTR.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| "a zero byte in an argument".to_string())
}

fn resolve(program: &OsString) -> Result<CString, String> {
    if program.as_bytes().contains(&b'/') {
        return c_string(program.as_bytes());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for dir in std::env::split_paths(&path) {
        let candidate = dir.join(program);
        if candidate.is_file() {
            return c_string(candidate.as_os_str().as_bytes());
        }
    }
    Err(format!("{}: not found", program.to_string_lossy()))
}
