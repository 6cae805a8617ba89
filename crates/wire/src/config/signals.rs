//! Signals, in the program's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use safeconduct_model::IdentityId;

pub use super::signals_form::{
    DeliveryWord, ManageForm, PollForm, ReachForm, ReceiverForm, SubjectsForm,
};
use super::trust::{AlgorithmWord, FetchForm};

/// What others tell of risk, and what we tell them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalsConfig {
    /// Streams that we receive, by name.
    pub streams: BTreeMap<String, Stream>,
    /// Webhooks that we receive, by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// What others receive from us, where they do.
    pub transmitter: Option<TransmitterConfig>,
}

/// A stream of security events that we receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The transmitter.
    pub issuer: String,
    /// Our name at it.
    pub audience: String,
    /// How tokens come. A pushed stream has a `bearer_file`.
    pub delivery: DeliveryWord,
    /// What it signs with.
    pub algorithms: BTreeSet<AlgorithmWord>,
    /// Where its keys come from.
    pub keys: StreamKeySource,
    /// How it is spoken to.
    pub fetch: FetchForm,
    /// The file of what it must present.
    pub bearer_file: Option<PathBuf>,
    /// The file of what we present.
    pub token_file: Option<PathBuf>,
    /// What its word is worth, in percent.
    pub confidence: u8,
    /// How far its clock may be ahead, in seconds; at most 30.
    pub clock_skew_s: u32,
    /// How old a token may be, in seconds.
    pub age_max_s: u32,
    /// After how many seconds its silence is a signal.
    pub silent_after_s: Option<u32>,
    /// Members of subjects that must mean somebody.
    pub critical_subject_members: BTreeSet<String>,
    /// Who its subjects are here.
    pub subjects: SubjectsForm,
    /// Whether it may stop those of whom it may speak.
    pub may_revoke: bool,
    /// How it is polled.
    pub poll: PollForm,
    /// How it is managed.
    pub manage: Option<ManageForm>,
}

/// Where a transmitter's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamKeySource {
    /// It says where, in its `ssf-configuration`.
    Discovery,
    /// The address of a JWK Set.
    Url(String),
    /// A file with a JWK Set.
    File(PathBuf),
}

/// A signed webhook that we receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The file of its secret.
    pub secret_file: PathBuf,
    /// What its word is worth at most, in percent.
    pub confidence: u8,
    /// How far its clock may be from ours, in seconds.
    pub tolerance_s: u32,
    /// Whether it may stop someone.
    pub may_revoke: bool,
}

/// Streams that others receive from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransmitterConfig {
    /// Who we are in tokens, and where we are reached; no slash at its end.
    pub issuer: String,
    /// Who may receive.
    pub receivers: BTreeMap<IdentityId, ReceiverForm>,
    /// Where we may post to.
    pub reach: ReachForm,
}
