//! libFuzzer over [`safeconduct_fuzz::import::scim`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::import::scim(data));
