//! libFuzzer over [`safeconduct_fuzz::json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::json(data));
