//! Reading the members of a JSON object by hand, where every microsecond counts, with errors
//! that name the field.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{NameError, Value};

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldProblem {
    /// It is required and absent.
    Missing,
    /// It is of another kind than it must be.
    WrongKind {
        /// What it is, in JSON's words.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// It is a text that cannot be the name it must be.
    Name(NameError),
    /// It is a word outside its vocabulary.
    UnknownWord {
        /// The word, cut to 64 characters.
        found: String,
        /// The vocabulary.
        allowed: &'static [&'static str],
    },
    /// It is a number or count over its limit.
    OverLimit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Nobody knows a field of that name.
    UnknownField {
        /// The known field that looks most like it.
        meant: Option<String>,
    },
    /// It does not fit for another reason.
    Other(String),
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::WrongKind { found, wanted } => write!(f, "is {found}, but must be {wanted}"),
            Self::Name(error) => write!(f, "does not fit: {error}"),
            Self::UnknownWord { found, allowed } => {
                write!(f, "is `{found}`, but must be one of {}", listed(allowed))
            }
            Self::OverLimit { what, limit } => write!(f, "has more {what} than {limit}"),
            Self::UnknownField { meant: None } => f.write_str("is no field here"),
            Self::UnknownField { meant: Some(meant) } => {
                write!(f, "is no field here; did you mean `{meant}`?")
            }
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

/// A field that does not fit, by its JSON Pointer: the caller is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pointer}` {problem}")]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field.
    pub pointer: String,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

impl FieldError {
    /// A problem at that pointer.
    pub fn new(pointer: impl Into<String>, problem: FieldProblem) -> Self {
        Self { pointer: pointer.into(), problem }
    }
}

/// The words of a vocabulary, for a message: `` `a`, `b` ``.
pub(crate) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A text cut to 64 characters, for a message.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}

/// A member's name as a part of a JSON Pointer (RFC 6901 section 3) in a message: cut to 64
/// characters, and with nothing in it that a terminal would act on.
pub(crate) fn token(name: &str) -> String {
    let printable = shown(name).replace(char::is_control, "\u{fffd}");
    printable.replace('~', "~0").replace('/', "~1")
}

/// The members of an object, taken out one by one.
#[derive(Debug)]
pub(crate) struct Fields {
    members: BTreeMap<Arc<str>, Value>,
    /// JSON Pointer to the object.
    at: String,
}

impl Fields {
    /// The members of a value that must be an object.
    pub(crate) fn of(value: Value, at: impl Into<String>) -> Result<Self, FieldError> {
        let at = at.into();
        match value {
            Value::Object(members) => Ok(Self { members, at }),
            other => Err(wrong_kind(at, &other, "an object")),
        }
    }

    /// JSON Pointer to a member.
    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// The member of that name, if there is one.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    /// An error within a member, whose pointer begins at that member.
    pub(crate) fn error_in(&self, name: &str, within: FieldError) -> FieldError {
        FieldError { pointer: self.pointer(name) + &within.pointer, ..within }
    }

    /// The error that says that a member is absent.
    pub(crate) fn missing(&self, name: &str) -> FieldError {
        FieldError::new(self.pointer(name), FieldProblem::Missing)
    }

    /// The member of that name, which must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<Value, FieldError> {
        self.take(name).ok_or_else(|| self.missing(name))
    }

    /// The members that nobody took.
    pub(crate) fn rest(self) -> BTreeMap<Arc<str>, Value> {
        self.members
    }

    /// Refuses members that nobody took.
    pub(crate) fn no_more(self) -> Result<(), FieldError> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => {
                let problem = FieldProblem::UnknownField { meant: None };
                Err(FieldError::new(self.pointer(&token(name)), problem))
            }
        }
    }

    /// The text of that name, which must be there.
    pub(crate) fn text(&mut self, name: &str) -> Result<Arc<str>, FieldError> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            other => Err(wrong_kind(self.pointer(name), &other, "a string")),
        }
    }

    /// The name of that name, which must be there.
    pub(crate) fn name<T>(
        &mut self,
        name: &str,
        make: fn(Arc<str>) -> Result<T, NameError>,
    ) -> Result<T, FieldError> {
        let text = self.text(name)?;
        make(text).map_err(|error| FieldError::new(self.pointer(name), FieldProblem::Name(error)))
    }

    /// The object of that name, if there is one.
    pub(crate) fn object(
        &mut self,
        name: &str,
    ) -> Result<Option<BTreeMap<Arc<str>, Value>>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(other) => Err(wrong_kind(self.pointer(name), &other, "an object")),
        }
    }
}

/// The error that says that a value is of another kind than it must be.
pub(crate) fn wrong_kind(
    pointer: impl Into<String>,
    value: &Value,
    wanted: &'static str,
) -> FieldError {
    FieldError::new(pointer, FieldProblem::WrongKind { found: value.kind(), wanted })
}
