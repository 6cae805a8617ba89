//! What goes upstream beside what was asked: nobody decides on it, so only what the protocol
//! gives a meaning goes, and all else is dropped on the way.
//!
//! Of `_meta` these members pass: `progressToken` (replaced by the hop's own), the trace context
//! `traceparent`, `tracestate` and `baggage` (as texts of at most 8192 bytes), and the protocol's
//! own, `io.modelcontextprotocol/…`.

use safeconduct_model::Value;

use crate::edit;

/// Texts of a trace context. The longest that may be relied on is a `baggage` of 8192 bytes (W3C
/// Baggage section 3.3.2).
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];
const TRACE_BYTES_MAX: usize = 8192;
/// What names of the protocol's own begin with.
const PROTOCOL: &str = "io.modelcontextprotocol/";

/// Drops from `_meta` what the protocol gives no meaning.
pub(crate) fn keep_known(params: &mut Option<Value>) {
    let Some(params) = params else {
        return;
    };
    let left = match edit::member_mut(params, "_meta") {
        None => return,
        Some(Value::Object(members)) => {
            members.retain(|name, value| is_known(name, value));
            !members.is_empty()
        }
        Some(_) => false,
    };
    if !left {
        edit::take(params, "_meta");
    }
}

fn is_known(name: &str, value: &Value) -> bool {
    match name {
        "progressToken" => matches!(value, Value::String(_) | Value::Integer(_)),
        _ if TRACE.contains(&name) => {
            value.as_str().is_some_and(|text| text.len() <= TRACE_BYTES_MAX)
        }
        _ => name.starts_with(PROTOCOL),
    }
}

/// Drops members that a message which nobody decides on does not have.
pub(crate) fn keep_members(method: &str, params: &mut Option<Value>) {
    let known: &[&str] = match method {
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => {
            &["cursor", "_meta"]
        }
        "resources/unsubscribe" => &["uri", "_meta"],
        "subscriptions/listen" => &["notifications", "_meta"],
        "notifications/progress" => &["progressToken", "progress", "total", "message", "_meta"],
        _ => &["_meta"],
    };
    if let Some(Value::Object(members)) = params {
        members.retain(|name, _| known.contains(&&**name));
    }
    keep_known(params);
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    fn changed(text: &str, change: impl FnOnce(&mut Option<Value>)) -> String {
        let mut params = Some(json::parse(text.as_bytes()).unwrap());
        change(&mut params);
        json::to_text(&params.unwrap())
    }

    #[test]
    fn only_what_is_known_goes_upstream() {
        let long = "x".repeat(TRACE_BYTES_MAX + 1);
        for (before, after) in [
            (r#"{"_meta":{"progressToken":1,"x":"secret"}}"#, r#"{"_meta":{"progressToken":1}}"#),
            (r#"{"_meta":{"progressToken":{"x":"secret"}},"name":"t"}"#, r#"{"name":"t"}"#),
            (r#"{"_meta":"secret","name":"t"}"#, r#"{"name":"t"}"#),
            (r#"{"_meta":{"com.example/x":1}}"#, "{}"),
            (r#"{"_meta":{"baggage":{"x":1}}}"#, "{}"),
            (&format!(r#"{{"_meta":{{"baggage":"{long}"}}}}"#), "{}"),
            (
                r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{},"traceparent":"00-1"}}"#,
                r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{},"traceparent":"00-1"}}"#,
            ),
        ] {
            assert_eq!(changed(before, keep_known), after, "{before}");
        }
    }

    #[test]
    fn what_nobody_decides_on_has_no_other_members() {
        for (method, before, after) in [
            ("tools/list", r#"{"cursor":"c","x":"secret"}"#, r#"{"cursor":"c"}"#),
            ("ping", r#"{"x":"secret","_meta":{"y":1}}"#, "{}"),
            ("notifications/roots/list_changed", r#"{"task":{}}"#, "{}"),
            (
                "notifications/progress",
                r#"{"progress":1,"progressToken":2,"x":3}"#,
                r#"{"progress":1,"progressToken":2}"#,
            ),
        ] {
            assert_eq!(changed(before, |params| keep_members(method, params)), after, "{method}");
        }
    }
}
