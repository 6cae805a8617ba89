//! libFuzzer over [`safeconduct_fuzz::signals::security_event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| safeconduct_fuzz::signals::security_event(data));
