//! Searches with libFuzzer; the body is in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quipu_fuzz::http_plain::run(input));
