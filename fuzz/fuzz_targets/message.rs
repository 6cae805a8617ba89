//! libFuzzer over [`safeconduct_fuzz::message`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::message(data));
