//! `aethalloc bench`: which program it becomes, with stand-ins for the bench and for cargo.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{copy_program, folder, said, script};

fn copied_to(folder: &Path) -> PathBuf {
    let command = folder.join("aethalloc");
    copy_program(Path::new(env!("CARGO_BIN_EXE_aethalloc")), &command);
    command
}

/// The command, copied to where no checkout is: so deep that the target folder around it is too far away to count.
fn installed(folder: &Path) -> PathBuf {
    let bin = folder.join("usr/local/bin");
    fs::create_dir_all(&bin).unwrap();
    copied_to(&bin)
}

#[test]
fn an_installed_command_becomes_the_bench_beside_it() {
    let folder = folder();
    let command = installed(folder.path());
    script(
        command.parent().unwrap(),
        "aethalloc-bench",
        "#!/bin/sh\nprintf '%s|' \"$@\"\necho trouble >&2\nexit 7",
    );
    for arguments in [
        &["--suite", "quick", "--peers", "a=b,c"][..],
        &["--help"],
        &["-h"],
        &["--version"],
        &["six", "--rounds", "2"],
        &["page", "a b.json"],
    ] {
        let done = said(Command::new(&command).arg("bench").args(arguments));
        let expected: String = arguments.iter().map(|a| format!("{a}|")).collect();
        assert_eq!((done.code, done.out), (Some(7), expected));
        assert_eq!(done.err, "trouble\n");
    }
}

#[test]
fn an_installed_command_without_a_bench_says_where_it_is() {
    let folder = folder();
    let command = installed(folder.path());
    said(Command::new(command).args(["bench", "--suite", "quick"]))
        .refused(125, "the bench is part of a source checkout");
}

/// A workspace whose cargo is a script that makes the bench a script: that one prints what it was given.
#[test]
fn in_a_checkout_the_bench_is_built_first() {
    let folder = folder();
    let root = folder.path().canonicalize().unwrap();
    let target = root.join("target");
    for new in ["crates/abi", "target/release"] {
        fs::create_dir_all(root.join(new)).unwrap();
    }
    fs::write(root.join("Cargo.toml"), "[workspace]\n").unwrap();
    fs::write(root.join("crates/abi/Cargo.toml"), "").unwrap();
    fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
    let command = copied_to(&target.join("release"));
    let cargo = script(
        &root,
        "cargo",
        "#!/bin/sh\necho \"$@\" >> cargo-was-asked\ncat > target/release/aethalloc-bench <<'END'\n\
         #!/bin/sh\necho $AETHALLOC_BENCH_CHECKOUT $CARGO_TARGET_DIR \"$@\"\nEND\nchmod 755 target/release/aethalloc-bench\n",
    );
    let done = said(
        Command::new(&command)
            .args(["bench", "list"])
            .env("CARGO", &cargo)
            .current_dir("/"),
    );
    let shown = format!("{} {} list\n", root.display(), target.display());
    assert_eq!((done.code, &done.out), (Some(0), &shown), "{done:?}");
    let asked = fs::read_to_string(root.join("cargo-was-asked")).unwrap();
    assert!(
        asked.contains("build --release -p aethalloc-abi -p aethalloc-bench"),
        "{asked}"
    );
    // Cargo that fails: one line from the command, and nothing old is run.
    let broken = script(&root, "broken", "#!/bin/sh\nexit 101\n");
    let done = said(Command::new(command).arg("bench").env("CARGO", broken));
    assert_eq!((done.code, done.out.as_str()), (Some(125), ""), "{done:?}");
    assert!(
        done.err
            .contains("cannot build aethalloc-bench: cargo failed"),
        "{done:?}"
    );
}
