//! Answers to access requests, and how far a yes reaches.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Constraint, IdentityId, KeyedDigest, RecordId, Timestamp, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Diagnostic, FormError, Place, Written, read_value};
use crate::json;

/// An answer to one request: exactly one of `approve` and `refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Yes, so far.
    pub approve: Option<ApproveForm>,
    /// No.
    pub refuse: Option<RefuseForm>,
    /// The request's `digest`, as it was shown: the answer is to that and to nothing else.
    pub digest: Written<KeyedDigest>,
    /// For whom the caller stands in: somebody whose fallback owner they are.
    pub standing_in_for: Option<Written<IdentityId>>,
}

/// How far a yes reaches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveForm {
    /// `once`; `edited`: once, with numbers lowered; `task`: in its task; `until`: until a time.
    pub scope: ExtentWord,
    /// By JSON Pointer, the most that a number may be. Of `edited` they are what is lowered; of
    /// `task` and `until` a number of the call that may differ from use to use. Others stay as
    /// they were asked.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub at_most: BTreeMap<String, serde_json::Number>,
    /// By JSON Pointer, what else an argument may be: of `task` and `until`. What was asked for
    /// must fit it, and no argument stands in both this and `at_most`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub within: BTreeMap<String, BoundForm>,
    /// Which resources: of `task` and `until`. `same` where nothing is said.
    pub resources: Option<ResourcesWord>,
    /// How often: of `task` and `until`.
    #[schemars(range(min = 1, max = 1000))]
    pub uses: Option<u32>,
    /// Until when: of `until`.
    pub until: Option<Written<Timestamp>>,
}

/// What an argument may be: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundForm {
    /// One of these values, or the one that was asked for.
    OneOf(#[schemars(length(min = 1, max = 64))] Vec<serde_json::Value>),
    /// A path that is this folder or lies in it.
    Under(#[schemars(length(min = 1, max = 4096))] String),
    /// A mail address or URL whose host is this domain or a subdomain of it.
    Domain(#[schemars(length(min = 1, max = 253))] String),
    /// A text of at most so many bytes.
    LongestBytes(u64),
}

/// Which resources an approval reaches that is for more than one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourcesWord {
    /// Those that were asked for.
    #[default]
    Same,
    /// Any of the types that were asked for.
    OfType,
}

/// How far an approval reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtentWord {
    /// What was asked, once.
    Once,
    /// With some of its numbers lowered, once.
    Edited,
    /// In the same task.
    Task,
    /// Until a time, in whatever task of the same intent.
    Until,
}

/// No.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseForm {
    /// Why, for who asked and for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// An answer, in the model's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedAnswer {
    /// What is said.
    pub word: AnswerWord,
    /// What was shown.
    pub digest: KeyedDigest,
    /// For whom.
    pub standing_in_for: Option<IdentityId>,
}

/// What is said to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerWord {
    /// Yes.
    Approve(Extent),
    /// No, and why.
    Refuse(Arc<str>),
}

/// The most that each of some numbers may be, by JSON Pointer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AtMost(pub Vec<(Arc<str>, Value)>);

/// What may differ from use to use of one approval.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loosened {
    /// Numbers, and the most that they may be.
    pub at_most: AtMost,
    /// Other arguments, by JSON Pointer, and what they may be.
    pub within: Vec<(Arc<str>, Constraint<Value>)>,
    /// Which resources.
    pub resources: ResourcesWord,
}

/// How far a yes reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Extent {
    /// Once.
    Once,
    /// Once, with numbers lowered.
    Edited(AtMost),
    /// In the task.
    Task {
        /// How often.
        uses: u32,
        /// What may differ.
        loosened: Loosened,
    },
    /// Until a time.
    Until {
        /// How often.
        uses: u32,
        /// Until when.
        until: Timestamp,
        /// What may differ.
        loosened: Loosened,
    },
}

impl AnswerRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`FormError`] names every field that does not fit.
    pub fn read(body: &[u8]) -> Result<RequestedAnswer, FormError> {
        let value = json::parse(body)?;
        let form: Self = read_value(&value)?;
        let word = match (form.approve, form.refuse) {
            (Some(approve), None) => AnswerWord::Approve(approve.extent(&value)?),
            (None, Some(refuse)) => AnswerWord::Refuse(refuse.reason.into()),
            _ => return Err(wrong("", "exactly one of `approve` and `refuse` must be here").into()),
        };
        let standing_in_for = form.standing_in_for.map(|of| of.0);
        Ok(RequestedAnswer { word, digest: form.digest.0, standing_in_for })
    }
}

impl ApproveForm {
    fn extent(self, value: &Value) -> Result<Extent, Vec<Diagnostic>> {
        let listed = value.pointer("/approve/at_most").and_then(Value::as_object);
        let listed = listed.into_iter().flatten();
        let at_most = AtMost(listed.map(|(at, most)| (Arc::clone(at), most.clone())).collect());
        let uses = || self.uses.ok_or_else(|| wrong("/approve/uses", "is missing: how often"));
        let until = || {
            let until = self.until.as_ref().map(|until| until.0);
            until.ok_or_else(|| wrong("/approve/until", "is missing: until when"))
        };
        let no = |there: bool, name: &str| match there {
            true => Err(wrong(&format!("/approve/{name}"), "does not go with this scope")),
            false => Ok(()),
        };
        Ok(match self.scope {
            ExtentWord::Once | ExtentWord::Edited => {
                no(self.uses.is_some(), "uses")?;
                no(self.until.is_some(), "until")?;
                no(!self.within.is_empty(), "within")?;
                no(self.resources.is_some(), "resources")?;
                match (self.scope, at_most.0.is_empty()) {
                    (ExtentWord::Once, true) => Extent::Once,
                    (ExtentWord::Once, false) => {
                        let message = "numbers are lowered with the scope `edited`";
                        return Err(wrong("/approve/at_most", message));
                    }
                    (_, true) => return Err(wrong("/approve/at_most", "says what is lowered")),
                    (_, false) => Extent::Edited(at_most),
                }
            }
            ExtentWord::Task => {
                no(self.until.is_some(), "until")?;
                Extent::Task { uses: uses()?, loosened: self.loosened(at_most, value)? }
            }
            ExtentWord::Until => Extent::Until {
                uses: uses()?,
                until: until()?,
                loosened: self.loosened(at_most, value)?,
            },
        })
    }

    fn loosened(&self, at_most: AtMost, value: &Value) -> Result<Loosened, Vec<Diagnostic>> {
        let raw = value.pointer("/approve/within");
        let text = |text: &String| Value::from(text.as_str());
        let mut within = Vec::new();
        for (at, bound) in &self.within {
            if self.at_most.contains_key(at) {
                let message = format!("`{at}` stands in `at_most` too");
                return Err(wrong("/approve/within", &message));
            }
            let constraint = match bound {
                // The values themselves: their numbers are exact as they were written.
                BoundForm::OneOf(_) => {
                    let all = raw.and_then(|raw| raw.member(at)?.member("one_of")?.as_array());
                    Constraint::OneOf(all.map(<[_]>::to_vec).unwrap_or_default())
                }
                BoundForm::Under(folder) => Constraint::Under(text(folder)),
                BoundForm::Domain(domain) => Constraint::Domain(text(domain)),
                BoundForm::LongestBytes(most) => Constraint::LongestBytes(*most),
            };
            within.push((at.as_str().into(), constraint));
        }
        Ok(Loosened { at_most, within, resources: self.resources.unwrap_or_default() })
    }
}

fn wrong(pointer: &str, message: &str) -> Vec<Diagnostic> {
    vec![Diagnostic::new("", Place::default(), pointer, message)]
}

/// One answer for several requests that are listed together under `group`: each is approved once
/// and exactly as it was shown, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerAllRequest {
    /// The requests with the digest of what was shown of each.
    #[schemars(length(min = 1, max = 32))]
    pub requests: Vec<ShownRequest>,
    /// Why not; left out, they are approved.
    pub refuse: Option<RefuseForm>,
    /// For whom the caller stands in.
    pub standing_in_for: Option<Written<IdentityId>>,
}

/// A request as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShownRequest {
    /// Which.
    pub id: Written<RecordId>,
    /// Its `digest`.
    pub digest: Written<KeyedDigest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str =
        "hmac-sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn read(approve: &str) -> Result<AnswerWord, String> {
        let body = format!(r#"{{"approve": {approve}, "digest": "{DIGEST}"}}"#);
        AnswerRequest::read(body.as_bytes())
            .map(|answer| answer.word)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_extent_says_what_it_needs_and_nothing_else() {
        let number = |n: i64| Value::Integer(n);
        let at_most = |n| AtMost(vec![("/amount".into(), number(n))]);
        assert_eq!(read(r#"{"scope": "once"}"#), Ok(AnswerWord::Approve(Extent::Once)));
        assert_eq!(
            read(r#"{"scope": "edited", "at_most": {"/amount": 100}}"#),
            Ok(AnswerWord::Approve(Extent::Edited(at_most(100))))
        );
        assert_eq!(
            read(r#"{"scope": "task", "uses": 3}"#),
            Ok(AnswerWord::Approve(Extent::Task { uses: 3, loosened: Loosened::default() }))
        );
        let loosened = Loosened {
            at_most: at_most(100),
            within: vec![
                ("/currency".into(), Constraint::OneOf(vec![Value::from("EUR"), number(1)])),
                ("/path".into(), Constraint::Under(Value::from("/srv"))),
            ],
            resources: ResourcesWord::OfType,
        };
        assert_eq!(
            read(
                r#"{"scope": "task", "uses": 3, "at_most": {"/amount": 100}, "resources": "of_type",
                    "within": {"/path": {"under": "/srv"}, "/currency": {"one_of": ["EUR", 1]}}}"#
            ),
            Ok(AnswerWord::Approve(Extent::Task { uses: 3, loosened }))
        );
        for wrong in [
            r#"{"scope": "once", "uses": 2}"#,
            r#"{"scope": "once", "at_most": {"/amount": 1}}"#,
            r#"{"scope": "edited"}"#,
            r#"{"scope": "task"}"#,
            r#"{"scope": "task", "uses": 2, "until": "2026-01-01T00:00:00Z"}"#,
            r#"{"scope": "until", "uses": 2}"#,
            r#"{"scope": "until", "until": "2026-01-01T00:00:00Z"}"#,
            r#"{"scope": "task", "uses": 0}"#,
            r#"{"scope": "once", "resources": "of_type"}"#,
            r#"{"scope": "once", "within": {"/path": {"under": "/srv"}}}"#,
            r#"{"scope": "task", "uses": 2, "resources": "all"}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"under": ""}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"one_of": []}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"like": "/srv"}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/a": {"under": "/b", "domain": "c"}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/a": {"under": "/b"}}, "at_most": {"/a": 1}}"#,
            r#"{"scope": "for ever"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_one_word_to_what_was_shown() {
        let both = format!(
            r#"{{"approve": {{"scope": "once"}}, "refuse": {{"reason": "no"}}, "digest": "{DIGEST}"}}"#
        );
        assert!(AnswerRequest::read(both.as_bytes()).is_err());
        assert!(AnswerRequest::read(br#"{"approve": {"scope": "once"}}"#).is_err());
        let no = format!(r#"{{"refuse": {{"reason": "no"}}, "digest": "{DIGEST}"}}"#);
        let no = AnswerRequest::read(no.as_bytes()).unwrap();
        assert_eq!(no.word, AnswerWord::Refuse("no".into()));
    }
}
