//! The small pages of our own: people sign in by OpenID Connect, register a passkey, see what
//! waits for their answer, and answer it.
//!
//! What this crate deliberately does not do: it decides nothing and knows no access request but
//! through [`Requests`]; it fetches nothing, which [`Provider`] does; it reads no configuration.

pub mod webauthn;
