//! Many questions at once: `POST /access/v1/evaluations` (section 7).

use safeconduct_model::{Decision, Value};

use super::question::{AuthzenError, Evaluation, Parts};
use crate::field::{FieldError, FieldProblem, Fields, shown, wrong_kind};
use crate::json;

/// Most questions in one batch. More is the caller's error.
pub const EVALUATIONS_MAX: usize = 1000;

/// Most values that a batch may repeat by its defaults: values in them times questions. It keeps
/// a small body from becoming a large amount of work.
pub const REPEATED_VALUES_MAX: usize = 200_000;

/// When a batch stops (section 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantic {
    /// It does not: every question is answered.
    #[default]
    ExecuteAll,
    /// After the first Deny or failure; the answers end with it.
    DenyOnFirstDeny,
    /// After the first Permit; the answers end with it.
    PermitOnFirstPermit,
}

impl Semantic {
    const WORDS: &[&str] = &["execute_all", "deny_on_first_deny", "permit_on_first_permit"];

    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExecuteAll => "execute_all",
            Self::DenyOnFirstDeny => "deny_on_first_deny",
            Self::PermitOnFirstPermit => "permit_on_first_permit",
        }
    }

    /// The semantic of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::ExecuteAll, Self::DenyOnFirstDeny, Self::PermitOnFirstPermit]
            .into_iter()
            .find(|semantic| semantic.as_str() == word)
    }

    /// Whether the batch stops after such an answer. A failure counts as a Deny.
    pub const fn stops_after(self, decision: Decision) -> bool {
        matches!(
            (self, decision),
            (Self::DenyOnFirstDeny, Decision::Deny) | (Self::PermitOnFirstPermit, Decision::Permit)
        )
    }
}

/// What the body of an evaluations request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluations {
    /// One question, answered as the evaluation endpoint does: `evaluations` is absent or empty.
    Single(Box<Evaluation>),
    /// Many.
    Batch(Batch),
}

/// Many questions, each with the defaults where it says nothing of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When to stop.
    pub semantic: Semantic,
    /// The questions in order. One that is no question is answered with a Deny that carries the
    /// error; the others are not touched by it (section 7.2.1).
    pub items: Vec<Result<Evaluation, FieldError>>,
}

impl Evaluations {
    /// Reads the body of an evaluations request.
    ///
    /// # Errors
    /// [`AuthzenError`] where the whole is unusable: no strict JSON, an ill-typed default, an
    /// unknown semantic, more than [`EVALUATIONS_MAX`] questions.
    pub fn parse(body: &[u8]) -> Result<Self, AuthzenError> {
        Ok(Self::from_value(json::parse(body)?)?)
    }

    /// Reads an evaluations request from a value.
    ///
    /// # Errors
    /// [`FieldError`] names what makes the whole unusable.
    pub fn from_value(value: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::of(value, "")?;
        let items = match fields.take("evaluations") {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(wrong_kind("/evaluations", &other, "an array")),
        };
        let semantic = semantic(&mut fields)?;
        let defaults = Parts::read(&mut fields)?;
        if items.is_empty() {
            return Ok(Self::Single(Box::new(defaults.complete(&fields)?)));
        }
        bounded(items.len(), "evaluations", EVALUATIONS_MAX)?;
        let repeated = items.len().saturating_mul(defaults.values());
        bounded(repeated, "values repeated from the defaults", REPEATED_VALUES_MAX)?;
        let items = items.into_iter().enumerate().map(|(index, item)| {
            let mut fields = Fields::of(item, format!("/evaluations/{index}"))?;
            Parts::read(&mut fields)?.or(&defaults).complete(&fields)
        });
        Ok(Self::Batch(Batch { semantic, items: items.collect() }))
    }
}

fn bounded(count: usize, what: &'static str, limit: usize) -> Result<(), FieldError> {
    if count <= limit {
        return Ok(());
    }
    let problem = FieldProblem::OverLimit { what, limit: limit as u64 };
    Err(FieldError::new("/evaluations", problem))
}

fn semantic(fields: &mut Fields) -> Result<Semantic, FieldError> {
    const AT: &str = "/options/evaluations_semantic";
    let Some(options) = fields.take("options") else {
        return Ok(Semantic::default());
    };
    let mut options = Fields::of(options, "/options")?;
    match options.take("evaluations_semantic") {
        None => Ok(Semantic::default()),
        Some(Value::String(word)) => Semantic::parse(&word).ok_or_else(|| {
            let problem =
                FieldProblem::UnknownWord { found: shown(&word), allowed: Semantic::WORDS };
            FieldError::new(AT, problem)
        }),
        Some(other) => Err(wrong_kind(AT, &other, "a string")),
    }
}
