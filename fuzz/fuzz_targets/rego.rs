//! libFuzzer over [`safeconduct_fuzz::rego`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::rego(data));
