//! Detected misuse ends the process: SIGABRT, and exactly one line on stderr that names what was asked, the address
//! and what is there.

use aethalloc_testkit::{Finished, Missing, Run, Source, test, test_library};

const SMALL: [usize; 13] = [
    16, 32, 48, 64, 100, 256, 600, 1000, 1024, 2000, 5000, 30000, 60000,
];
const LARGE: [usize; 2] = [70000, 1 << 20];

/// Runs a misuse program and checks its end. `line` gets the address and the size class that the program announced.
fn ends_with(run: Run, line: impl Fn(&str, &str) -> String) {
    let finished = run.finish();
    let (address, class) = announced(&finished);
    finished.aborted_with(&format!("aethalloc: {}", line(&address, &class)));
}

fn announced(finished: &Finished) -> (String, String) {
    let mut words = finished.stdout.split_whitespace();
    match (words.next(), words.next()) {
        (Some(address), Some(class)) => (address.to_owned(), class.to_owned()),
        _ => panic!("{}", finished.describe("announced no pointer")),
    }
}

/// `program SIZE` for small sizes: the class is named.
fn small_double_free(source: Source) -> Result<(), Missing> {
    let program = source.build()?;
    for size in SMALL {
        ends_with(
            program.preloaded().arg(size.to_string()),
            |address, class| format!("double free of {address} \\(size class {class}\\)"),
        );
    }
    Ok(())
}

/// `program SIZE` for large sizes.
fn large_double_free(source: Source) -> Result<(), Missing> {
    let program = source.build()?;
    for size in LARGE {
        ends_with(program.preloaded().arg(size.to_string()), |address, _| {
            format!("double free of {address} \\(large\\)")
        });
    }
    Ok(())
}

/// The programs really commit what they say: glibc notices these two.
#[test]
fn glibc_notices_it_too() {
    test(|| {
        let twice = Source::c("misuse_double_free").build()?;
        let line = "free\\(\\): double free detected in tcache 2";
        twice.on_oracle().arg("64").finish().aborted_with(line);
        let inside = Source::c("misuse_free_inside").build()?;
        let line = "(free|munmap_chunk)\\(\\): invalid pointer";
        inside
            .on_oracle()
            .arg("64")
            .arg("8")
            .finish()
            .aborted_with(line);
        Ok(())
    });
}

#[test]
fn double_free() {
    test_library(|| {
        small_double_free(Source::c("misuse_double_free"))?;
        large_double_free(Source::c("misuse_double_free"))
    });
}

#[test]
fn double_free_after_others() {
    test_library(|| {
        small_double_free(Source::c("misuse_double_free_interleaved"))?;
        large_double_free(Source::c("misuse_double_free_interleaved"))
    });
}

#[test]
fn double_free_after_a_trim() {
    test_library(|| small_double_free(Source::c("misuse_double_free_trimmed")));
}

#[test]
fn double_free_after_thousands_of_others() {
    test_library(|| small_double_free(Source::c("misuse_double_free_late")));
}

#[test]
fn double_free_in_a_forked_child() {
    test_library(|| small_double_free(Source::c("misuse_double_free_in_child")));
}

#[test]
fn double_free_without_thread_caches() {
    test_library(|| {
        let program = Source::c("misuse_double_free_interleaved").build()?;
        for size in SMALL {
            let run = program.preloaded().env("AETHALLOC_CONF", "cache:off");
            ends_with(run.arg(size.to_string()), |address, class| {
                format!("double free of {address} \\(size class {class}\\)")
            });
        }
        Ok(())
    });
}

#[test]
fn free_of_a_block_that_nobody_was_given() {
    test_library(|| {
        let program = Source::c("misuse_free_never_out").build()?;
        // Larger blocks each fill a unit, and their neighbours do not follow at once.
        for size in SMALL.into_iter().filter(|size| *size <= 32 << 10) {
            ends_with(
                program.preloaded().arg(size.to_string()),
                |address, class| format!("double free of {address} \\(size class {class}\\)"),
            );
        }
        Ok(())
    });
}

/// The slab is gone: what is said about it may differ, the address may not.
#[test]
fn double_free_of_released_memory() {
    test_library(|| {
        let program = Source::c("misuse_double_free_released").build()?;
        for size in SMALL.into_iter().chain(LARGE) {
            ends_with(program.preloaded().arg(size.to_string()), |address, _| {
                format!("(double|invalid) free of {address} \\([a-z0-9 ,]+\\)")
            });
        }
        Ok(())
    });
}

#[test]
fn double_free_by_another_thread() {
    test_library(|| {
        small_double_free(Source::c("misuse_double_free_remote"))?;
        large_double_free(Source::c("misuse_double_free_remote"))
    });
}

#[test]
fn double_free_after_another_thread() {
    test_library(|| {
        small_double_free(Source::c("misuse_double_free_after_thread"))?;
        large_double_free(Source::c("misuse_double_free_after_thread"))
    });
}

#[test]
fn free_inside_a_small_block() {
    test_library(|| {
        let program = Source::c("misuse_free_inside").build()?;
        for size in SMALL {
            for offset in [1, 8, 16, size / 2, size - 1] {
                if offset < size {
                    let run = program
                        .preloaded()
                        .arg(size.to_string())
                        .arg(offset.to_string());
                    ends_with(run, |address, class| {
                        format!(
                            "invalid free of {address} \\(not the start of a block, size class {class}\\)"
                        )
                    });
                }
            }
        }
        Ok(())
    });
}

#[test]
fn free_inside_a_large_block() {
    test_library(|| {
        let program = Source::c("misuse_free_inside").build()?;
        for size in LARGE {
            for offset in [8, 16, 4096, size / 2, size - 16] {
                let run = program
                    .preloaded()
                    .arg(size.to_string())
                    .arg(offset.to_string());
                ends_with(run, |address, _| {
                    format!("invalid free of {address} \\(inside a large object\\)")
                });
            }
        }
        Ok(())
    });
}

#[test]
fn free_of_what_was_never_allocated() {
    test_library(|| {
        let line = |address: &str, _: &str| {
            format!("invalid free of {address} \\(not allocated by aethalloc\\)")
        };
        ends_with(Source::c("misuse_free_stack").build()?.preloaded(), line);
        ends_with(Source::c("misuse_free_static").build()?.preloaded(), line);
        let wild = Source::c("misuse_free_wild").build()?;
        for address in [
            "0x4141414141414140",
            "0x1000",
            "0x10",
            "0x8",
            "0xfffffffffffffff0",
            "0x7ffffffff000",
        ] {
            ends_with(wild.preloaded().arg(address), line);
        }
        Ok(())
    });
}

/// In the reservation, where no block is: unused slots and memory that no one was ever given.
#[test]
fn free_behind_the_only_block() {
    test_library(|| {
        let program = Source::c("misuse_free_beyond").build()?;
        for distance in ["0x100000", "0x40000000", "0x1000000000"] {
            ends_with(program.preloaded().arg(distance), |address, _| {
                format!("(double|invalid) free of {address} \\([a-z0-9 ,]+\\)")
            });
        }
        Ok(())
    });
}

/// Behind a slab's last block, where one more would not fit.
#[test]
fn free_in_the_tail_of_a_slab() {
    test_library(|| {
        let program = Source::c("misuse_free_tail").build()?;
        for size in [48, 320, 608] {
            ends_with(
                program.preloaded().arg(size.to_string()),
                |address, class| {
                    format!(
                        "invalid free of {address} \\(not the start of a block, size class {class}\\)"
                    )
                },
            );
        }
        Ok(())
    });
}

#[test]
fn realloc_of_a_freed_block() {
    test_library(|| {
        let program = Source::c("misuse_realloc_freed").build()?;
        for size in SMALL {
            ends_with(
                program.preloaded().arg(size.to_string()),
                |address, class| {
                    format!("invalid realloc of freed {address} \\(size class {class}\\)")
                },
            );
        }
        for size in LARGE {
            ends_with(program.preloaded().arg(size.to_string()), |address, _| {
                format!("invalid realloc of freed {address} \\(large\\)")
            });
        }
        Ok(())
    });
}

#[test]
fn realloc_inside_a_block() {
    test_library(|| {
        let program = Source::c("misuse_realloc_inside").build()?;
        for size in SMALL.into_iter().filter(|&size| size > 16) {
            ends_with(
                program.preloaded().arg(size.to_string()).arg("16"),
                |address, class| {
                    format!(
                        "invalid realloc of {address} \\(not the start of a block, size class {class}\\)"
                    )
                },
            );
        }
        for size in LARGE {
            ends_with(
                program.preloaded().arg(size.to_string()).arg("4096"),
                |address, _| format!("invalid realloc of {address} \\(inside a large object\\)"),
            );
        }
        Ok(())
    });
}

#[test]
fn realloc_of_what_was_never_allocated() {
    test_library(|| {
        let program = Source::c("misuse_realloc_wild").build()?;
        ends_with(
            program.preloaded().arg("0x4141414141414140"),
            |address, _| format!("invalid realloc of {address} \\(not allocated by aethalloc\\)"),
        );
        Ok(())
    });
}

#[test]
fn operator_delete() {
    test_library(|| {
        let twice = Source::cpp("misuse_delete_twice").build()?;
        ends_with(twice.preloaded().arg("100"), |address, class| {
            format!("double free of {address} \\(size class {class}\\)")
        });
        let inside = Source::cpp("misuse_delete_inside").build()?;
        for form in ["one", "array", "sized"] {
            ends_with(
                inside.preloaded().arg("100").arg("16").arg(form),
                |address, class| {
                    format!(
                        "invalid free of {address} \\(not the start of a block, size class {class}\\)"
                    )
                },
            );
        }
        Ok(())
    });
}

/// The same checks are in the static library.
#[test]
fn linked_statically() {
    test_library(|| {
        let run = |source: Source| -> Result<[Run; 2], Missing> {
            let archive = source.build_with_archive()?.as_built();
            Ok([archive, source.build_fully_static()?.as_built()])
        };
        for twice in run(Source::c("misuse_double_free"))? {
            ends_with(twice.arg("64"), |address, class| {
                format!("double free of {address} \\(size class {class}\\)")
            });
        }
        for stack in run(Source::c("misuse_free_stack"))? {
            ends_with(stack, |address, _| {
                format!("invalid free of {address} \\(not allocated by aethalloc\\)")
            });
        }
        Ok(())
    });
}
