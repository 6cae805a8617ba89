//! Signals: what was observed about someone. What is made of them is for crate `risk`.

use std::fmt;
use std::sync::Arc;

use crate::{IdentityId, KillScope, NAME_BYTES_MAX, SessionKey, SessionScope, TaskId, Timestamp};

/// Longest [`Signal::id`], in bytes: the `jti` of a security event may be that long.
pub const SIGNAL_ID_BYTES_MAX: usize = 2048;

/// Longest [`Signal::topic`], in bytes: the names of two actions.
pub const TOPIC_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + 8;

/// Longest [`Signal::detail`], in bytes.
pub const DETAIL_BYTES_MAX: usize = 512;

/// Longest life of a signal, in milliseconds: 90 days.
pub const LIFETIME_MS_MAX: i64 = 90 * DAY;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// One observation about someone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal {
    /// About whom.
    pub about: About,
    /// What was seen.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// How sure its source is.
    pub confidence: Confidence,
    /// Who says so.
    pub source: Source,
    /// What it is about more exactly, where there is something: an action, a device, the
    /// namespace of a level. At most [`TOPIC_BYTES_MAX`] bytes.
    pub topic: Arc<str>,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// From when on it counts for nothing. At most [`LIFETIME_MS_MAX`] after it was seen.
    pub expires_at: Timestamp,
    /// Its name at its source: a record's id, a `jti`. At most [`SIGNAL_ID_BYTES_MAX`] bytes.
    pub id: Arc<str>,
    /// For people: counts and thresholds, never values. At most [`DETAIL_BYTES_MAX`] bytes.
    pub detail: Arc<str>,
}

impl Signal {
    /// A signal that its source is sure of, without topic and detail, that ends when nothing is
    /// left of it.
    pub fn new(
        about: About,
        kind: Kind,
        severity: Severity,
        source: Source,
        id: impl Into<Arc<str>>,
        observed_at: Timestamp,
    ) -> Self {
        let expires_at = observed_at.plus_ms(kind.lifetime_ms());
        let (topic, detail) = (Arc::default(), Arc::default());
        let (confidence, id) = (Confidence::CERTAIN, id.into());
        Self {
            about,
            kind,
            severity,
            confidence,
            source,
            topic,
            observed_at,
            expires_at,
            id,
            detail,
        }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// [`SignalError`]: whoever made the signal is at fault.
    pub fn check(&self) -> Result<(), SignalError> {
        let limits = [
            ("id", self.id.len(), SIGNAL_ID_BYTES_MAX),
            ("topic", self.topic.len(), TOPIC_BYTES_MAX),
            ("detail", self.detail.len(), DETAIL_BYTES_MAX),
        ];
        for (what, bytes, limit) in limits {
            if bytes > limit {
                return Err(SignalError::TooLong { what, bytes, limit });
            }
        }
        if self.id.is_empty() {
            return Err(SignalError::Nameless);
        }
        let life = self.expires_at.ms_since(self.observed_at);
        if !(1..=LIFETIME_MS_MAX).contains(&life) {
            return Err(SignalError::Lifetime { ms: life });
        }
        Ok(())
    }

    /// What must stop at once, as if the kill switch had been used: where the one who vouches for
    /// a subject has taken their word back. It says nothing of when that ends; a later word that
    /// an account is enabled lifts no kill.
    pub fn stops(&self) -> Option<KillScope> {
        if !self.kind.is_revoking() || self.severity == Severity::Info {
            return None;
        }
        match &self.about {
            About::Identity(id) | About::User(id) => Some(KillScope::Identity(id.clone())),
            About::Session(session) => Some(KillScope::Session(session.clone())),
            About::Task(task) => Some(KillScope::Task(task.clone())),
            // One word of a transmitter does not stop everyone it ever spoke of.
            About::Issuer(_) => None,
        }
    }
}

/// Why a signal is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalError {
    /// A text of it is too long.
    TooLong {
        /// Which one.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It has no id, so that the same one again could not be told from another.
    Nameless,
    /// It ends before it was seen, or lives too long.
    Lifetime {
        /// How long, in milliseconds; 0 where it ends before it was seen.
        ms: i64,
    },
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { what, bytes, limit } => {
                write!(
                    f,
                    "the {what} of a signal has {bytes} bytes, more than the limit of {limit}"
                )
            }
            Self::Nameless => f.write_str("a signal has no id"),
            Self::Lifetime { ms } => {
                write!(f, "a signal lives {ms} ms, not between 1 and {LIFETIME_MS_MAX}")
            }
        }
    }
}

impl std::error::Error for SignalError {}

/// About whom a signal speaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// Someone who acts.
    Identity(IdentityId),
    /// One session.
    Session(SessionKey),
    /// One task.
    Task(TaskId),
    /// Someone on whose behalf others act.
    User(IdentityId),
    /// Everyone for whom an issuer vouches.
    Issuer(Arc<str>),
}

impl About {
    /// The word for the kind of subject.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Session(_) => "session",
            Self::Task(_) => "task",
            Self::User(_) => "user",
            Self::Issuer(_) => "issuer",
        }
    }

    /// The name of the subject, as [`About::word`] says what it is.
    pub fn name(&self) -> String {
        match self {
            Self::Identity(id) | Self::User(id) => id.to_string(),
            Self::Session(session) => session.to_string(),
            Self::Task(task) => task.to_string(),
            Self::Issuer(issuer) => issuer.to_string(),
        }
    }

    /// Everything whose signals concern what is done in a session, on behalf of that user. The
    /// same name counts for one who acts and for one on whose behalf others act: a transmitter
    /// does not know the difference. Tasks above that of the session are for the caller to add.
    pub fn concerned(session: &SessionKey, on_behalf_of: Option<&IdentityId>) -> Vec<Self> {
        // Room for everyone of a task without delegation.
        let mut all = Vec::with_capacity(8);
        all.extend([Self::Session(session.clone())]);
        if let SessionScope::Task(task) = &session.scope {
            all.push(Self::Task(task.clone()));
        }
        let others = on_behalf_of.filter(|user| **user != session.identity);
        for id in std::iter::once(&session.identity).chain(others) {
            all.push(Self::Identity(id.clone()));
            all.push(Self::User(id.clone()));
            if let Some(issuer) = issuer_named(id) {
                let issuer = Self::Issuer(issuer.into());
                if !all.contains(&issuer) {
                    all.push(issuer);
                }
            }
        }
        all
    }
}

/// Whose subject an identity is by its name: the issuer of `ISSUER|SUBJECT`, the trust domain of a
/// SPIFFE ID. Of any other, only trust records tell.
pub fn issuer_named(id: &IdentityId) -> Option<&str> {
    const SPIFFE: &str = "spiffe://";
    let name = id.as_str();
    match name.strip_prefix(SPIFFE) {
        Some(rest) => {
            let domain = rest.split('/').next().map_or(0, str::len);
            name.get(..SPIFFE.len() + domain)
        }
        None => name.split_once('|').map(|(issuer, _)| issuer),
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.word())?;
        match self {
            Self::Identity(id) | Self::User(id) => write!(f, "{id}"),
            Self::Session(session) => write!(f, "{session}"),
            Self::Task(task) => write!(f, "{task}"),
            Self::Issuer(issuer) => f.write_str(issuer),
        }
    }
}

/// How bad it is. Each has a weight, which is what the score of one such signal is, alone and
/// fresh and certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing bad: 0. It takes the place of something worse that the same source said before.
    Info,
    /// 15.
    Low,
    /// 35.
    Moderate,
    /// 65.
    High,
    /// 90.
    Critical,
}

impl Severity {
    /// Every severity, lowest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Moderate, Self::High, Self::Critical];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

/// How sure a source is: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(u8);

impl Confidence {
    /// There is no doubt.
    pub const CERTAIN: Self = Self(100);

    /// So many in a hundred; more than 100 are 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// So many in a hundred.
    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A detector of ours, over the ledger.
    Detector,
    /// A stream of security events, by its issuer.
    Stream(Arc<str>),
    /// A webhook, by its name.
    Webhook(Arc<str>),
    /// Someone who told us by API or command line.
    Person(IdentityId),
}

impl Source {
    /// The word for the kind of source.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Stream(_) => "stream",
            Self::Webhook(_) => "webhook",
            Self::Person(_) => "person",
        }
    }

    /// Which one of that kind, where there are several.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Detector => None,
            Self::Stream(name) | Self::Webhook(name) => Some(name),
            Self::Person(id) => Some(id.as_str()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        self.name().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $half:expr;)*) => {
        /// What was seen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $variant),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it on every wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The kind of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// After how many milliseconds half of it is left, where nothing else is said.
            pub const fn half_life_ms(self) -> i64 {
                match self { $(Self::$variant => $half),* }
            }
        }
    };
}

kinds! {
    /// A session was revoked by who vouches for it.
    SessionRevoked = "session_revoked", DAY;
    /// An account was disabled.
    AccountDisabled = "account_disabled", 7 * DAY;
    /// An account is gone for good.
    AccountPurged = "account_purged", 7 * DAY;
    /// An account may be used again.
    AccountEnabled = "account_enabled", HOUR;
    /// A credential was added, changed, taken back or removed.
    CredentialChanged = "credential_changed", 6 * HOUR;
    /// Its holder must change a credential.
    CredentialChangeRequired = "credential_change_required", 3 * DAY;
    /// Somebody else has a credential.
    CredentialCompromised = "credential_compromised", 7 * DAY;
    /// A device became, or is no longer, as it must be.
    DeviceCompliance = "device_compliance", 7 * DAY;
    /// How sure the issuer is of who it is rose or fell.
    AssuranceLevel = "assurance_level", DAY;
    /// Claims of a token that was issued are no longer true.
    ClaimsChanged = "claims_changed", HOUR;
    /// Somebody else's score changed.
    RiskLevel = "risk_level", DAY;
    /// An identifier is another, or somebody else's.
    IdentifierChanged = "identifier_changed", DAY;
    /// The recovery of an account began, or its means changed.
    Recovery = "recovery", DAY;
    /// A stream of security events has fallen silent, or was paused or ended by its transmitter.
    StreamSilent = "stream_silent", HOUR;
    /// What a webhook or a person reported.
    Reported = "reported", 4 * HOUR;
    /// Many calls in a short time.
    Burst = "burst", 10 * MINUTE;
    /// An action that was never seen of this identity and intent.
    UnseenAction = "unseen_action", HOUR;
    /// A class of resource that was never seen of this identity and intent.
    UnseenResource = "unseen_resource", HOUR;
    /// Two actions in a row that were never seen in a row.
    UnseenPair = "unseen_pair", 30 * MINUTE;
    /// Denials one after the other.
    DenialStreak = "denial_streak", 30 * MINUTE;
    /// An hour of the day at which this identity and intent do next to nothing.
    UnusualHour = "unusual_hour", 2 * HOUR;
    /// Many more calls in an hour than usual.
    UnusualVolume = "unusual_volume", HOUR;
    /// Many tasks below one.
    FanOut = "fan_out", HOUR;
    /// A credential was used after its task had ended.
    UsedAfterEnd = "used_after_end", DAY;
    /// What is done under an intent is no longer what was done.
    Drift = "drift", 4 * HOUR;
    /// One session went on from two networks within a short time.
    TwoPlaces = "two_places", HOUR;
}

impl Kind {
    /// Whether it says how something stands, rather than that something happened: of what one
    /// source says of one topic, the newest alone counts.
    pub const fn is_level(self) -> bool {
        matches!(
            self,
            Self::DeviceCompliance | Self::AssuranceLevel | Self::RiskLevel | Self::StreamSilent
        )
    }

    /// Whether it takes back what everything rests on.
    pub const fn is_revoking(self) -> bool {
        matches!(self, Self::SessionRevoked | Self::AccountDisabled | Self::AccountPurged)
    }

    /// How long a signal of it lives where nothing else is said, in milliseconds: until nothing
    /// is left of the worst one.
    pub const fn lifetime_ms(self) -> i64 {
        let life = 18 * self.half_life_ms();
        if life > LIFETIME_MS_MAX { LIFETIME_MS_MAX } else { life }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        for severity in Severity::ALL {
            assert_eq!(Severity::parse(severity.as_str()), Some(severity));
        }
    }

    #[test]
    fn a_revoking_signal_stops_what_it_speaks_of() {
        let id = IdentityId::new("https://idp|ada").unwrap();
        let at = Timestamp::from_millis(0);
        let signal = |about: &About, kind, severity| {
            Signal::new(about.clone(), kind, severity, Source::Detector, "x", at).stops()
        };
        let user = About::User(id.clone());
        let stopped = Some(KillScope::Identity(id.clone()));
        assert_eq!(signal(&user, Kind::AccountDisabled, Severity::Critical), stopped);
        assert_eq!(signal(&user, Kind::SessionRevoked, Severity::Info), None);
        assert_eq!(signal(&user, Kind::Drift, Severity::Critical), None);
        let task = TaskId::new("task_1").unwrap();
        let stopped = Some(KillScope::Task(task.clone()));
        assert_eq!(signal(&About::Task(task), Kind::SessionRevoked, Severity::Critical), stopped);
        let issuer = About::Issuer("https://idp".into());
        assert_eq!(signal(&issuer, Kind::SessionRevoked, Severity::Critical), None);
    }

    #[test]
    fn a_decision_concerns_its_session_task_agent_user_and_their_issuers() {
        let agent = IdentityId::new("spiffe://example.org/a").unwrap();
        let user = IdentityId::new("https://idp|ada").unwrap();
        let session = SessionKey::task(agent, TaskId::new("task_1").unwrap());
        let said: Vec<_> =
            About::concerned(&session, Some(&user)).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "session spiffe://example.org/a#task_1",
                "task task_1",
                "identity spiffe://example.org/a",
                "user spiffe://example.org/a",
                "issuer spiffe://example.org",
                "identity https://idp|ada",
                "user https://idp|ada",
                "issuer https://idp",
            ]
        );
    }
}
