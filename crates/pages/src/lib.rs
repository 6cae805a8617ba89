//! The small pages of our own, so that a link and a passkey are enough to answer: people sign in
//! by OpenID Connect, register passkeys, see what waits for them in full, and answer it.
//!
//! [`Pages`] is a router over a [`Service`](safeconduct_service::Service). Everything is rendered
//! here and works without a script, save the passkey. Opening a link never answers anything. A
//! form counts only from the browser and the page that it was shown to. Where much is at stake, a
//! passkey signs a challenge made of the request, what it is bound to, and the answer; that proof
//! is recorded before the answer counts.
//!
//! What this crate deliberately does not do: it decides nothing and knows no access request but
//! through [`Requests`], who checks whether a person may answer; it fetches nothing, which
//! [`Provider`] does; it believes no ID token by itself, which the service's trust records do; it
//! reads no configuration and no file.
//!
//! ```
//! use safeconduct_model::Digest;
//! use safeconduct_pages::webauthn::Challenge;
//!
//! // What a passkey signs depends on what is meant, down to the byte.
//! let nonce = Digest::from_bytes([1; 32]);
//! let challenge = |about| Challenge { nonce, about: Digest::from_bytes(about) };
//! assert_ne!(challenge([2; 32]).bytes(), challenge([3; 32]).bytes());
//! ```

mod answer;
mod browser;
mod ceremony;
mod entry;
mod failure;
mod form;
mod glass;
mod guard;
mod keys;
mod of_service;
mod pages;
mod provider;
mod requests;
mod said;
mod secret;
mod show;
mod sign_in;
mod together;
pub mod webauthn;

pub use browser::{BROWSERS_MAX, BROWSERS_OF_ONE_MAX, FRESH_MS, Lifetime};
pub use ceremony::{CEREMONIES_MAX, CEREMONY_MS};
pub use form::FORM_BYTES_MAX;
pub use of_service::OfService;
pub use pages::{Pages, PagesError, Settings};
pub use provider::*;
pub use requests::*;
pub use secret::NoRandomness;
pub use sign_in::SIGN_IN_MS;
