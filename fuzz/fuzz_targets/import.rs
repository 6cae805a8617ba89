//! libFuzzer over [`safeconduct_fuzz::import::import`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::import::import(data));
