//! Worlds for a program to run in: one CPU, no /proc, a group with little memory. Each is made between fork and exec,
//! by system calls alone.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What [`crate::Run::prepare`] takes.
pub type Action = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

fn outcome(ok: bool) -> io::Result<()> {
    if ok {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps the program on the first CPU that it may use.
pub fn one_cpu() -> Action {
    Box::new(|| {
        // SAFETY: the sets are large enough for the sizes given; an all-zero set is empty.
        unsafe {
            let mut may: libc::cpu_set_t = std::mem::zeroed();
            outcome(libc::sched_getaffinity(0, size_of_val(&may), &mut may) == 0)?;
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            let first = (0..1024)
                .find(|cpu| libc::CPU_ISSET(*cpu, &may))
                .unwrap_or(0);
            libc::CPU_SET(first, &mut one);
            outcome(libc::sched_setaffinity(0, size_of_val(&one), &one) == 0)
        }
    })
}

/// Covers /proc by an empty folder. Needs root, or user namespaces.
pub fn without_proc() -> Action {
    Box::new(|| {
        // SAFETY: zero-terminated strings.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                outcome(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0)?;
            }
            let (none, root, proc) = (c"none".as_ptr(), c"/".as_ptr(), c"/proc".as_ptr());
            let private = libc::MS_REC | libc::MS_PRIVATE;
            outcome(libc::mount(none, root, std::ptr::null(), private, std::ptr::null()) == 0)?;
            outcome(libc::mount(none, proc, c"tmpfs".as_ptr(), 0, std::ptr::null()) == 0)
        }
    })
}

/// Whether a program can be started after `action`, or why not.
///
/// # Errors
/// What the action answered.
pub fn possible(action: Action) -> io::Result<()> {
    let mut command = Command::new("/bin/true");
    // SAFETY: between fork and exec, only system calls are made.
    unsafe { command.pre_exec(action) };
    command.status().map(|_| ())
}

/// A group of processes with a limit on its memory; gone when dropped.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Group {
    /// A new group that may hold `bytes`.
    ///
    /// # Errors
    /// Where this process may not make one (neither cgroup v2 nor v1).
    pub fn new(bytes: u64) -> io::Result<Self> {
        let name = format!("aethalloc-test-{}", std::process::id());
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no memory controller is mounted");
        for (folder, limit) in [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ] {
            if !Path::new(folder).join("cgroup.procs").exists() {
                continue;
            }
            let group = Self(Path::new(folder).join(&name));
            match std::fs::create_dir(&group.0)
                .and_then(|()| std::fs::write(group.0.join(limit), bytes.to_string()))
            {
                Ok(()) => return Ok(group),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Puts the program into the group.
    ///
    /// # Panics
    /// If the path has a zero byte in it.
    pub fn enter(&self) -> Action {
        let file = self
            .0
            .join("cgroup.procs")
            .into_os_string()
            .into_encoded_bytes();
        let file = CString::new(file).unwrap_or_else(|error| panic!("{error}"));
        Box::new(move || {
            // SAFETY: a zero-terminated path; the kernel reads one byte: 0 is the process itself.
            unsafe {
                let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                outcome(fd >= 0)?;
                let written = libc::write(fd, b"0".as_ptr().cast(), 1);
                libc::close(fd);
                outcome(written == 1)
            }
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}
