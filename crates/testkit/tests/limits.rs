//! Limits of the system are normal life: memory up to the limit, then null with ENOMEM, and all of it again.

use aethalloc_testkit::kernel::{self, Refusal, pretend, world};
use aethalloc_testkit::{
    Active, Limit, Missing, Run, Source, cannot_run_here, full, oracle_only, quick, seed, test,
    test_library,
};

const MIB: u64 = 1 << 20;

fn at_the_limit(mib: u64, limit: Limit) -> Result<(), Missing> {
    let program = Source::c("life_limit").build()?;
    for size in ["40", "1000", "40000", "100000", "500000"] {
        let prepare = |run: Run| run.arg(mib.to_string()).arg(size).limit(limit);
        prepare(program.on_oracle()).finish().succeeded();
        if !oracle_only() {
            prepare(program.preloaded()).finish().succeeded();
        }
    }
    Ok(())
}

#[test]
fn little_address_space() {
    test(|| at_the_limit(64, Limit::AddressSpace(64 * MIB)));
}

#[test]
fn one_gibibyte_of_address_space() {
    test(|| at_the_limit(1024, Limit::AddressSpace(1024 * MIB)));
}

#[test]
fn little_data() {
    test(|| at_the_limit(64, Limit::Data(64 * MIB)));
}

/// The value of one line of `malloc_stats`.
fn figure(stats: &str, label: &str) -> u64 {
    let line = stats.lines().find(|l| l.starts_with(label));
    let line = line.unwrap_or_else(|| panic!("no line {label:?} in {stats}"));
    line[label.len()..].trim().parse().expect("a number")
}

/// The option `limit`: one thread meets it in four sizes, several in a mixture.
#[test]
fn a_limit_on_the_heap() {
    test(|| {
        let program = Source::c("life_limit").build()?;
        if !oracle_only() {
            for size in ["40", "1000", "40000", "100000", "500000"] {
                let run = program.preloaded().arg("64").arg(size);
                run.env("AETHALLOC_CONF", "limit:64m").finish().succeeded();
            }
        }
        heap_under("hard", "limit:96m", |stats| {
            assert!(figure(stats, "refused by limit") > 0, "{stats}");
            assert!(figure(stats, "bytes charged") <= 96 * MIB, "{stats}");
        })
    });
}

/// The option `limit_soft`: nothing is refused, and what is freed goes back.
#[test]
fn a_soft_limit_on_the_heap() {
    test(|| {
        heap_under("soft", "limit_soft:96m", |stats| {
            assert_eq!(figure(stats, "refused by limit"), 0, "{stats}");
            assert!(figure(stats, "bytes purged") > 0, "{stats}");
        })
    });
}

fn heap_under(kind: &str, conf: &str, check: impl Fn(&str)) -> Result<(), Missing> {
    let program = Source::c("limit_heap").build()?;
    let prepare = |run: Run| run.arg("96").arg("3").arg(kind).timeout(120);
    prepare(program.on_oracle()).finish().succeeded();
    if oracle_only() {
        return Ok(());
    }
    for more in ["", ",support:off", ",retain:1g", ",safety:guard"] {
        let conf = format!("{conf}{more}");
        let run = prepare(program.preloaded()).env("AETHALLOC_CONF", conf);
        check(&run.finish().succeeded().stderr);
    }
    Ok(())
}

/// Many threads, each with its own cache, share little address space.
#[test]
fn threads_in_little_address_space() {
    test_library(|| {
        let program = Source::c("life_key_destructors").build()?;
        let run = program.preloaded().limit(Limit::AddressSpace(128 * MIB));
        run.finish().succeeded();
        Ok(())
    });
}

/// The program sets a limit for itself, when the reservation is made already.
#[test]
fn a_limit_that_comes_late() {
    test(|| {
        let program = Source::c("life_late_limit").build()?;
        program.on_oracle().finish().succeeded();
        if !oracle_only() {
            program.preloaded().finish().succeeded();
        }
        Ok(())
    });
}

/// `vm.overcommit_memory` is the whole machine's; its refusals are injected instead.
#[test]
fn strict_overcommit() {
    test_library(|| {
        kernel::available()?;
        let program = Source::c("life_limit").build()?;
        for size in ["40", "1000", "40000", "100000", "500000"] {
            let run = program.preloaded().arg("64").arg(size);
            let (finished, traced) = run.finish_traced(&mut pretend::strict_commit(64 * MIB));
            finished.succeeded();
            assert!(traced.refused > 0, "nothing was refused");
        }
        Ok(())
    });
}

#[test]
fn little_memory_in_a_group() {
    test_library(|| {
        let group = match world::Group::new(64 * MIB) {
            Ok(group) => group,
            Err(error) => return cannot_run_here(&format!("no group of processes: {error}")),
        };
        if let Err(error) = world::possible(group.enter()) {
            return cannot_run_here(&format!("no process may enter the group: {error}"));
        }
        let program = Source::c("life_cgroup").build()?;
        let active = Active::new();
        // 39 MiB: with what scattered runs need they fit, however late the support thread comes on a busy machine. It
        // reads the limit when it begins; the last phases begin when a forked child says that it is known.
        let known = format!("\"group_limit\":{},\"group\":\"v", 64 * MIB);
        let run = program.preloaded().arg("52").arg(active.path()).arg(&known);
        run.env("AETHALLOC_CONF", format!("{},support:on", active.conf()))
            .prepare("64 MiB for the group", group.enter())
            .finish()
            .succeeded();
        active.assert_active();
        Ok(())
    });
}

/// No mapping can be made any more: objects grow, threads and children begin or are refused.
#[test]
fn no_more_mappings() {
    test(|| {
        let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        if !most.trim().parse().is_ok_and(|most: u64| most <= 300_000) {
            return cannot_run_here(&format!("max_map_count is {:?}", most.trim()));
        }
        let program = Source::c("fault_run").build()?;
        let run = |run: Run| run.arg("2").arg("3").arg("maps");
        run(program.on_oracle()).finish().succeeded();
        if !oracle_only() {
            let finished = run(program.preloaded()).finish().succeeded();
            assert!(
                finished.stdout.starts_with("0 refusals"),
                "{}",
                finished.describe("was to need no further mapping for objects")
            );
        }
        Ok(())
    });
}

#[test]
fn no_proc() {
    test(|| {
        if let Err(error) = world::possible(world::without_proc()) {
            return cannot_run_here(&format!("/proc cannot be covered: {error}"));
        }
        for (name, args) in WORK {
            let program = Source::c(name).build()?;
            let prepare = |run: Run| args(run).prepare("no /proc", world::without_proc());
            prepare(program.on_oracle()).finish().succeeded();
            if !oracle_only() {
                let active = Active::new();
                let run = program.preloaded().env("AETHALLOC_CONF", active.conf());
                prepare(run).finish().succeeded();
                active.assert_active();
            }
        }
        Ok(())
    });
}

#[test]
fn one_cpu() {
    test(|| {
        for (name, args) in WORK {
            let program = Source::c(name).build()?;
            let prepare = |run: Run| args(run).prepare("one CPU", world::one_cpu());
            prepare(program.on_oracle()).finish().succeeded();
            if !oracle_only() {
                prepare(program.preloaded()).finish().succeeded();
            }
        }
        Ok(())
    });
}

type Arguments = fn(Run) -> Run;

/// Programs that together reach every part of the allocator.
const WORK: &[(&str, Arguments)] = &[
    ("fault_run", |run| run.arg("2").arg("4")),
    ("life_fork", |run| run.arg("20").arg("fork")),
    ("life_key_destructors", |run| run),
    ("life_trim_race", |run| run.arg("1")),
    ("stress", |run| {
        run.arg("1").arg(seed().to_string()).arg("6")
    }),
];

const MADV_DONTNEED: u32 = 4;
const MADV_HUGEPAGE: u32 = 14;
const MADV_NOHUGEPAGE: u32 = 15;
const MADV_WIPEONFORK: u32 = 18;
const MADV_COLLAPSE: u32 = 25;

const ALL: &str = "all of these";

/// What a sandbox may refuse, and how.
const SANDBOXES: &[(&str, &[Refusal])] = &[
    ("madvise", &[Refusal::all(libc::SYS_madvise, libc::EPERM)]),
    (
        "variants of madvise",
        &[
            Refusal::with(libc::SYS_madvise, 2, MADV_DONTNEED, libc::EINVAL),
            Refusal::with(libc::SYS_madvise, 2, MADV_HUGEPAGE, libc::EINVAL),
            Refusal::with(libc::SYS_madvise, 2, MADV_NOHUGEPAGE, libc::EINVAL),
            Refusal::with(libc::SYS_madvise, 2, MADV_COLLAPSE, libc::EINVAL),
        ],
    ),
    (
        "wiping on fork",
        &[Refusal::with(
            libc::SYS_madvise,
            2,
            MADV_WIPEONFORK,
            libc::EINVAL,
        )],
    ),
    (
        "membarrier",
        &[Refusal::all(libc::SYS_membarrier, libc::ENOSYS)],
    ),
    ("rseq", &[Refusal::all(libc::SYS_rseq, libc::ENOSYS)]),
    ("prctl", &[Refusal::all(libc::SYS_prctl, libc::EPERM)]),
    ("mremap", &[Refusal::all(libc::SYS_mremap, libc::ENOSYS)]),
    (
        "reading of limits",
        &[Refusal::all(libc::SYS_prlimit64, libc::EPERM)],
    ),
    (
        ALL,
        &[
            Refusal::all(libc::SYS_madvise, libc::EPERM),
            Refusal::all(libc::SYS_membarrier, libc::EPERM),
            Refusal::all(libc::SYS_rseq, libc::EPERM),
            Refusal::all(libc::SYS_prctl, libc::EPERM),
            Refusal::all(libc::SYS_mremap, libc::EPERM),
            Refusal::all(libc::SYS_prlimit64, libc::EPERM),
            Refusal::all(libc::SYS_sched_yield, libc::EPERM),
        ],
    ),
];

/// A sandbox costs memory that does not go back, or time; never an object, never a refusal.
#[test]
fn sandboxes() {
    test(|| {
        for (what, refusals) in SANDBOXES {
            println!("refused: {what}");
            let programs = if quick() {
                &WORK[..1]
            } else if full() {
                WORK
            } else {
                &WORK[..3]
            };
            for (name, args) in programs {
                let program = Source::c(name).build()?;
                if *what == ALL || full() {
                    let run = args(program.on_oracle()).refuse(refusals);
                    run.finish().succeeded();
                }
                if oracle_only() {
                    continue;
                }
                let finished = args(program.preloaded())
                    .refuse(refusals)
                    .finish()
                    .succeeded();
                assert!(
                    *name != "fault_run" || finished.stdout.starts_with("0 refusals"),
                    "{}",
                    finished.describe("was to be refused nothing")
                );
            }
        }
        Ok(())
    });
}

/// Pages of 16 and 64 KiB: the library is told of them, and a tracer answers as such a kernel does.
#[test]
fn larger_pages() {
    test_library(|| {
        kernel::available()?;
        for size in [16384, 65536] {
            for (name, args) in [WORK[0], WORK[2], WORK[4]] {
                for conf in ["", ",retain:0,retain_share:0", ",reserve:1m"] {
                    let conf = format!("page_size:{size}{conf}");
                    let run =
                        args(Source::c(name).build()?.preloaded()).env("AETHALLOC_CONF", conf);
                    run.finish_traced(&mut pretend::pages_of(size))
                        .0
                        .succeeded();
                }
            }
        }
        Ok(())
    });
}

/// The test above finds a library that takes the kernel's pages for smaller than they are: when pages go back, which depends on when
/// the support thread looks, so one run in twenty loses nothing.
#[test]
fn larger_pages_than_the_library_knows_are_found() {
    test_library(|| {
        kernel::available()?;
        let program = Source::c("fault_run").build()?;
        for last in [false, false, false, true] {
            let run = program.preloaded().arg("2").arg("2");
            let done = run.finish_traced(&mut pretend::pages_of(65536)).0;
            if last || !done.has_succeeded() {
                done.found_fault();
                break;
            }
        }
        Ok(())
    });
}
