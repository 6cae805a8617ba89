//! What goes upstream beside what was asked: nobody decides on it, so only what the protocol
//! gives a meaning goes, and all else is dropped on the way.
//!
//! Nothing that passes can be written freely. Of `_meta` these members pass: `progressToken`
//! (replaced by the hop's own), `traceparent` (W3C Trace Context section 3.2; its ids are digits
//! and no text), and of the protocol's own the version, the level of logging and the client's
//! capabilities, as far as they are known ones; the client's name is replaced by the gateway's.

use safeconduct_model::Value;

use crate::headers::{META_CAPABILITIES, META_CLIENT, META_LOG_LEVEL, META_VERSION};
use crate::{Revision, edit, translate};

/// Levels of logging (RFC 5424 section 6.2.1).
const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// What a client can do, and what is said of each: flags and empty objects.
const CAPABILITIES: [(&str, &[&str]); 3] = [
    ("roots", &["listChanged"]),
    ("sampling", &["context", "tools"]),
    ("elicitation", &["form", "url"]),
];

/// Drops from `_meta` what the protocol gives no meaning, and what could be written freely.
pub(crate) fn keep_known(params: &mut Option<Value>) {
    let Some(params) = params else {
        return;
    };
    let left = match edit::member_mut(params, "_meta") {
        None => return,
        Some(Value::Object(members)) => {
            members.retain(|name, value| is_known(name, value));
            if let Some(capabilities) = members.get_mut(META_CAPABILITIES) {
                *capabilities = known_capabilities(capabilities);
            }
            if let Some(client) = members.get_mut(META_CLIENT) {
                *client = translate::gateway_info();
            }
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
        "traceparent" => value.as_str().is_some_and(is_traceparent),
        META_VERSION => value.as_str().and_then(Revision::parse).is_some(),
        META_LOG_LEVEL => value.as_str().is_some_and(|level| LEVELS.contains(&level)),
        META_CAPABILITIES | META_CLIENT => true,
        _ => false,
    }
}

/// `00-`, 32 lowercase hexadecimal digits, `-`, 16 of them, `-`, two of them.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let lengths = [2, 32, 16, 2];
    let hex = |field: &str| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.starts_with("00-")
        && lengths
            .iter()
            .all(|length| fields.next().is_some_and(|field| field.len() == *length && hex(field)))
        && fields.next().is_none()
}

/// What of a client's capabilities is known, and nothing that could be written freely.
pub(crate) fn known_capabilities(capabilities: &Value) -> Value {
    let known = CAPABILITIES.iter().filter_map(|(name, parts)| {
        let said = capabilities.member(name)?.as_object()?;
        let parts = parts.iter().filter_map(|part| match said.get(*part)? {
            Value::Bool(flag) => Some((*part, Value::from(*flag))),
            Value::Object(_) => Some((*part, edit::empty())),
            _ => None,
        });
        Some((*name, Value::object(parts)))
    });
    Value::object(known)
}

/// What of a client's answer to a request of the server goes on that nobody decides on.
pub(crate) fn keep_answer(method: &str, result: &mut Value) {
    let roots = (method == "roots/list").then(|| result.member("roots")?.as_array()).flatten();
    let text = |root: &Value, name: &'static str| {
        let text = root.member(name).filter(|text| matches!(text, Value::String(_)))?;
        Some((name, text.clone()))
    };
    let kept = roots.map(|roots| {
        let kept = roots
            .iter()
            .map(|root| Value::object(["uri", "name"].into_iter().filter_map(|n| text(root, n))));
        ("roots", Value::from(kept.collect::<Vec<_>>()))
    });
    *result = Value::object(kept);
}

/// Drops members that a message which nobody decides on does not have.
pub(crate) fn keep_members(method: &str, params: &mut Option<Value>) {
    let known: &[&str] = match method {
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => {
            &["cursor", "_meta"]
        }
        "resources/unsubscribe" => &["uri", "_meta"],
        "subscriptions/listen" => &["notifications", "_meta"],
        "notifications/progress" => &["progressToken", "progress", "total"],
        _ if method.starts_with("notifications/") => &[],
        _ => &["_meta"],
    };
    if let Some(Value::Object(members)) = params {
        let counts = |name: &str| matches!(name, "progress" | "total");
        members.retain(|name, value| {
            let number = matches!(value, Value::Integer(_) | Value::Number(_));
            known.contains(&&**name) && (number || !counts(name))
        });
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
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = format!(r#"{{"_meta":{{"traceparent":"{trace}"}}}}"#);
        let greeted = |info: &str, said: &str| {
            format!(
                r#"{{"_meta":{{"{META_CAPABILITIES}":{said},"{META_CLIENT}":{info},"{META_LOG_LEVEL}":"info","{META_VERSION}":"2026-07-28"}}}}"#
            )
        };
        let client = greeted(
            r#"{"name":"secret"}"#,
            r#"{"elicitation":{"form":{"x":"secret"},"y":{}},"experimental":{"secret":{}}}"#,
        );
        let ours =
            greeted(&json::to_text(&translate::gateway_info()), r#"{"elicitation":{"form":{}}}"#);
        for (before, after) in [
            (r#"{"_meta":{"progressToken":1,"x":"secret"}}"#, r#"{"_meta":{"progressToken":1}}"#),
            (r#"{"_meta":{"progressToken":{"x":"secret"}},"name":"t"}"#, r#"{"name":"t"}"#),
            (r#"{"_meta":"secret","name":"t"}"#, r#"{"name":"t"}"#),
            (r#"{"_meta":{"com.example/x":1}}"#, "{}"),
            (r#"{"_meta":{"baggage":"x=secret","tracestate":"x=secret"}}"#, "{}"),
            (r#"{"_meta":{"traceparent":"00-secret"}}"#, "{}"),
            (&traced, &traced),
            (r#"{"_meta":{"io.modelcontextprotocol/secret":1}}"#, "{}"),
            (r#"{"_meta":{"io.modelcontextprotocol/logLevel":"secret"}}"#, "{}"),
            (&client, &ours),
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
                r#"{"message":"secret","progress":1,"progressToken":2,"total":"secret","x":3}"#,
                r#"{"progress":1,"progressToken":2}"#,
            ),
        ] {
            assert_eq!(changed(before, |params| keep_members(method, params)), after, "{method}");
        }
    }
}
