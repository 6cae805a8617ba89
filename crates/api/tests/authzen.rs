//! The AuthZEN endpoints, to the letter of the specification.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::sync::LazyLock;

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use support::*;
use tokio::runtime::Runtime;

const ONE: &str = "/access/v1/evaluation";
const MANY: &str = "/access/v1/evaluations";

fn question(subject: &str, action: &str, record: &str) -> Json {
    json!({
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "record", "id": record},
    })
}

/// Questions with their answers: the world of the certification scenario.
fn scenario() -> Vec<(Json, bool)> {
    let archived =
        json!({"type": "record", "id": "record-2", "properties": {"status": "archived"}});
    let with = |subject, action, record, more: Json| {
        let mut question = question(subject, action, record);
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        question
    };
    let delete = |soft: bool| json!({"action": {"name": "delete", "properties": {"soft": soft}}});
    vec![
        (question("alice", "read", "record-1"), true),
        (question("alice", "write", "record-1"), true),
        (question("bob", "read", "record-1"), true),
        (question("bob", "write", "record-1"), false),
        (with("alice", "write", "record-2", json!({"resource": archived})), false),
        (
            with(
                "bob",
                "write",
                "record-2",
                json!({
                    "resource": archived,
                    "subject": {"type": "user", "id": "bob", "properties": {"role": "admin"}},
                }),
            ),
            true,
        ),
        (with("alice", "delete", "record-1", delete(true)), true),
        (with("alice", "delete", "record-1", delete(false)), false),
        (
            with("alice", "read", "record-1", json!({"context": {"ip": "192.0.2.1"}, "foo": 1})),
            true,
        ),
        (
            with(
                "alice",
                "read",
                "record-1",
                json!({
                    "subject": {"type": "user", "id": "alice", "properties": {"department": "Sales"}},
                    "action": {"name": "read", "properties": {"method": "GET"}},
                }),
            ),
            true,
        ),
        (question("mallory", "read", "record-1"), false),
        (question("alice", "unknown", "record-1"), false),
    ]
}

#[tokio::test]
async fn a_deny_is_a_200_and_each_question_gets_its_answer() {
    let fixture = Fixture::new().await;
    for (question, permitted) in scenario() {
        let answer = fixture.post(PEP, ONE, &question).await;
        assert_eq!(answer.status, StatusCode::OK, "{question}");
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert_eq!(body["decision"], json!(permitted), "{question} {body}");
        assert!(body["context"]["decision_id"].is_string(), "{body}");
        assert!(!body["context"]["reasons"].as_array().unwrap().is_empty(), "{body}");
    }
}

#[tokio::test]
async fn an_answer_says_why_what_must_be_done_and_whether_to_ask() {
    let fixture = Fixture::new().await;
    let mut question = question("alice", "write", "record-2");
    question["resource"]["properties"] = json!({"status": "archived"});
    let denied = fixture.post(PEP, ONE, &question).await.json();
    assert_eq!(
        denied["context"]["reasons"],
        json!([{
            "code": "policy", "policy": "archived", "effect": "forbid",
            "message": "archived records are not written",
        }])
    );
    assert_eq!(denied["context"]["requestable"]["quorum"], json!(1));

    question["subject"] = json!({"type": "user", "id": "bob", "properties": {"role": "admin"}});
    let permitted = fixture.post(PEP, ONE, &question).await.json();
    assert_eq!(permitted["decision"], json!(true));
    assert_eq!(permitted["context"]["obligations"][0]["type"], json!("redact"));

    // One that says what it can carry out is denied what it cannot.
    question["context"] = json!({"supported_obligations": ["notification"]});
    let refused = fixture.post(PEP, ONE, &question).await.json();
    assert_eq!(refused["decision"], json!(false));
    assert_eq!(refused["context"]["reasons"][0]["code"], json!("unknown_obligation"));
}

#[tokio::test]
async fn what_is_no_question_is_refused_with_a_sentence() {
    let fixture = Fixture::new().await;
    let whole = question("alice", "read", "record-1");
    let without = |pointer: &str| {
        let mut question = whole.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        question.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        question
    };
    let mut bodies: Vec<String> = [
        "/subject",
        "/action",
        "/resource",
        "/subject/type",
        "/subject/id",
        "/action/name",
        "/resource/type",
        "/resource/id",
    ]
    .map(|pointer| without(pointer).to_string())
    .into();
    bodies
        .push(json!({"subject": "alice", "action": {"name": "read"}, "resource": {}}).to_string());
    bodies.push(whole.to_string().replace("\"read\"", "123"));
    bodies.push(whole.to_string().replace("\"read\"", "null"));
    bodies
        .extend(["", "{\"subject\": ", "[]", "\u{feff}{}", "{\"a\":1,\"a\":2}"].map(String::from));
    for body in bodies {
        let mut request = fixture.request(PEP, Method::POST, ONE, Some(&json!({})));
        *request.body_mut() = body.clone().into();
        let answer = fixture.send(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json().is_string(), "{body}");
    }
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let fixture = Fixture::new().await;
    for content_type in [Some("text/plain"), None] {
        let body = question("alice", "read", "record-1");
        let mut request = fixture.request(PEP, Method::POST, ONE, Some(&body));
        request.headers_mut().remove("content-type");
        if let Some(content_type) = content_type {
            request.headers_mut().insert("content-type", content_type.parse().unwrap());
        }
        assert_eq!(fixture.send(request).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let fixture = Fixture::new().await;
    let mut body = question("alice", "read", "record-1");
    body["context"] = json!({"long": "x".repeat(safeconduct_api::BODY_BYTES_MAX)});
    let answer = fixture.post(PEP, ONE, &body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_request_id_comes_back_and_is_the_trace() {
    let fixture = Fixture::new().await;
    for (path, wrong) in [(ONE, false), (MANY, false), (ONE, true)] {
        let body = if wrong { json!({}) } else { question("alice", "read", "record-1") };
        let mut request = fixture.request(PEP, Method::POST, path, Some(&body));
        request.headers_mut().insert("x-request-id", "bfe9eb29-ab87".parse().unwrap());
        let answer = fixture.send(request).await;
        assert_eq!(answer.header("x-request-id"), "bfe9eb29-ab87");
        if let Some(id) = answer.json().pointer("/context/decision_id") {
            let id = id.as_str().unwrap();
            let shown = loop {
                let read = fixture.read.read_up_to();
                let shown = fixture.get(AUDITOR, &format!("/v1/records/{id}")).await;
                if shown.status == StatusCode::OK {
                    break shown.json();
                }
                fixture.read.grown_beyond(read).await;
            };
            assert_eq!(shown["record"]["trace"], json!("bfe9eb29-ab87"), "{shown}");
        }
    }
}

#[tokio::test]
async fn only_a_registered_enforcement_point_may_ask_and_only_of_what_it_is_registered_for() {
    let fixture = Fixture::new().await;
    let body = question("alice", "read", "record-1");
    let nobody = fixture.post("", ONE, &body).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    for who in [NOBODY, AUDITOR, ADMINISTRATOR, AGENT] {
        assert_eq!(fixture.post(who, ONE, &body).await.status, StatusCode::FORBIDDEN, "{who}");
        assert_eq!(fixture.post(who, MANY, &body).await.status, StatusCode::FORBIDDEN, "{who}");
    }
    let mut other = body.clone();
    other["subject"]["type"] = json!("Agent");
    let answer = fixture.post(PEP, ONE, &other).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["context"]["reasons"][0]["code"], json!("assertion_not_allowed"));
}

#[tokio::test]
async fn an_enforcement_point_that_asks_about_itself_needs_no_assertion() {
    let fixture = Fixture::new().await;
    for ty in ["workload", "Workload", "Safeconduct::Workload"] {
        let mut body = question(PEP, "read", "record-1");
        body["subject"]["type"] = json!(ty);
        let answer = fixture.post(PEP, ONE, &body).await.json();
        assert_eq!(answer["decision"], json!(true), "{ty} {answer}");
        body["subject"]["id"] = json!(STRANGER_PEP);
        let answer = fixture.post(PEP, ONE, &body).await.json();
        assert_eq!(answer["decision"], json!(false), "{ty} {answer}");
    }
}

#[tokio::test]
async fn a_batch_without_questions_of_its_own_is_one_question() {
    let fixture = Fixture::new().await;
    let mut body = question("alice", "read", "record-1");
    assert_eq!(fixture.post(PEP, MANY, &body).await.json()["decision"], json!(true));
    body["evaluations"] = json!([]);
    assert_eq!(fixture.post(PEP, MANY, &body).await.json()["decision"], json!(true));
}

#[tokio::test]
async fn a_question_of_a_batch_that_is_none_fails_alone() {
    let fixture = Fixture::new().await;
    let mut body = question("alice", "read", "record-1");
    let resource = body.as_object_mut().unwrap().remove("resource").unwrap();
    body["evaluations"] = json!([{"resource": resource}, {}]);
    let answer = fixture.post(PEP, MANY, &body).await.json();
    let answers = answer["evaluations"].as_array().unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["decision"], json!(true));
    assert_eq!(answers[1]["decision"], json!(false));
    assert_eq!(answers[1]["context"]["error"]["status"], json!(400));
}

#[tokio::test]
async fn the_metadata_names_the_endpoints() {
    let fixture = Fixture::new().await;
    let answer = fixture.get("", "/.well-known/authzen-configuration").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "policy_decision_point": "http://localhost:8080",
            "access_evaluation_endpoint": "http://localhost:8080/access/v1/evaluation",
            "access_evaluations_endpoint": "http://localhost:8080/access/v1/evaluations",
            "search_subject_endpoint": "http://localhost:8080/access/v1/search/subject",
            "search_resource_endpoint": "http://localhost:8080/access/v1/search/resource",
            "search_action_endpoint": "http://localhost:8080/access/v1/search/action",
            "access_request_endpoint": "http://localhost:8080/access/v1/request",
            "capabilities": ["urn:openid:authzen:capability:access-request"],
        })
    );
}

#[tokio::test]
async fn a_browser_that_was_tricked_is_turned_away() {
    let fixture = Fixture::new().await;
    let body = question("alice", "read", "record-1");
    let sent = |header: &'static str, value: &'static str| {
        let mut request = fixture.request(PEP, Method::POST, ONE, Some(&body));
        request.headers_mut().insert(header, value.parse().unwrap());
        request
    };
    let foreign = fixture.send(sent("host", "evil.example")).await;
    assert_eq!(foreign.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(
        fixture.send(sent("origin", "http://evil.example")).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(fixture.send(sent("origin", "http://localhost:8080")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_decision_that_cannot_be_recorded_is_a_deny_and_turns_readiness_red() {
    let fixture = Fixture::in_memory().await;
    let body = question("alice", "read", "record-1");
    assert_eq!(fixture.get("", "/readyz").await.status, StatusCode::OK);
    assert_eq!(fixture.post(PEP, ONE, &body).await.json()["decision"], json!(true));
    fixture.memory.as_ref().unwrap().fail("no space left on the secret disk");
    let answer = fixture.post(PEP, ONE, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = answer.json();
    assert_eq!(answer["decision"], json!(false));
    assert_eq!(answer["context"]["reasons"][0]["code"], json!("not_recorded"));
    assert!(!answer.to_string().contains("secret disk"), "{answer}");
    let ready = fixture.get("", "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["ledger"]["ok"], json!(false));
    let metrics = fixture.get("", "/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("safeconduct_log_append_failures_total 1"), "{metrics}");
    assert!(metrics.contains("safeconduct_ledger_ready 0"), "{metrics}");
    assert!(!metrics.contains("alice") && !metrics.contains("record-1"), "{metrics}");
}

#[tokio::test]
async fn a_revoked_token_proves_nothing_from_that_moment() {
    let fixture = Fixture::new().await;
    let body = question("alice", "read", "record-1");
    let id = {
        let world = fixture.service.world();
        let token = world.tokens().find(|token| token.identity.as_str() == PEP).unwrap();
        token.id.to_string()
    };
    assert_eq!(fixture.post(PEP, ONE, &body).await.status, StatusCode::OK);
    let revoked = fixture.post(OPERATOR, &format!("/v1/tokens/{id}/revoke"), &json!({})).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.post(PEP, ONE, &body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_session_part_is_called_must_be_a_name() {
    let fixture = Fixture::new().await;
    let sent = |name: &str| {
        let body = question("alice", "read", "record-1");
        let mut request = fixture.request(PEP, Method::POST, ONE, Some(&body));
        request.headers_mut().insert("safeconduct-session", name.parse().unwrap());
        request
    };
    assert_eq!(fixture.send(sent("case-4711")).await.status, StatusCode::OK);
    let long = "x".repeat(513);
    assert_eq!(fixture.send(sent(&long)).await.status, StatusCode::BAD_REQUEST);
}

/// What a batch must answer, by asking one by one and reading the specification literally.
fn naive(answers: &[bool], semantic: Option<&str>) -> Vec<bool> {
    let mut reached = Vec::new();
    for answer in answers {
        reached.push(*answer);
        if semantic == Some("deny_on_first_deny") && !answer
            || semantic == Some("permit_on_first_permit") && *answer
        {
            break;
        }
    }
    reached
}

/// One for all cases: what is decided here does not depend on the session.
static SHARED: LazyLock<(Runtime, Fixture)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = runtime.block_on(Fixture::in_memory());
    (runtime, fixture)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_answers_as_its_questions_would_one_by_one(
        picked in proptest::collection::vec(0_usize..13, 1..12),
        semantic in proptest::option::of(proptest::sample::select(vec![
            "execute_all", "deny_on_first_deny", "permit_on_first_permit",
        ])),
    ) {
        let (runtime, fixture) = &*SHARED;
        runtime.block_on(async {
            let mut scenario = scenario();
            scenario.push((json!({"subject": 7}), false));
            let chosen: Vec<_> = picked.iter().map(|at| scenario[*at].clone()).collect();
            let mut body = json!({});
            body["evaluations"] = chosen.iter().map(|(question, _)| question.clone()).collect();
            if let Some(semantic) = semantic {
                body["options"] = json!({"evaluations_semantic": semantic});
            }
            let answer = fixture.post(PEP, MANY, &body).await;
            assert_eq!(answer.status, StatusCode::OK);
            let answer = answer.json();
            let got: Vec<bool> = answer["evaluations"].as_array().unwrap().iter()
                .map(|item| item["decision"].as_bool().unwrap()).collect();
            let expected: Vec<bool> = chosen.iter().map(|(_, answer)| *answer).collect();
            assert_eq!(got, naive(&expected, semantic));
        });
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_document() {
    let fixture = Fixture::new().await;
    let unknown = fixture.get(PEP, "/access/v2/evaluation").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.header("content-type"), "application/problem+json");
    let wrong = fixture.get(PEP, ONE).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}
