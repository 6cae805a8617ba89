//! libFuzzer over [`safeconduct_fuzz::identity::token_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::identity::token_request(data));
