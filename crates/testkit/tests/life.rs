//! The library in the life of a process: before main, after exit, in new threads and ended ones, over fork and exec,
//! beside another allocator, under tools.

use aethalloc_testkit::{
    Active, Library, Missing, Program, Run, Source, Tool, cannot_run_here, full, oracle_only,
    quick, test, test_library,
};

/// Runs a program on plain glibc, then under `LD_PRELOAD` with proof that the library served it.
fn on_both(program: &Program, prepare: impl Fn(Run) -> Run) {
    prepare(program.on_oracle()).finish().succeeded();
    preloaded(program, prepare);
}

fn preloaded(program: &Program, prepare: impl Fn(Run) -> Run) {
    if oracle_only() {
        return;
    }
    let active = Active::new();
    let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
    prepare(run).finish().succeeded();
    active.assert_active();
}

fn plain(source: Source) -> Result<(), Missing> {
    on_both(&source.build()?, |run| run);
    Ok(())
}

/// Forks among busy threads. A few show that the test is right; what can go wrong is rare.
fn forks(how: &str, times: u32) -> Result<(), Missing> {
    let program = Source::c("life_fork").build()?;
    program.on_oracle().arg("20").arg(how).finish().succeeded();
    let times = match (quick(), full()) {
        (true, _) => times / 20,
        (_, true) => times.max(1000),
        _ => times,
    };
    preloaded(&program, |run| {
        run.arg(times.to_string()).arg(how).timeout(300)
    });
    Ok(())
}

#[test]
fn constructors_and_destructors() {
    test(|| {
        let library = Source::c("life_constructor_lib").build_shared()?;
        let program = Source::c("life_constructor").build_linked_to(&library)?;
        on_both(&program, |run| run);
        Ok(())
    });
}

/// A glibc process gets the library late, as a plug-in would bring it, and lets it go again.
#[test]
fn late_dlopen() {
    test_library(|| {
        let host = Source::c("life_late_dlopen").build()?;
        host.as_built().arg(&Library::get().so).finish().succeeded();
        Ok(())
    });
}

#[test]
fn plug_ins() {
    test(|| {
        let plugin = Source::c("life_plugin").build_shared()?;
        let host = Source::c("life_plugin_host").build()?;
        on_both(&host, |run| run.arg(plugin.path()));
        Ok(())
    });
}

/// Its own calls go to glibc's functions first, libc's own to ours: blocks of both allocators meet in one `free`.
#[test]
fn plug_ins_with_deep_binding() {
    test(|| {
        let plugin = Source::c("life_deepbind_plugin").build_shared()?;
        let host = Source::c("life_deepbind").build()?;
        on_both(&host, |run| run.arg(plugin.path()));
        if !oracle_only() {
            let host = Source::c("life_deepbind").build_with_archive()?;
            host.as_built().arg(plugin.path()).finish().succeeded();
        }
        Ok(())
    });
}

#[test]
fn frees_after_thread_teardown() {
    test(|| plain(Source::c("life_key_destructors")));
}

#[test]
fn thread_local_objects() {
    test(|| plain(Source::cpp("life_thread_local")));
}

#[test]
fn threads_that_only_free() {
    test(|| plain(Source::c("life_only_free")));
}

#[test]
fn ten_thousand_short_threads() {
    test(|| plain(Source::c("life_short_threads")));
}

#[test]
fn smallest_stacks() {
    test(|| plain(Source::c("life_small_stack")));
}

#[test]
fn stacks_of_the_programs_own() {
    test(|| {
        let program = Source::c("life_own_stacks").build()?;
        for stack in ["heap", "mapped", "library"] {
            for end in ["return", "exit"] {
                on_both(&program, |run| run.arg(stack).arg(end));
            }
        }
        Ok(())
    });
}

#[test]
fn fork_under_load() {
    test(|| forks("fork", 1000));
}

#[test]
fn fork_without_handlers() {
    test(|| forks("_Fork", 300));
}

/// Children that the C library does not know of.
#[test]
fn raw_clone() {
    test(|| {
        forks("clone", 100)?;
        forks("clone3", 100)
    });
}

/// Handlers of fork that allocate, registered before the allocator's and after them.
#[test]
fn fork_handlers_that_allocate() {
    test(|| {
        let library = Source::c("life_atfork_lib").build_shared()?;
        let program = Source::c("life_atfork").build_linked_to(&library)?;
        on_both(&program, |run| run.arg("100").timeout(120));
        Ok(())
    });
}

#[test]
fn signal_handlers() {
    test(|| {
        let program = Source::c("life_signals").build()?;
        let count = if quick() { "1000" } else { "10000" };
        on_both(&program, |run| run.arg(count));
        Ok(())
    });
}

/// A Rust program with the crate in it, under the preloaded library: each serves its own callers.
#[test]
fn two_copies_in_one_process() {
    test_library(|| {
        let program = Program::existing("own_copy", env!("CARGO_BIN_EXE_own_copy"));
        let alone = program.as_built().finish().succeeded().stdout;
        let active = Active::new();
        let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
        assert_eq!(run.finish().succeeded().stdout, alone);
        let ended = active.assert_active();
        let both = ended.iter().filter(|pid| **pid == ended[0]).count();
        assert_eq!(
            both, 2,
            "exit lines of {ended:?}: one of each copy was expected"
        );
        Ok(())
    });
}

#[test]
fn vfork_and_spawn() {
    test(|| {
        let program = Source::c("life_spawn").build()?;
        on_both(&program, |run| run.arg("50").timeout(120));
        Ok(())
    });
}

#[test]
fn main_thread_ends_first() {
    test(|| plain(Source::c("life_main_ends")));
}

#[test]
fn exit_while_threads_run() {
    test(|| {
        let program = Source::c("life_exit_running").build()?;
        on_both(&program, |run| run.arg("50"));
        Ok(())
    });
}

/// Locked memory, with the right to lock anything and without.
#[test]
fn locked_memory() {
    test(|| {
        let program = Source::c("life_locked").build()?;
        on_both(&program, |run| run.arg("root"));
        let limit = aethalloc_testkit::Limit::Locked(8 << 20);
        on_both(&program, |run| run.arg("user").limit(limit));
        Ok(())
    });
}

/// A program in Rust, on its default allocator.
#[test]
fn rust_program() {
    test(|| {
        let program = Program::existing("std_program", env!("CARGO_BIN_EXE_std_program"));
        let expected = program.on_oracle().finish().succeeded().stdout;
        if !oracle_only() {
            let active = Active::new();
            let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
            assert_eq!(run.finish().succeeded().stdout, expected);
            active.assert_active();
        }
        Ok(())
    });
}

/// Under valgrind, which runs every instruction on a CPU of its own and refuses large reservations.
#[test]
fn under_valgrind() {
    test(|| {
        let valgrind = Program::existing("valgrind", Tool::find("valgrind")?.path());
        let program = Source::c("life_plain").build()?;
        let expected = program.on_oracle().finish().succeeded().stdout;
        let run = |run: Run| {
            run.arg("--tool=none")
                .arg("-q")
                .arg(program.path())
                .timeout(120)
        };
        assert_eq!(
            run(valgrind.on_oracle()).finish().succeeded().stdout,
            expected
        );
        if !oracle_only() {
            assert_eq!(
                run(valgrind.preloaded()).finish().succeeded().stdout,
                expected
            );
        }
        Ok(())
    });
}

#[test]
fn trims_beside_busy_threads() {
    test(|| {
        let program = Source::c("life_trim_race").build()?;
        let seconds = if quick() { "2" } else { "10" };
        on_both(&program, |run| run.arg(seconds).timeout(60));
        Ok(())
    });
}

#[test]
fn locked_pages_are_reused() {
    test(|| plain(Source::c("life_locked_reuse")));
}

#[test]
fn figures_in_a_child_with_threads() {
    test(|| plain(Source::c("life_fork_figures")));
}

/// A library that comes when all thread-specific keys are taken is not told when threads end.
#[test]
fn no_thread_specific_keys() {
    test_library(|| {
        let host = Source::c("life_no_keys").build()?;
        host.as_built().arg(&Library::get().so).finish().succeeded();
        Ok(())
    });
}

/// At evenly spaced instructions of calls of all kinds: so many of each call in a quick run, in a normal and in a full one.
fn at_single_instructions(places: [&str; 3], arguments: &[&str]) {
    test_library(|| {
        if !cfg!(target_arch = "x86_64") {
            return cannot_run_here("the trap flag is x86's");
        }
        let [few, some, many] = places;
        let places = match (quick(), full()) {
            (true, _) => few,
            (_, true) => many,
            _ => some,
        };
        let run = Source::c("life_signal_steps").build()?.preloaded();
        // The support thread would wait, which the program takes for a thread that waits for itself.
        let run = run.env("AETHALLOC_CONF", "support:off").arg(places);
        let run = arguments.iter().fold(run, |run, a| run.arg(a));
        let finished = run.timeout(1800).finish().succeeded();
        println!("{}", finished.stdout);
        if finished.stdout.starts_with("no seccomp") {
            return cannot_run_here("no thread can be held at a system call");
        }
        Ok(())
    });
}

/// In a full run all of them.
const ALL: [&str; 3] = ["5", "40", "100000"];

#[test]
fn signals_inside_the_allocator() {
    at_single_instructions(ALL, &[]);
}

/// Another thread gives back empty pages of the slab that the interrupted call is about.
#[test]
fn signals_beside_a_purge() {
    at_single_instructions(["5", "24", "500"], &["-1", "purge"]);
}

#[test]
fn jumps_out_of_the_allocator() {
    at_single_instructions(ALL, &["-1", "jump"]);
}
