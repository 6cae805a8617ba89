//! libFuzzer over [`safeconduct_fuzz::record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::record(data));
