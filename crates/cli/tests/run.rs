//! `aethalloc run`, with a stand-in for the library.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::{Said, aethalloc, counting_library, folder, program, run, said, script};

#[test]
fn a_program_gets_its_arguments_and_the_library() {
    let done = said(&mut run(["--", "/bin/echo", "hi", "--stats"]));
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (Some(0), "hi --stats\n", "")
    );
    let done = said(&mut run([
        "sh",
        "-c",
        "grep -c libcounting.so /proc/self/maps",
    ]));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.trim().parse::<u32>().unwrap() > 0);
}

#[test]
fn what_was_in_the_environment_stays_behind_ours() {
    let done = said(
        run([
            "--conf",
            "remap:off",
            "--conf",
            "retain:1m",
            "--",
            "/bin/sh",
            "-c",
            "echo $LD_PRELOAD; echo $AETHALLOC_CONF",
        ])
        .env("LD_PRELOAD", "libm.so.6")
        .env("AETHALLOC_CONF", "cache:off"),
    );
    let expected = format!(
        "{}:libm.so.6\ncache:off,remap:off,retain:1m\n",
        counting_library().display()
    );
    assert_eq!((done.out, done.err), (expected, String::new()));
}

#[test]
fn the_program_keeps_its_name_and_process() {
    let mut child = run(["--", "sh", "-c", "echo $$ $0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert_eq!(out, format!("{} sh\n", child.id()));
    assert!(child.wait().unwrap().success());
}

#[test]
fn exit_codes_are_the_programs() {
    for stats in [&[][..], &["--stats"]] {
        let code = |script: &str| {
            let status = run(stats)
                .args(["--", "sh", "-c", script])
                .stderr(Stdio::null())
                .status()
                .unwrap();
            status.code().or(status.signal().map(|s| 128 + s))
        };
        assert_eq!(code("exit 0"), Some(0));
        assert_eq!(code("exit 42"), Some(42));
        assert_eq!(code("kill -TERM $$"), Some(128 + 15));
    }
}

#[test]
fn what_cannot_run_is_refused_with_one_line() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    said(&mut run(["--", "no-such-program"])).refused(127, "no-such-program: not found in PATH");
    said(&mut run(["--", "/no/such/program"])).refused(127, "/no/such/program: no such file");
    said(&mut run(["--", "/etc/passwd"])).refused(126, "/etc/passwd is not executable");
    said(&mut run(["--", "/tmp"])).refused(126, "/tmp is a directory");

    let fixed = program(
        dir.path(),
        "fixed",
        "int main(void) { return 0; }",
        &["-static"],
    );
    said(&mut run([&fixed])).refused(126, "is statically linked");
    let fixed = program(
        dir.path(),
        "movable",
        "int main(void) { return 0; }",
        &["-static-pie"],
    );
    said(&mut run([&fixed])).refused(126, "is statically linked");

    let by = script(dir.path(), "by-static", &format!("#!{}\n", fixed.display()));
    said(&mut run([&by])).refused(126, "movable is statically linked");
    let by = script(dir.path(), "by-env", "#!/usr/bin/env movable\n");
    said(run([&by]).env("PATH", dir.path())).refused(126, "movable is statically linked");
    let by = script(dir.path(), "by-nothing", "#!/no/such/interpreter\n");
    said(&mut run([&by])).refused(126, "/no/such/interpreter: no such file");

    let mut foreign = fs::read("/bin/true").unwrap();
    foreign[18] ^= 0xff;
    fs::write(at("foreign"), &foreign).unwrap();
    fs::set_permissions(at("foreign"), fs::Permissions::from_mode(0o755)).unwrap();
    said(&mut run([at("foreign")])).refused(126, "is a program for machine");
    fs::write(at("foreign"), &foreign[..100]).unwrap();
    said(&mut run([at("foreign")])).refused(126, "is not a valid ELF file");
}

/// The kernel itself is the judge: what is refused as setuid must be what it starts in secure mode.
#[test]
fn a_setuid_program_is_refused_where_the_loader_ignores_the_library() {
    let dir = folder();
    let text = "#include <sys/auxv.h>\nint main(void) { return getauxval(AT_SECURE) ? 77 : 0; }";
    let tool = program(dir.path(), "tool", text, &[]);
    let code = |path| std::process::Command::new(path).status().unwrap().code();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();

    // Of one's own: no privilege is gained.
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(code(&tool), Some(0));
    let done = said(&mut run([&tool]));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert!(
        done.err.contains("is setuid, but gives you nothing"),
        "{done:?}"
    );

    // Of another user: only root can make one; everybody else has su.
    let other = match chown(&tool, Some(65534), None) {
        Ok(()) => {
            fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
            assert_eq!(code(&tool), Some(77));
            tool
        }
        Err(_) => "/bin/su".into(),
    };
    said(&mut run([&other])).refused(126, "is setuid: the loader ignores LD_PRELOAD");
}

#[test]
fn a_program_with_its_own_malloc_runs_with_a_note() {
    let dir = folder();
    let text = "#include <stddef.h>\n#include <stdio.h>\nstatic char heap[1 << 20]; static size_t top;\n\
                void *malloc(size_t n) { void *p = heap + top; top += (n + 15) & ~15ul; return p; }\nvoid free(void *p) {}\n\
                int main(void) { char *p = malloc(9); puts(p >= heap && p < heap + sizeof heap ? \"own\" : \"ours\"); }";
    let own = program(dir.path(), "own", text, &["-rdynamic", "-fno-builtin"]);
    let done = said(&mut run([&own]));
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "own\n"),
        "{done:?}"
    );
    assert_eq!(done.err.lines().count(), 1);
    assert!(
        done.err
            .contains("defines malloc itself: its own allocator stays in use"),
        "{done:?}"
    );
}

#[test]
fn a_file_without_a_first_line_is_run_by_the_shell() {
    let dir = folder();
    let plain = script(
        dir.path(),
        "plain",
        "echo $1 $(grep -c libcounting /proc/$$/maps)\n",
    );
    for stats in [&[][..], &["--stats"]] {
        let done = said(run(stats).arg("--").arg(&plain).arg("x"));
        assert_eq!(done.code, Some(0), "{done:?}");
        let words: Vec<&str> = done.out.split_whitespace().collect();
        assert!(words[0] == "x" && words[1] != "0", "{done:?}");
    }
}

#[test]
fn mistakes_in_our_own_arguments_exit_with_125() {
    let code = |arguments: &[&str]| said(run(arguments).env_remove("X"));
    assert_eq!(code(&[]).code, Some(125));
    assert_eq!(code(&["--bogus", "--", "true"]).code, Some(125));
    code(&["--conf", "remap", "--", "true"])
        .refused(125, "--conf remap: not of the form key:value");
    code(&["--conf", "no_such:1", "--", "true"]).refused(125, "--conf no_such:1: no such option");
    code(&["--conf", "remap:perhaps", "--", "true"])
        .refused(125, "--conf remap:perhaps: not a value");
    assert_eq!(said(aethalloc().arg("no-such-command")).code, Some(2));
    assert_eq!(said(aethalloc().arg("--help")).code, Some(0));
}

#[test]
fn a_library_that_cannot_be_preloaded_is_refused() {
    let dir = folder();
    let with = |path: &std::path::Path| {
        said(
            aethalloc()
                .args(["run", "--lib"])
                .arg(path)
                .args(["--", "true"]),
        )
    };
    for (name, why) in [
        ("a b.so", "spaces and colons"),
        ("a:b.so", "spaces and colons"),
        ("$LIB.so", "expands $"),
    ] {
        let path = dir.path().join(name);
        fs::copy(counting_library(), &path).unwrap();
        with(&path).refused(125, why);
    }
    with(std::path::Path::new("/no/such.so")).refused(125, "library /no/such.so: No such file");
    with(std::path::Path::new("/bin/true")).refused(125, "is not a shared library");
    let odd = program(dir.path(), "odd.so", "int odd;", &["-shared", "-fPIC"]);
    with(&odd).refused(125, "does not define malloc");
    let name = dir.path().join(OsStr::from_bytes(b"not-utf8-\xff.so"));
    fs::copy(counting_library(), &name).unwrap();
    assert_eq!(with(&name).code, Some(0));
}

#[test]
fn the_environment_names_the_library_too() {
    let with = |value: &str| {
        said(
            aethalloc()
                .args(["run", "--", "sh", "-c", "echo $LD_PRELOAD"])
                .env("AETHALLOC_LIB", value),
        )
    };
    let library = counting_library().display().to_string();
    assert_eq!(with(&library).out, format!("{library}\n"));
    with("/no/such.so").refused(125, "/no/such.so");
}

#[test]
fn an_installed_command_finds_its_library_and_calls_no_cargo() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::create_dir_all(at("lib/aethalloc")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_aethalloc"), at("bin/aethalloc")).unwrap();
    let installed = || {
        let mut command = std::process::Command::new(at("bin/aethalloc"));
        command
            .args(["run", "--", "sh", "-c", "echo $LD_PRELOAD"])
            .env_remove("AETHALLOC_LIB")
            .env_remove("LD_PRELOAD")
            .env(
                "CARGO",
                script(
                    dir.path(),
                    "cargo",
                    "#!/bin/sh\necho cargo was called >&2\n",
                ),
            );
        said(&mut command)
    };
    installed().refused(125, "libaethalloc.so is not in");
    for place in ["bin", "lib/aethalloc", "lib"] {
        // Later places are looked at first, so each round shows the one just made.
        let path = at(place).join("libaethalloc.so");
        fs::copy(counting_library(), &path).unwrap();
        let path = path.canonicalize().unwrap();
        let Said { code, out, err } = installed();
        assert_eq!(
            (code, out, err),
            (Some(0), format!("{}\n", path.display()), String::new())
        );
    }
}

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
