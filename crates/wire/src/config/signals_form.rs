//! The form of `signals:`: who tells us what they have seen, and whom we tell.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::IdentityId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::trust::{AlgorithmWord, FetchForm, KeysForm};
use crate::document::Written;

/// What others tell of risk, and what we tell them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignalsForm {
    /// Streams of security events that we receive (Shared Signals Framework 1.0), by a name of
    /// yours. A pushed one comes to `/v1/signals/streams/NAME`.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "server-name"},
        "maxProperties" = 64
    ))]
    pub streams: BTreeMap<String, StreamForm>,
    /// Signed webhooks that we receive, by a name of yours: at `/v1/signals/webhooks/NAME`.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "server-name"},
        "maxProperties" = 64
    ))]
    pub webhooks: BTreeMap<String, WebhookForm>,
    /// Streams of security events that others receive from us; without it, none.
    pub transmitter: Option<TransmitterForm>,
}

/// A stream of security events that we receive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamForm {
    /// The transmitter, exactly as it stands in tokens. No two streams are of one issuer.
    #[schemars(extend("format" = "http-url"))]
    pub issuer: String,
    /// Our name at this transmitter: what its tokens must be meant for.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
    /// How its tokens come.
    #[serde(default)]
    pub delivery: DeliveryWord,
    /// The algorithms that it signs with. The token has no say in it.
    #[schemars(length(min = 1, max = 16))]
    pub algorithms: BTreeSet<AlgorithmWord>,
    /// Where its keys come from. Left out, `/.well-known/ssf-configuration` of the issuer says it.
    pub keys: Option<KeysForm>,
    /// How keys are fetched, and where we speak to the transmitter at all.
    #[serde(default)]
    pub fetch: FetchForm,
    /// Push: the file of the token that the transmitter must present, readable by its owner alone.
    #[schemars(length(min = 1))]
    pub bearer_file: Option<String>,
    /// The file of the token that we present to the transmitter: to poll, and to manage the
    /// stream.
    #[schemars(length(min = 1))]
    pub token_file: Option<String>,
    /// How much its word is worth, in percent.
    #[serde(default = "certain")]
    #[schemars(range(min = 1, max = 100))]
    pub confidence: u8,
    /// How far its clock may be ahead of ours, in seconds.
    #[serde(default = "clock_skew_s")]
    #[schemars(range(max = 30))]
    pub clock_skew_s: u32,
    /// How long ago a token may have been issued, in seconds; of an older one only
    /// what stops somebody is taken, for as long as such a signal lives.
    #[serde(default = "age_max_s")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub age_max_s: u32,
    /// After so many seconds without a word, its silence is itself a signal about its issuer. Left
    /// out, it is not.
    #[schemars(range(min = 10, max = 2_592_000))]
    pub silent_after_s: Option<u32>,
    /// Members of a complex subject that must mean somebody here, or the token is discarded.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub critical_subject_members: BTreeSet<String>,
    /// Who the transmitter's subjects are here.
    #[serde(default)]
    pub subjects: SubjectsForm,
    /// Whether it may stop those of whom it may speak: send what acts like the kill switch.
    #[serde(default = "yes")]
    pub may_revoke: bool,
    /// Poll: how it is asked.
    #[serde(default)]
    pub poll: PollForm,
    /// How the stream is managed; left out, its transmitter was told of us by hand.
    pub manage: Option<ManageForm>,
}

/// How tokens come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryWord {
    /// The transmitter posts them (RFC 8935).
    #[default]
    Push,
    /// We ask for them (RFC 8936).
    Poll,
}

/// Who the subjects of a transmitter are here. Beside what stands here, `iss_sub` is the identity
/// `ISSUER|SUBJECT`, and `uri`, `did` and `account` are the identity of that very name, where the
/// transmitter may speak of it: by its name or a trust record it is a subject of the
/// transmitter's, or of one of `issuers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubjectsForm {
    /// The identity of a mail address, `{}` standing for it: `https://idp.example.com|{}`.
    #[schemars(length(min = 2, max = 1024))]
    pub email: Option<String>,
    /// The identity of an opaque name, `{}` standing for it.
    #[schemars(length(min = 2, max = 1024))]
    pub opaque: Option<String>,
    /// The identity of an account's URI, `{}` standing for it.
    #[schemars(length(min = 2, max = 1024))]
    pub account: Option<String>,
    /// The identity of a URI, `{}` standing for it.
    #[schemars(length(min = 2, max = 1024))]
    pub uri: Option<String>,
    /// The identity of a subject of this very issuer, `{}` standing for its `sub`.
    #[schemars(length(min = 2, max = 1024))]
    pub iss_sub: Option<String>,
    /// Further issuers whose subjects the transmitter may speak of, a trust domain as
    /// `spiffe://example.org`. Those of any other than these and itself are nobody here. Its
    /// silence counts for all of them.
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub issuers: BTreeSet<String>,
    /// Subjects one by one, where none of the above fits: the subject's text as it comes, and the
    /// identity.
    #[schemars(extend("maxProperties" = 100_000))]
    pub listed: BTreeMap<String, Written<IdentityId>>,
}

/// How a transmitter is polled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PollForm {
    /// Where. Left out, the stream's configuration at the transmitter says it.
    #[schemars(extend("format" = "http-url"))]
    pub url: Option<String>,
    /// How long to wait after an answer without tokens, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub every_s: u32,
    /// Most tokens in one answer.
    #[schemars(range(min = 1, max = 256))]
    pub events: u32,
}

impl Default for PollForm {
    fn default() -> Self {
        Self { url: None, every_s: 5, events: 64 }
    }
}

/// How a stream is managed at its transmitter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManageForm {
    /// Push: the address of this server that the transmitter is to post to, without path.
    #[schemars(extend("format" = "http-url"))]
    pub base_url: Option<String>,
    /// The types of events that we ask for. Left out, all that mean something here.
    #[schemars(length(max = 128), inner(length(min = 1, max = 512)))]
    pub events: BTreeSet<String>,
    /// Every so many seconds the transmitter is asked to verify the stream. Left out, only when
    /// someone asks for it.
    #[schemars(range(min = 10, max = 2_592_000))]
    pub verify_every_s: Option<u32>,
}

/// A signed webhook that we receive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookForm {
    /// The file of the secret that both sides share: `whsec_` and 24 to 64 bytes in Base64.
    #[schemars(length(min = 1))]
    pub secret_file: String,
    /// How much its word is worth at most, in percent.
    #[serde(default = "certain")]
    #[schemars(range(min = 1, max = 100))]
    pub confidence: u8,
    /// How far its clock may be from ours, in seconds; within it, an id counts once.
    #[serde(default = "tolerance_s")]
    #[schemars(range(min = 1, max = 900))]
    pub tolerance_s: u32,
    /// Whether it may stop someone: send signals that act like the kill switch.
    #[serde(default)]
    pub may_revoke: bool,
}

/// Streams of security events that others receive from us.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransmitterForm {
    /// Who we are in tokens. Left out, the issuer of the token service, whose keys sign.
    #[schemars(extend("format" = "http-url"))]
    pub issuer: Option<String>,
    /// Who may receive, by identity.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "identity-id"},
        "minProperties" = 1,
        "maxProperties" = 64
    ))]
    pub receivers: BTreeMap<Written<IdentityId>, ReceiverForm>,
    /// Where we may post to, beside the public internet.
    #[serde(default)]
    pub fetch: ReachForm,
}

/// Someone who may receive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiverForm {
    /// Its name in tokens that are meant for it.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
}

/// Where may be spoken to, beside the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReachForm {
    /// Networks that are not public and are meant all the same: `10.20.0.0/16`.
    #[schemars(length(max = 64))]
    pub private_networks: BTreeSet<String>,
    /// Whether `http:` to this very machine is accepted. For trials only.
    pub http_on_loopback: bool,
}

const fn certain() -> u8 {
    100
}

const fn yes() -> bool {
    true
}

const fn clock_skew_s() -> u32 {
    10
}

const fn age_max_s() -> u32 {
    86_400
}

const fn tolerance_s() -> u32 {
    300
}
