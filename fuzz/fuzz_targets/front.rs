#![no_main]
//! Target `front` of `aethalloc_fuzz` under libFuzzer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (aethalloc_fuzz::front::TARGET.run)(bytes));
