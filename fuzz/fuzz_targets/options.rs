#![no_main]
//! Target `options` of `aethalloc_fuzz` under libFuzzer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (aethalloc_fuzz::options::TARGET.run)(bytes));
