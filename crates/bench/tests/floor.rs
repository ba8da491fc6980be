//! What a program has asked for is counted exactly, and set against what was measured.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Outcome, errors};

const PROGRAM: &str = "#define _GNU_SOURCE\n#include <malloc.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/mman.h>\n\
     #include <unistd.h>\n\
     static void *volatile keep; static void *kept(void *p) { if (!p) _exit(2); keep = p; return p; }\n\
     int main(void) {\n\
       char *a = kept(malloc(1000)), *b = kept(calloc(10, 10)), *c = 0;\n\
       if (posix_memalign((void **)&c, 4096, 5000) || (size_t)c % 4096) return 3;\n\
       memset(a, 1, 1000); memset(c, 2, 5000);\n\
       a = kept(realloc(a, 3000)); c = kept(realloc(c, 6000));\n\
       for (int i = 0; i < 1000; i++) if (a[i] != 1) return 4;\n\
       for (int i = 0; i < 5000; i++) if (c[i] != 2) return 5;\n\
       for (int i = 0; i < 100; i++) if (b[i]) return 6;\n\
       if (malloc_usable_size(b) != 100) return 7;\n\
       free(a); free(b); free(c);\n\
       void *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
       if (m == MAP_FAILED) return 8;\n\
       a = kept(malloc(50)); free(a);\n\
       if (munmap(m, 1 << 20)) return 9;\n\
       a = kept(aligned_alloc(64, 640)); if ((size_t)a % 64) return 10; free(a);\n\
       return 0; }";

/// 3000 + 100 + 6000 bytes at most at once; 1 MiB of mappings; and both together while 50 bytes are out.
#[test]
fn bytes_asked_for_are_counted_exactly() -> Outcome {
    let folder = tempfile::tempdir()?;
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../peers/counting/counting.c");
    let shim = support::library(folder.path(), "counting", &std::fs::read_to_string(shim)?)?;
    let (source, program) = (folder.path().join("p.c"), folder.path().join("p"));
    std::fs::write(&source, PROGRAM)?;
    let status = Command::new("cc")
        .args(["-O1", "-o"])
        .args([&program, &source])
        .status()?;
    assert!(status.success(), "cc failed");
    let counted = folder.path().join("counted");
    let status = Command::new(&program)
        .env("LD_PRELOAD", &shim)
        .env("BENCH_COUNTED", &counted)
        .status()?;
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(&counted)?;
    assert_eq!(text, "heap 9100\nmapped 1048576\nboth 1048626\n");
    Ok(())
}

/// From a result to the table: the floor of 1600 blocks lies below the system's peak, above nothing.
#[test]
fn floors_of_a_result() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("result.json").display().to_string();
    // A peer under our name, so that the test needs no library but the system's.
    let ours = support::library(
        folder.path(),
        "ours",
        "#include <stddef.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         void *malloc(size_t n) { return __libc_malloc(n); } void free(void *p) { __libc_free(p); }",
    )?;
    let peers = format!("aethalloc={},glibc", ours.display());
    let output = support::run(&[
        "--suite",
        "quick",
        "--workloads",
        "batch-stack,sharing-thrash",
        "--rounds",
        "1",
        "--peers",
        &peers,
        "--out",
        &out,
    ])?;
    assert!(output.status.success(), "{}", errors(&output));
    let output = support::run(&["floor", &out])?;
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout)?;
    for name in ["batch-stack", "sharing-thrash"] {
        let line = text.lines().find(|l| l.starts_with(name)).ok_or(name)?;
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| columns[i].parse::<f64>();
        let (asked, floor, ours, leanest) = (number(1)?, number(2)?, number(3)?, number(4)?);
        assert!(asked < floor && floor <= ours && floor <= leanest, "{line}");
        assert_eq!(columns[5], "glibc", "{line}");
    }
    assert!(
        text.contains("geometric means, glibc = 1: floor 0."),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_missing_result_is_said_in_one_line() -> Outcome {
    support::refuses(
        &["floor", "/no/such/result.json"],
        &["/no/such/result.json"],
    )
}
