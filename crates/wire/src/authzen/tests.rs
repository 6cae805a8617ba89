use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_model::{
    Decision, Entity, EntityRef, Obligation, PolicyEffect, PolicyId, PolicyRef, Reason, RecordId,
    Requestable, Span, Value,
};

use super::*;
use crate::json;

const ALICE: &str = r#""subject":{"type":"user","id":"alice"}"#;
const READ: &str = r#""action":{"name":"read"}"#;
const RECORD: &str = r#""resource":{"type":"record","id":"record-1"}"#;

fn body(parts: &[&str]) -> Vec<u8> {
    format!("{{{}}}", parts.join(",")).into_bytes()
}

fn refusal(body: &[u8]) -> String {
    Evaluation::parse(body).unwrap_err().to_string()
}

#[test]
fn a_question_is_read_into_the_model() {
    let question = Evaluation::parse(
        br#"{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},
             "action":{"name":"delete","properties":{"soft":true}},
             "resource":{"type":"record","id":"record-2","futureField":1},
             "context":{"ip":"192.0.2.1","supported_obligations":["redact"]},
             "foo":"bar"}"#,
    )
    .unwrap();
    assert_eq!(question.subject.uid, EntityRef::new("user", "bob").unwrap());
    assert_eq!(question.subject.attributes.get("role"), Some(&Value::from("admin")));
    assert_eq!(question.input, Value::object([("soft", Value::from(true))]));
    assert_eq!(question.resource, Entity::bare(EntityRef::new("record", "record-2").unwrap()));
    assert_eq!(question.supported_obligations(), Some(vec!["redact"]));
}

#[test]
fn what_is_missing_or_ill_typed_is_named() {
    assert_eq!(refusal(&body(&[READ, RECORD])), "`/subject` is missing");
    assert_eq!(refusal(&body(&[ALICE, RECORD])), "`/action` is missing");
    assert_eq!(refusal(&body(&[ALICE, READ])), "`/resource` is missing");
    for (text, problem) in [
        (r#"{"subject":"alice"}"#, "`/subject` is a string, but must be an object"),
        (r#"{"subject":{"id":"a"}}"#, "`/subject/type` is missing"),
        (r#"{"subject":{"type":"a"}}"#, "`/subject/id` is missing"),
        (
            r#"{"subject":{"type":"a","id":""}}"#,
            "`/subject/id` does not fit: an entity id is empty",
        ),
        (r#"{"action":{}}"#, "`/action/name` is missing"),
        (r#"{"action":{"name":123}}"#, "`/action/name` is an integer, but must be a string"),
        (
            r#"{"action":{"name":"a","properties":[]}}"#,
            "`/action/properties` is an array, but must be an object",
        ),
        (r#"{"context":null}"#, "`/context` is null, but must be an object"),
        ("[]", "`` is an array, but must be an object"),
    ] {
        assert_eq!(refusal(text.as_bytes()), problem, "{text}");
    }
    assert!(matches!(Evaluation::parse(b"{\"subject\": "), Err(AuthzenError::Json(_))));
    assert!(matches!(Evaluation::parse(b""), Err(AuthzenError::Json(_))));
}

fn batch(body: &[u8]) -> Batch {
    match Evaluations::parse(body).unwrap() {
        Evaluations::Batch(batch) => batch,
        Evaluations::Single(_) => panic!("a single question"),
    }
}

#[test]
fn an_item_replaces_defaults_whole() {
    let batch = batch(&body(&[
        r#""subject":{"type":"user","id":"alice","properties":{"a":1}}"#,
        READ,
        RECORD,
        r#""context":{"time":"t","ip":"x"}"#,
        r#""evaluations":[{},{"subject":{"type":"user","id":"bob"},"context":{"time":"u"}}]"#,
    ]));
    assert_eq!(batch.semantic, Semantic::ExecuteAll);
    let [Ok(first), Ok(second)] = batch.items.as_slice() else { panic!("{batch:?}") };
    assert_eq!(first.subject.attributes.len(), 1);
    assert!(second.subject.attributes.is_empty());
    assert_eq!(second.context, Some(Value::object([("time", Value::from("u"))])));
    assert_eq!(second.resource, first.resource);
}

#[test]
fn a_bad_item_spoils_only_itself() {
    let batch = batch(&body(&[
        ALICE,
        READ,
        r#""evaluations":[{"resource":{"type":"record","id":"r"}},{},7,{"action":{"name":1}}]"#,
    ]));
    let problems: Vec<_> = batch
        .items
        .iter()
        .map(|item| item.as_ref().map_or_else(ToString::to_string, |_| "fine".into()))
        .collect();
    assert_eq!(
        problems,
        [
            "fine",
            "`/evaluations/1/resource` is missing",
            "`/evaluations/2` is an integer, but must be an object",
            "`/evaluations/3/action/name` is an integer, but must be a string",
        ]
    );
}

#[test]
fn absent_or_empty_evaluations_are_a_single_question() {
    for extra in ["\"x\":0", "\"evaluations\":[]"] {
        let body = body(&[ALICE, READ, RECORD, extra]);
        let single = Evaluation::parse(&body).unwrap();
        assert_eq!(Evaluations::parse(&body).unwrap(), Evaluations::Single(Box::new(single)));
    }
}

#[test]
fn what_makes_a_batch_unusable_is_named() {
    let many = format!("\"evaluations\":[{}]", vec!["{}"; EVALUATIONS_MAX + 1].join(","));
    let wide = format!("\"context\":{{\"a\":[{}]}}", vec!["0"; 1000].join(","));
    let half = format!("\"evaluations\":[{}]", vec!["{}"; EVALUATIONS_MAX / 2].join(","));
    for (parts, problem) in [
        (vec!["\"evaluations\":{}"], "`/evaluations` is an object, but must be an array"),
        (vec!["\"subject\":1", "\"evaluations\":[{}]"], "`/subject` is an integer"),
        (
            vec![r#""options":{"evaluations_semantic":"some"}"#, "\"evaluations\":[{}]"],
            "`/options/evaluations_semantic` is `some`, but must be one of `execute_all`, \
             `deny_on_first_deny`, `permit_on_first_permit`",
        ),
        (vec!["\"options\":[]"], "`/options` is an array, but must be an object"),
        (vec![&many], "`/evaluations` has more evaluations than 1000"),
        (vec![&wide, &half], "`/evaluations` has more values repeated from the defaults"),
    ] {
        let error = Evaluations::parse(&body(&parts)).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}

#[test]
fn each_semantic_stops_where_it_says() {
    let stops = |word: &str| {
        let semantic = Semantic::parse(word).unwrap();
        (semantic.stops_after(Decision::Permit), semantic.stops_after(Decision::Deny))
    };
    assert_eq!(stops("execute_all"), (false, false));
    assert_eq!(stops("deny_on_first_deny"), (false, true));
    assert_eq!(stops("permit_on_first_permit"), (true, false));
}

fn policy() -> Arc<PolicyRef> {
    Arc::new(PolicyRef {
        id: PolicyId::new("no-\"moves\"").unwrap(),
        effect: PolicyEffect::Forbid,
        span: Span { file: "a.cedar".into(), line: 1, column: 1, end_line: 3 },
        message: Some("moving files needs a person".into()),
    })
}

#[test]
fn an_answer_says_why_and_never_where() {
    let id = RecordId::new("d-1").unwrap();
    let reasons = [
        Reason::Policy(policy()),
        Reason::PolicyError { policy: policy(), error: "secret internals".into() },
        Reason::NoPermit { resource: None },
    ];
    let requestable = Requestable { approvers: "resource.owner".into(), quorum: 1, ttl_s: 900 };
    let mut out = Vec::new();
    write_evaluation(
        &Answer {
            decision: Decision::Deny,
            id: Some(&id),
            reasons: &reasons,
            obligations: &[Obligation::parse("redact:$.ssn"), Obligation::parse("log")],
            requestable: Some(&requestable),
            offer: None,
            unhelped: None,
        },
        &mut out,
    );
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(!text.contains("secret") && !text.contains("a.cedar"), "{text}");
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"decision": false, "context": {
            "decision_id": "d-1",
            "reasons": [
                {"code": "policy", "policy": "no-\"moves\"", "effect": "forbid",
                 "message": "moving files needs a person"},
                {"code": "policy_error", "policy": "no-\"moves\"", "effect": "forbid", "message":
                 "rule `no-\"moves\"` could not be evaluated, so nothing is permitted"},
                {"code": "no_permit", "message": "no rule permits this"},
            ],
            "obligations": [
                {"id": "redact:$.ssn", "type": "redact", "properties": {"parameter": "$.ssn"}},
                {"id": "log", "type": "log"},
            ],
            "requestable": {"approvers": "resource.owner", "quorum": 1, "ttl_s": 900},
        }})
    );
}

#[test]
fn a_batch_answers_in_order_and_bounds_its_reasons() {
    let many = vec![Reason::Contended; REASONS_SHOWN_MAX + 3];
    let permit = Answer {
        decision: Decision::Permit,
        id: None,
        reasons: &many,
        obligations: &[],
        requestable: None,
        offer: None,
        unhelped: None,
    };
    let error = Evaluation::from_value(Value::object([("subject", Value::Null)])).unwrap_err();
    let answers = [ItemAnswer::Decided(permit), ItemAnswer::Refused(&error)];
    let mut out = Vec::new();
    write_evaluations(answers, &mut out);
    let value = json::parse(&out).unwrap();
    let get = |pointer: &str| value.pointer(pointer).cloned();
    assert_eq!(get("/evaluations/0/decision"), Some(Value::from(true)));
    assert_eq!(get("/evaluations/0/context/reasons_left_out"), Some(Value::from(3)));
    assert_eq!(get("/evaluations/1/decision"), Some(Value::from(false)));
    assert_eq!(get("/evaluations/1/context/error/status"), Some(Value::from(400)));
}

#[test]
fn the_metadata_names_its_endpoints() {
    let metadata = serde_json::to_value(Metadata::at("https://pdp.example/")).unwrap();
    assert_eq!(
        metadata,
        serde_json::json!({
            "policy_decision_point": "https://pdp.example",
            "access_evaluation_endpoint": "https://pdp.example/access/v1/evaluation",
            "access_evaluations_endpoint": "https://pdp.example/access/v1/evaluations",
            "search_subject_endpoint": "https://pdp.example/access/v1/search/subject",
            "search_resource_endpoint": "https://pdp.example/access/v1/search/resource",
            "search_action_endpoint": "https://pdp.example/access/v1/search/action",
            "access_request_endpoint": "https://pdp.example/access/v1/request",
            "capabilities": ["urn:openid:authzen:capability:access-request"],
        })
    );
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(
        shape in prop::collection::btree_map(
            prop::sample::select(vec![
                "subject", "action", "resource", "context", "options", "evaluations",
            ]),
            prop::sample::select(vec![
                "{}", "[]", "1", "null", "[{}]", "[null]", r#"{"type":"a","id":"b"}"#,
                r#"{"name":"a"}"#, r#"[{"subject":{}}]"#,
            ]),
            0..6,
        ),
    ) {
        let parts: Vec<_> = shape.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
        let body = format!("{{{}}}", parts.join(",")).into_bytes();
        let single = Evaluation::parse(&body).is_ok();
        if let Ok(Evaluations::Single(_)) = Evaluations::parse(&body) {
            prop_assert!(single);
        }
    }
}
