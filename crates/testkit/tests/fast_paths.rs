//! The cost of the fast paths in the exported functions, instruction by instruction.
#![cfg(target_arch = "x86_64")]

use aethalloc_testkit::disassembly::{Cost, Function};
use aethalloc_testkit::{Library, Missing, test_library};

const MALLOC: Cost = Cost {
    instructions: 21,
    loads: 8,
    stores: 4,
};
const FREE: Cost = Cost {
    instructions: 24,
    loads: 7,
    stores: 2,
};
const USABLE_SIZE: Cost = Cost {
    instructions: 24,
    loads: 5,
    stores: 0,
};

fn check(name: &str, limit: Cost) -> Result<(), Missing> {
    let function = Function::disassemble(&Library::get().so, name)?
        .unwrap_or_else(|| panic!("{name} is not exported"));
    let paths = function
        .fast_paths()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        !paths.is_empty(),
        "{name} has no path that returns without a call"
    );
    for path in &paths {
        let cost = path.cost();
        println!("{name}: {cost:?}");
        let faults = path.faults();
        assert!(
            faults.is_empty(),
            "{name}: {faults:?} in the fast path\n{path}"
        );
        let within = cost.instructions <= limit.instructions
            && cost.loads <= limit.loads
            && cost.stores <= limit.stores;
        assert!(within, "{name}: {cost:?}, at most {limit:?}\n{path}");
    }
    Ok(())
}

#[test]
fn malloc() {
    test_library(|| check("malloc", MALLOC));
}

#[test]
fn free() {
    test_library(|| check("free", FREE));
}

#[test]
fn operators_new() {
    test_library(|| {
        ["_Znwm", "_Znam"]
            .iter()
            .try_for_each(|name| check(name, MALLOC))
    });
}

#[test]
fn operators_delete() {
    test_library(|| {
        ["_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm"]
            .iter()
            .try_for_each(|name| check(name, FREE))
    });
}

#[test]
fn usable_size() {
    test_library(|| check("malloc_usable_size", USABLE_SIZE));
}
