//! One security event token, from bytes to what it stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_credential::jose::{self, JoseError, KeySet};
use safeconduct_model::Timestamp;
use safeconduct_model::signal::{About, Kind, LIFETIME_MS_MAX, Severity, Signal, Source};
use safeconduct_risk::intake::{self, Intake, IntakeError};
use safeconduct_wire::config::Stream as StreamConfig;
use safeconduct_wire::signals::{DeliveryFault, SecurityEvent};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::heard::Heard;
use super::memory::{Memory, Seen};
use super::{Stream, Streams};
use crate::{TakeSignalError, token_digest};

/// Most tokens of one stream in a minute. More are refused, and may be sent again later.
pub const SETS_PER_MINUTE_MAX: u32 = 120_000;

/// How long a verification that was asked for may take, in milliseconds.
const VERIFICATION_MS: i64 = 600_000;

/// What became of a token that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Its signals are durable, and what they stop has stopped.
    Taken {
        /// How many signals were made of it.
        signals: usize,
    },
    /// It was taken before; nothing changed.
    Before,
    /// Nothing came of it: it speaks of nobody here, of nothing risky, or in words that nobody
    /// here knows.
    PassedOver,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetError {
    /// The transmitter's fault.
    #[error("{description}")]
    Refused {
        /// In the words of the protocol.
        fault: DeliveryFault,
        /// What is wrong.
        description: String,
    },
    /// Nobody's fault: too many came in a short time.
    #[error("more than {SETS_PER_MINUTE_MAX} tokens in a minute, or too many wait already")]
    Busy,
    /// Our fault: it could not be kept, so it must come again.
    #[error("the event could not be kept: {0}")]
    NotKept(TakeSignalError),
    /// Our fault, or the transmitter's: there are no keys to check it with.
    #[error("the keys of the transmitter cannot be had")]
    NoKeys,
}

/// How long what is said of a silence counts before it is said again, in milliseconds: as long as
/// half of it is left. A stream that stays silent must not come to look as if it spoke.
const SAID_AGAIN_MS: i64 = Kind::StreamSilent.half_life_ms();

/// What changes about a stream.
pub(super) struct State {
    pub(super) memory: Memory,
    pub(super) last_heard: Timestamp,
    /// When it was really heard last, by this process or one before.
    pub(super) heard: Option<Timestamp>,
    /// Until when it had told what it knows, as the ledger says.
    pub(super) told_until: Option<Timestamp>,
    pub(super) silence: Option<Severity>,
    /// When it was last put on record by this process that the stream is silent.
    pub(super) silence_said: Option<Timestamp>,
    pub(super) window: (i64, u32),
    pub(super) asked: Option<(Arc<str>, Timestamp)>,
    pub(super) verified_at: Option<Timestamp>,
    pub(super) taken: u64,
    pub(super) before: u64,
    pub(super) passed_over: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
}

impl State {
    /// As the ledger says it was.
    pub(super) fn from(heard: &mut Heard, form: &StreamConfig, now: Timestamp) -> Self {
        // A token can be dated ahead of our clock, and is remembered from when it came.
        let ahead_ms = (i64::from(form.clock_skew_s) + 1) * 1000;
        let age_ms = (i64::from(form.age_max_s) * 1000).max(LIFETIME_MS_MAX);
        let (memory, said) = heard.stream(&form.issuer, age_ms + ahead_ms);
        Self {
            memory,
            // Nobody could be heard while no process ran.
            last_heard: now,
            heard: said.last,
            told_until: said.until,
            silence: said.silence,
            silence_said: None,
            window: (0, 0),
            asked: None,
            verified_at: None,
            taken: 0,
            before: 0,
            passed_over: 0,
            refused: BTreeMap::new(),
        }
    }

    /// Whether there is room for one more in this minute.
    fn room(&mut self, now: Timestamp) -> bool {
        let minute = now.as_millis().div_euclid(60_000);
        if self.window.0 != minute {
            self.window = (minute, 0);
        }
        self.window.1 = self.window.1.saturating_add(1);
        self.window.1 <= SETS_PER_MINUTE_MAX
    }
}

fn refuse(fault: DeliveryFault, description: impl ToString) -> SetError {
    SetError::Refused { fault, description: description.to_string() }
}

impl Streams {
    /// Takes a token that a transmitter pushes to a stream of that name, presenting that bearer
    /// token.
    ///
    /// # Errors
    /// [`SetError`] says whose fault it is. Whether there is such a stream is not told to those
    /// who cannot prove that they may know.
    pub async fn pushed(
        &self,
        name: &str,
        bearer: Option<&str>,
        set: &str,
    ) -> Result<Received, SetError> {
        let stream = self.streams.get(name);
        let known = stream.and_then(|stream| stream.bearer.as_ref());
        let proved = match (known, bearer) {
            (Some(known), Some(bearer)) => is_same(known, bearer),
            _ => false,
        };
        match stream.filter(|_| proved) {
            Some(stream) => self.counted(stream, set).await,
            None => {
                let description = "the bearer token of this stream is needed";
                Err(refuse(DeliveryFault::AuthenticationFailed, description))
            }
        }
    }

    /// Takes a token that was polled for.
    ///
    /// # Errors
    /// [`SetError`] says whose fault it is.
    pub async fn polled(&self, name: &str, set: &str) -> Result<Received, SetError> {
        match self.streams.get(name) {
            Some(stream) => self.counted(stream, set).await,
            None => Err(refuse(DeliveryFault::AccessDenied, "there is no such stream")),
        }
    }

    async fn counted(&self, stream: &Stream, set: &str) -> Result<Received, SetError> {
        let received = self.hear(stream, set).await;
        let mut state = stream.state();
        match &received {
            Ok(Received::Taken { .. }) => state.taken += 1,
            Ok(Received::Before) => state.before += 1,
            Ok(Received::PassedOver) => state.passed_over += 1,
            Err(error) => {
                let word = match error {
                    SetError::Refused { fault, .. } => fault.as_str(),
                    SetError::Busy => "busy",
                    SetError::NotKept(_) => "not_kept",
                    SetError::NoKeys => "no_keys",
                };
                *state.refused.entry(word).or_default() += 1;
                drop(state);
                tracing::warn!(stream = %stream.name, %error, "a security event was not taken");
            }
        }
        received
    }

    async fn hear(&self, stream: &Stream, set: &str) -> Result<Received, SetError> {
        let now = self.service.now();
        if !stream.state().room(now) {
            return Err(SetError::Busy);
        }
        let claims = self.verified(stream, set.trim_ascii(), now).await?;
        let event = SecurityEvent::from_value(claims);
        let event = event.map_err(|error| refuse(DeliveryFault::InvalidRequest, error))?;
        let seen = stream.state().memory.look(&event.id, event.issued_at);
        if seen == Seen::Before {
            return Ok(Received::Before);
        }
        let resolve = |member: &str, subject: &_| self.resolve(stream, member, subject);
        let mut intake = match intake::signals(&event, now, &stream.terms, resolve) {
            Ok(intake) => intake,
            // It is discarded, not refused (Shared Signals Framework 1.0 section 7.1).
            Err(IntakeError::CriticalMember { member }) => {
                tracing::warn!(stream = %stream.name, %member, "an event was discarded");
                stream.state().memory.put(&event.id, now);
                return Ok(Received::PassedOver);
            }
            Err(error) => return Err(refuse(DeliveryFault::InvalidRequest, error)),
        };
        if seen == Seen::Perhaps {
            // Behind a flood, what stops someone is taken all the same: to stop them twice is
            // better than never.
            intake.signals.retain(|signal| signal.stops().is_some());
            if intake.signals.is_empty() {
                let description = "it is too old to tell whether it was taken before";
                return Err(refuse(DeliveryFault::InvalidRequest, description));
            }
        }
        only_what_stops_if_late(stream, event.issued_at, now, &mut intake)?;
        if !stream.may_revoke && intake.signals.iter().any(|signal| signal.stops().is_some()) {
            let description = "this stream may stop nobody";
            return Err(refuse(DeliveryFault::AccessDenied, description));
        }
        if let Some(state) = &intake.verification {
            check_verification(stream, state, now)?;
        }
        let (signals, silence) = worth_keeping(stream, &event, intake.signals, now);
        let count = signals.len();
        if count > 0 {
            match self.service.take_signals(signals, None).await {
                Ok(_) => {}
                Err(TakeSignalError::Busy) => return Err(SetError::Busy),
                Err(error @ (TakeSignalError::Signal(_) | TakeSignalError::Future { .. })) => {
                    return Err(refuse(DeliveryFault::InvalidRequest, error));
                }
                Err(error) => return Err(SetError::NotKept(error)),
            }
        }
        let mut state = stream.state();
        // Only now: one that could not be kept must be taken when it comes again.
        state.memory.put(&event.id, now);
        state.silence = silence;
        state.silence_said = silence.map(|_| now);
        (state.last_heard, state.heard) = (state.last_heard.max(now), Some(now));
        // One that says that it will say nothing vouches for nobody. What lay in its queue says how
        // things stood when it was issued, however lately it came.
        if silence.is_none() {
            stream.voice.heard(event.issued_at.min(now));
        }
        if intake.verification.is_some() {
            state.verified_at = Some(now);
            state.asked = None;
        }
        Ok(if count > 0 { Received::Taken { signals: count } } else { Received::PassedOver })
    }

    async fn verified(
        &self,
        stream: &Stream,
        set: &str,
        now: Timestamp,
    ) -> Result<safeconduct_model::Value, SetError> {
        let kid = jose::peek(set).map_err(fault)?.kid;
        let keys = self.keys.keys(&stream.name, kid.as_deref()).await;
        let keys: Arc<KeySet> = keys.ok_or(SetError::NoKeys)?;
        jose::verify_event(set, &stream.expect, &keys, now).map_err(fault)
    }

    /// Notes that a verification of a stream was asked for with that state. `false` where there is
    /// no such stream.
    pub fn expect_verification(&self, name: &str, state: &str) -> bool {
        let now = self.service.now();
        let stream = self.streams.get(name);
        stream.is_some_and(|stream| {
            stream.state().asked = Some((state.into(), now));
            true
        })
    }

    /// Looks whether a stream has fallen silent, and takes that for the signal that it is. To be
    /// called every second or so.
    pub async fn look_for_silence(&self) {
        let now = self.service.now();
        for stream in self.streams.values() {
            let Some(signal) = silent(stream, now) else { continue };
            let severity = signal.severity;
            tracing::warn!(stream = %stream.name, detail = %signal.detail, "A STREAM OF SECURITY EVENTS IS SILENT");
            match self.service.take_signals(vec![signal], None).await {
                Ok(_) => {
                    let mut state = stream.state();
                    (state.silence, state.silence_said) = (Some(severity), Some(now));
                }
                Err(error) => {
                    tracing::error!(%error, stream = %stream.name, "a silence was not recorded");
                }
            }
        }
    }
}

/// Whether two secrets are the same, in a time that tells nothing of how far they are.
fn is_same(a: &str, b: &str) -> bool {
    token_digest(a).as_bytes().ct_eq(token_digest(b).as_bytes()).into()
}

/// The word of the protocol for what is wrong with a token.
fn fault(error: JoseError) -> SetError {
    let word = match &error {
        JoseError::UnknownKey { .. } | JoseError::AmbiguousKey => DeliveryFault::InvalidKey,
        JoseError::Signature | JoseError::Algorithm { .. } => DeliveryFault::InvalidKey,
        JoseError::Issuer => DeliveryFault::InvalidIssuer,
        JoseError::Audience => DeliveryFault::InvalidAudience,
        _ => DeliveryFault::InvalidRequest,
    };
    refuse(word, error)
}

/// Of a token that comes later than the stream's configuration allows, what stops someone is taken
/// all the same, while a signal of its kind lives: an outage must leave nobody acting whose right
/// was taken back meanwhile.
fn only_what_stops_if_late(
    stream: &Stream,
    at: Timestamp,
    now: Timestamp,
    intake: &mut Intake,
) -> Result<(), SetError> {
    let age_ms = now.ms_since(at);
    if age_ms <= i64::from(stream.age_max_s) * 1000 {
        return Ok(());
    }
    intake.verification = None;
    intake.signals.retain(|one| one.stops().is_some() && age_ms <= one.kind.lifetime_ms());
    match intake.signals.is_empty() {
        true => Err(fault(JoseError::IssuedTooLongAgo { at, limit_s: stream.age_max_s })),
        false => Ok(()),
    }
}

/// A verification that nobody asked for carries no state, and one that was asked for carries that
/// state (Shared Signals Framework 1.0 section 8.1.4).
fn check_verification(stream: &Stream, state: &str, now: Timestamp) -> Result<(), SetError> {
    let asked = stream.state().asked.clone();
    let asked = asked.filter(|(_, at)| now.ms_since(*at) <= VERIFICATION_MS);
    let fits = match asked {
        Some((asked, _)) => *asked == *state || state.is_empty(),
        None => state.is_empty(),
    };
    match fits {
        true => Ok(()),
        false => Err(refuse(DeliveryFault::InvalidState, "its state is none that was asked for")),
    }
}

/// The signals of a token that are worth a record, and how bad the stream's silence is then. That
/// it speaks is worth one where it was silent before.
fn worth_keeping(
    stream: &Stream,
    event: &SecurityEvent,
    signals: Vec<Signal>,
    now: Timestamp,
) -> (Vec<Signal>, Option<Severity>) {
    let (of_stream, mut kept): (Vec<_>, Vec<_>) =
        signals.into_iter().partition(|signal| signal.kind == Kind::StreamSilent);
    // Its transmitter paused or ended it.
    if let Some(stopped) = of_stream.into_iter().find(|one| one.severity > Severity::Info) {
        let silence = Some(stopped.severity);
        kept.push(stopped);
        return (kept, silence);
    }
    if stream.state().silence.is_some() {
        let about = About::Issuer(Arc::clone(&stream.issuer));
        let source = Source::Stream(Arc::clone(&stream.issuer));
        let id = Arc::clone(&event.id);
        let again = Signal::new(about, Kind::StreamSilent, Severity::Info, source, id, now);
        kept.push(Signal { detail: "it speaks again".into(), ..again });
    }
    (kept, None)
}

/// The word that a stream is silent, where it is worse than what was said, or was said so long ago
/// that little is left of it. Only a stream that speaks takes it back, so it never becomes less.
fn silent(stream: &Stream, now: Timestamp) -> Option<Signal> {
    let state = stream.state();
    let patience_ms = stream.silent_after_ms.unwrap_or(i64::MAX);
    let found = intake::silence(&stream.issuer, state.last_heard, now, patience_ms);
    let (known, found_now) = (state.silence, found.as_ref().map(|signal| signal.severity));
    let fades = || state.silence_said.is_none_or(|said| now.ms_since(said) >= SAID_AGAIN_MS);
    if known >= found_now && !(known.is_some() && fades()) {
        return None;
    }
    let severity = known.max(found_now)?;
    let signal = found.unwrap_or_else(|| {
        let about = About::Issuer(Arc::clone(&stream.issuer));
        let source = Source::Stream(Arc::clone(&stream.issuer));
        let id = format!("silent since {}", state.last_heard);
        let again = Signal::new(about, Kind::StreamSilent, severity, source, id, now);
        Signal { detail: "it is still silent".into(), ..again }
    });
    Some(Signal { severity, ..signal })
}
