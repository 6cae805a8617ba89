//! libFuzzer over [`safeconduct_fuzz::identity::token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::identity::token(data));
