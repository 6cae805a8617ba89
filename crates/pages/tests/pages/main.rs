//! The pages over a whole decision point: a person signs in, registers a passkey, and answers
//! what an agent asks; and everything by which somebody else could do it for them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod authenticator;
mod bench;
mod forms;
mod sign_in;
