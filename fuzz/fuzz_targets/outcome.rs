//! libFuzzer over [`safeconduct_fuzz::outcome`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::outcome(data));
