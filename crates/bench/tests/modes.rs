//! What the safety modes cost beside the default.

mod support;

use support::{Outcome, errors, library, result};

/// Each program runs in three modes of one library: each is asked for, and its figures stand in its columns.
#[test]
fn each_mode_is_asked_for_and_has_its_columns() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("modes.json");
    // Under `hardened` it touches 64 MiB more.
    let ours = library(
        folder.path(),
        "ours",
        "#include <stdlib.h>\n#include <string.h>\nextern void *__libc_malloc(size_t); extern void __libc_free(void *);\n\
         void *malloc(size_t n) { return __libc_malloc(n); } void free(void *p) { __libc_free(p); }\n\
         char *kept;\n\
         __attribute__((constructor)) static void begin(void) { const char *c = getenv(\"AETHALLOC_CONF\");\n\
         if (c && strcmp(c, \"safety:hardened\") == 0) memset(kept = malloc(64 << 20), 1, 64 << 20); }",
    )?;
    let output = support::run(&[
        "modes",
        "--quick",
        "--rounds",
        "2",
        "--peers",
        &format!("aethalloc={}", ours.display()),
        "--out",
        &out.display().to_string(),
        "batch-few",
    ])?;
    let text = String::from_utf8(output.stdout.clone())?;
    assert!(output.status.success(), "{text}{}", errors(&output));
    for row in ["batch-few", "geometric mean"] {
        let line = text.lines().find(|l| l.starts_with(row)).ok_or("no row")?;
        let figures = line.trim_start_matches(row).split_whitespace();
        let figures: Vec<f64> = figures.map(str::parse).collect::<Result<_, _>>()?;
        // user + sys, wall time, peak RSS of guard, then of hardened.
        let &[_, _, guard, _, _, hardened] = &figures[..] else {
            return Err(format!("{line:?}").into());
        };
        assert!((0.5..2.0).contains(&guard), "{text}");
        assert!(hardened > 4.0, "{text}");
    }
    let result = result(&out)?;
    let confs: Vec<_> = result["peers"]
        .as_array()
        .ok_or("no peers")?
        .iter()
        .map(|peer| peer["conf"].as_str().unwrap_or("none").to_string())
        .collect();
    assert_eq!(confs, ["none", "safety:guard", "safety:hardened"]);
    Ok(())
}
