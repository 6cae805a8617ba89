//! Conditions over what has happened, kept up event by event.
//!
//! A [`Program`] is a condition such as "the user logged in within the last hour" or "more than
//! three transfers to this account today". [`Monitors`] are what a session (or an identity) must
//! remember so that all programs of a policy set can be answered at once: they change with each
//! event that some program speaks of, by an amount of work that does not grow with what has
//! happened before, and are a fold of the events: equal events give equal monitors.
//!
//! Every request and every outcome is an [`Event`], permitted or denied. A request is decided on
//! with its own event as the newest ([`Monitors::answer`]); once its decision is recorded, the
//! event is taken in ([`Monitors::observe`]).
//!
//! What this deliberately does not do: it parses no policies (crate `policy` makes programs),
//! keeps no events, no text that is longer than [`TEXT_BYTES_MAX`] bytes, and no list of more
//! than [`LIST_ITEMS_MAX`] items.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use safeconduct_model::{ActionName, Timestamp, Value};
//! use safeconduct_session::monitor::{
//!     Event, Formula, Matches, Monitors, Program, ProgramName, ProgramSet, REQUEST, RESPONSE,
//!     Source,
//! };
//!
//! // Crate `policy` makes these of `formerly within 1h files.read::response{}`.
//! let read = Matches { kind: RESPONSE.into(), action: "files.read".into(), fields: vec![] };
//! let body = Box::new(Formula::Matches(read));
//! let formula = Formula::Formerly { window_ms: 3_600_000, body };
//! let source = Source { parameters: vec![], symbols: 0, formula };
//! let program = Arc::new(Program::compile(ProgramName([0; 16]), &source)?);
//! let programs = ProgramSet::new([Arc::clone(&program)], BTreeMap::new());
//!
//! let (read, pay) = (ActionName::new("files.read")?, ActionName::new("bank.pay")?);
//! let event = |kind, action, at| Event {
//!     kind, action, principal: None, resources: &[], input: &Value::Null, output: None,
//!     beside: None, at: Timestamp::from_millis(at), decision: None,
//! };
//! let mut session = Monitors::default();
//! let asked = |session: &Monitors, at| {
//!     session.answer(&programs, &program, &event(REQUEST, &pay, at), &[])
//! };
//! assert_eq!(asked(&session, 0), Some(false));
//! session.observe(&programs, &event(RESPONSE, &read, 1000));
//! assert_eq!(asked(&session, 3_601_000), Some(true));
//! assert_eq!(asked(&session, 3_601_001), Some(false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | rows of one program | [`PROGRAM_ROWS_MAX`] |
//! | rows of all programs of one `Monitors` | [`ROWS_MAX`] |
//! | programs that remember something | [`PROGRAMS_MAX`] |
//! | steps of one answer, or of taking in one event for one program | [`STEPS_MAX`] |
//!
//! A row is one combination of values that an event was found with (an account, a user), or one
//! event where events are counted. Where a limit is met something is left out, and the program
//! has no answer until that could not matter any more: then a policy that reads it fails, which
//! is a Deny. Time is the records': where it steps back, it stands still.

mod carry;
mod compile;
mod datum;
mod delta;
mod fold;
mod formula;
mod gaps;
mod lint;
mod program;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub use compile::{NODES_MAX, Refused, SYMBOLS_MAX};
pub use datum::{Datum, LIST_ITEMS_MAX, Sort, TEXT_BYTES_MAX};
pub use fold::{Answering, Monitors};
pub use formula::{
    Aggregate, Comparison, Field, Formula, Matches, Parameter, Part, Root, Symbol, Term,
};
pub use lint::{Always, always};
pub use program::{EventName, Program, ProgramName, ProgramNames, ProgramSet, Source};

use safeconduct_model::{ActionName, Decision, EntityRef, Timestamp, Value};

/// Most rows that one program remembers.
pub const PROGRAM_ROWS_MAX: usize = 2048;
/// Most rows that all programs of one session, or of one identity, remember.
pub const ROWS_MAX: usize = 4096;
/// Most programs of one session, or of one identity, that remember something.
pub const PROGRAMS_MAX: usize = 1024;
/// Most steps of one answer, and of taking one event in for one program.
pub const STEPS_MAX: u32 = 100_000;

/// The event of a request that is decided on.
pub const REQUEST: &str = "request";
/// The event of an outcome that succeeded.
pub const RESPONSE: &str = "response";
/// The event of an outcome that did not, or of which it is not known.
pub const ERROR: &str = "error";

/// Something that happened: a request, or what came of one.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// [`REQUEST`], [`RESPONSE`] or [`ERROR`].
    pub kind: &'a str,
    /// The action, as it was asked about.
    pub action: &'a ActionName,
    /// Who acted, by its full type.
    pub principal: Option<&'a EntityRef>,
    /// What was touched, by their full types.
    pub resources: &'a [&'a EntityRef],
    /// The arguments.
    pub input: &'a Value,
    /// The structured result, where there is one.
    pub output: Option<&'a Value>,
    /// Other fields that the event schema declares; none does that ships.
    pub beside: Option<&'a Value>,
    /// When, from the record.
    pub at: Timestamp,
    /// What was decided; `None` while it is not.
    pub decision: Option<Decision>,
}
