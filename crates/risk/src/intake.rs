//! From what other systems say ([`safeconduct_wire::signals`]) to signals.
//!
//! Who is meant is for the caller to find out: a stream speaks of its own users, devices and
//! sessions. [`by_name`] knows those whose names are the same here.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, Timestamp};
use safeconduct_wire::signals::{
    Compliance, CredentialChange, Direction, Event, Happening, RiskWord, SecurityEvent,
    StreamStatus, SubjectId,
};

use crate::{About, Confidence, Kind, Severity, Signal, Source};

/// How far in the future a token may have been issued, in milliseconds: the clocks of two
/// machines differ.
pub const SKEW_MS_MAX: i64 = 5 * 60_000;

/// What was agreed of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTerms {
    /// How much its word is worth.
    pub confidence: Confidence,
    /// Members of a complex subject without which an event means something else
    /// (`critical_subject_members`, Shared Signals Framework 1.0 section 7.1).
    pub critical: BTreeSet<Arc<str>>,
}

impl Default for StreamTerms {
    fn default() -> Self {
        Self { confidence: Confidence::CERTAIN, critical: BTreeSet::new() }
    }
}

/// What a token comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake {
    /// Signals, one for each event and subject.
    pub signals: Vec<Signal>,
    /// What the receiver asked to be sent back, where it is a verification.
    pub verification: Option<Arc<str>>,
    /// Events of which nothing came, and why.
    pub passed_over: Vec<PassedOver>,
}

/// An event of which nothing came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its type.
    pub uri: Arc<str>,
    /// Why.
    pub why: Why,
}

/// Why nothing came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its type is not known.
    UnknownType,
    /// It tells of nothing risky.
    Harmless,
    /// Its subject is nobody here.
    UnknownSubject,
}

/// Why all of a token is discarded: the transmitter is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// It was issued in the future.
    #[error("it was issued {ahead_ms} ms in the future")]
    Future {
        /// How far, in milliseconds.
        ahead_ms: i64,
    },
    /// Its subject has a critical member that means nothing here.
    #[error("the critical member `{member}` of its subject means nothing here")]
    CriticalMember {
        /// Which one.
        member: Arc<str>,
    },
}

/// Makes signals of a token that was verified, is meant for us and was not seen before.
///
/// `resolve` says whom a subject names: it is asked with the name of the member of a complex
/// subject (`user`, `session` …), or `""`. Of a complex subject the narrowest member that names
/// someone counts: the session, else the user, else the application, else any other. Members that
/// are unknown here match everyone (Shared Signals Framework 1.0 section 3.3), so an event about
/// a user's device that nobody knows is about the user.
///
/// # Errors
/// [`IntakeError`] where all of it is to be discarded.
pub fn signals(
    set: &SecurityEvent,
    received_at: Timestamp,
    terms: &StreamTerms,
    resolve: impl Fn(&str, &SubjectId) -> Vec<About>,
) -> Result<Intake, IntakeError> {
    let ahead_ms = set.issued_at.ms_since(received_at);
    if ahead_ms > SKEW_MS_MAX {
        return Err(IntakeError::Future { ahead_ms });
    }
    let subjects = subjects(&set.subject, &terms.critical, &resolve)?;
    let mut intake = Intake::default();
    for event in &set.events {
        if let Happening::Verification { state } = &event.what {
            intake.verification = Some(state.clone().unwrap_or_default());
        }
        let issuer = || vec![About::Issuer(Arc::clone(&set.issuer))];
        let (meaning, about) = match meaning(&event.what) {
            Ok(meaning @ (Kind::StreamSilent, ..)) => (meaning, issuer()),
            Ok(meaning) => (meaning, subjects.clone()),
            Err(why) => {
                intake.passed_over.push(PassedOver { uri: Arc::clone(&event.uri), why });
                continue;
            }
        };
        if about.is_empty() {
            let uri = Arc::clone(&event.uri);
            intake.passed_over.push(PassedOver { uri, why: Why::UnknownSubject });
        }
        let made = about
            .into_iter()
            .map(|about| signal(set, event, meaning, about, received_at, terms.confidence));
        intake.signals.extend(made);
    }
    Ok(intake)
}

fn signal(
    set: &SecurityEvent,
    event: &Event,
    (kind, severity): (Kind, Severity),
    about: About,
    received_at: Timestamp,
    confidence: Confidence,
) -> Signal {
    // One from the future would stay fresh until then.
    let happened = event.at.or(set.happened_at).unwrap_or(set.issued_at).min(received_at);
    // One that comes late is worth what is left of it, but it is not over before it is read:
    // an old word that an account is disabled still disables it.
    let oldest = received_at.plus_ms(1 - kind.lifetime_ms());
    let source = Source::Stream(Arc::clone(&set.issuer));
    Signal {
        confidence,
        topic: topic(&event.what, &set.subject),
        detail: event.uri.rsplit('/').next().map(|word| cut(word, 128)).unwrap_or_default(),
        ..Signal::new(about, kind, severity, source, Arc::clone(&set.id), happened.max(oldest))
    }
}

/// What an event is worth.
fn meaning(what: &Happening) -> Result<(Kind, Severity), Why> {
    use Severity::{Critical, High, Info, Low, Moderate};
    Ok(match what {
        Happening::SessionRevoked => (Kind::SessionRevoked, Critical),
        Happening::AccountDisabled { .. } => (Kind::AccountDisabled, Critical),
        Happening::AccountPurged => (Kind::AccountPurged, Critical),
        Happening::AccountEnabled => (Kind::AccountEnabled, Info),
        Happening::TokenClaimsChanged { .. } => (Kind::ClaimsChanged, Low),
        Happening::CredentialChanged { change, .. } => match change {
            CredentialChange::Create | CredentialChange::Update => (Kind::CredentialChanged, Low),
            CredentialChange::Revoke | CredentialChange::Delete => {
                (Kind::CredentialChanged, Moderate)
            }
        },
        Happening::CredentialChangeRequired => (Kind::CredentialChangeRequired, Moderate),
        Happening::CredentialCompromised { .. } => (Kind::CredentialCompromised, High),
        Happening::AssuranceLevelChanged { direction, .. } => match direction {
            Some(Direction::Increase) => (Kind::AssuranceLevel, Info),
            Some(Direction::Decrease) => (Kind::AssuranceLevel, Moderate),
            None => (Kind::AssuranceLevel, Low),
        },
        Happening::DeviceComplianceChanged { current, .. } => match current {
            Compliance::Compliant => (Kind::DeviceCompliance, Info),
            Compliance::NotCompliant => (Kind::DeviceCompliance, High),
        },
        Happening::RiskLevelChanged { current, .. } => match current {
            RiskWord::Low => (Kind::RiskLevel, Info),
            RiskWord::Medium => (Kind::RiskLevel, Moderate),
            RiskWord::High => (Kind::RiskLevel, High),
        },
        Happening::IdentifierChanged => (Kind::IdentifierChanged, Low),
        Happening::IdentifierRecycled => (Kind::IdentifierChanged, High),
        Happening::RecoveryActivated => (Kind::Recovery, Moderate),
        Happening::RecoveryInformationChanged => (Kind::Recovery, Low),
        Happening::Verification { .. } => (Kind::StreamSilent, Info),
        Happening::StreamUpdated { status, .. } => match status {
            StreamStatus::Enabled => (Kind::StreamSilent, Info),
            StreamStatus::Paused | StreamStatus::Disabled => (Kind::StreamSilent, Moderate),
        },
        Happening::SessionEstablished | Happening::SessionPresented | Happening::Participation => {
            return Err(Why::Harmless);
        }
        Happening::Unknown => return Err(Why::UnknownType),
    })
}

/// What a level is the level of, so that one device's compliance does not stand for another's.
fn topic(what: &Happening, subject: &SubjectId) -> Arc<str> {
    match what {
        Happening::AssuranceLevelChanged { namespace, .. } => cut(namespace, 1024),
        Happening::RiskLevelChanged { principal, .. } => cut(principal, 1024),
        Happening::DeviceComplianceChanged { .. } => device(subject),
        _ => Arc::default(),
    }
}

fn device(subject: &SubjectId) -> Arc<str> {
    match subject {
        SubjectId::Complex(members) => members.get("device").map(device).unwrap_or_default(),
        SubjectId::IssuerSubject { subject: name, .. }
        | SubjectId::Opaque(name)
        | SubjectId::Uri(name)
        | SubjectId::Did(name) => cut(name, 1024),
        SubjectId::Addresses(addresses) => {
            addresses.first().map(|a| cut(a, 1024)).unwrap_or_default()
        }
        _ => Arc::default(),
    }
}

/// A text of at most so many bytes.
fn cut(text: &str, bytes: usize) -> Arc<str> {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default().into()
}

/// Members of complex subjects, the narrowest first.
const NARROWEST: [&str; 3] = ["session", "user", "application"];

fn subjects(
    subject: &SubjectId,
    critical: &BTreeSet<Arc<str>>,
    resolve: &impl Fn(&str, &SubjectId) -> Vec<About>,
) -> Result<Vec<About>, IntakeError> {
    let SubjectId::Complex(members) = subject else { return Ok(named("", subject, resolve)) };
    let found = members.iter().map(|(name, member)| (name, named(name, member, resolve)));
    let found: Vec<_> = found.collect();
    let lost = found.iter().find(|(name, who)| who.is_empty() && critical.contains(*name));
    if let Some((member, _)) = lost {
        return Err(IntakeError::CriticalMember { member: Arc::clone(member) });
    }
    let by_width = NARROWEST.into_iter().filter_map(|narrow| {
        found.iter().find(|(name, who)| &***name == narrow && !who.is_empty())
    });
    let others = found.iter().filter(|(_, who)| !who.is_empty());
    Ok(by_width.chain(others).next().map(|(_, who)| who.clone()).unwrap_or_default())
}

/// Whom a subject that is not complex names: by any of its names.
fn named(
    member: &str,
    subject: &SubjectId,
    resolve: &impl Fn(&str, &SubjectId) -> Vec<About>,
) -> Vec<About> {
    let names = match subject {
        SubjectId::Aliases(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let all: BTreeSet<About> = names.iter().flat_map(|name| resolve(member, name)).collect();
    all.into_iter().collect()
}

/// Those who have the same name here: `issuer|subject` of `iss_sub`, and the URI of `uri`, `did`
/// and `account`. A `user` is one on whose behalf others act, an `application` or a SPIFFE ID one
/// who acts; where nothing is said it may be either, so it is both. A mail address, a telephone
/// number, a token or an opaque name says nothing here.
pub fn by_name(member: &str, subject: &SubjectId) -> Vec<About> {
    let name: Arc<str> = match subject {
        SubjectId::IssuerSubject { issuer, subject } => format!("{issuer}|{subject}").into(),
        SubjectId::Uri(name) | SubjectId::Did(name) | SubjectId::Account(name) => Arc::clone(name),
        _ => return Vec::new(),
    };
    let acts = name.starts_with("spiffe://");
    let Ok(id) = IdentityId::new(name) else { return Vec::new() };
    match member {
        "" if !acts => vec![About::Identity(id.clone()), About::User(id)],
        "" | "application" => vec![About::Identity(id)],
        "user" => vec![About::User(id)],
        _ => Vec::new(),
    }
}

/// The signal that a stream has fallen silent, where it was last heard more than `patience_ms`
/// ago: moderate, and high after four times that. What is heard again clears it.
pub fn silence(
    issuer: &Arc<str>,
    last_heard: Timestamp,
    now: Timestamp,
    patience_ms: i64,
) -> Option<Signal> {
    let silent = now.ms_since(last_heard);
    if silent <= patience_ms {
        return None;
    }
    let severity = match silent > patience_ms.saturating_mul(4) {
        true => Severity::High,
        false => Severity::Moderate,
    };
    let (about, source) = (About::Issuer(Arc::clone(issuer)), Source::Stream(Arc::clone(issuer)));
    let id = format!("silent since {last_heard}");
    Some(Signal {
        detail: format!("{silent} ms; {patience_ms} are allowed").into(),
        ..Signal::new(about, Kind::StreamSilent, severity, source, id, now)
    })
}

#[cfg(test)]
mod tests;
