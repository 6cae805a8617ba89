//! libFuzzer over [`safeconduct_fuzz::tools`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::tools(data));
