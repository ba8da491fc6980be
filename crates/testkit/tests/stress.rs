//! Everything at once, at random. A failure prints its seed: `AETHALLOC_SEED=N` repeats it.

use aethalloc_testkit::{Active, Source, oracle_only, seed, stress_seconds, test};

#[test]
fn all_sizes_all_functions_many_threads() {
    test(|| {
        let program = Source::c("stress").build()?;
        let seed = seed().to_string();
        let run = program.on_oracle().arg("1").arg(&seed).arg("4");
        run.finish().succeeded();
        if oracle_only() {
            return Ok(());
        }
        for threads in ["1", "2", "16"] {
            let active = Active::new();
            let seconds = stress_seconds().div_ceil(3).to_string();
            let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
            let finished = run
                .arg(seconds)
                .arg(&seed)
                .arg(threads)
                .timeout(120)
                .finish();
            println!("{}", finished.succeeded().stdout.trim().replace('\n', ", "));
            active.assert_active();
        }
        Ok(())
    });
}
