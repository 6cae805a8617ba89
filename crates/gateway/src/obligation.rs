//! Obligations: the only edits that a message gets on its way. Each edit is recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Edit, Obligation, Value};
use safeconduct_service::Understood;
use safeconduct_wire::json;

use crate::edit;

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

    /// Edits a result. Where a part of it cannot be looked into, the part is withheld.
    pub fn edit_result(&self, result: &mut Value) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (obligation, steps) in &self.output {
            edits.push(Edit { obligation: obligation.clone(), values: redact(result, steps) });
        }
        edits
    }
}

fn redact(result: &mut Value, steps: &[Step]) -> u64 {
    let mut values = 0;
    let mut parts = false;
    if let Some(structured) = edit::member_mut(result, "structuredContent") {
        values += mask(structured, steps);
        parts = true;
    }
    for name in ["content", "contents"] {
        match edit::member_mut(result, name) {
            Some(Value::Array(items)) => {
                values += items.iter_mut().map(|item| redact_part(item, steps)).sum::<u64>();
                parts = true;
            }
            Some(single @ Value::Object(_)) => {
                values += redact_part(single, steps);
                parts = true;
            }
            _ => {}
        }
    }
    if let Some(Value::Array(messages)) = edit::member_mut(result, "messages") {
        let contents = messages.iter_mut().filter_map(|m| edit::member_mut(m, "content"));
        values += contents.map(|content| redact_part(content, steps)).sum::<u64>();
        parts = true;
    }
    if parts { values } else { mask(result, steps) }
}

/// One content block or one resource's contents.
fn redact_part(part: &mut Value, steps: &[Step]) -> u64 {
    if let Some(resource) = edit::member_mut(part, "resource") {
        return redact_part(resource, steps);
    }
    if let Some(text) = edit::member_mut(part, "text") {
        let parsed = text.as_str().and_then(|text| json::parse(text.as_bytes()).ok());
        // A bare text or number is JSON too, yet no path leads into it.
        if let Some(mut inner @ (Value::Object(_) | Value::Array(_))) = parsed {
            let values = mask(&mut inner, steps);
            if values > 0 {
                *text = Value::from(json::to_text(&inner));
            }
            return values;
        }
        *text = Value::from(WITHHELD);
        return 1;
    }
    if edit::take(part, "blob").is_some() {
        // What a resource held as bytes; its address stays.
        edit::set(part, "text", WITHHELD);
    } else {
        *part = Value::object([("type", Value::from("text")), ("text", WITHHELD.into())]);
    }
    1
}

/// Masks what the path leads to; gives how many values that were.
fn mask(value: &mut Value, steps: &[Step]) -> u64 {
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

fn each(value: &mut Value, steps: &[Step], act: &mut impl FnMut(&mut Value)) -> u64 {
    let Some((step, below)) = steps.split_first() else {
        act(value);
        return 1;
    };
    match (step, value) {
        (Step::Member(name), Value::Object(members)) => {
            members.get_mut(name.as_str()).map_or(0, |member| each(member, below, act))
        }
        (Step::Element(at), Value::Array(items)) => {
            items.get_mut(*at).map_or(0, |item| each(item, below, act))
        }
        (Step::Every, Value::Array(items)) => {
            items.iter_mut().map(|item| each(item, below, act)).sum()
        }
        (Step::Every, Value::Object(members)) => {
            members.values_mut().map(|member| each(member, below, act)).sum()
        }
        _ => 0,
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
    }

    #[test]
    fn an_argument_is_taken_out() {
        let mut params = json::parse(br#"{"name":"t","arguments":{"a":1,"b":{"c":2}}}"#).unwrap();
        let edits = plan(&["redact_input:$.b.c"]).unwrap().edit_input("tools/call", &mut params);
        assert_eq!(json::to_text(&params), r#"{"arguments":{"a":1,"b":{}},"name":"t"}"#);
        assert_eq!(edits.first().map(|edit| edit.values), Some(1));
    }
}
