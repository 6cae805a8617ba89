//! The transcripts of `docs/cli` are what the binary does.

#[test]
fn transcripts_hold() {
    trycmd::TestCases::new()
        .case("../../docs/cli/*.md")
        // The width of help must not depend on who runs the tests.
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1");
}
