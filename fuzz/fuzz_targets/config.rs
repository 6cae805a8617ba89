//! libFuzzer over [`safeconduct_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::config(data));
