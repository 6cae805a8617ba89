//! libFuzzer over [`safeconduct_fuzz::authzen`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::authzen(data));
