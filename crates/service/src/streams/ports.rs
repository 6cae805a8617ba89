//! Ports: the streams that we receive, as their transmitters manage them, and what we transmit
//! ourselves. Crate `notify` implements them.

use std::sync::Arc;

use safeconduct_model::{IdentityId, Value};
use safeconduct_wire::signals::StatusWord;
use thiserror::Error;

use crate::Awaited;

/// Why a transmitter did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlError {
    /// The caller's fault: there is no such stream.
    #[error("no stream `{0}` is configured")]
    Unknown(String),
    /// The configuration's fault: the stream is not managed from here.
    #[error("stream `{0}` is not managed from here: its configuration has no `manage`")]
    Unmanaged(String),
    /// The transmitter's fault.
    #[error("the transmitter of stream `{stream}` did not do it: {problem}")]
    Transmitter {
        /// Which stream.
        stream: String,
        /// What it said, or why it could not be reached.
        problem: String,
    },
}

/// Port: streams as their transmitters manage them.
pub trait StreamControl: Send + Sync + 'static {
    /// The status of a stream, as its transmitter has it.
    fn status<'a>(&'a self, stream: &'a str) -> Awaited<'a, Result<StatusWord, ControlError>>;

    /// Asks the transmitter to verify the stream: an event with the state that is given with the
    /// request comes through it.
    fn verify<'a>(&'a self, stream: &'a str) -> Awaited<'a, Result<(), ControlError>>;
}

/// Why what a receiver of ours asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransmitError {
    /// The receiver's fault: the request does not fit.
    #[error("{0}")]
    Invalid(String),
    /// The receiver's fault: there is no such stream of theirs.
    #[error("there is no such stream")]
    UnknownStream,
    /// The receiver's fault: it is none that the configuration names.
    #[error("no receiver of security events is registered under this identity")]
    NoReceiver,
    /// The receiver's fault: it has its stream.
    #[error("there is a stream already; a receiver has one")]
    Exists,
    /// The receiver's fault: it asks too often.
    #[error("a stream is verified at most every {0} s")]
    TooSoon(u32),
    /// Our fault: it could not be kept.
    #[error("it could not be kept: {0}")]
    NotKept(Arc<str>),
}

/// Whether a configuration is changed in part or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What is said changes (`PATCH`).
    Part,
    /// What is not said goes (`PUT`).
    Whole,
}

/// Port: our own transmitter (Shared Signals Framework 1.0 sections 7 and 8). Bodies are JSON as
/// the framework has it.
pub trait Transmit: Send + Sync + 'static {
    /// What it says of itself.
    fn metadata(&self) -> Value;

    /// Makes a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn create(&self, receiver: &IdentityId, body: &[u8]) -> Result<Value, TransmitError>;

    /// The stream of that id, or all of the receiver's.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn read(&self, receiver: &IdentityId, stream: Option<&str>) -> Result<Value, TransmitError>;

    /// Changes a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn change(
        &self,
        receiver: &IdentityId,
        body: &[u8],
        change: Change,
    ) -> Result<Value, TransmitError>;

    /// Ends a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn delete(&self, receiver: &IdentityId, stream: &str) -> Result<(), TransmitError>;

    /// The status of a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn status(&self, receiver: &IdentityId, stream: &str) -> Result<Value, TransmitError>;

    /// Changes the status of a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn set_status(&self, receiver: &IdentityId, body: &[u8]) -> Result<Value, TransmitError>;

    /// Adds a subject to a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn add_subject(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError>;

    /// Takes a subject out of a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn remove_subject(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError>;

    /// Sends a verification through a stream.
    ///
    /// # Errors
    /// [`TransmitError`].
    fn verify(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError>;

    /// Answers a poll (RFC 8936): waits a while where nothing is there and the receiver lets us.
    fn poll<'a>(
        &'a self,
        receiver: &'a IdentityId,
        stream: &'a str,
        body: &'a [u8],
    ) -> Awaited<'a, Result<Value, TransmitError>>;
}

/// What was sent out, and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// Messages and events that reached their target.
    pub delivered: u64,
    /// Tries that failed and were, or will be, made again.
    pub failed_tries: u64,
    /// What was given up after its last try.
    pub given_up: u64,
    /// What was dropped because too much waited.
    pub dropped: u64,
    /// What waits now.
    pub waiting: u64,
}

/// Port: how what goes out stands.
pub trait Deliveries: Send + Sync + 'static {
    /// The numbers, by what goes out: `notices`, `events`.
    fn counts(&self) -> Vec<(&'static str, DeliveryCounts)>;

    /// What an operator must know: the first target that cannot be reached, and why.
    fn trouble(&self) -> Option<String>;
}
