//! Obligations: the only edits that a message gets on its way. Each edit is recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Edit, Obligation, Value};
use safeconduct_service::Understood;
use safeconduct_wire::json;

use crate::edit;
use crate::reading::CONTENT;

/// Masks a value of the result: `redact:$.customer.ssn`.
const REDACT: &str = "redact";
/// Takes an argument out before the call is forwarded: `redact_input:$.note`.
const REDACT_INPUT: &str = "redact_input";

/// What stands where a text was.
const MASK: &str = "[redacted]";
/// What stands where a part of a result cannot be looked into.
const WITHHELD: &str =
    "[withheld: fields of this result must be redacted, and this part of it is not JSON]";

/// Most steps of a path.
const STEPS_MAX: usize = 32;

/// The obligations that the gateway can carry out; a permit with another one is a Deny.
pub fn understood() -> Understood {
    Understood::Only(BTreeSet::from([Arc::from(REDACT), Arc::from(REDACT_INPUT)]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
    Every,
}

/// The obligations of one permit, ready to be carried out.
#[derive(Debug, Default)]
pub struct Plan {
    input: Vec<(Obligation, Vec<Step>)>,
    output: Vec<(Obligation, Vec<Step>)>,
}

impl Plan {
    /// Reads obligations.
    ///
    /// # Errors
    /// The first one that cannot be carried out: its kind is unknown or its path does not parse.
    pub fn of(obligations: &[Obligation]) -> Result<Self, Obligation> {
        let mut plan = Self::default();
        for obligation in obligations {
            let steps = path(&obligation.parameter).ok_or_else(|| obligation.clone())?;
            match &*obligation.kind {
                REDACT => plan.output.push((obligation.clone(), steps)),
                REDACT_INPUT => plan.input.push((obligation.clone(), steps)),
                _ => return Err(obligation.clone()),
            }
        }
        Ok(plan)
    }

    /// Whether results are edited at all.
    pub const fn redacts(&self) -> bool {
        !self.output.is_empty()
    }

    /// Edits the parameters of a request.
    pub fn edit_input(&self, method: &str, params: &mut Value) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (obligation, steps) in &self.input {
            let values = match method {
                "tools/call" => {
                    edit::member_mut(params, "arguments").map_or(0, |a| remove(a, steps))
                }
                _ => remove(params, steps),
            };
            edits.push(Edit { obligation: obligation.clone(), values });
        }
        edits
    }

    /// Edits a result. Where a part of it cannot be looked into, the part is withheld. Where the
    /// path of an obligation leads nowhere in some part, an edit of no values says so, beside the
    /// one of what was found elsewhere: no declassifier takes such a result for redacted.
    pub fn edit_result(&self, result: &mut Value) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (obligation, steps) in &self.output {
            let Led { to, nowhere } = redact(result, steps);
            let edit = |values| Edit { obligation: obligation.clone(), values };
            edits.extend((to > 0).then(|| edit(to)));
            edits.extend((nowhere || to == 0).then(|| edit(0)));
        }
        edits
    }
}

/// Where a path led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Led {
    /// To how many values.
    to: u64,
    /// Whether some branch of it ended before its last step: a member that is not there, an
    /// element of what is no list.
    nowhere: bool,
}

impl Led {
    const NOWHERE: Self = Self { to: 0, nowhere: true };
    const TO_ONE: Self = Self { to: 1, nowhere: false };
}

impl std::iter::Sum for Led {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { to: a.to + b.to, nowhere: a.nowhere || b.nowhere })
    }
}

fn redact(result: &mut Value, steps: &[Step]) -> Led {
    let mut parts: Vec<Led> = Vec::new();
    if let Some(structured) = edit::member_mut(result, "structuredContent") {
        parts.push(mask(structured, steps));
    }
    for name in ["content", "contents"] {
        match edit::member_mut(result, name) {
            Some(Value::Array(items)) => {
                parts.push(items.iter_mut().map(|item| redact_part(item, steps)).sum());
            }
            Some(single) => parts.push(redact_part(single, steps)),
            None => {}
        }
    }
    match edit::member_mut(result, "messages") {
        Some(Value::Array(messages)) => {
            parts.push(messages.iter_mut().map(|message| redact_message(message, steps)).sum());
        }
        Some(single) => parts.push(redact_part(single, steps)),
        None => {}
    }
    if parts.is_empty() {
        return mask(result, steps);
    }
    if let Value::Object(members) = result {
        // No path of an obligation leads to what stands beside the content.
        members.retain(|name, value| is_of_protocol(name, value));
    }
    parts.into_iter().sum()
}

/// Whether a member of a result whose content is redacted holds that, or a word of the protocol's
/// own (MCP 2026-07-28) that leaves no room for anything else.
fn is_of_protocol(name: &str, value: &Value) -> bool {
    match name {
        "isError" => matches!(value, Value::Bool(_)),
        "ttlMs" => matches!(value, Value::Integer(_)),
        "resultType" => value.as_str() == Some("complete"),
        "cacheScope" => matches!(value.as_str(), Some("public" | "private")),
        _ => CONTENT.contains(&name),
    }
}

/// One message of a prompt: its role stays, and its content, redacted.
fn redact_message(message: &mut Value, steps: &[Step]) -> Led {
    let role = message
        .member("role")
        .and_then(Value::as_str)
        .and_then(|role| ROLES.iter().find(|known| **known == role));
    let Some((role, content)) = role.zip(edit::take(message, "content")) else {
        return redact_part(message, steps);
    };
    let mut content = content;
    let led = match &mut content {
        Value::Array(items) => items.iter_mut().map(|item| redact_part(item, steps)).sum(),
        single => redact_part(single, steps),
    };
    *message = Value::object([("role", Value::from(*role)), ("content", content)]);
    led
}

/// Who speaks in a prompt.
const ROLES: [&str; 2] = ["user", "assistant"];

/// One content block or one resource's contents.
fn redact_part(part: &mut Value, steps: &[Step]) -> Led {
    if let Value::Object(members) = part {
        // What surrounds the content could hold anything.
        members.retain(|name, _| AROUND.contains(&&**name));
    }
    if let Some(resource) = edit::member_mut(part, "resource") {
        return redact_part(resource, steps);
    }
    if let Some(text) = edit::member_mut(part, "text") {
        let parsed = text.as_str().and_then(|text| json::parse(text.as_bytes()).ok());
        // A bare text or number is JSON too, yet no path leads into it.
        if let Some(mut inner @ (Value::Object(_) | Value::Array(_))) = parsed {
            let led = mask(&mut inner, steps);
            if led.to > 0 {
                *text = Value::from(json::to_text(&inner));
            }
            return led;
        }
        *text = Value::from(WITHHELD);
        return Led::TO_ONE;
    }
    if edit::take(part, "blob").is_some() {
        // What a resource held as bytes; its address stays.
        edit::set(part, "text", WITHHELD);
    } else {
        *part = Value::object([("type", Value::from("text")), ("text", WITHHELD.into())]);
    }
    Led::TO_ONE
}

/// What stays of a content block whose fields are redacted.
const AROUND: [&str; 6] = ["type", "text", "uri", "mimeType", "resource", "blob"];

/// Masks what the path leads to.
fn mask(value: &mut Value, steps: &[Step]) -> Led {
    each(value, steps, &mut |found| {
        *found = match found {
            Value::String(_) => Value::from(MASK),
            _ => Value::Null,
        };
    })
}

/// Takes out what the path leads to; an element of a list becomes null, so that the others keep
/// their places.
fn remove(value: &mut Value, steps: &[Step]) -> u64 {
    let Some((last, above)) = steps.split_last() else {
        return 0;
    };
    let mut removed = 0;
    each(value, above, &mut |container| match (last, container) {
        (Step::Member(name), Value::Object(members)) => {
            removed += u64::from(members.remove(name.as_str()).is_some());
        }
        (Step::Every, Value::Object(members)) => {
            removed += members.len() as u64;
            members.clear();
        }
        (Step::Every, Value::Array(items)) => {
            removed += items.len() as u64;
            items.clear();
        }
        (Step::Element(at), Value::Array(items)) => {
            if let Some(item) = items.get_mut(*at) {
                *item = Value::Null;
                removed += 1;
            }
        }
        _ => {}
    });
    removed
}

fn each(value: &mut Value, steps: &[Step], act: &mut impl FnMut(&mut Value)) -> Led {
    let Some((step, below)) = steps.split_first() else {
        act(value);
        return Led::TO_ONE;
    };
    match (step, value) {
        (Step::Member(name), Value::Object(members)) => {
            members.get_mut(name.as_str()).map_or(Led::NOWHERE, |member| each(member, below, act))
        }
        (Step::Element(at), Value::Array(items)) => {
            items.get_mut(*at).map_or(Led::NOWHERE, |item| each(item, below, act))
        }
        (Step::Every, Value::Array(items)) => {
            items.iter_mut().map(|item| each(item, below, act)).sum()
        }
        (Step::Every, Value::Object(members)) => {
            members.values_mut().map(|member| each(member, below, act)).sum()
        }
        _ => Led::NOWHERE,
    }
}

/// Reads the part of JSONPath (RFC 9535) that names places: `$.a.b`, `$['a b']`, `$.list[0]`,
/// `$.list[*].x`, `$.*`. At least one step.
fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]").or_else(|| rest.strip_prefix(".*")) {
            steps.push(Step::Every);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = after.split_once("']")?;
            steps.push(Step::Member(name.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
            steps.push(Step::Element(index.parse().ok().filter(|_| digits)?));
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let (name, after) = after.split_at(after.find(['.', '[']).unwrap_or(after.len()));
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Member(name.to_owned()));
            rest = after;
        }
    }
    (!steps.is_empty() && steps.len() <= STEPS_MAX).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(obligations: &[&str]) -> Result<Plan, Obligation> {
        Plan::of(&obligations.iter().map(|text| Obligation::parse(text)).collect::<Vec<_>>())
    }

    fn edited(obligation: &str, result: &str) -> (String, u64) {
        let mut value = json::parse(result.as_bytes()).unwrap();
        let edits = plan(&[obligation]).unwrap().edit_result(&mut value);
        (json::to_text(&value), edits.iter().map(|edit| edit.values).sum())
    }

    #[test]
    fn what_cannot_be_carried_out_is_not_planned() {
        for text in ["redact", "redact:ssn", "redact:$", "redact:$.", "redact:$[x]", "notify:$.a"] {
            assert!(plan(&[text]).is_err(), "{text}");
        }
        assert!(plan(&["redact:$.a['b c'][0][*].*", "redact_input:$.x"]).is_ok());
    }

    #[test]
    fn fields_of_a_result_are_masked_in_both_forms() {
        let (text, values) = edited(
            "redact:$.list[*].ssn",
            r#"{"content":[{"type":"text","text":"{\"list\":[{\"ssn\":\"1\"},{\"ssn\":2}]}"}],
                "structuredContent":{"list":[{"ssn":"1"},{"ssn":2,"b":1}]}}"#,
        );
        assert_eq!(values, 4);
        assert_eq!(
            text,
            r#"{"content":[{"text":"{\"list\":[{\"ssn\":\"[redacted]\"},{\"ssn\":null}]}","type":"text"}],"structuredContent":{"list":[{"ssn":"[redacted]"},{"b":1,"ssn":null}]}}"#
        );
    }

    #[test]
    fn what_cannot_be_looked_into_is_withheld() {
        for part in [
            r#"{"type":"text","text":"my ssn is 1234"}"#,
            r#"{"type":"image","data":"1234","mimeType":"x"}"#,
            r#"{"type":"resource","resource":{"uri":"u:","text":"1234"}}"#,
            r#"{"type":"resource","resource":{"uri":"u:","blob":"1234"}}"#,
        ] {
            let (text, values) = edited("redact:$.ssn", &format!(r#"{{"content":[{part}]}}"#));
            assert!(!text.contains("1234") && values == 1, "{text}");
        }
        let (text, _) = edited("redact:$.ssn", r#"{"contents":[{"uri":"u:","text":"1234"}]}"#);
        assert!(!text.contains("1234"));
        let (text, _) = edited(
            "redact:$.ssn",
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"1234"}}]}"#,
        );
        assert!(!text.contains("1234"));
        // What has not the form of the protocol may hold anything.
        for result in [
            r#"{"structuredContent":{"ssn":1},"content":"ssn 1234"}"#,
            r#"{"structuredContent":{"ssn":1},"content":1234}"#,
            r#"{"contents":"1234"}"#,
            r#"{"messages":"1234"}"#,
            r#"{"messages":["1234"]}"#,
            r#"{"messages":[{"role":"user","said":"1234"}]}"#,
            r#"{"messages":[{"role":"1234","content":{"type":"text","text":"{\"ssn\":1}"}}]}"#,
            r#"{"messages":[{"role":"user","note":"1234",
                "content":[{"type":"text","text":"{\"ssn\":1}"},"1234"]}]}"#,
            r#"{"structuredContent":{"ssn":1},"_meta":{"raw":{"ssn":"1234"}},"extra":"1234"}"#,
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"{\"ssn\":1}"}}],
                "description":"1234"}"#,
            r#"{"structuredContent":{"ssn":1},
                "isError":"1234","ttlMs":"1234","resultType":"1234","cacheScope":"1234"}"#,
        ] {
            let (text, values) = edited("redact:$.ssn", result);
            assert!(!text.contains("1234") && values > 0, "{text}");
        }
    }

    #[test]
    fn words_of_the_protocol_stay_beside_what_is_redacted() {
        let (text, _) = edited(
            "redact:$.ssn",
            r#"{"structuredContent":{"ssn":1},
                "isError":true,"ttlMs":0,"resultType":"complete","cacheScope":"private"}"#,
        );
        assert_eq!(
            text,
            r#"{"cacheScope":"private","isError":true,"resultType":"complete","structuredContent":{"ssn":null},"ttlMs":0}"#
        );
    }

    /// No result is taken for redacted in which the field stands elsewhere than expected.
    #[test]
    fn an_edit_of_no_values_says_that_a_path_led_nowhere() {
        let told = |obligation: &str, result: &str| -> Vec<u64> {
            let mut value = json::parse(result.as_bytes()).unwrap();
            let edits = plan(&[obligation]).unwrap().edit_result(&mut value);
            edits.into_iter().map(|edit| edit.values).collect()
        };
        let text = |inner: &str| {
            let text = json::to_text(&Value::from(inner));
            format!(r#"{{"type":"text","text":{text}}}"#)
        };
        let (hit, miss) = (text(r#"{"ssn":1}"#), text(r#"{"result":{"ssn":1}}"#));
        let content = |parts: &str| format!(r#"{{"content":[{parts}]}}"#);
        assert_eq!(told("redact:$.ssn", &content(&hit)), [1]);
        assert_eq!(told("redact:$.ssn", &content(&miss)), [0]);
        assert_eq!(told("redact:$.ssn", &content(&format!("{hit},{miss}"))), [1, 0]);
        let structured =
            format!(r#"{{"content":[{hit}],"structuredContent":{{"a":{{"ssn":1}}}}}}"#);
        assert_eq!(told("redact:$.ssn", &structured), [1, 0]);
        let list = text(r#"{"list":[{"ssn":1},{"of":{"ssn":2}}]}"#);
        assert_eq!(told("redact:$.list[*].ssn", &content(&list)), [1, 0]);
        assert_eq!(told("redact:$.ssn", r#"{"of":{"ssn":1}}"#), [0]);
    }

    #[test]
    fn what_surrounds_a_redacted_part_is_withheld() {
        let part = r#"{"type":"text","text":"{\"ssn\":1}","_meta":{"ssn":1234},"note":"1234"}"#;
        let (text, values) = edited("redact:$.ssn", &format!(r#"{{"content":[{part}]}}"#));
        assert!(!text.contains("1234") && values == 1, "{text}");
    }

    #[test]
    fn an_argument_is_taken_out() {
        let mut params = json::parse(br#"{"name":"t","arguments":{"a":1,"b":{"c":2}}}"#).unwrap();
        let edits = plan(&["redact_input:$.b.c"]).unwrap().edit_input("tools/call", &mut params);
        assert_eq!(json::to_text(&params), r#"{"arguments":{"a":1,"b":{}},"name":"t"}"#);
        assert_eq!(edits.first().map(|edit| edit.values), Some(1));
    }
}
