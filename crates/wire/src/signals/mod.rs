//! Security Event Tokens: what other systems say has happened to a subject.
//!
//! The claims of a SET (RFC 8417) as the Shared Signals Framework 1.0 narrows them, with the
//! subject formats of RFC 9493 and of the framework, and the events of CAEP 1.0 and RISC 1.0.
//! What is read is neutral: who is meant here, and what it is worth, crate `risk` says.
//!
//! What this module does not do: it checks no signature and no `typ` (crate `credential` does
//! that before), it does not compare issuer and audience with a stream, and it remembers no
//! `jti`: that needs a store.
//!
//! ```
//! use safeconduct_wire::signals::{Happening, SecurityEvent};
//!
//! let set = SecurityEvent::parse(br#"{
//!     "iss": "https://idp.example.com/", "jti": "24c6", "iat": 1615305159,
//!     "aud": "https://safeconduct.example.com/",
//!     "sub_id": {"format": "email", "email": "ada@example.com"},
//!     "events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}
//! }"#)?;
//! assert_eq!(set.events[0].what, Happening::SessionRevoked);
//! # Ok::<(), safeconduct_wire::signals::SecurityEventError>(())
//! ```

mod delivery;
mod event;
mod report;
mod set;
mod stream;
mod subject;

pub use delivery::*;
pub use event::*;
pub use report::*;
pub use set::*;
pub use stream::*;
pub use subject::*;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
