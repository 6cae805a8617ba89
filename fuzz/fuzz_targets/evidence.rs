//! libFuzzer over [`safeconduct_fuzz::evidence::folder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::evidence::folder(data));
