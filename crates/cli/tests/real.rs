//! `aethalloc run` with the library of this checkout, found and built by the command itself.

mod common;

use common::{aethalloc, folder, program, said};

/// The command without `--lib`: it lies in a target folder, so it builds the library if that is not fresh.
fn run(arguments: &[&str]) -> common::Said {
    said(aethalloc().arg("run").args(arguments))
}

#[test]
fn echo_runs_on_the_library() {
    let done = run(&["--", "/bin/echo", "hi"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "hi\n"),
        "{done:?}"
    );
    let maps = run(&[
        "--",
        "grep",
        "-c",
        "/release/libaethalloc.so$",
        "/proc/self/maps",
    ]);
    assert_eq!(maps.code, Some(0), "{maps:?}");
}

#[test]
fn every_process_of_a_tree_reports() {
    let done = run(&[
        "--stats",
        "--",
        "sh",
        "-c",
        "ls / | sort -r | tail -n 1; exit 5",
    ]);
    assert_eq!(done.code, Some(5), "{done:?}");
    assert_eq!(done.out.trim_end(), {
        let mut names: Vec<_> = std::fs::read_dir("/")
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.retain(|n| !n.as_encoded_bytes().starts_with(b"."));
        names.sort();
        names[0].to_str().unwrap().to_owned()
    });
    for program in ["/ls", "/sort", "/tail"] {
        let row = done
            .err
            .lines()
            .find(|l| l.ends_with(program))
            .unwrap_or_else(|| panic!("{program}: {done:?}"));
        // aethalloc: PID ALLOCATIONS …
        let allocations: u64 = row.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(allocations > 0, "{row}");
    }
}

/// Behind a shell nobody checked it before: the library reported it, and the summary says what it is, once.
#[test]
fn a_program_with_its_own_malloc_behind_a_script_is_named() {
    const OWN: &str = "#include <stddef.h>\n#include <string.h>\n\
        static char heap[1 << 20]; static size_t used;\n\
        void *malloc(size_t n) { void *p = heap + used; used += (n + 15) / 16 * 16; return p; }\n\
        void free(void *p) { (void)p; }\n\
        void *calloc(size_t n, size_t s) { return memset(malloc(n * s), 0, n * s); }\n\
        void *realloc(void *p, size_t n) { void *q = malloc(n); return p ? memmove(q, p, n) : q; }\n\
        int main(void) { return malloc(9) == NULL; }\n";
    let folder = folder();
    let own = program(folder.path(), "own", OWN, &["-fno-builtin", "-rdynamic"]);
    let own = own.display();
    let done = run(&["--stats", "--", "sh", "-c", &format!("{own} && {own}")]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let line = format!("aethalloc: {own} defines malloc itself: its own allocator stays in use");
    assert_eq!(
        done.err.lines().filter(|l| *l == line).count(),
        1,
        "{done:?}"
    );
}
