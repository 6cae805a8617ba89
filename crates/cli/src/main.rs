//! The binary `safeconduct`.
fn main() {}
