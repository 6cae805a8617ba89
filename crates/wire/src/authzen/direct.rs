//! One question, read from its bytes without a tree in between: as nearly all of them come.
//!
//! Only what the long way takes is taken, and as the same question. Whatever is not as it should
//! be is left to the long way, which says what is wrong.

use std::collections::BTreeMap;

use safeconduct_model::{ActionName, Entity, EntityId, EntityRef, EntityType, Value};

use super::Evaluation;
use super::question::Call;
use crate::json::{Parser, read_directly};

/// Most members of one object that mean nothing here.
const OTHERS_MAX: usize = 8;

/// The question of a body; `None` where the long way must be gone.
pub(super) fn evaluation(body: &[u8]) -> Option<Evaluation> {
    read_directly(body, |parser| {
        let (mut subject, mut call, mut resource, mut context) = (None, None, None, None);
        let mut others = Others::default();
        parser.members(|parser, name| match name {
            "subject" => fill(&mut subject, entity(parser)),
            "action" => fill(&mut call, action(parser)),
            "resource" => fill(&mut resource, entity(parser)),
            "context" => fill(&mut context, object(parser)),
            _ => others.pass_over(parser, name),
        })?;
        let (action, input) = call?;
        Some(Evaluation { subject: subject?, action, input, resource: resource?, context })
    })
}

fn entity(parser: &mut Parser<'_>) -> Option<Entity> {
    let (mut ty, mut id, mut properties) = (None, None, None);
    let mut others = Others::default();
    parser.members(|parser, name| match name {
        "type" => fill(&mut ty, parser.text()),
        "id" => fill(&mut id, parser.text()),
        "properties" => fill(&mut properties, object(parser)),
        _ => others.pass_over(parser, name),
    })?;
    let uid = EntityRef { ty: EntityType::new(ty?).ok()?, id: EntityId::new(id?).ok()? };
    let attributes = match properties {
        Some(Value::Object(members)) => members,
        _ => BTreeMap::new(),
    };
    Some(Entity { uid, attributes, ancestors: Vec::new() })
}

fn action(parser: &mut Parser<'_>) -> Option<Call> {
    let (mut word, mut properties) = (None, None);
    let mut others = Others::default();
    parser.members(|parser, name| match name {
        "name" => fill(&mut word, parser.text()),
        "properties" => fill(&mut properties, object(parser)),
        _ => others.pass_over(parser, name),
    })?;
    let input = properties.unwrap_or_else(|| Value::Object(BTreeMap::new()));
    Some((ActionName::new(word?).ok()?, input))
}

fn object(parser: &mut Parser<'_>) -> Option<Value> {
    parser.any().filter(|value| matches!(value, Value::Object(_)))
}

/// Takes a member that must not come twice.
fn fill<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

/// Members that mean nothing: JSON all the same, and none of them twice.
#[derive(Default)]
struct Others<'a>(Vec<&'a str>);

impl<'a> Others<'a> {
    fn pass_over(&mut self, parser: &mut Parser<'a>, name: &'a str) -> Option<()> {
        if self.0.len() == OTHERS_MAX || self.0.contains(&name) {
            return None;
        }
        self.0.push(name);
        parser.any().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;

    fn same_both_ways(body: &[u8]) -> bool {
        let long = json::parse(body).ok().and_then(|value| Evaluation::from_value(value).ok());
        match evaluation(body) {
            Some(question) => Some(question) == long,
            None => true,
        }
    }

    #[test]
    fn what_is_usual_goes_the_short_way() {
        let body = br#" {"subject": {"type": "user", "id": "a\u00e9", "more": [1]}, "x": {},
            "action": {"name": "read", "properties": {"n": 1.50}}, "context": {},
            "resource": {"id": "r", "type": "t", "properties": {"p": null}}} "#;
        let question = evaluation(body).unwrap();
        assert_eq!(question.subject.uid.id.as_str(), "a\u{e9}");
        assert!(same_both_ways(body));
    }

    #[test]
    fn what_is_wrong_goes_the_long_way() {
        let whole = r#"{"subject":{"type":"u","id":"a"},"action":{"name":"r"},"resource":{"type":"t","id":"r"}}"#;
        assert!(evaluation(whole.as_bytes()).is_some());
        for (from, to) in [
            (r#""id":"a""#, r#""id":"a","id":"b""#),
            (r#""id":"a""#, r#""id":"a","x":1,"x":2"#),
            (r#""id":"a""#, r#""id":1"#),
            (r#""id":"a""#, r#""id":"""#),
            (r#""id":"a""#, r#""id":"a","properties":null"#),
            (r#""id":"a""#, r#""id":"a","\u0069d":"b""#),
            (r#"{"name":"r"}"#, r#"{}"#),
            (r#"{"name":"r"}"#, r#""r""#),
            (r#"}}"#, r#"}},"context":[]}"#),
            (r#"}}"#, r#"}}}"#),
            (r#"}}"#, r#"}"#),
            (r#"{"subject""#, r#"{"x":1,"x":1,"subject""#),
        ] {
            let body = whole.replacen(from, to, 1);
            assert_ne!(body, whole);
            assert!(evaluation(body.as_bytes()).is_none(), "{body}");
        }
        for end in 0..whole.len() {
            assert!(evaluation(&whole.as_bytes()[..end]).is_none());
        }
    }

    /// Pieces that make questions, and near misses.
    fn piece() -> impl Strategy<Value = String> {
        let words = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "1",
            "null",
            "\"\"",
            "\"x\"",
            "\"\\u0069d\":\"x\"",
            "\"subject\":{\"type\":\"u\",\"id\":\"a\"}",
            "\"resource\":{\"id\":\"r\",\"type\":\"t\"}",
            "\"action\":{\"name\":\"r\",\"properties\":{\"a\":[{}]}}",
            "\"context\":{}",
            "\"context\":{\"a\":{\"a\":1}}",
            "\"x\":1",
            "\"y\":{\"z\":1}",
            "\"action\":{\"name\":\"r\",\"id\":2}",
            "\"subject\":{\"id\":\"a\",\"id\":\"a\",\"type\":\"u\"}",
        ];
        prop::sample::select(words.map(str::to_owned).to_vec())
    }

    proptest! {
        #[test]
        fn the_short_way_reads_what_the_long_way_reads(
            pieces in prop::collection::vec(piece(), 0..8),
            joined: bool,
        ) {
            let body = if joined {
                format!("{{{}}}", pieces.join(","))
            } else {
                pieces.concat()
            };
            prop_assert!(same_both_ways(body.as_bytes()), "{}", body);
        }
    }
}
