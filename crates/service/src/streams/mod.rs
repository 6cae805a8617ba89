//! Use-case: others tell us of risk. Streams of security events (Shared Signals Framework 1.0) and
//! signed webhooks: who may tell, what is believed of it, and that nothing counts twice.
//!
//! What is taken is durable before it is acknowledged, and what a revoking event stops has stopped
//! by then. Which events were taken is remembered for as long as one could be told again, and
//! restored from the ledger.

mod hear;
mod heard;
mod memory;
mod ports;
mod resolve;
mod sign;
mod view;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safeconduct_credential::jose::{Algorithm, ClockSkew, EventExpect, KeySet};
use safeconduct_credential::webhook::WebhookKey;
use safeconduct_risk::Confidence;
use safeconduct_risk::intake::StreamTerms;
use safeconduct_wire::config::{AlgorithmWord, DeliveryWord, Stream as StreamConfig};
use safeconduct_wire::config::{SignalsConfig, SubjectsForm};
use thiserror::Error;
use zeroize::Zeroizing;

pub use hear::{Received, SETS_PER_MINUTE_MAX, SetError};
pub use heard::Heard;
pub use memory::IDS_REMEMBERED_MAX;
pub use ports::*;
pub use sign::SignEventError;
pub use view::{StreamStanding, StreamView};
pub use webhook::WebhookFault;

use crate::risk::Voice;
use crate::{Awaited, Service};
use hear::State;
use memory::Memory;

/// Port: the keys of transmitters.
pub trait StreamKeys: Send + Sync + 'static {
    /// The keys of a stream's transmitter, by the stream's name: those that are known, or newer
    /// ones where a key of that id is wanted and unknown and it is time to look again. `None`
    /// where there are none that still count.
    fn keys<'a>(
        &'a self,
        stream: &'a str,
        kid: Option<&'a str>,
    ) -> Awaited<'a, Option<Arc<KeySet>>>;
}

/// The secrets of streams and webhooks, by name. Whoever wires this reads them from their files.
#[derive(Default)]
pub struct StreamSecrets {
    /// What a transmitter presents that pushes.
    pub bearers: BTreeMap<String, Zeroizing<String>>,
    /// What signs webhooks.
    pub webhooks: BTreeMap<String, WebhookKey>,
}

/// Why streams cannot be received: the configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StreamsError {
    /// A secret is missing.
    #[error("the secret of `{0}` is missing")]
    Secret(String),
    /// A clock is too far off.
    #[error("the clock of stream `{0}` may be at most 30 s ahead")]
    Skew(String),
}

/// The longest that a signal lives, in seconds: nothing older is even looked at.
const LATE_S_MAX: u32 = 90 * 24 * 3600;
const _: () = assert!(LATE_S_MAX as i64 * 1000 == safeconduct_model::signal::LIFETIME_MS_MAX);

/// Everyone who tells us of risk.
pub struct Streams {
    service: Arc<Service>,
    keys: Arc<dyn StreamKeys>,
    streams: BTreeMap<Arc<str>, Stream>,
    webhooks: BTreeMap<Arc<str>, Webhook>,
}

/// A stream that we receive.
struct Stream {
    name: Arc<str>,
    issuer: Arc<str>,
    expect: EventExpect,
    /// How old a token may be, in seconds, of which all is taken.
    age_max_s: u32,
    terms: StreamTerms,
    subjects: SubjectsForm,
    /// Of whom it may speak, for those who must know whether it does.
    voice: Arc<Voice>,
    may_revoke: bool,
    delivery: DeliveryWord,
    bearer: Option<Zeroizing<String>>,
    silent_after_ms: Option<i64>,
    state: Mutex<State>,
}

/// A webhook that we receive.
struct Webhook {
    key: WebhookKey,
    confidence: Confidence,
    tolerance_s: u32,
    may_revoke: bool,
    memory: Mutex<Memory>,
}

impl Streams {
    /// The streams and webhooks of a configuration. `heard` is what the ledger says was taken
    /// before.
    ///
    /// # Errors
    /// [`StreamsError`] where the configuration does not fit.
    pub fn new(
        service: Arc<Service>,
        keys: Arc<dyn StreamKeys>,
        config: &SignalsConfig,
        mut secrets: StreamSecrets,
        mut heard: Heard,
    ) -> Result<Self, StreamsError> {
        let now = service.now();
        let streams = config.streams.iter().map(|(name, form)| {
            let bearer = secrets.bearers.remove(name);
            let stream = Stream::new(name, form, bearer, State::from(&mut heard, form, now))?;
            Ok((Arc::clone(&stream.name), stream))
        });
        let streams = streams.collect::<Result<BTreeMap<_, Stream>, StreamsError>>()?;
        let webhooks = config.webhooks.iter().map(|(name, form)| {
            let key = secrets.webhooks.remove(name);
            let webhook = Webhook {
                key: key.ok_or_else(|| StreamsError::Secret(name.clone()))?,
                confidence: Confidence::percent(form.confidence),
                tolerance_s: form.tolerance_s,
                may_revoke: form.may_revoke,
                // An id must be known for as long as its time may be told.
                memory: Mutex::new(heard.webhook(name, 2 * i64::from(form.tolerance_s) * 1000)),
            };
            Ok((Arc::from(name.as_str()), webhook))
        });
        let webhooks = webhooks.collect::<Result<_, StreamsError>>()?;
        let voices = streams.values().map(|stream| Arc::clone(&stream.voice)).collect();
        service.risks.listen_to(voices);
        Ok(Self { service, keys, streams, webhooks })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.webhooks.is_empty()
    }
}

impl Stream {
    fn new(
        name: &str,
        form: &StreamConfig,
        bearer: Option<Zeroizing<String>>,
        state: State,
    ) -> Result<Self, StreamsError> {
        if form.delivery == DeliveryWord::Push && bearer.is_none() {
            return Err(StreamsError::Secret(name.to_owned()));
        }
        let skew = ClockSkew::seconds(form.clock_skew_s);
        let issuer: Arc<str> = form.issuer.as_str().into();
        let algorithms = form.algorithms.iter().copied().map(AlgorithmWord::as_str);
        Ok(Self {
            name: name.into(),
            issuer: Arc::clone(&issuer),
            expect: EventExpect {
                algorithms: algorithms.filter_map(Algorithm::parse).collect(),
                issuer: form.issuer.clone(),
                audience: form.audience.clone(),
                skew: skew.ok_or_else(|| StreamsError::Skew(name.to_owned()))?,
                // Late ones may stop someone: what is taken of them is seen once they are read.
                age_max_s: form.age_max_s.max(LATE_S_MAX),
            },
            age_max_s: form.age_max_s,
            terms: StreamTerms {
                confidence: Confidence::percent(form.confidence),
                critical: form.critical_subject_members.iter().map(|m| m.as_str().into()).collect(),
            },
            subjects: form.subjects.clone(),
            voice: Arc::new(Voice::new(issuer, &form.subjects, state.told_until)),
            may_revoke: form.may_revoke,
            delivery: form.delivery,
            bearer,
            silent_after_ms: form.silent_after_s.map(|s| i64::from(s) * 1000),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
