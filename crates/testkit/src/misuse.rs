//! Misuse that several safety modes must catch alike.

use crate::program::Source;
use crate::verdict::Missing;

/// Frees of what is free already, at once and after other frees, end the process under the options `conf` with a line that says so.
///
/// # Errors
/// [`Missing`]: no compiler.
///
/// # Panics
/// If one is not caught.
pub fn second_frees_are_caught(conf: &str) -> Result<(), Missing> {
    for name in ["misuse_double_free", "misuse_double_free_interleaved"] {
        let program = Source::c(name).build()?;
        for size in ["16", "100", "1000", "20000", "1048576"] {
            let run = program.preloaded().env("AETHALLOC_CONF", conf).arg(size);
            let finished = run.finish();
            assert!(
                finished.died_of_abort() && finished.stderr.contains("double free of 0x"),
                "{}",
                finished.describe("was to abort")
            );
        }
    }
    Ok(())
}
