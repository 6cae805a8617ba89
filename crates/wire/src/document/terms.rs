//! The model's names and words, as they stand in documents.

use std::borrow::Cow;
use std::fmt;

use safeconduct_model::signal::{Kind, Severity};
use safeconduct_model::{
    ActionName, ArgumentRole, Category, Confidentiality, Decision, Depth, Digest, Effect, EntityId,
    EntityType, Execution, IdentityId, IdentityKind, IdentityStatus, ImportSource, Integrity,
    IntentName, KeyedDigest, LabelAt, LeaseId, Method, Mode, Obligation, OnBehalfOf, Overlap,
    PolicyEffect, PolicyId, RecordId, Role, ScheduleName, ServerName, SessionName, SessionScope,
    TargetName, TaskId, TaskState, Tier, Timestamp, TokenId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A model type that is written as a text of a certain format.
pub trait Text: Sized {
    /// The format's name in schemas.
    const FORMAT: &'static str;
    /// The value of a text, or what is wrong with it.
    ///
    /// # Errors
    /// A sentence for people.
    fn read(text: &str) -> Result<Self, String>;
    /// The text of the value.
    fn written(&self) -> Cow<'_, str>;
}

/// A model type that is written as one word of a vocabulary.
pub trait Vocabulary: Copy + 'static {
    /// What it is, for people.
    const WHAT: &'static str;
    /// Every word.
    fn words() -> Vec<&'static str>;
    /// The value of a word.
    fn of(word: &str) -> Option<Self>;
    /// The word of the value.
    fn word(self) -> &'static str;
}

/// A [`Text`] in a form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written<T>(pub T);

/// A [`Vocabulary`]'s value in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word<T>(pub T);

macro_rules! names {
    ($($name:ident = $format:literal),* $(,)?) => {$(
        impl Text for $name {
            const FORMAT: &'static str = $format;
            fn read(text: &str) -> Result<Self, String> {
                Self::new(text).map_err(|error| error.to_string())
            }
            fn written(&self) -> Cow<'_, str> {
                Cow::Borrowed(self.as_str())
            }
        }
    )*};
}

names! {
    ActionName = "action-name",
    EntityId = "entity-id",
    EntityType = "entity-type",
    IdentityId = "identity-id",
    IntentName = "intent-name",
    LeaseId = "lease-id",
    PolicyId = "policy-id",
    RecordId = "record-id",
    ScheduleName = "schedule-name",
    ServerName = "server-name",
    SessionName = "session-name",
    TaskId = "task-id",
    TargetName = "target-name",
    TokenId = "token-id",
}

impl Text for SessionScope {
    const FORMAT: &'static str = "session-scope";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

impl Text for Digest {
    const FORMAT: &'static str = "sha256-digest";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "this is no SHA-256 digest".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Text for KeyedDigest {
    const FORMAT: &'static str = "hmac-sha256-digest";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "this is no keyed SHA-256 digest".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Text for Timestamp {
    const FORMAT: &'static str = "timestamp";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "this is no point in time in UTC".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Text for Category {
    const FORMAT: &'static str = "category";
    fn read(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| "this is no category".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

impl Text for Obligation {
    const FORMAT: &'static str = "obligation";
    fn read(text: &str) -> Result<Self, String> {
        let obligation = Self::parse(text);
        if obligation.kind.is_empty() { Err("it names nothing".to_owned()) } else { Ok(obligation) }
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

macro_rules! vocabularies {
    ($($name:ident = $what:literal, $all:expr, $of:expr;)*) => {$(
        impl Vocabulary for $name {
            const WHAT: &'static str = $what;
            fn words() -> Vec<&'static str> {
                $all.iter().map(|value: &$name| value.as_str()).collect()
            }
            fn of(word: &str) -> Option<Self> {
                $of(word)
            }
            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )*};
}

/// The value among all whose word it is, for vocabularies without a parser of their own.
fn among<T: Vocabulary, const N: usize>(all: [T; N], word: &str) -> Option<T> {
    all.into_iter().find(|value| value.word() == word)
}

vocabularies! {
    Tier = "tier", Self::ALL, Self::parse;
    Effect = "effect", Self::ALL, Self::parse;
    Integrity = "integrity", Self::ALL, Self::parse;
    Confidentiality = "confidentiality", Self::ALL, Self::parse;
    ArgumentRole = "role of an argument", Self::ALL, Self::parse;
    IdentityKind = "kind of identity", Self::ALL, Self::parse;
    IdentityStatus = "status of an identity", Self::ALL, Self::parse;
    ImportSource = "word", Self::ALL, Self::parse;
    Role = "role", Self::ALL, Self::parse;
    LabelAt = "word", Self::ALL, Self::parse;
    Execution = "outcome", Self::ALL, Self::parse;
    TaskState = "state of a task", Self::ALL, Self::parse;
    Kind = "kind of signal", Self::ALL, Self::parse;
    Severity = "severity", Self::ALL, Self::parse;
    Depth = "depth", Self::ALL, |word| among(Self::ALL, word);
    OnBehalfOf = "word", Self::ALL, |word| among(Self::ALL, word);
    Overlap = "word", Self::ALL, |word| among(Self::ALL, word);
    Decision = "decision", [Self::Permit, Self::Deny],
        |word| among([Self::Permit, Self::Deny], word);
    PolicyEffect = "effect of a policy", [Self::Permit, Self::Forbid],
        |word| among([Self::Permit, Self::Forbid], word);
    Method = "method of proof", [Self::ApiKey, Self::LocalPeer, Self::PepAssertion],
        |word| among([Self::ApiKey, Self::LocalPeer, Self::PepAssertion], word);
    Mode = "mode", [Self::Enforce, Self::Observe],
        |word| among([Self::Enforce, Self::Observe], word);
}

impl<T: Text> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.written())
    }
}

impl<'de, T: Text> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        T::read(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<T: Text> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::FORMAT.into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": T::FORMAT})
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        let unknown = || D::Error::custom(format_args!("no {} has this word", T::WHAT));
        T::of(&word).map(Self).ok_or_else(unknown)
    }
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::WHAT.into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": T::words()})
    }
}

impl<T: Text> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.written())
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}
