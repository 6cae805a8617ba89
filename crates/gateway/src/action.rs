//! What a gated message asks: the action's name and its input.

use safeconduct_model::{ActionName, ServerName, Value};

use crate::edit;
use crate::message::{Fault, INVALID_PARAMS};

/// What is asked, in the decision point's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `files.read_text_file` for a tool, `files/resources/read` for another method.
    pub action: ActionName,
    /// What policies see as the arguments.
    pub input: Value,
    /// What was asked, for a sentence: `tool \`read_text_file\``.
    pub what: String,
}

/// Members that a gated method's parameters may have. One that is not here could mean something
/// to the upstream that nobody has decided on, so it is refused.
const fn members(method: &str) -> &'static [&'static str] {
    match method.as_bytes() {
        b"tools/call" | b"prompts/get" => {
            &["name", "arguments", "_meta", "inputResponses", "requestState"]
        }
        b"resources/read" => &["uri", "_meta", "inputResponses", "requestState"],
        b"resources/subscribe" => &["uri", "_meta"],
        b"completion/complete" => &["ref", "argument", "context", "_meta"],
        b"logging/setLevel" => &["level", "_meta"],
        _ => &[],
    }
}

/// The action of a tool: `files.read_text_file`.
pub fn tool_action(server: &ServerName, tool: &str) -> Option<ActionName> {
    ActionName::new(format!("{server}.{tool}")).ok()
}

/// The action of another method: `files/resources/read`.
pub fn method_action(server: &ServerName, method: &str) -> Option<ActionName> {
    ActionName::new(format!("{server}/{method}")).ok()
}

/// What a gated request asks.
///
/// # Errors
/// A [`Fault`] where the parameters do not fit the method: the sender is at fault.
pub fn question(
    server: &ServerName,
    method: &str,
    params: Option<&Value>,
) -> Result<Question, Fault> {
    let empty = edit::empty();
    let params = params.unwrap_or(&empty);
    if params.member("task").is_some() {
        return Err(invalid("`task` is not supported here: call without it"));
    }
    let known = members(method);
    let unknown = params
        .as_object()
        .and_then(|all| all.keys().find(|name| !known.is_empty() && !known.contains(&&***name)));
    if let Some(unknown) = unknown {
        return Err(invalid(format!("`{method}` has no parameter `{unknown}`")));
    }
    let text = |name: &str| {
        let value = params.member(name).and_then(Value::as_str);
        value.ok_or_else(|| invalid(format!("`{method}` needs a text `{name}`")))
    };
    let pick = |names: &[&'static str]| {
        let found = names.iter().filter_map(|name| Some((*name, params.member(name)?.clone())));
        Value::object(found)
    };
    let (action, input, what) = match method {
        "tools/call" => {
            let name = text("name")?;
            let input = arguments(params)?;
            (tool_action(server, name), input, format!("tool `{name}`"))
        }
        "prompts/get" => {
            arguments(params)?;
            let name = text("name")?;
            let input = pick(&["name", "arguments"]);
            (method_action(server, method), input, format!("prompt `{name}`"))
        }
        "resources/read" | "resources/subscribe" => {
            let what = format!("`{method}` of `{}`", text("uri")?);
            (method_action(server, method), pick(&["uri"]), what)
        }
        "logging/setLevel" => {
            text("level")?;
            (method_action(server, method), pick(&["level"]), "the log level".into())
        }
        "completion/complete" => {
            let input = pick(&["ref", "argument", "context"]);
            (method_action(server, method), input, "a completion".into())
        }
        _ => {
            let mut input = params.clone();
            edit::take(&mut input, "_meta");
            (method_action(server, method), input, format!("`{method}`"))
        }
    };
    match action {
        Some(action) => Ok(Question { action, input, what }),
        None => Err(invalid("the name is too long or holds control characters")),
    }
}

/// The member of what is asserted that says which answers were asked for.
const ASKED: &str = "asked";

/// What a client gives back to a server that asked for input (2026-07-28): it goes upstream with
/// the call, so it is part of the question. `asked` says which of it was asked for.
pub(crate) fn answers(params: Option<&Value>, asked: &[Value]) -> Option<Value> {
    let params = params?;
    let mut given = ["inputResponses", "requestState"]
        .into_iter()
        .filter_map(|name| Some((name, params.member(name)?.clone())))
        .peekable();
    given.peek()?;
    let asked = (!asked.is_empty()).then(|| (ASKED, Value::from(asked.to_vec())));
    Some(Value::object(given.chain(asked)))
}

/// The arguments of a call: an object, the empty one where there is none.
fn arguments(params: &Value) -> Result<Value, Fault> {
    match params.member("arguments") {
        None => Ok(edit::empty()),
        Some(arguments @ Value::Object(_)) => Ok(arguments.clone()),
        Some(_) => Err(invalid("`arguments` must be an object")),
    }
}

fn invalid(message: impl Into<std::sync::Arc<str>>) -> Fault {
    Fault::new(INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    fn asked(method: &str, params: &str) -> Result<(String, String), i64> {
        let server = ServerName::new("s").unwrap();
        let params = json::parse(params.as_bytes()).unwrap();
        question(&server, method, Some(&params))
            .map(|q| (q.action.to_string(), json::to_text(&q.input)))
            .map_err(|fault| fault.code)
    }

    #[test]
    fn each_method_has_its_action_and_input() {
        for (method, params, action, input) in [
            ("tools/call", r#"{"name":"t","arguments":{"a":1},"_meta":{}}"#, "s.t", r#"{"a":1}"#),
            ("tools/call", r#"{"name":"t"}"#, "s.t", "{}"),
            ("tools/call", r#"{"name":"t","inputResponses":{},"requestState":"x"}"#, "s.t", "{}"),
            ("resources/read", r#"{"uri":"u:x"}"#, "s/resources/read", r#"{"uri":"u:x"}"#),
            (
                "prompts/get",
                r#"{"name":"p","arguments":{"x":"y"}}"#,
                "s/prompts/get",
                r#"{"arguments":{"x":"y"},"name":"p"}"#,
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"v"}}"#,
                "s/completion/complete",
                r#"{"argument":{"name":"a","value":"v"},"ref":{"name":"p","type":"ref/prompt"}}"#,
            ),
            (
                "sampling/createMessage",
                r#"{"maxTokens":5,"messages":[],"_meta":{"progressToken":1}}"#,
                "s/sampling/createMessage",
                r#"{"maxTokens":5,"messages":[]}"#,
            ),
        ] {
            assert_eq!(asked(method, params), Ok((action.into(), input.into())), "{params}");
        }
    }

    #[test]
    fn what_answers_a_server_s_questions_is_part_of_the_question() {
        for (params, given) in [
            (
                r#"{"name":"t","inputResponses":{"a":{"action":"accept"}},"requestState":"x"}"#,
                Some(r#"{"inputResponses":{"a":{"action":"accept"}},"requestState":"x"}"#),
            ),
            (r#"{"name":"t","requestState":null}"#, Some(r#"{"requestState":null}"#)),
            (r#"{"name":"t","arguments":{"requestState":"x"}}"#, None),
        ] {
            let params = json::parse(params.as_bytes()).unwrap();
            let found = answers(Some(&params), &[]).map(|given| json::to_text(&given));
            assert_eq!(found.as_deref(), given);
        }
        assert_eq!(answers(None, &[]), None);
        let params = json::parse(br#"{"requestState":"x","asked":["/requestState"]}"#).unwrap();
        let found = |asked: &[Value]| json::to_text(&answers(Some(&params), asked).unwrap());
        assert_eq!(found(&[]), r#"{"requestState":"x"}"#);
        let asked = [Value::from("/requestState")];
        assert_eq!(found(&asked), r#"{"asked":["/requestState"],"requestState":"x"}"#);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (method, params) in [
            ("tools/call", "{}"),
            ("tools/call", r#"{"name":1}"#),
            ("tools/call", r#"{"name":"t","arguments":[]}"#),
            ("tools/call", r#"{"name":"t","task":{"ttl":1}}"#),
            ("tools/call", r#"{"name":"t","hidden":1}"#),
            ("tools/call", r#"{"name":"a\nb"}"#),
            ("resources/read", r#"{"name":"x"}"#),
            ("logging/setLevel", "{}"),
        ] {
            assert_eq!(asked(method, params), Err(INVALID_PARAMS), "{params}");
        }
    }
}
