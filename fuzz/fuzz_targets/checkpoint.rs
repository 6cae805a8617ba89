//! libFuzzer over [`safeconduct_fuzz::checkpoint`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::checkpoint(data));
