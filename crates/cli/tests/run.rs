//! `aethalloc run`, with a stand-in for the library.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use common::{Said, aethalloc, copy_program, counting_library, folder, program, run, said, script};

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
fn a_program_with_a_sanitizer_is_refused_or_noted() {
    let dir = folder();
    let text = "#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }";
    for (option, name) in [
        ("address", "AddressSanitizer"),
        ("thread", "ThreadSanitizer"),
    ] {
        let built = program(dir.path(), option, text, &[&format!("-fsanitize={option}")]);
        let why = format!("is built with {name}, which ends it where another malloc comes first");
        said(&mut run([&built])).refused(126, &why);
    }
    // The program itself shows that the line is right.
    let address = dir.path().join("address");
    let code = |library| {
        let mut command = std::process::Command::new(&address);
        let command = command.env("LD_PRELOAD", library);
        command.stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(code(Path::new("")), Some(0));
    assert_eq!(code(counting_library()), Some(1));

    let noted = |built: &Path, note: &str| {
        let done = said(run([built]).env("LSAN_OPTIONS", "detect_leaks=0"));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.err.contains(note), "{done:?}");
    };
    let built = program(dir.path(), "leak", text, &["-fsanitize=leak"]);
    noted(
        &built,
        "is built with LeakSanitizer, which sees nothing of what this library allocates",
    );
    // The run time of MemorySanitizer comes with clang only; its name is enough here.
    let text = "void __msan_init(void) {}\nint main(void) { return 0; }";
    let built = program(dir.path(), "memory", text, &["-rdynamic"]);
    noted(
        &built,
        "is built with MemorySanitizer, which wants the addresses that this library reserves",
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
    copy_program(
        env!("CARGO_BIN_EXE_aethalloc").as_ref(),
        &at("bin/aethalloc"),
    );
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
