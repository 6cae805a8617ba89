//! Credentials, as pure functions: what a token says and whether to believe it, and the tokens
//! that we sign ourselves. The clock, the keys and all randomness are arguments.
//!
//! [`jose`] is the one place in the tree that reads, checks or makes a JWT. Everything that such
//! a token could talk a reader into (its own algorithm, its own key, another kind of token, a
//! looser clock) is fixed by the caller and never taken from the token.
//!
//! What this crate deliberately does not do: it fetches no key, reads no clock, remembers no
//! token (replay is the caller's to see, by the ids that are handed out) and decides nothing
//! about what a proved identity may do.
//!
//! ```
//! use safeconduct_credential::jose::{self, Algorithm, Expect, KeySet, SigningKey, Typ};
//! use safeconduct_model::{Timestamp, Value};
//!
//! let now = Timestamp::from_millis(1_790_000_000_000);
//! let ours = SigningKey::from_secret(Algorithm::Es256, &[7; 32])?;
//! let token = ours.sign("at+jwt", &Value::object([
//!     ("iss", Value::from("https://sts.example")),
//!     ("aud", Value::from("https://crm.example")),
//!     ("sub", Value::from("case-agent")),
//!     ("iat", Value::from(1_790_000_000)),
//!     ("exp", Value::from(1_790_000_300)),
//! ]))?;
//!
//! let mut expect = Expect::new([Algorithm::Es256], Typ::one_of(["at+jwt"]), ["https://crm.example"]);
//! expect.issuer = Some("https://sts.example".into());
//! let keys = KeySet::of([ours.public().clone()])?;
//! assert_eq!(jose::verify(&token, &expect, &keys, now)?.subject.as_deref(), Some("case-agent"));
//!
//! let tomorrow = now.plus_ms(86_400_000);
//! assert!(jose::verify(&token, &expect, &keys, tomorrow).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod api_key;
pub mod inject;
pub mod jose;
pub mod lease;
mod mandate;
mod narrow;
mod task_handle;
pub mod token;
pub mod webhook;

pub use mandate::*;
pub use narrow::*;
pub use task_handle::TaskHandle;
