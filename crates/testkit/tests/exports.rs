//! What the shared library shows to others, and what must not be left inside it.

use std::collections::BTreeSet;

use aethalloc_testkit::{Library, symbols, test_library};
use regex::Regex;

fn intended() -> BTreeSet<String> {
    include_str!("../../abi/exports.txt")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn exactly_the_intended_names_are_exported() {
    test_library(|| {
        let found = symbols::exported(&Library::get().so)?;
        let intended = intended();
        let missing: Vec<_> = intended.difference(&found).collect();
        let surplus: Vec<_> = found.difference(&intended).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "missing: {missing:?}; not intended: {surplus:?}"
        );
        Ok(())
    });
}

/// The list itself holds the whole interface.
#[test]
fn the_list_is_complete() {
    let intended = intended();
    let libc = "malloc calloc realloc reallocarray free cfree aligned_alloc memalign posix_memalign valloc pvalloc \
                malloc_usable_size malloc_trim malloc_stats mallinfo mallinfo2 malloc_info mallopt free_sized \
                free_aligned_sized";
    let extended = "mallocx rallocx xallocx sallocx dallocx sdallocx nallocx mallctl mallctlnametomib mallctlbymib";
    let mut cpp = Vec::new();
    for news in ["_Znwm", "_Znam"] {
        for rest in [
            "",
            "RKSt9nothrow_t",
            "St11align_val_t",
            "St11align_val_tRKSt9nothrow_t",
        ] {
            cpp.push(format!("{news}{rest}"));
        }
    }
    for deletes in ["_ZdlPv", "_ZdaPv"] {
        for rest in [
            "",
            "m",
            "RKSt9nothrow_t",
            "St11align_val_t",
            "mSt11align_val_t",
            "St11align_val_tRKSt9nothrow_t",
        ] {
            cpp.push(format!("{deletes}{rest}"));
        }
    }
    let plain = libc
        .split_whitespace()
        .chain(extended.split_whitespace())
        .map(str::to_owned);
    for name in plain.chain(cpp) {
        assert!(intended.contains(&name), "{name} is not in exports.txt");
    }
}

#[test]
fn no_panic_and_no_formatting_is_left() {
    test_library(|| {
        let names = symbols::defined(&Library::get().so)?;
        assert!(
            names.iter().any(|name| name == "malloc"),
            "nm sees no symbols: is the file stripped?"
        );
        let banned = Regex::new("panic|core::fmt|unwrap").unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = names.iter().filter(|name| banned.is_match(name)).collect();
        assert!(found.is_empty(), "{found:#?}");
        Ok(())
    });
}
