//! libFuzzer over [`safeconduct_fuzz::suite`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::suite(data));
