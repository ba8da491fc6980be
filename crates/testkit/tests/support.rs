//! The support thread: what it does to memory, and what it must not do to the program.

use aethalloc_testkit::{Active, Missing, Program, Run, Source, oracle_only, quick, test};

/// Runs the program under `LD_PRELOAD` with the options `conf`, with proof that the library served it.
fn ours(program: &Program, conf: &str, prepare: impl Fn(Run) -> Run) {
    if oracle_only() {
        return;
    }
    let active = Active::new();
    let run = program
        .preloaded()
        .env("AETHALLOC_CONF", format!("{},{conf}", active.conf()))
        .timeout(150);
    prepare(run).finish().succeeded();
    active.assert_active();
}

/// One part of `support_thread`, on plain glibc (is the test right?) and on ours.
fn part(what: &str, conf: &str) -> Result<(), Missing> {
    let program = Source::c("support_thread").build()?;
    program.on_oracle().arg(what).finish().succeeded();
    ours(&program, conf, |run| run.arg(what));
    Ok(())
}

#[test]
fn a_program_with_one_thread_keeps_one() {
    test(|| part("alone", ""));
}

#[test]
fn it_starts_modest_and_leaves_when_the_program_is_alone() {
    test(|| part("starts", ""));
}

#[test]
fn the_process_ends_with_its_own_last_thread() {
    test(|| part("exits", ""));
}

#[test]
fn exit_while_it_works() {
    test(|| part("exit", "decay:80"));
}

#[test]
fn children_have_none_and_may_get_their_own() {
    test(|| part("fork", "decay:80"));
}

#[test]
fn a_namespace_can_be_left_after_the_last_thread() {
    test(|| part("unshare", ""));
}

#[test]
fn none_keeps_old_credentials() {
    test(|| {
        if rustix::process::getuid().is_root() {
            part("setuid", "")
        } else {
            Err(Missing("root: only root can give up its user".into()))
        }
    });
}

/// Programs that replace themselves while it works.
#[test]
fn exec_while_it_works() {
    test(|| {
        let program = Source::c("support_thread").build()?;
        let times = if quick() { "3" } else { "20" };
        program
            .on_oracle()
            .arg("exec")
            .arg(times)
            .finish()
            .succeeded();
        ours(&program, "decay:80", |run| run.arg("exec").arg(times));
        Ok(())
    });
}

/// Children that become other programs while it works.
#[test]
fn a_thousand_forks_and_execs() {
    test(|| {
        let program = Source::c("support_thread").build()?;
        let times = if quick() { "50" } else { "1000" };
        let run = program.on_oracle().arg("spawn").arg(times);
        run.finish().succeeded();
        ours(&program, "decay:80", |run| run.arg("spawn").arg(times));
        Ok(())
    });
}

/// Its figures: KiB beyond the program's own (of live bytes in percent) once it slept. The time given is a multiple of what it needs,
/// so that a busy machine does not fail the test; how soon it is done is the bench's to say.
#[test]
fn memory_follows_the_live_bytes() {
    test(|| {
        let program = Source::c("support_memory").build()?;
        for (what, sleepers, ms, limit) in [
            ("dormant", "0", "90000", "4096"),
            ("freed", "1", "90000", "10240"),
            ("sparse", "1", "90000", "240"),
        ] {
            ours(&program, "", |run| {
                run.arg(what).arg(sleepers).arg(ms).arg(limit)
            });
        }
        Ok(())
    });
}

/// Without it the frees keep the bound: 2 MiB or 10 % of what is in use, and what is free between live blocks.
#[test]
fn a_program_with_one_thread_keeps_the_bound() {
    test(|| {
        let program = Source::c("support_memory").build()?;
        ours(&program, "", |run| {
            run.arg("freed").arg("0").arg("1").arg("49152")
        });
        ours(&program, "support:off", |run| {
            run.arg("freed").arg("1").arg("1").arg("49152")
        });
        // Free runs are measured by what lives, not by slabs whose pages went back long ago.
        ours(&program, "support:off", |run| {
            run.arg("sparse").arg("0").arg("1").arg("240")
        });
        Ok(())
    });
}
