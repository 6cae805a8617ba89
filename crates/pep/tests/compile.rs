//! What must not compile: a permit that does not rest on a durable record.

#[test]
fn a_permit_cannot_be_had_otherwise() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
