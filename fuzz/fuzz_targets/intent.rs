//! libFuzzer over [`safeconduct_fuzz::intent`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::intent(data));
