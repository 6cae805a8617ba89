//! What a rule observed, before it is known whether it is new.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::{IdentityId, RecordId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::FindingKind;

/// Most records that are named as evidence of one finding: the newest.
pub const EVIDENCE_MAX: usize = 16;

/// Most names in one list of a finding's facts. How many there are is said beside it.
pub const LISTED_MAX: usize = 32;

/// Longest text among a finding's facts, in bytes. A longer one is cut.
pub const FACT_BYTES_MAX: usize = 256;

/// The name of a finding: 32 hexadecimal digits, the first half of SHA-256 over its kind and what
/// it is about. The same again is the same finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(Arc<str>);

impl FindingId {
    /// The finding of that kind about that.
    pub fn of(kind: FindingKind, subject: &Subject) -> Self {
        let mut hash = Sha256::new();
        let whom = subject.whom.as_ref().map_or("", |whom| whom.as_str());
        for part in [kind.as_str(), whom, subject.thing.as_str(), &subject.name] {
            // Length first, so that no two lists of texts feed the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let digits = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        Self(digits.collect::<String>().into())
    }

    /// The id of that text, where it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What sort of thing a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// An identity itself.
    Identity,
    /// A right of it, by what gives it: `statement NAME`, `intent NAME`.
    Grant,
    /// A policy.
    Policy,
    /// A registered token, by its id.
    Token,
    /// A lease, by its id.
    Lease,
    /// A task, by its id.
    Task,
    /// An intent, by its name.
    Intent,
    /// An action.
    Action,
}

impl Thing {
    /// Every sort.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Grant,
        Self::Policy,
        Self::Token,
        Self::Lease,
        Self::Task,
        Self::Intent,
        Self::Action,
    ];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Grant => "grant",
            Self::Policy => "policy",
            Self::Token => "token",
            Self::Lease => "lease",
            Self::Task => "task",
            Self::Intent => "intent",
            Self::Action => "action",
        }
    }

    /// The sort of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|thing| thing.as_str() == word)
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Whose it is, where it is somebody's.
    pub whom: Option<IdentityId>,
    /// What sort of thing.
    pub thing: Thing,
    /// Which one; empty where it is the identity itself.
    pub name: Arc<str>,
}

impl Subject {
    /// Something of somebody.
    pub fn of(whom: &IdentityId, thing: Thing, name: impl Into<Arc<str>>) -> Self {
        Self { whom: Some(whom.clone()), thing, name: name.into() }
    }

    /// Somebody.
    pub fn identity(whom: &IdentityId) -> Self {
        Self::of(whom, Thing::Identity, "")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.whom, self.thing) {
            (Some(whom), Thing::Identity) => write!(f, "{whom}"),
            (Some(whom), _) => write!(f, "{} {} of {whom}", self.thing.as_str(), self.name),
            (None, _) => write!(f, "{} {}", self.thing.as_str(), self.name),
        }
    }
}

/// One fact that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// A count, or a length of time with its unit in the fact's name.
    Number(u64),
    /// A name, a time (RFC 3339), a word.
    Text(String),
    /// Names: at most [`LISTED_MAX`].
    Texts(Vec<String>),
}

/// The facts that a finding rests on, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSheet(BTreeMap<String, Fact>);

impl FactSheet {
    /// With one more fact that is a text; an empty one is none.
    #[must_use]
    pub fn text(mut self, name: &str, text: impl AsRef<str>) -> Self {
        if !text.as_ref().is_empty() {
            self.0.insert(name.into(), Fact::Text(cut(text.as_ref())));
        }
        self
    }

    /// With one more fact that is a number.
    #[must_use]
    pub fn number(mut self, name: &str, number: u64) -> Self {
        self.0.insert(name.into(), Fact::Number(number));
        self
    }

    /// With one more fact that is a list, and how many it has where that is more than is shown;
    /// an empty one is none.
    #[must_use]
    pub fn texts<T: AsRef<str>>(mut self, name: &str, texts: impl IntoIterator<Item = T>) -> Self {
        let mut texts = texts.into_iter();
        let listed: Vec<String> =
            texts.by_ref().take(LISTED_MAX).map(|text| cut(text.as_ref())).collect();
        let more = texts.count() as u64;
        if more > 0 {
            self.0.insert(format!("{name}_more"), Fact::Number(more));
        }
        if !listed.is_empty() {
            self.0.insert(name.into(), Fact::Texts(listed));
        }
        self
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.0.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// One of them.
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.0.get(name)
    }
}

fn cut(text: &str) -> String {
    match text.len() > FACT_BYTES_MAX {
        true => {
            let end = text.floor_char_boundary(FACT_BYTES_MAX.saturating_sub(3));
            format!("{}…", text.get(..end).unwrap_or_default())
        }
        false => text.into(),
    }
}

/// Whether something is old enough to be held against anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is.
    Ripe,
    /// It is younger than the window: nothing is opened for it. What was found before and is
    /// still so, or has come back, is.
    Young,
}

/// What a rule observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What is wrong.
    pub kind: FindingKind,
    /// With what.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// What it rests on. Nothing in it changes while things stay as they are.
    pub facts: FactSheet,
    /// The records that show it: at most [`EVIDENCE_MAX`], the newest first.
    pub evidence: Vec<RecordId>,
    /// Whether it is old enough.
    pub age: Age,
}

impl Observed {
    /// What was observed, as bad as its kind is at least, and old enough.
    pub fn new(kind: FindingKind, subject: Subject, facts: FactSheet) -> Self {
        let severity = kind.severity();
        Self { kind, subject, severity, facts, evidence: Vec::new(), age: Age::Ripe }
    }

    /// At least that bad.
    #[must_use]
    pub fn at_least(mut self, severity: Severity) -> Self {
        self.severity = self.severity.max(severity);
        self
    }

    /// Shown by those records.
    #[must_use]
    pub fn shown_by<'r>(mut self, records: impl IntoIterator<Item = &'r RecordId>) -> Self {
        for record in records {
            if self.evidence.len() >= EVIDENCE_MAX {
                break;
            }
            if !self.evidence.contains(record) {
                self.evidence.push(record.clone());
            }
        }
        self
    }

    /// Its name.
    pub fn id(&self) -> FindingId {
        FindingId::of(self.kind, &self.subject)
    }
}

/// Something that could not be judged, because less is tracked than the rule needs. What was
/// found before stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// By which rule.
    pub kind: FindingKind,
    /// What.
    pub subject: Subject,
    /// How long the ledger has been counting, in milliseconds.
    pub tracked_ms: i64,
    /// How long it would have to, in milliseconds.
    pub needed_ms: i64,
}

/// What one look at the estate gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// What was observed.
    pub observed: Vec<Observed>,
    /// What could not be judged.
    pub not_judged: Vec<NotJudged>,
    /// Kinds of which not everything was looked at: that one was not observed says nothing.
    pub in_part: BTreeSet<FindingKind>,
    /// The same of one holder alone.
    pub of_in_part: BTreeSet<(FindingKind, IdentityId)>,
}

impl Looked {
    /// Whether a finding is over because nothing of it was observed: everything was looked at that
    /// could show it, and it is of a kind that ends by itself.
    pub fn would_have_shown(&self, kind: FindingKind, subject: &Subject) -> bool {
        let of = |whom: &IdentityId| self.of_in_part.contains(&(kind, whom.clone()));
        kind.ends_by_itself()
            && !self.in_part.contains(&kind)
            && !subject.whom.as_ref().is_some_and(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_kind_and_subject_alone() {
        let whom = IdentityId::new("agent").unwrap();
        let grant = |name: &str| Subject::of(&whom, Thing::Grant, name);
        let id = |kind, subject: &Subject| FindingId::of(kind, subject);
        let one = id(FindingKind::UnusedGrant, &grant("statement p"));
        assert_eq!(one, id(FindingKind::UnusedGrant, &grant("statement p")));
        assert_eq!(FindingId::parse(one.as_str()), Some(one.clone()));
        assert_ne!(one, id(FindingKind::OverBroadGrant, &grant("statement p")));
        assert_ne!(one, id(FindingKind::UnusedGrant, &grant("statement q")));
        let nobody = Subject { whom: None, ..grant("statement p") };
        assert_ne!(one, id(FindingKind::UnusedGrant, &nobody));
        assert_eq!(FindingId::parse("abc"), None);
        assert_eq!(FindingId::parse(&"G".repeat(32)), None);
        // Ids are kept in ledgers: they must never change.
        let known = id(FindingKind::DormantIdentity, &Subject::identity(&whom));
        assert_eq!(known.as_str(), "4455a7cc9c762f1143f3a59148a43bcb");
    }

    #[test]
    fn facts_are_bounded() {
        let long = "ä".repeat(FACT_BYTES_MAX);
        let sheet = FactSheet::default().text("long", &long).text("none", "");
        let Some(Fact::Text(text)) = sheet.fact("long") else { panic!("{sheet:?}") };
        assert!(text.len() <= FACT_BYTES_MAX && text.ends_with('…'));
        assert_eq!(sheet.fact("none"), None);
        let names = (0..LISTED_MAX + 3).map(|n| n.to_string());
        let sheet = FactSheet::default().texts("names", names);
        assert_eq!(sheet.fact("names_more"), Some(&Fact::Number(3)));
    }
}
