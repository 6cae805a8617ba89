//! `POST /v1/decisions/{id}/outcome`: what then happened, from enforcement points that perform
//! the action themselves.
//!
//! ```
//! use safeconduct_model::Execution;
//! use safeconduct_wire::outcome;
//!
//! let report = outcome::parse(br#"{"outcome": "failed", "detail": "timeout", "duration_ms": 9}"#)?;
//! assert_eq!(report.execution, Execution::Failed);
//!
//! let error = outcome::parse(br#"{"outcome": "fialed"}"#).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "`/outcome`: `fialed` is not one of `succeeded`, `failed`, `not_executed`, `unknown` \
//!      (did you mean `failed`?)",
//! );
//! # Ok::<(), safeconduct_wire::document::FormError>(())
//! ```

use std::sync::Arc;

use safeconduct_model::{Edit, Execution, Obligation, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{FormError, Word, read_value};
use crate::json;

/// What then happened to a permitted action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub execution: Execution,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The result, exactly as it was sent: for its digest, and to keep where the catalogue says
    /// so.
    pub result: Option<Value>,
    /// Why it failed or is unknown.
    pub detail: Option<Arc<str>>,
    /// Obligations that were carried out, with how many values each changed.
    pub edits: Vec<Edit>,
}

/// The body of an outcome report.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeForm {
    /// What happened.
    pub outcome: Word<Execution>,
    /// How long it took, in milliseconds.
    #[schemars(range(max = 604_800_000))]
    pub duration_ms: Option<u64>,
    /// What came of it: any JSON value.
    #[expect(dead_code, reason = "taken from the exact value instead")]
    result: Option<serde_json::Value>,
    /// Why it failed or is unknown.
    pub detail: Option<DetailWord>,
    /// Obligations that were carried out.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub edits: Vec<EditForm>,
}

/// Why an action failed, or nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetailWord {
    /// The target said that it failed.
    UpstreamError,
    /// The target did not answer in time.
    Timeout,
    /// The target went away.
    UpstreamGone,
    /// Who asked for it went away.
    ClientGone,
    /// The result was over a limit.
    TooLarge,
    /// The result could not be read.
    Malformed,
}

impl DetailWord {
    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::UpstreamGone => "upstream_gone",
            Self::ClientGone => "client_gone",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
        }
    }
}

/// An obligation that was carried out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditForm {
    /// The obligation, by the `id` that the decision gave it: `redact:$.ssn`.
    #[schemars(length(min = 1, max = 1024))]
    pub obligation: String,
    /// How many values it changed.
    pub values: u32,
}

/// Reads the body of an outcome report.
///
/// # Errors
/// [`FormError`] names every field that does not fit: the caller is at fault.
pub fn parse(body: &[u8]) -> Result<Report, FormError> {
    let value = json::parse(body)?;
    let form: OutcomeForm = read_value(&value)?;
    Ok(Report {
        execution: form.outcome.0,
        duration_ms: form.duration_ms,
        result: value.member("result").cloned(),
        detail: form.detail.map(|word| word.as_str().into()),
        edits: form
            .edits
            .into_iter()
            .map(|edit| Edit {
                obligation: Obligation::parse(&edit.obligation),
                values: edit.values.into(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_keeps_its_numbers() {
        let body = br#"{"outcome":"succeeded","result":{"a":1.50},
                        "edits":[{"obligation":"redact:$.ssn","values":2}]}"#;
        let report = parse(body).unwrap();
        assert_eq!(json::to_text(&report.result.unwrap()), r#"{"a":1.50}"#);
        assert_eq!(report.edits[0].obligation, Obligation::parse("redact:$.ssn"));
        // Nothing is a result too.
        assert_eq!(
            parse(br#"{"outcome":"succeeded","result":null}"#).unwrap().result,
            Some(Value::Null)
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = |body: &[u8]| parse(body).unwrap_err().to_string();
        assert_eq!(text(b"{}"), "``: missing key `outcome`");
        assert_eq!(
            text(br#"{"outcome":"unknown","durationms":1,"detail":"x"}"#),
            "`/detail`: `x` is not one of `upstream_error`, `timeout`, `upstream_gone`, \
             `client_gone`, `too_large`, `malformed`; ``: unknown key `durationms` (did you mean \
             `duration_ms`?)"
        );
        assert!(text(b"{\"outcome\":").contains("ends before"));
        assert!(text(br#"{"outcome":"failed","outcome":"succeeded"}"#).contains("two members"));
    }
}
