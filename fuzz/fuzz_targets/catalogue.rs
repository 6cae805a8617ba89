//! libFuzzer over [`safeconduct_fuzz::catalogue`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::catalogue(data));
