//! Intents: named purposes, with the most that may be done under them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::{
    Allowance, Authority, Budget, IdentityId, IdentityKind, ScheduleName, TargetName, Tier,
    Timestamp, Value,
};

/// Most intents of a project.
pub const INTENTS_MAX: usize = 10_000;

/// Most parameters of an intent.
pub const PARAMETERS_MAX: usize = 32;

/// Longest text that a parameter may hold, in bytes.
pub const PARAMETER_BYTES_MAX: usize = 4096;

/// Longest time that a task may last, in seconds: 30 days.
pub const DURATION_S_MAX: u32 = 30 * 24 * 3600;

/// A named, versioned purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its name.
    pub name: crate::IntentName,
    /// Its version, from 1; a change of what it allows is a new version.
    pub version: u32,
    /// What it is for, in a sentence.
    pub description: Arc<str>,
    /// What is said when it is undertaken.
    pub parameters: BTreeMap<Arc<str>, Parameter>,
    /// What may be done under it.
    pub envelope: Vec<Allowance<Term>>,
    /// How much of it.
    pub budget: Budget,
    /// Whether it is undertaken for a person.
    pub on_behalf_of: OnBehalfOf,
    /// The longest time that it may last, in seconds; at most [`DURATION_S_MAX`].
    pub longest_s: u32,
    /// After how many seconds without a decision its task expires.
    pub idle_s: u32,
    /// The highest tier that needs nobody's approval.
    pub tier_max: Tier,
    /// How many levels of delegation may follow; at most [`crate::DEPTH_MAX`].
    pub delegation_depth: u8,
    /// What its tasks may get leases of: grants by target, as the configuration names them.
    pub credentials: BTreeMap<TargetName, BTreeSet<Arc<str>>>,
    /// Who may undertake it.
    pub undertakers: Undertakers,
    /// Standing rights to undertake it again and again, with parameters that are fixed; at most
    /// [`SCHEDULES_MAX`].
    pub schedules: BTreeMap<ScheduleName, Schedule>,
}

/// Most schedules of an intent.
pub const SCHEDULES_MAX: usize = 64;

/// Most runs of a schedule at one time.
pub const RUNS_MAX: u32 = 1000;

/// A scheduled job's standing right to undertake an intent: one task per run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Whose right it is; they begin each run themselves, and act in it.
    pub identity: IdentityId,
    /// The parameters of each run, in the words of the operator who wrote them.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// What each run is told.
    pub prompt: Option<Arc<str>>,
    /// For whom, who must have delegated the intent.
    pub on_behalf_of: Option<IdentityId>,
    /// How many runs there may be at one time: 1 to [`RUNS_MAX`].
    pub at_once: u32,
    /// What happens where there are as many already.
    pub overlap: Overlap,
}

/// What happens to a run that would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// It is refused.
    Refuse,
    /// The oldest run is ended for it.
    Replace,
}

impl Overlap {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Replace];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
        }
    }
}

/// Whether an intent is undertaken for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnBehalfOf {
    /// Always.
    Required,
    /// Where the one who begins the task says so.
    Optional,
    /// Never.
    Never,
}

impl OnBehalfOf {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Required, Self::Optional, Self::Never];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Never => "never",
        }
    }
}

/// Who may undertake an intent: whoever fits one of the lists. Empty lists let nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undertakers {
    /// These identities.
    pub identities: BTreeSet<IdentityId>,
    /// Members of these groups.
    pub groups: BTreeSet<String>,
    /// Every identity of these kinds.
    pub kinds: BTreeSet<IdentityKind>,
}

impl Undertakers {
    /// Whether an identity is among them.
    pub fn include(&self, identity: &crate::Identity) -> bool {
        self.identities.contains(&identity.id)
            || self.kinds.contains(&identity.kind)
            || !self.groups.is_disjoint(&identity.groups)
    }
}

/// What is said of an undertaking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What it must be.
    pub ty: ParameterType,
    /// What it is where nobody says it; without one it must be said.
    pub default: Option<Value>,
    /// What it is for.
    pub description: Option<Arc<str>>,
}

/// What a parameter must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterType {
    /// Any text, of at most so many bytes.
    Text {
        /// The limit, at most [`PARAMETER_BYTES_MAX`].
        bytes_max: usize,
    },
    /// Letters, digits, `.`, `_` and `-`, at most 128, not `.` or `..`: safe as one segment of a
    /// path.
    Identifier,
    /// An integer.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number.
    Number,
    /// A truth value.
    Boolean,
    /// One of these texts.
    OneOf(Vec<Arc<str>>),
}

impl ParameterType {
    /// The word for it in intents.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Identifier => "identifier",
            Self::Integer { .. } => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::OneOf(_) => "one_of",
        }
    }

    /// Whether its values may stand beside other text without changing what that means.
    pub const fn interpolates(&self) -> bool {
        matches!(self, Self::Identifier | Self::Integer { .. })
    }

    /// What is wrong with a value, in words; `None` where it fits.
    pub fn problem(&self, value: &Value) -> Option<String> {
        let wanted = |what: &str| Some(format!("must be {what}, not {}", value.kind()));
        match (self, value) {
            (Self::Text { bytes_max }, Value::String(text)) => (text.len() > *bytes_max)
                .then(|| format!("has {} bytes, more than {bytes_max}", text.len())),
            (Self::Text { .. }, _) => wanted("a text"),
            (Self::Identifier, Value::String(text)) => (!is_identifier(text)).then(|| {
                "must be 1 to 128 letters, digits, `.`, `_` or `-`, and not `.` or `..`".into()
            }),
            (Self::Identifier, _) => wanted("a text"),
            (Self::Integer { min, max }, Value::Integer(n)) => {
                (n < min || n > max).then(|| format!("must lie between {min} and {max}"))
            }
            (Self::Integer { .. }, _) => wanted("an integer"),
            (Self::Number, Value::Integer(_) | Value::Number(_))
            | (Self::Boolean, Value::Bool(_)) => None,
            (Self::Number, _) => wanted("a number"),
            (Self::Boolean, _) => wanted("true or false"),
            (Self::OneOf(choices), Value::String(text)) => (!choices.contains(text)).then(|| {
                let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                format!("must be one of {}", choices.join(", "))
            }),
            (Self::OneOf(_), _) => wanted("a text"),
        }
    }
}

fn is_identifier(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".."
}

/// What an envelope compares with: known once the parameters are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A value.
    Literal(Value),
    /// A parameter, as it is.
    Parameter(Arc<str>),
    /// Text with parameters in it; only of types that [`ParameterType::interpolates`].
    Text(Vec<Piece>),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Literal(Arc<str>),
    /// The parameter's text.
    Parameter(Arc<str>),
}

impl Term {
    /// The parameters that it refers to.
    pub fn parameters(&self) -> Vec<&Arc<str>> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Parameter(name) => vec![name],
            Self::Text(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Literal(_) => None,
                    Piece::Parameter(name) => Some(name),
                })
                .collect(),
        }
    }

    /// What it is with these parameters.
    ///
    /// # Errors
    /// [`UndertakeError`] where a parameter that it refers to is not there, or is no text that may
    /// stand within one.
    pub fn value(&self, parameters: &BTreeMap<Arc<str>, Value>) -> Result<Value, UndertakeError> {
        let known = |name: &Arc<str>| {
            parameters.get(name).ok_or_else(|| UndertakeError::Missing(Arc::clone(name)))
        };
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Parameter(name) => known(name)?.clone(),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Parameter(name) => match known(name)? {
                            Value::String(value) => text.push_str(value),
                            Value::Integer(n) => text.push_str(&n.to_string()),
                            _ => return Err(UndertakeError::NoText(Arc::clone(name))),
                        },
                    }
                }
                text.into()
            }
        })
    }
}

/// Why an intent cannot be undertaken with these parameters: the fault of the one who begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndertakeError {
    /// A parameter is not said.
    Missing(Arc<str>),
    /// A parameter that the intent does not have.
    Unknown(Arc<str>),
    /// A parameter does not fit.
    Unfit {
        /// Which one.
        parameter: Arc<str>,
        /// What is wrong with it.
        problem: String,
    },
    /// The intent's author's fault: a parameter that is no text stands within one.
    NoText(Arc<str>),
}

impl fmt::Display for UndertakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "parameter `{name}` is missing"),
            Self::Unknown(name) => write!(f, "the intent has no parameter `{name}`"),
            Self::Unfit { parameter, problem } => write!(f, "parameter `{parameter}` {problem}"),
            Self::NoText(name) => write!(f, "parameter `{name}` cannot stand within a text"),
        }
    }
}

impl std::error::Error for UndertakeError {}

impl Intent {
    /// The parameters of an undertaking, each checked, with defaults filled in.
    ///
    /// # Errors
    /// [`UndertakeError`] names the first that does not fit.
    pub fn parameters(
        &self,
        said: &BTreeMap<Arc<str>, Value>,
    ) -> Result<BTreeMap<Arc<str>, Value>, UndertakeError> {
        if let Some(name) = said.keys().find(|name| !self.parameters.contains_key(*name)) {
            return Err(UndertakeError::Unknown(Arc::clone(name)));
        }
        let checked = self.parameters.iter().map(|(name, parameter)| {
            let value = said.get(name).or(parameter.default.as_ref());
            let value = value.ok_or_else(|| UndertakeError::Missing(Arc::clone(name)))?;
            match parameter.ty.problem(value) {
                None => Ok((Arc::clone(name), value.clone())),
                Some(problem) => {
                    Err(UndertakeError::Unfit { parameter: Arc::clone(name), problem })
                }
            }
        });
        checked.collect()
    }

    /// The authority of a task that undertakes it until `deadline`, with parameters that
    /// [`Intent::parameters`] has checked.
    ///
    /// # Errors
    /// [`UndertakeError`] where the envelope refers to a parameter that is not there.
    pub fn authority(
        &self,
        parameters: &BTreeMap<Arc<str>, Value>,
        deadline: Timestamp,
    ) -> Result<Authority, UndertakeError> {
        let value = |term: &Term| term.value(parameters);
        Ok(Authority {
            allowances: self
                .envelope
                .iter()
                .map(|allowance| allowance.try_map(value))
                .collect::<Result<_, _>>()?,
            budget: self.budget.clone(),
            tier_max: self.tier_max,
            deadline,
            depth_left: self.delegation_depth,
            credentials: self.credentials.clone(),
        })
    }
}

/// All intents that may be undertaken, each version of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intents {
    /// The versions of each, at most [`INTENTS_MAX`] in all; none is without a version.
    pub versions: BTreeMap<crate::IntentName, BTreeMap<u32, Intent>>,
    /// SHA-256 over the canonical bytes of all of them, in their public form.
    pub digest: crate::Digest,
}

impl Intents {
    /// No intent at all.
    pub const fn none() -> Self {
        Self { versions: BTreeMap::new(), digest: crate::Digest::from_bytes([0; 32]) }
    }

    /// The version of that number, or the highest where none is named.
    pub fn version(&self, name: &crate::IntentName, version: Option<u32>) -> Option<&Intent> {
        let versions = self.versions.get(name)?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, intent)| intent),
        }
    }

    /// The schedule of that name, with its intent: of the highest version that has it. No two
    /// intents have schedules of one name.
    pub fn schedule(&self, name: &ScheduleName) -> Option<(&Intent, &Schedule)> {
        self.versions.values().find_map(|versions| {
            let of = |intent: &'_ Intent| intent.schedules.contains_key(name);
            let intent = versions.values().rev().find(|intent| of(intent))?;
            Some((intent, intent.schedules.get(name)?))
        })
    }

    /// Every version of every intent, by name and then by version.
    pub fn iter(&self) -> impl Iterator<Item = &Intent> {
        self.versions.values().flat_map(BTreeMap::values)
    }
}
