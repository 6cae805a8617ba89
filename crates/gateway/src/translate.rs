//! Between a side with a handshake (up to 2025-11-25) and one without (2026-07-28): tools,
//! resources and prompts cross; what needs a request from the server does not, and says so.

use safeconduct_model::Value;

use crate::headers::{META_CAPABILITIES, META_CLIENT, META_LOG_LEVEL, META_SERVER, META_VERSION};
use crate::message::{Answer, Fault, INTERNAL_ERROR, INVALID_PARAMS};
use crate::revision::Revision;
use crate::{edit, headers};

/// Resource not found, up to 2025-11-25.
const NOT_FOUND_LEGACY: i64 = -32002;
/// A page must be opened first, in 2025-11-25.
const URL_ELICITATION: i64 = -32042;

/// How long a client may keep a list of an upstream that says nothing of it, in milliseconds.
const TTL_MS: i64 = 0;

const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The `_meta` members that a 2026-07-28 request must have.
pub(crate) fn to_modern_params(params: &mut Option<Value>, capabilities: Value) {
    let params = params.get_or_insert_with(edit::empty);
    edit::set_meta(params, META_VERSION, Revision::V2026_07_28.as_str());
    edit::set_meta(params, META_CAPABILITIES, capabilities);
    edit::set_meta(params, META_CLIENT, gateway_info());
}

/// A 2026-07-28 request without what older revisions do not know.
pub(crate) fn to_legacy_params(params: &mut Option<Value>) {
    if let Some(params) = params {
        for name in [META_VERSION, META_CAPABILITIES, META_CLIENT, META_LOG_LEVEL] {
            edit::take_meta(params, name);
        }
    }
}

/// An older upstream's answer, for a client that speaks 2026-07-28.
pub(crate) fn to_modern_answer(method: &str, answer: Answer) -> Answer {
    match answer {
        Answer::Result(mut result) => {
            edit::set(&mut result, "resultType", "complete");
            if cacheable(method) {
                edit::set(&mut result, "ttlMs", TTL_MS);
                edit::set(&mut result, "cacheScope", "private");
            }
            Answer::Result(result)
        }
        Answer::Fault(Fault { code: NOT_FOUND_LEGACY, message, data }) => {
            Answer::Fault(Fault { code: INVALID_PARAMS, message, data })
        }
        Answer::Fault(Fault { code: URL_ELICITATION, .. }) => Answer::Fault(Fault::new(
            INTERNAL_ERROR,
            "the server wants a page to be opened first, which it cannot ask of a client that \
             speaks 2026-07-28",
        )),
        fault @ Answer::Fault(_) => fault,
    }
}

/// A 2026-07-28 upstream's answer, for an older client.
pub(crate) fn to_legacy_answer(answer: Answer) -> Answer {
    let Answer::Result(mut result) = answer else {
        return answer;
    };
    match edit::take(&mut result, "resultType").as_ref().and_then(Value::as_str) {
        None | Some("complete") => {
            edit::take(&mut result, "ttlMs");
            edit::take(&mut result, "cacheScope");
            Answer::Result(result)
        }
        Some("input_required") => Answer::Fault(Fault::new(
            INTERNAL_ERROR,
            "the server asks for more input (2026-07-28), which this client's revision has no way \
             to give",
        )),
        Some(other) => Answer::Fault(Fault::new(
            INTERNAL_ERROR,
            format!("the server answered with a result of type `{other}`, which is not supported"),
        )),
    }
}

/// An answer that asks for nothing: a result of any type but `complete` becomes a fault, so that
/// a server can ask for input only where what it asks is decided on.
pub(crate) fn finished(answer: Answer) -> Answer {
    let Answer::Result(result) = &answer else {
        return answer;
    };
    match result.member("resultType").map(Value::as_str) {
        None | Some(Some("complete")) => answer,
        Some(Some("input_required")) => Answer::Fault(Fault::new(
            INTERNAL_ERROR,
            "the server asks for input where it may not: no call of it was permitted",
        )),
        Some(_) => Answer::Fault(Fault::new(
            INTERNAL_ERROR,
            "the server answered with a result of a type that is not supported",
        )),
    }
}

/// Whether results of a method say how long they may be kept.
pub(crate) fn cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// Takes out of capabilities what the gateway does not let through.
pub(crate) fn scrub_capabilities(capabilities: &mut Value) {
    edit::take(capabilities, "tasks");
    if let Some(extensions) = edit::member_mut(capabilities, "extensions") {
        edit::take(extensions, TASKS_EXTENSION);
    }
}

/// What an older client is told of a 2026-07-28 upstream.
pub(crate) fn initialize_result(discovered: &Value, revision: Revision, server: &str) -> Value {
    let mut capabilities = discovered.member("capabilities").cloned().unwrap_or_else(edit::empty);
    reduce_capabilities(&mut capabilities);
    let info = edit::meta(discovered, META_SERVER).cloned().unwrap_or_else(|| {
        Value::object([("name", Value::from(server)), ("version", Value::from("unknown"))])
    });
    let mut result = Value::object([
        ("protocolVersion", Value::from(revision.as_str())),
        ("capabilities", capabilities),
        ("serverInfo", info),
    ]);
    if let Some(instructions) = discovered.member("instructions") {
        edit::set(&mut result, "instructions", instructions.clone());
    }
    result
}

/// What a 2026-07-28 client is told of an older upstream.
pub(crate) fn discover_result(initialized: &Value) -> Value {
    let mut capabilities = initialized.member("capabilities").cloned().unwrap_or_else(edit::empty);
    reduce_capabilities(&mut capabilities);
    let mut result = Value::object([
        ("resultType", Value::from("complete")),
        ("supportedVersions", headers::supported()),
        ("capabilities", capabilities),
        ("ttlMs", Value::from(TTL_MS)),
        ("cacheScope", Value::from("private")),
    ]);
    if let Some(instructions) = initialized.member("instructions") {
        edit::set(&mut result, "instructions", instructions.clone());
    }
    if let Some(info) = initialized.member("serverInfo") {
        edit::set_meta(&mut result, META_SERVER, info.clone());
    }
    result
}

/// Leaves what works without requests and notifications that only one of the revisions has.
fn reduce_capabilities(capabilities: &mut Value) {
    scrub_capabilities(capabilities);
    for name in ["logging", "extensions", "experimental"] {
        edit::take(capabilities, name);
    }
    for (name, flags) in [
        ("tools", &["listChanged"][..]),
        ("prompts", &["listChanged"]),
        ("resources", &["listChanged", "subscribe"]),
    ] {
        if let Some(capability) = edit::member_mut(capabilities, name) {
            flags.iter().for_each(|flag| drop(edit::take(capability, flag)));
        }
    }
}

/// How the gateway names itself where it speaks for itself.
pub(crate) fn gateway_info() -> Value {
    Value::object([
        ("name", Value::from("safeconduct-gateway")),
        ("version", Value::from(env!("CARGO_PKG_VERSION"))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_request_crosses_both_ways() {
        let before = value(r#"{"_meta":{"progressToken":1},"name":"t"}"#);
        let mut params = Some(before.clone());
        to_modern_params(&mut params, edit::empty());
        assert_eq!(
            params.as_ref().and_then(|p| edit::meta(p, META_VERSION)),
            Some(&Value::from("2026-07-28"))
        );
        to_legacy_params(&mut params);
        assert_eq!(params, Some(before));
    }

    #[test]
    fn an_answer_crosses_both_ways() {
        let before = Answer::Result(value(r#"{"tools":[]}"#));
        let modern = to_modern_answer("tools/list", before.clone());
        assert_eq!(
            modern,
            Answer::Result(value(
                r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#
            ))
        );
        assert_eq!(to_legacy_answer(modern), before);
        for kind in ["input_required", "task", "made_up"] {
            let result = Value::object([("resultType", Value::from(kind))]);
            assert!(matches!(to_legacy_answer(Answer::Result(result)), Answer::Fault(_)), "{kind}");
        }
    }

    #[test]
    fn only_a_result_that_asks_for_nothing_is_finished() {
        for (result, finishes) in [
            (r#"{"tools":[]}"#, true),
            (r#"{"resultType":"complete"}"#, true),
            (r#"{"resultType":"input_required","inputRequests":{}}"#, false),
            (r#"{"resultType":"made_up"}"#, false),
            (r#"{"resultType":7}"#, false),
            (r#"{"resultType":null}"#, false),
        ] {
            let answer = finished(Answer::Result(value(result)));
            assert_eq!(matches!(answer, Answer::Result(_)), finishes, "{result}");
        }
    }

    #[test]
    fn a_greeting_crosses_both_ways() {
        let initialized = value(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},
                "logging":{},"tasks":{}},"serverInfo":{"name":"n","version":"1"},"instructions":"i"}"#,
        );
        let discovered = discover_result(&initialized);
        assert_eq!(discovered.member("capabilities"), Some(&value(r#"{"tools":{}}"#)));
        let back = initialize_result(&discovered, Revision::V2025_11_25, "s");
        assert_eq!(back.member("serverInfo"), initialized.member("serverInfo"));
        assert_eq!(back.member("instructions"), initialized.member("instructions"));
    }
}
