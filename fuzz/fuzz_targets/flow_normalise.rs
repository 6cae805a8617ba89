//! libFuzzer over [`safeconduct_fuzz::flow::normalise`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::flow::normalise(data));
