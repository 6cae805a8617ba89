//! The pages over a whole decision point: a person signs in, registers a passkey, and answers
//! what an agent asks; and everything by which somebody else could do it for them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod authenticator;
mod bench;
mod forms;
mod glass;
mod sign_in;
