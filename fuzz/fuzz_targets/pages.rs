#![no_main]
//! Target `pages` of `aethalloc_fuzz` under libFuzzer.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (aethalloc_fuzz::pages::TARGET.run)(bytes));
