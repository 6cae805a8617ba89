//! libFuzzer over [`safeconduct_fuzz::administration`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::administration(data));
