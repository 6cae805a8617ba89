//! Requests that people answer, as a client is told of them: in a denial, as a page to open
//! (`elicitation` in the mode `url`), and as what a client gives back that has opened it. Opening a
//! page approves nothing: where a request stands is known at the decision point alone.

use safeconduct_model::{RecordId, Value};
use safeconduct_service::{AccessState, AccessSummary};

use crate::message::{Answer, Fault};
use crate::{Revision, edit};

/// The code of an error that asks for pages to be opened first, in 2025-11-25.
pub(crate) const PAGES_FIRST: i64 = -32042;

/// Under which name a client is asked to open the page of a request, inside a result (2026-07-28).
const QUESTION: &str = "safeconduct_approval";

/// How the state begins that goes with it. The request's id follows, and nothing else: whoever
/// sends another one back learns and gains nothing by it.
const STATE: &str = "safeconduct_approval:";

/// What a client gives back that was asked to open the page of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// Which request.
    pub(crate) request: RecordId,
    /// Whether the page was opened, as the client says: then an answer may come soon.
    pub(crate) opened: bool,
}

/// Takes out of a call what the gateway itself has asked for: it is no part of the question, and
/// goes to nobody.
pub(crate) fn take_back(params: &mut Option<Value>) -> Option<Resumed> {
    let params = params.as_mut()?;
    let state = params.member("requestState").and_then(Value::as_str)?;
    let request = RecordId::new(state.strip_prefix(STATE)?).ok()?;
    edit::take(params, "requestState");
    let mut responses = edit::take(params, "inputResponses");
    let answer = responses.as_mut().and_then(|responses| edit::take(responses, QUESTION));
    // What else it answers was asked by others, and is theirs to judge.
    if let Some(Value::Object(left)) = &responses
        && !left.is_empty()
    {
        edit::set(params, "inputResponses", Value::Object(left.clone()));
    }
    let action = answer.as_ref().and_then(|answer| answer.member("action"));
    Some(Resumed { request, opened: action.and_then(Value::as_str) == Some("accept") })
}

/// Whether a client can be asked to open a page.
pub(crate) fn opens_pages(capabilities: Option<&Value>) -> bool {
    let elicitation = capabilities.and_then(|all| all.member("elicitation"));
    elicitation.and_then(|modes| modes.member("url")).is_some_and(|url| url.as_object().is_some())
}

/// Where a request is answered, where there are pages.
pub(crate) fn page(pages: Option<&str>, request: &RecordId) -> Option<String> {
    pages.map(|pages| format!("{pages}/approve/{request}"))
}

/// A request, for programs.
pub(crate) fn told(request: &AccessSummary, page: Option<&str>) -> Value {
    let names = |names: &[String]| {
        Value::from(names.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>())
    };
    let mut told = Value::object([
        ("id", Value::String(request.id.shared())),
        ("state", Value::from(request.state.as_str())),
        ("approvers", names(&request.open_to)),
        ("quorum", Value::from(i64::from(request.quorum))),
        ("answer_by", Value::from(request.answer_by.to_string())),
    ]);
    if let Some(grant) = &request.grant {
        edit::set(&mut told, "approved_until", grant.until.to_string());
        edit::set(&mut told, "uses_left", i64::from(grant.left));
    }
    if let Some(page) = page {
        edit::set(&mut told, "page", page);
    }
    told
}

/// Asks a client to open the page of a request, in the way of its revision; `None` where that has
/// none. `text` and `told` are the denial.
pub(crate) fn page_first(
    revision: Revision,
    method: &str,
    request: &AccessSummary,
    page: &str,
    text: &str,
    told: Value,
) -> Option<Answer> {
    if request.state != AccessState::Pending {
        return None;
    }
    let message = format!("`{}` asks for an approval of `{}`.", request.asked_by, request.action);
    let mut question = Value::object([
        ("mode", Value::from("url")),
        ("message", Value::from(message)),
        ("url", Value::from(page)),
    ]);
    match revision {
        Revision::V2025_06_18 => None,
        Revision::V2025_11_25 => {
            edit::set(&mut question, "elicitationId", request.id.shared());
            let mut data = told;
            edit::set(&mut data, "elicitations", vec![question]);
            Some(Answer::Fault(Fault::new(PAGES_FIRST, text.to_owned()).with_data(data)))
        }
        Revision::V2026_07_28 if asks_within(method) => {
            let asked = Value::object([
                ("method", Value::from("elicitation/create")),
                ("params", question),
            ]);
            let mut result = Value::object([
                ("resultType", Value::from("input_required")),
                ("inputRequests", Value::object([(QUESTION, asked)])),
                ("requestState", Value::from(format!("{STATE}{}", request.id))),
            ]);
            edit::set_meta(&mut result, crate::denial::META_DECISION, told);
            Some(Answer::Result(result))
        }
        Revision::V2026_07_28 => None,
    }
}

/// Whether the result of a method may ask for input, where its revision has that.
fn asks_within(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_the_gateway_asked_for_is_taken_out_and_nothing_else() {
        for (before, resumed, after) in [
            (
                r#"{"name":"t","requestState":"safeconduct_approval:req_1",
                   "inputResponses":{"safeconduct_approval":{"action":"accept"}}}"#,
                Some(("req_1", true)),
                r#"{"name":"t"}"#,
            ),
            (
                r#"{"requestState":"safeconduct_approval:req_1",
                   "inputResponses":{"safeconduct_approval":{"action":"decline"},"x":1}}"#,
                Some(("req_1", false)),
                r#"{"inputResponses":{"x":1}}"#,
            ),
            (r#"{"requestState":"safeconduct_approval:req_1"}"#, Some(("req_1", false)), "{}"),
            (r#"{"requestState":"theirs"}"#, None, r#"{"requestState":"theirs"}"#),
            (r#"{"requestState":7}"#, None, r#"{"requestState":7}"#),
            (
                r#"{"inputResponses":{"safeconduct_approval":{"action":"accept"}}}"#,
                None,
                r#"{"inputResponses":{"safeconduct_approval":{"action":"accept"}}}"#,
            ),
        ] {
            let mut params = Some(value(before));
            let found = take_back(&mut params);
            let found = found.as_ref().map(|found| (found.request.as_str(), found.opened));
            assert_eq!(found, resumed, "{before}");
            assert_eq!(json::to_text(&params.unwrap()), after);
        }
        assert_eq!(take_back(&mut None), None);
    }

    #[test]
    fn only_who_says_so_is_asked_to_open_pages() {
        for (capabilities, opens) in [
            ("{}", false),
            (r#"{"elicitation":{}}"#, false),
            (r#"{"elicitation":{"form":{}}}"#, false),
            (r#"{"elicitation":{"url":true}}"#, false),
            (r#"{"elicitation":{"url":{}}}"#, true),
        ] {
            assert_eq!(opens_pages(Some(&value(capabilities))), opens, "{capabilities}");
        }
        assert!(!opens_pages(None));
    }
}
