//! The system calls that the standard library does not offer, each as a safe function.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Who runs the program: what decides whether the kernel starts it in secure-execution mode.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// `no_new_privs`: set-id bits and file capabilities are ignored.
    pub no_new_privs: bool,
}

impl Identity {
    /// This process.
    pub fn current() -> Self {
        // SAFETY: these calls take no pointers and cannot fail; prctl with PR_GET_NO_NEW_PRIVS only reads.
        unsafe {
            Self {
                uid: libc::getuid(),
                euid: libc::geteuid(),
                gid: libc::getgid(),
                egid: libc::getegid(),
                no_new_privs: libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
            }
        }
    }
}

/// `path` for a system call. A NUL byte inside cannot name a file.
fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// May this process, with its effective ids, execute `path`?
pub fn may_execute(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: `path` is a NUL-terminated string that lives through the call.
    let rc =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has `path` file capabilities? `false` also where they cannot be read.
pub fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = c_path(path) else { return false };
    // SAFETY: both strings are NUL-terminated; size 0 asks for the length only, so no buffer is written.
    let len = unsafe {
        libc::getxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            std::ptr::null_mut(),
            0,
        )
    };
    len > 0
}

/// Is `path` on a file system mounted `nosuid`?
pub fn on_nosuid_mount(path: &Path) -> bool {
    let Ok(path) = c_path(path) else { return false };
    let mut out = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is NUL-terminated, `out` has room for one statvfs; it is read only after success.
    unsafe {
        libc::statvfs(path.as_ptr(), out.as_mut_ptr()) == 0
            && out.assume_init().f_flag & libc::ST_NOSUID != 0
    }
}

/// What a process used until now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User plus system CPU time.
    pub cpu: Duration,
    /// Highest resident size, bytes.
    pub peak_rss: u64,
}

impl Usage {
    /// This process and all its threads.
    pub fn current() -> Self {
        let mut out = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: `out` has room for one rusage; RUSAGE_SELF with a valid buffer cannot fail.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_SELF, out.as_mut_ptr());
            out.assume_init()
        };
        Self::from(&usage)
    }
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        Self {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            peak_rss: usage.ru_maxrss as u64 * 1024,
        }
    }
}

/// What happened to a child.
pub enum Change {
    /// It ended: the raw wait status, and what it and its own waited-for children used.
    Ended(i32, Usage),
    /// It was stopped by this signal.
    Stopped(i32),
}

/// Asks, without waiting, whether the child `pid` ended or stopped.
pub fn poll_child(pid: i32) -> io::Result<Option<Change>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live, writable storage of the right type; an all-zero rusage is valid.
    let (rc, usage) = unsafe {
        let flags = libc::WNOHANG | libc::WUNTRACED;
        let rc = libc::wait4(pid, &raw mut status, flags, usage.as_mut_ptr());
        (rc, usage.assume_init())
    };
    match rc {
        0 => Ok(None),
        -1 => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(None),
            e => Err(e),
        },
        _ if libc::WIFSTOPPED(status) => Ok(Some(Change::Stopped(libc::WSTOPSIG(status)))),
        _ => Ok(Some(Change::Ended(status, Usage::from(&usage)))),
    }
}

/// Sends `signal` to `pid`. That the process is gone already is no error worth a word.
pub fn send_signal(pid: i32, signal: i32) {
    // SAFETY: kill takes no pointers.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// Stops this process until someone continues it.
pub fn stop_self() {
    // SAFETY: raise takes no pointers; SIGSTOP has no handler.
    unsafe {
        libc::raise(libc::SIGSTOP);
    }
}

/// A signal that was taken from the queue.
pub struct Taken {
    /// Its number.
    pub signal: i32,
    /// Sent by the kernel, as a terminal's signals are: the whole process group got it.
    pub from_kernel: bool,
}

/// Every signal but the synchronous ones, blocked in this thread (and in threads it starts) until this is dropped.
pub struct BlockedSignals {
    blocked: libc::sigset_t,
    before: libc::sigset_t,
    child_action_before: libc::sigaction,
}

impl BlockedSignals {
    /// Blocks them, and lets SIGCHLD come even if our parent made us ignore it (children would be reaped unseen).
    pub fn new() -> Self {
        let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        let mut child_action_before = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: every pointer is to storage of the right type; sigfillset, sigdelset, pthread_sigmask and sigaction
        // cannot fail with these arguments and initialise what they are given; an all-zero sigaction is SIG_DFL.
        unsafe {
            libc::sigfillset(blocked.as_mut_ptr());
            for signal in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGTRAP,
                libc::SIGABRT,
            ] {
                libc::sigdelset(blocked.as_mut_ptr(), signal);
            }
            let default = std::mem::zeroed::<libc::sigaction>();
            libc::sigaction(
                libc::SIGCHLD,
                &raw const default,
                child_action_before.as_mut_ptr(),
            );
            libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
            Self {
                blocked: blocked.assume_init(),
                before: before.assume_init(),
                child_action_before: child_action_before.assume_init(),
            }
        }
    }

    /// Takes the next signal, or `None` after `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Taken> {
        let timeout = libc::timespec {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: all three pointers are to live storage; an all-zero siginfo_t is valid.
        let (signal, info) = unsafe {
            let signal = libc::sigtimedwait(
                &raw const self.blocked,
                info.as_mut_ptr(),
                &raw const timeout,
            );
            (signal, info.assume_init())
        };
        (signal > 0).then_some(Taken {
            signal,
            from_kernel: info.si_code == libc::SI_KERNEL,
        })
    }

    /// What a new child must do before exec, to have the signal mask and SIGCHLD action that we were started with.
    ///
    /// The returned function is async-signal-safe.
    pub fn undo_in_child(&self) -> impl Fn() -> io::Result<()> + Send + Sync + use<> {
        let (before, action) = (self.before, self.child_action_before);
        move || {
            // SAFETY: as in `restore`; both calls are async-signal-safe.
            unsafe { restore(&before, &action) };
            Ok(())
        }
    }
}

/// # Safety
/// Both were filled in by the kernel for this process.
unsafe fn restore(mask: &libc::sigset_t, child_action: &libc::sigaction) {
    // SAFETY: the references are valid for the calls; null means that the old values are not wanted.
    unsafe {
        libc::sigaction(libc::SIGCHLD, child_action, std::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut());
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: both were filled in by the kernel in `new`.
        unsafe { restore(&self.before, &self.child_action_before) }
    }
}

/// The CPUs that this thread may run on, those beyond 1023 left out. Empty if the kernel does not say.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is the empty set; the kernel writes at most its size; CPU_ISSET is called with
    // numbers below CPU_SETSIZE only.
    unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) != 0 {
            return Vec::new();
        }
        (0..libc::CPU_SETSIZE as usize)
            .filter(|cpu| libc::CPU_ISSET(*cpu, &set))
            .collect()
    }
}

/// Keeps the calling thread on `cpu`, one of [`allowed_cpus`]. If the kernel refuses, the thread stays where it may be.
pub fn pin_this_thread(cpu: usize) {
    // SAFETY: as in `allowed_cpus`; `cpu` came from there.
    unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// The address that a call of `malloc` from this program reaches.
pub fn malloc_address() -> usize {
    libc::malloc as *const () as usize
}

/// The C library's version, such as `2.36`; `None` on a libc that is not glibc.
#[cfg(target_env = "gnu")]
pub fn glibc_version() -> Option<String> {
    // SAFETY: gnu_get_libc_version returns a pointer to a static NUL-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Some(version.to_string_lossy().into_owned())
}

/// The C library's version, such as `2.36`; `None` on a libc that is not glibc.
#[cfg(not(target_env = "gnu"))]
pub fn glibc_version() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executability_is_that_of_the_effective_user() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            may_execute(&file).unwrap_err().raw_os_error(),
            Some(libc::EACCES)
        );
        assert!(may_execute(Path::new("/bin/sh")).is_ok());
        assert!(may_execute(Path::new("a\0b")).is_err());
    }

    #[test]
    fn a_pinned_thread_stays() {
        let all = allowed_cpus();
        assert!(!all.is_empty());
        let seen = std::thread::spawn(move || {
            pin_this_thread(*all.last().unwrap());
            (allowed_cpus(), all)
        });
        let (seen, all) = seen.join().unwrap();
        assert_eq!(seen, all[all.len() - 1..]);
        assert_eq!(allowed_cpus(), all);
    }

    #[test]
    fn usage_grows() {
        let before = Usage::current();
        let mut x = 0u64;
        while Usage::current().cpu < before.cpu + Duration::from_millis(5) {
            x = std::hint::black_box(x + 1);
        }
        assert!(before.peak_rss > 100_000);
    }
}
