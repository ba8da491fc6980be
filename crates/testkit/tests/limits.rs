//! Limits of the system are normal life: memory up to the limit, then null with ENOMEM, and all of it again.

use aethalloc_testkit::{Limit, Missing, Run, Source, oracle_only, test, test_library};

const MIB: u64 = 1 << 20;

fn at_the_limit(mib: u64, limit: Limit) -> Result<(), Missing> {
    let program = Source::c("life_limit").build()?;
    for size in ["40", "1000", "40000", "500000"] {
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
