//! Whom we tell, and whom we ask to tell us.
//!
//! Notices: when an agent asks for an approval, people are told by webhook, Slack or mail, with a
//! link to the request and nothing that could be answered by a click. Shared Signals Framework
//! 1.0, both ends: [`Transmitter`] lets others act on what is recorded here, [`StreamClient`]
//! manages and polls the streams that we receive. Both follow the ledger ([`Follower`]), behind
//! what is durable, so that nothing is told that did not happen and nothing is lost with the
//! process.
//!
//! What this crate deliberately does not do: it is never on the way of a decision, and nothing
//! waits for it. It opens no connection by itself save to a mail server: whoever wires it brings
//! [`Outbound`], with the rules of where may be spoken to.
//!
//! ```
//! use safeconduct_notify::backoff_ms;
//!
//! assert!((1000..1500).contains(&backoff_ms(1, "a")));
//! assert!(backoff_ms(30, "a") <= 450_000);
//! ```

mod channel;
mod counts;
mod cursor;
mod follow;
mod groups;
mod lane;
mod mail;
mod notice;
mod outbound;
pub mod receive;
pub mod transmit;

pub use channel::{ChannelError, Channels, Grounds};
pub use counts::Counts;
pub use cursor::CursorError;
pub use follow::{CursorFiles, Follower, Hears};
pub use lane::{LANE_MAX, backoff_ms};
pub use notice::{Notice, NoticeKind};
pub use outbound::{Answer, Outbound, Request, Verb};
pub use receive::StreamClient;
pub use transmit::Transmitter;
