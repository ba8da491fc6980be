//! `aethalloc run --stats`, signals and terminals, with a stand-in for the library.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::{aethalloc, folder, program, run, said};

#[test]
fn stats_sum_up_every_process() {
    let done = said(&mut run([
        "--stats",
        "--",
        "sh",
        "-c",
        "/bin/echo a; /bin/echo b; exit 3",
    ]));
    assert_eq!((done.code, done.out.as_str()), (Some(3), "a\nb\n"));
    let lines: Vec<&str> = done.err.lines().collect();
    assert!(
        lines.iter().all(|l| l.starts_with("aethalloc: ")),
        "{done:?}"
    );
    assert!(
        lines[0].contains("Aethalloc was active in 3 processes"),
        "{done:?}"
    );
    assert_eq!(
        lines.iter().filter(|l| l.ends_with("echo")).count(),
        2,
        "{done:?}"
    );
    assert!(lines.last().unwrap().contains("of CPU"), "{done:?}");
}

#[test]
fn stats_say_when_nobody_reported() {
    // A library without reports; the loader takes it, but nothing is ever written.
    let dir = folder();
    let mute = program(
        dir.path(),
        "mute.so",
        "#include <stddef.h>\nvoid *__libc_malloc(size_t); void *malloc(size_t n) { return __libc_malloc(n); }",
        &["-shared", "-fPIC"],
    );
    let done = said(
        aethalloc()
            .args(["run", "--stats", "--lib"])
            .arg(&mute)
            .args(["--", "true"]),
    );
    assert_eq!(done.code, Some(0));
    assert!(
        done.err
            .starts_with("aethalloc: Aethalloc was not active: no process reported\n"),
        "{done:?}"
    );
}

#[test]
fn stats_respect_the_users_own_file_and_leave_none_behind() {
    let dir = folder();
    let file = dir.path().join("mine");
    let conf = format!("stats_file:{}", file.display());
    let temporary = folder();
    let done = said(
        run(["--stats", "--", "true"])
            .env("AETHALLOC_CONF", &conf)
            .env("TMPDIR", temporary.path()),
    );
    assert!(done.err.contains("active in 1 process,"), "{done:?}");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    let done = said(run(["--stats", "--", "true"]).env("TMPDIR", temporary.path()));
    assert!(done.err.contains("active in 1 process,"), "{done:?}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn signals_are_passed_on_to_a_supervised_program() {
    let script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = run(["--stats", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    out.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    thread::sleep(Duration::from_millis(50));
    // SAFETY: kill takes no pointers; the child has not been waited for, so the id is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn the_program_starts_with_the_signals_that_the_command_was_started_with() {
    let state = |stats: &[&str], changed: bool| {
        let mut command = run(stats);
        command.args(["--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
        if changed {
            // SAFETY: both calls are async-signal-safe; an empty set is made before it is used.
            unsafe {
                command.pre_exec(|| {
                    let mut set = std::mem::zeroed::<libc::sigset_t>();
                    libc::sigaddset(&raw mut set, libc::SIGUSR1);
                    libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                    libc::signal(libc::SIGCHLD, libc::SIG_IGN);
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                    Ok(())
                });
            }
        }
        let done = said(&mut command);
        let bits = |name: &str| {
            let line = done
                .out
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap_or_else(|| panic!("{done:?}"));
            // Signals 32 and 33 are glibc's own.
            u64::from_str_radix(line.trim(), 16).unwrap() & !(0b11 << 31)
        };
        (bits("SigBlk:"), bits("SigIgn:"))
    };
    let bit = |signal: i32| 1u64 << (signal - 1);
    for stats in [&[][..], &["--stats"]] {
        let (blocked, ignored) = state(stats, false);
        let expected = (
            blocked | bit(libc::SIGUSR1),
            ignored | bit(libc::SIGCHLD) | bit(libc::SIGHUP),
        );
        assert_eq!(blocked & bit(libc::SIGUSR1), 0);
        assert_eq!(state(stats, true), expected, "{stats:?}");
    }
}

/// The terminal sends Ctrl-C to the whole process group: passing it on would make two of one.
#[test]
fn what_the_terminal_sends_arrives_once() {
    let (mut terminal, theirs) = terminal();
    // Says how many came from another process (SI_USER) instead of the terminal. Where the second of a pair comes before
    // the first has been handled the two are one, so there are many.
    let text = "#include <signal.h>\n#include <stdio.h>\n#include <time.h>\n\
                static volatile int all, passed_on;\n\
                static void hit(int s, siginfo_t *i, void *c) { all++; passed_on += i->si_code <= 0; }\n\
                int main(void) { struct sigaction a = {0}; a.sa_sigaction = hit; a.sa_flags = SA_SIGINFO;\n\
                sigaction(SIGINT, &a, 0); puts(\"ready\"); fflush(stdout);\n\
                for (int i = 0; i < 80; i++) { struct timespec t = {0, 10000000}; nanosleep(&t, 0); }\n\
                printf(\"\\n%d passed on of %s\\n\", passed_on, all ? \"some\" : \"none\"); }";
    let dir = folder();
    let counter = program(dir.path(), "counter", text, &[]);
    let mut command = run(["--stats".as_ref(), "--".as_ref(), counter.as_os_str()]);
    command
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(Stdio::null());
    // SAFETY: both calls are async-signal-safe; descriptor 0 is the terminal.
    unsafe {
        command.pre_exec(
            || match (libc::setsid(), libc::ioctl(0, libc::TIOCSCTTY, 0)) {
                (-1, _) | (_, -1) => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            },
        );
    }
    let mut child = command.spawn().unwrap();
    drop((command, theirs));
    let mut said = String::new();
    let mut buffer = [0; 256];
    // Reading fails with EIO when the last program on the terminal has ended.
    while let Ok(n @ 1..) = terminal.read(&mut buffer) {
        let before = said.contains("ready");
        said += &String::from_utf8_lossy(&buffer[..n]);
        if !before && said.contains("ready") {
            for _ in 0..30 {
                terminal.write_all(b"\x03").unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.trim_end().ends_with("\n0 passed on of some"), "{said}");
}

/// Both ends of a new terminal.
fn terminal() -> (fs::File, fs::File) {
    use std::os::fd::FromRawFd;
    let (mut ours, mut theirs) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: openpty writes two descriptors, which nobody else owns; the other arguments may be null.
    unsafe {
        assert_eq!(
            libc::openpty(
                &raw mut ours,
                &raw mut theirs,
                null,
                null.cast(),
                null.cast()
            ),
            0
        );
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs))
    }
}
