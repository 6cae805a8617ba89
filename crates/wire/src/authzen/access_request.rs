//! Requesting what was denied: the Access Request and Approval Profile, as its draft has it.

use std::sync::Arc;

use safeconduct_model::{RecordId, Timestamp, Value};
use schemars::JsonSchema;
use serde::Serialize;

use super::{AuthzenError, Evaluation};
use crate::document::Written;
use crate::field::{FieldError, FieldProblem};
use crate::json;

/// Longest justification, in bytes.
const JUSTIFICATION_BYTES_MAX: usize = 1024;

/// A request for what was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The very question that was denied.
    pub question: Evaluation,
    /// The Deny that it was answered with: `denial.evaluation_id`.
    pub evaluation: RecordId,
    /// Why, in the words of who asks (`justification`, beside what the draft has).
    pub justification: Option<Arc<str>>,
}

impl Submission {
    /// Reads the body of a request. Members that nobody knows are passed over.
    ///
    /// # Errors
    /// [`AuthzenError`] where it is not strict JSON, or names the first field that is missing,
    /// ill-typed or not offered.
    pub fn parse(body: &[u8]) -> Result<Self, AuthzenError> {
        let value = json::parse(body)?;
        for (name, what) in [
            ("items", "is not offered: request one thing at a time"),
            ("callback", "is not offered: poll the status"),
        ] {
            if value.member(name).is_some() {
                return Err(other(&format!("/{name}"), what));
            }
        }
        let evaluation = text(&value, "/denial/evaluation_id")?;
        let evaluation = evaluation
            .ok_or_else(|| FieldError::new("/denial/evaluation_id", FieldProblem::Missing))?;
        let evaluation = RecordId::new(evaluation)
            .map_err(|error| FieldError::new("/denial/evaluation_id", FieldProblem::Name(error)))?;
        let justification = text(&value, "/justification")?.map(Arc::<str>::from);
        if justification.as_ref().is_some_and(|words| words.len() > JUSTIFICATION_BYTES_MAX) {
            return Err(other("/justification", "has more than 1024 bytes"));
        }
        Ok(Self { question: Evaluation::from_value(value)?, evaluation, justification })
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<Option<&'v str>, AuthzenError> {
    match value.pointer(pointer) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(other(pointer, "must be a text")),
    }
}

fn other(pointer: &str, what: &str) -> AuthzenError {
    FieldError::new(pointer, FieldProblem::Other(what.to_owned())).into()
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequestAnswer {
    /// The request.
    pub task: RequestTask,
    /// What it came to, where it was approved and may still be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<RequestResult>,
}

/// A request, as its caller polls for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequestTask {
    /// Its id.
    pub id: Written<RecordId>,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`; whatever else is not approved.
    pub status: String,
    /// Where its status is asked for.
    pub status_endpoint: String,
    /// Until when somebody may answer.
    pub expires_at: Written<Timestamp>,
    /// What else can be done.
    pub links: RequestLinks,
}

/// What can be done about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequestLinks {
    /// Takes it back, by `POST`.
    pub cancel: String,
    /// The page on which people answer it; left out where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// What an approved request came to: the question is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequestResult {
    /// `reevaluate`.
    pub mode: String,
    /// To be sent along in `context.approval`. It grants nothing by itself.
    pub approval: ApprovalHandle,
}

/// The name of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApprovalHandle {
    /// The request's id.
    pub id: Written<RecordId>,
    /// Since when.
    pub approved_at: Written<Timestamp>,
    /// Until when.
    pub approved_until: Written<Timestamp>,
}

/// Takes `context.approval` out of a question, with the id that it names: it says what the caller
/// believes was approved, is no part of what is asked about, and proves nothing.
pub fn take_approval(question: &mut Evaluation) -> Option<NamedApproval> {
    let Some(Value::Object(context)) = &mut question.context else { return None };
    let approval = context.remove("approval");
    let nothing_left = context.is_empty();
    if nothing_left {
        question.context = None;
    }
    let id = approval?.member("id").and_then(Value::as_str).and_then(|id| RecordId::new(id).ok());
    Some(NamedApproval(id))
}

/// An approval that a question names; nothing where it is no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedApproval(pub Option<RecordId>);

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &str = r#""subject":{"type":"user","id":"a"},"action":{"name":"write"},"resource":{"type":"record","id":"r"}"#;

    #[test]
    fn a_request_names_its_denial() {
        let body = format!(r#"{{{QUESTION},"denial":{{"evaluation_id":"dec_1"}},"client":{{}}}}"#);
        let submission = Submission::parse(body.as_bytes()).unwrap();
        assert_eq!(submission.evaluation.as_str(), "dec_1");
        for wrong in [
            format!("{{{QUESTION}}}"),
            format!(r#"{{{QUESTION},"denial":{{"evaluation_id":1}}}}"#),
            format!(r#"{{{QUESTION},"denial":{{"evaluation_id":"dec_1"}},"items":[]}}"#),
            format!(r#"{{{QUESTION},"denial":{{"evaluation_id":"dec_1"}},"callback":{{}}}}"#),
        ] {
            assert!(Submission::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_approval_is_no_part_of_what_is_asked() {
        let ask = |context: &str| {
            Evaluation::parse(format!("{{{QUESTION}{context}}}").as_bytes()).unwrap()
        };
        let plain = ask("");
        let mut with = ask(r#","context":{"approval":{"id":"req_1"}}"#);
        let named = take_approval(&mut with).unwrap();
        assert_eq!((with, named.0), (plain.clone(), RecordId::new("req_1").ok()));
        let mut empty = ask(r#","context":{}"#);
        assert_eq!(take_approval(&mut empty), None);
        assert_eq!(empty, plain);
        let mut more = ask(r#","context":{"approval":1,"a":1}"#);
        assert_eq!(take_approval(&mut more), Some(NamedApproval(None)));
        assert_eq!(more, ask(r#","context":{"a":1}"#));
    }
}
