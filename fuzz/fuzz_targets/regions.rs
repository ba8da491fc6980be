#![no_main]
//! Target `regions` of `aethalloc_fuzz` under libFuzzer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (aethalloc_fuzz::regions::TARGET.run)(bytes));
