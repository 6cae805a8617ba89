//! The tools by which an agent asks people for a call that is denied, and looks where its request
//! stands. They are listed where anything could be denied that people may set aside.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_model::{RecordId, Value};
use safeconduct_service::JUSTIFICATION_BYTES_MAX;

use crate::authority::Authority;
use crate::edit;
use crate::task_tools::{described, only, schema, tool, whole};

/// Asks people for a call.
pub(crate) const REQUEST: &str = "safeconduct_request_approval";
/// Looks where a request stands.
pub(crate) const STATUS: &str = "safeconduct_approval_status";
/// How an agent asks that was told that it can: the end of a sentence.
pub(crate) const HOW_TO_ASK: &str =
    "ask for it with the tool `safeconduct_request_approval`, and say why";

/// Longest wait for an answer in one call, in seconds: less than what clients give a call.
const WAIT_S_MAX: i64 = 50;

/// Whether people could be asked for anything at all.
pub(crate) fn offers(authority: &impl Authority) -> bool {
    authority.may_ask_people()
}

/// The two tools.
pub(crate) fn tools() -> [Value; 2] {
    [request_tool(), status_tool()]
}

fn told() -> Value {
    let properties = Value::object([
        ("id", described("string", "The request's id.")),
        ("state", described("string", "pending, approved, refused, expired, spent or revoked.")),
        ("approvers", described("array", "Who may answer now, in the policy's words.")),
        ("quorum", described("integer", "How many of them must approve.")),
        ("answer_by", described("string", "Until when somebody may answer (RFC 3339).")),
        ("approved_until", described("string", "Until when it may be used (RFC 3339).")),
        ("uses_left", described("integer", "How often it may still be used.")),
        ("page", described("string", "Where people answer it.")),
    ]);
    schema(properties, &["id", "state", "approvers", "quorum", "answer_by"])
}

fn request_tool() -> Value {
    let text = "Asks people to approve one call of a tool of this server that is denied. They see \
                who asks, the exact arguments and your reason; whoever may answer is in the policy. \
                Nothing runs by this: once the request is approved, make the very same call \
                yourself, at any time until the approval ends, and it runs once.";
    let mut why = described("string", "Why it is needed, for the people who answer.");
    edit::set(&mut why, "maxLength", whole(JUSTIFICATION_BYTES_MAX));
    let properties = Value::object([
        ("tool", described("string", "The name of the tool.")),
        ("arguments", described("object", "Exactly the arguments of the call.")),
        ("justification", why),
    ]);
    let input = schema(properties, &["tool", "arguments"]);
    tool(REQUEST, "Ask people for a call", text.to_owned(), input, told())
}

fn status_tool() -> Value {
    let text = "Says where a request of yours stands that people answer. `pending`: wait, or do \
                something else and look again later, also in another session. `approved`: make the \
                very same call again.";
    let mut wait = described("integer", "For how many seconds to wait for an answer.");
    edit::set(&mut wait, "minimum", 0);
    edit::set(&mut wait, "maximum", WAIT_S_MAX);
    let properties = Value::object([
        ("request", described("string", "The request's id, as the denial names it.")),
        ("wait_seconds", wait),
    ]);
    let input = schema(properties, &["request"]);
    let mut status = tool(STATUS, "Where a request stands", text.to_owned(), input, told());
    if let Some(hints) = edit::member_mut(&mut status, "annotations") {
        edit::set(hints, "readOnlyHint", true);
    }
    status
}

/// What an agent asks people for.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// The parameters of the call.
    pub(crate) call: Value,
    pub(crate) justification: Option<Arc<str>>,
}

impl Asked {
    /// Reads the arguments of [`REQUEST`]; says what does not fit.
    pub(crate) fn read(arguments: &Value) -> Result<Self, String> {
        only(arguments, &["tool", "arguments", "justification"])?;
        let name = match arguments.member("tool") {
            Some(Value::String(name)) => Value::String(Arc::clone(name)),
            _ => return Err("`tool` must be the name of a tool".into()),
        };
        let given = match arguments.member("arguments") {
            Some(given @ Value::Object(_)) => given.clone(),
            _ => return Err("`arguments` must be the object that the call has".into()),
        };
        let justification = match arguments.member("justification") {
            None => None,
            Some(Value::String(why)) => Some(Arc::clone(why)),
            Some(_) => return Err("`justification` must be a text".into()),
        };
        Ok(Self { call: Value::object([("name", name), ("arguments", given)]), justification })
    }
}

/// Which request an agent looks at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) request: RecordId,
    pub(crate) patience: Duration,
}

impl Looked {
    /// Reads the arguments of [`STATUS`]; says what does not fit.
    pub(crate) fn read(arguments: &Value) -> Result<Self, String> {
        only(arguments, &["request", "wait_seconds"])?;
        let request = arguments.member("request").and_then(Value::as_str);
        let request = request.ok_or("`request` must be the id of a request")?;
        let wait = match arguments.member("wait_seconds") {
            None => 0,
            Some(wait) => {
                let wait = wait.as_integer().filter(|n| (0..=WAIT_S_MAX).contains(n));
                let wait = wait.and_then(|n| u64::try_from(n).ok());
                wait.ok_or_else(|| format!("`wait_seconds` must be 0 to {WAIT_S_MAX}"))?
            }
        };
        Ok(Self {
            request: RecordId::new(request).map_err(|error| error.to_string())?,
            patience: Duration::from_secs(wait),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        let value = |text: &str| json::parse(text.as_bytes()).unwrap();
        let asked = r#"{"tool":"mail","arguments":{"to":"a"},"justification":"why"}"#;
        let asked = Asked::read(&value(asked)).unwrap();
        assert_eq!(json::to_text(&asked.call), r#"{"arguments":{"to":"a"},"name":"mail"}"#);
        for bad in [
            "{}",
            r#"{"tool":"mail"}"#,
            r#"{"tool":1,"arguments":{}}"#,
            r#"{"tool":"mail","arguments":[]}"#,
            r#"{"tool":"mail","arguments":{},"justification":1}"#,
            r#"{"tool":"mail","arguments":{},"approved":true}"#,
        ] {
            assert!(Asked::read(&value(bad)).is_err(), "{bad}");
        }
        let looked = Looked::read(&value(r#"{"request":"req_1","wait_seconds":5}"#)).unwrap();
        assert_eq!(looked.patience, Duration::from_secs(5));
        for bad in [
            "{}",
            r#"{"request":""}"#,
            r#"{"request":"req_1","wait_seconds":-1}"#,
            r#"{"request":"req_1","wait_seconds":51}"#,
            r#"{"request":"req_1","wait_seconds":"5"}"#,
            r#"{"request":"req_1","state":"approved"}"#,
        ] {
            assert!(Looked::read(&value(bad)).is_err(), "{bad}");
        }
    }
}
