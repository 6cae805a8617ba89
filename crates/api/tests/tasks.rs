//! Tasks over HTTP: who begins, reads and ends them, and what is decided in them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::{Vocabulary, World};
use serde_json::{Value as Json, json};
use support::*;

const TASK_POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource)
unless { resource == Safeconduct::Intent::"forbidden" };
@id("agents") permit (principal is Safeconduct::Agent, action, resource)
when { context.action.name like "crm.*" };
@id("ada") permit (principal == Safeconduct::User::"ada", action, resource)
when { context.action.name == "crm.read" };
"#;

const INTENT: &str = "
version: 1
description: Work on one case.
parameters: { case: { type: identifier } }
undertaken_by: { kinds: [agent, service_account] }
on_behalf_of: optional
longest: 10m
budget: { calls: 10 }
tier_max: moderate
delegation_depth: 2
envelope:
  - action: crm.read
    arguments: { /case: { equals: \"${case}\" } }
  - action: crm.write
    arguments: { /case: { equals: \"${case}\" }, /text: { longest_bytes: 20 } }
";

fn entry(tool: &str) -> ActionEntry {
    ActionEntry {
        name: ActionName::new(format!("crm.{tool}")).unwrap(),
        server: Some(ServerName::new("crm").unwrap()),
        tier: Tier::Low,
        effect: Effect::Write,
        guessed: false,
        returns: safeconduct_model::Returns::uniform(safeconduct_model::Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Internal,
            ..safeconduct_model::Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    }
}

fn world() -> World {
    let entries = ["read", "write", "export"].map(entry);
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", TASK_POLICIES)],
        servers: vec![ServerName::new("crm").unwrap()],
        actions: entries.iter().map(|e| (e.name.clone(), e.server.clone())).collect(),
        schemas: vec![SourceFile::new("s.cedarschema", "namespace Safeconduct { entity record; }")],
        ..Sources::default()
    };
    let policies = std::sync::Arc::new(load(&sources).unwrap().policies);
    let catalogue = Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    };
    let vocabulary = std::sync::Arc::new(Vocabulary::new("Safeconduct").unwrap());
    World::new(policies, std::sync::Arc::new(catalogue), Digest::from_bytes([9; 32]), vocabulary)
}

fn intents() -> Intents {
    let all = ["work", "forbidden"].map(|name| {
        let text = format!("intent: {name}{INTENT}");
        safeconduct_wire::intent::parse("i.yaml", &text).unwrap().intent
    });
    let versions = all.into_iter().map(|one| (one.name.clone(), BTreeMap::from([(1, one)])));
    Intents { versions: versions.collect(), digest: Digest::from_bytes([5; 32]) }
}

async fn fixture() -> Fixture {
    let gate = Identity {
        pep: Some(PepRegistration {
            subjects: [EntityType::new("Safeconduct::Agent").unwrap()].into(),
            resources: BTreeSet::new(),
            properties: false,
            label_at: Default::default(),
        }),
        ..identity("gate", IdentityKind::Workload, &[])
    };
    let more = vec![
        gate,
        identity("worker", IdentityKind::Agent, &[]),
        identity("helper", IdentityKind::Agent, &[]),
        identity("ada", IdentityKind::User, &[]),
        identity("bob", IdentityKind::User, &[]),
        identity("clerk", IdentityKind::ServiceAccount, &Role::ALL),
        identity("orchestrator", IdentityKind::Workload, &[Role::Orchestrator]),
    ];
    Fixture::with_tasks(world(), intents(), more).await
}

fn work(agent: &str) -> Json {
    json!({"intent": "work", "parameters": {"case": "C-1"}, "agent": agent})
}

fn question(agent: &str, action: &str, input: Json) -> Json {
    json!({
        "subject": {"type": "Agent", "id": agent},
        "action": {"name": action, "properties": input},
        "resource": {"type": "Server", "id": "crm"},
    })
}

fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

impl Fixture {
    async fn begin(&self, who: &str, body: &Json) -> Json {
        let answer = self.post(who, "/v1/tasks", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()
    }

    /// The reasons of a Deny; none is a Permit.
    async fn ask(&self, agent: &str, handle: &str, action: &str, input: Json) -> Vec<String> {
        let question = question(agent, action, input);
        let answer = self.post_in("gate", handle, "/access/v1/evaluation", &question).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", String::from_utf8(answer.body));
        let answer = answer.json();
        if answer["decision"] == json!(true) {
            return Vec::new();
        }
        let reasons = answer["context"]["reasons"].as_array().unwrap().iter();
        reasons.map(|reason| text(reason, "code").to_owned()).collect()
    }
}

#[tokio::test]
async fn a_task_is_begun_acted_in_and_ended_for_every_connection() {
    let fixture = fixture().await;
    let begun = fixture.begin("ada", &work("worker")).await;
    let (id, handle) = (text(&begun, "task"), text(&begun, "handle"));
    assert_eq!(begun["on_behalf_of"], json!("ada"));
    assert!(handle.starts_with("sct_") && handle.len() == 47);
    let case = json!({"case": "C-1"});
    let other = json!({"case": "C-2"});
    assert!(fixture.ask("worker", handle, "crm.read", case.clone()).await.is_empty());
    assert!(!fixture.ask("worker", handle, "crm.read", other).await.is_empty());
    // The agent may, its intent does not.
    assert!(!fixture.ask("worker", handle, "crm.export", case.clone()).await.is_empty());
    // The intent does, the agent may, the user may not.
    let write = json!({"case": "C-1", "text": "short"});
    assert!(!fixture.ask("worker", handle, "crm.write", write).await.is_empty());
    // Another agent's task is not helped by its handle.
    assert!(!fixture.ask("helper", handle, "crm.read", case.clone()).await.is_empty());

    let shown = fixture.get("worker", &format!("/v1/tasks/{id}")).await.json();
    assert_eq!(shown["used"]["calls"], json!(1));
    assert_eq!(shown["calls_left"], json!(9));
    assert_eq!(shown["mandate"]["parameters"], json!({"case": "C-1"}));
    let envelope = &shown["mandate"]["envelope"][0]["arguments"]["/case"]["equals"];
    assert_eq!(*envelope, json!("C-1"));
    assert!(!shown.to_string().contains(handle));

    let end = format!("/v1/tasks/{id}/end");
    let ended = fixture.post("worker", &end, &json!({"reason": "done"})).await;
    assert_eq!(ended.status, StatusCode::OK);
    assert_eq!(ended.json(), json!({"state": "completed", "ended": 1}));
    assert!(!fixture.ask("worker", handle, "crm.read", case).await.is_empty());
    let again = fixture.post("ada", &end, &json!({"state": "revoked"})).await.json();
    assert_eq!(again, json!({"state": "completed", "ended": 0}));
    let shown = fixture.get("worker", &format!("/v1/tasks/{id}")).await.json();
    assert_eq!((&shown["state"], shown.get("mandate")), (&json!("completed"), None));
}

#[tokio::test]
async fn whoever_begins_a_task_may() {
    let fixture = fixture().await;
    let refused = |who: &'static str, body: Json, status, code: &'static str| {
        let fixture = &fixture;
        async move {
            let answer = fixture.post(who, "/v1/tasks", &body).await;
            let problem = answer.json();
            assert_eq!((answer.status, text(&problem, "code")), (status, code), "{problem}");
            problem
        }
    };
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    let (forbidden, unknown) = (StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    // An agent begins its own, an orchestrator anyone's, a workload without the role nobody's.
    fixture.begin("worker", &json!({"intent": "work", "parameters": {"case": "C-1"}})).await;
    fixture.begin("orchestrator", &work("worker")).await;
    refused("gate", work("worker"), forbidden, "not_allowed").await;
    refused("worker", work("helper"), forbidden, "not_allowed").await;
    refused("ada", work("ada"), forbidden, "not_an_undertaker").await;
    refused("ada", work("nobody-at-all"), unknown, "unknown_identity").await;
    refused("ada", json!({"intent": "no_such"}), unknown, "unknown_intent").await;
    let version = json!({"intent": "work", "version": 7, "agent": "worker"});
    refused("ada", version, unknown, "unknown_intent").await;
    let missing = json!({"intent": "work", "agent": "worker"});
    let problem = refused("ada", missing, unfit, "parameters").await;
    assert_eq!(text(&problem, "detail"), "parameter `case` is missing");
    let path = json!({"intent": "work", "agent": "worker", "parameters": {"case": "../x"}});
    refused("ada", path, unfit, "parameters").await;
    let denied = json!({"intent": "forbidden", "agent": "worker", "parameters": {"case": "C-1"}});
    let problem = refused("ada", denied, forbidden, "denied").await;
    assert!(text(&problem, "decision_id").starts_with("dec_"));
    assert_eq!(problem["reasons"][0]["code"], json!("no_permit"));
    for wider in [
        json!({"envelope": [{"action": "crm.export"}]}),
        json!({"envelope": [{"action": "crm.read", "other_arguments": "allowed"}]}),
        json!({"budget": {"calls": 11}}),
    ] {
        let mut body = work("worker");
        body.as_object_mut().unwrap().extend(wider.as_object().unwrap().clone());
        refused("ada", body, unfit, "wider").await;
    }
    let mut body = work("worker");
    body["envelope"] =
        json!([{"action": "crm.read", "arguments": {"/case": {"equals": "${case}"}}}]);
    refused("ada", body, StatusCode::BAD_REQUEST, "invalid").await;
}

#[tokio::test]
async fn a_prompt_is_shown_to_who_acts_and_who_began_and_is_in_no_record() {
    let fixture = fixture().await;
    let words = "Sum up what Mrs Zauberflote wrote.\nNothing else.";
    let mut body = work("worker");
    body["prompt"] = json!(words);
    body["on_behalf_of"] = json!({"token": fixture.tokens["ada"]});
    let begun = fixture.begin("orchestrator", &body).await;
    let path = format!("/v1/tasks/{}", text(&begun, "task"));
    for who in ["worker", "orchestrator"] {
        let mandate = fixture.get(who, &path).await.json()["mandate"].clone();
        assert_eq!((text(&mandate, "prompt"), text(&mandate, "integrity")), (words, "trusted"));
    }
    assert_eq!(fixture.get("ada", &path).await.json().get("mandate"), None);
    let mut own = json!({"intent": "work", "parameters": {"case": "C-1"}, "prompt": "mine"});
    let begun = fixture.begin("worker", &own).await;
    let path = format!("/v1/tasks/{}", text(&begun, "task"));
    let mandate = fixture.get("worker", &path).await.json()["mandate"].clone();
    assert_eq!((text(&mandate, "prompt"), text(&mandate, "integrity")), ("mine", "untrusted"));
    // The limit is of bytes: the last has fewer letters.
    let long = ["x".repeat(PROMPT_BYTES_MAX + 1), "é".repeat(PROMPT_BYTES_MAX - 1)];
    for prompt in long.into_iter().chain([String::new()]) {
        own["prompt"] = json!(prompt);
        let refused = fixture.post("worker", "/v1/tasks", &own).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_scheduled_job_begins_its_runs_and_nothing_else() {
    let fixture = fixture().await;
    let text_of = format!(
        "intent: report{}",
        INTENT.replace(
            "undertaken_by: { kinds: [agent, service_account] }",
            "undertaken_by: {}\nschedules: { nightly: { identity: clerk, parameters: { case: C-9 } } }",
        )
    );
    let report = safeconduct_wire::intent::parse("i.yaml", &text_of).unwrap().intent;
    let versions = BTreeMap::from([(report.name.clone(), BTreeMap::from([(1, report)]))]);
    let intents = Intents { versions, digest: Digest::from_bytes([6; 32]) };
    fixture.service.change_intents(std::sync::Arc::new(intents)).await.unwrap();

    let run = json!({"run_of": "nightly"});
    let begun = fixture.begin("clerk", &run).await;
    assert_eq!((text(&begun, "intent"), text(&begun, "agent")), ("report", "clerk"));
    let path = format!("/v1/tasks/{}", text(&begun, "task"));
    let shown = fixture.get("clerk", &path).await.json();
    assert_eq!(text(&shown, "run_of"), "nightly");
    assert_eq!(shown["mandate"]["parameters"], json!({"case": "C-9"}));
    assert_eq!(text(&shown["mandate"], "integrity"), "trusted");
    let refused = |who: &'static str, body: Json, status: StatusCode, code: &'static str| {
        let fixture = &fixture;
        async move {
            let answer = fixture.post(who, "/v1/tasks", &body).await;
            assert_eq!((answer.status, text(&answer.json(), "code")), (status, code), "{body}");
        }
    };
    refused("clerk", run.clone(), StatusCode::CONFLICT, "already_running").await;
    for who in ["worker", "ada", "orchestrator"] {
        refused(who, run.clone(), StatusCode::NOT_FOUND, "unknown_schedule").await;
    }
    refused("clerk", json!({"run_of": "daily"}), StatusCode::NOT_FOUND, "unknown_schedule").await;
    let own = json!({"intent": "report", "parameters": {"case": "C-1"}});
    refused("clerk", own, StatusCode::FORBIDDEN, "not_an_undertaker").await;
    for bad in [
        json!({"run_of": "nightly", "parameters": {"case": "C-1"}}),
        json!({"run_of": "nightly", "prompt": "Something else."}),
        json!({"run_of": "nightly", "intent": "report"}),
        json!({}),
    ] {
        refused("clerk", bad, StatusCode::BAD_REQUEST, "invalid").await;
    }
    let end = format!("{path}/end");
    assert_eq!(fixture.post("clerk", &end, &json!({})).await.status, StatusCode::OK);
    fixture.begin("clerk", &run).await;
    // Each beginning was decided, and that is counted.
    let metrics = fixture.get(AUDITOR, "/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line =
        "safeconduct_decisions_total{decision=\"permit\",pep=\"tasks\",rule_class=\"policy\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_task_is_narrowed_in_tier_and_leases_too() {
    let fixture = fixture().await;
    let mut body = work("worker");
    body["tier_max"] = json!("low");
    let begun = fixture.begin("ada", &body).await;
    let path = format!("/v1/tasks/{}", text(&begun, "task"));
    let shown = fixture.get("worker", &path).await.json();
    assert_eq!(text(&shown["mandate"], "tier_max"), "low");
    for wider in [json!({"tier_max": "critical"}), json!({"credentials": {"crm-db": ["owner"]}})] {
        let mut body = work("worker");
        body.as_object_mut().unwrap().extend(wider.as_object().unwrap().clone());
        let refused = fixture.post("ada", "/v1/tasks", &body).await;
        assert_eq!(text(&refused.json(), "code"), "wider", "{wider}");
    }
}

#[tokio::test]
async fn for_whom_is_proved_or_delegated() {
    let fixture = fixture().await;
    let for_ada = |said: Json| {
        let mut body = work("worker");
        body["on_behalf_of"] = said;
        body
    };
    let token = fixture.tokens["ada"].clone();
    let begun = fixture.begin("orchestrator", &for_ada(json!({"token": token}))).await;
    assert_eq!(begun["on_behalf_of"], json!("ada"));
    let helper = fixture.tokens["helper"].clone();
    for token in ["sc_nothing", &helper] {
        let body = for_ada(json!({"token": token}));
        let refused = fixture.post("orchestrator", "/v1/tasks", &body).await;
        assert_eq!(text(&refused.json(), "code"), "unproved_user");
        assert!(!String::from_utf8(refused.body).unwrap().contains(token));
    }
    let both = for_ada(json!({"token": "x", "delegated": "ada"}));
    assert_eq!(fixture.post("worker", "/v1/tasks", &both).await.status, StatusCode::BAD_REQUEST);

    let delegated = for_ada(json!({"delegated": "ada"}));
    let refused = fixture.post("worker", "/v1/tasks", &delegated).await;
    assert_eq!(text(&refused.json(), "code"), "not_delegated");
    let word = json!({"agent": "worker", "intent": "work", "seconds": 60});
    let given = fixture.post("ada", "/v1/delegations", &word).await;
    assert_eq!(given.status, StatusCode::CREATED);
    let id = text(&given.json(), "id").to_owned();
    fixture.begin("worker", &delegated).await;
    let list = |who: &'static str| {
        let fixture = &fixture;
        async move {
            let list = fixture.get(who, "/v1/delegations").await.json();
            list["delegations"].as_array().unwrap().len()
        }
    };
    assert_eq!((list("ada").await, list("worker").await, list(AUDITOR).await), (1, 1, 1));
    assert_eq!((list("bob").await, list("helper").await), (0, 0));

    let path = format!("/v1/delegations/{id}");
    let delete = |who| fixture.send(fixture.request(who, Method::DELETE, &path, None));
    assert_eq!(delete("bob").await.status, StatusCode::FORBIDDEN);
    assert_eq!(delete("worker").await.status, StatusCode::FORBIDDEN);
    assert_eq!(delete("ada").await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(OPERATOR).await.status, StatusCode::NOT_FOUND);
    let refused = fixture.post("worker", "/v1/tasks", &delegated).await;
    assert_eq!(text(&refused.json(), "code"), "not_delegated");
}

#[tokio::test]
async fn a_child_is_begun_within_its_parent_and_is_narrower() {
    let fixture = fixture().await;
    let parent = fixture.begin("ada", &work("worker")).await;
    let handle = text(&parent, "handle");
    let mut child = work("helper");
    child["budget"] = json!({"calls": 3});
    child["envelope"] = json!([{"action": "crm.read", "arguments": {"/case": {"equals": "C-1"}}}]);
    let begun = fixture.post_in("worker", handle, "/v1/tasks", &child).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.json());
    let begun = begun.json();
    let below = text(&begun, "handle");
    let case = json!({"case": "C-1"});
    assert!(fixture.ask("helper", below, "crm.read", case.clone()).await.is_empty());
    // What the child was given is gone from its parent.
    let shown = fixture.get("ada", &format!("/v1/tasks/{}", text(&parent, "task"))).await.json();
    assert_eq!(shown["used"]["calls"], json!(3));
    let mut wider = work("helper");
    wider["budget"] = json!({"calls": 8});
    let refused = fixture.post_in("worker", handle, "/v1/tasks", &wider).await;
    assert_eq!(text(&refused.json(), "code"), "wider");
    // Neither the child nor anyone else begins within a task that is not theirs.
    let stolen = fixture.post_in("helper", handle, "/v1/tasks", &work("helper")).await;
    assert_eq!(text(&stolen.json(), "code"), "unknown_task");
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED);

    let end = format!("/v1/tasks/{}/end", text(&parent, "task"));
    let ended = fixture.post("ada", &end, &json!({})).await.json();
    assert_eq!(ended["ended"], json!(2));
    assert!(!fixture.ask("helper", below, "crm.read", case).await.is_empty());
    let late = fixture.post_in("worker", handle, "/v1/tasks", &child).await;
    assert_eq!((late.status, text(&late.json(), "code")), (StatusCode::CONFLICT, "parent_ended"));
}

#[tokio::test]
async fn an_unknown_handle_tells_nothing() {
    let fixture = fixture().await;
    let question = question("worker", "crm.read", json!({"case": "C-1"}));
    let unknown = format!("sct_{}", "A".repeat(43));
    for handle in ["", "x", "sct_short", &unknown] {
        let answer = fixture.post_in("gate", handle, "/access/v1/evaluation", &question).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{handle}");
        assert_eq!(answer.json(), json!("no task of that handle is known"));
    }
    let mut twice = fixture.request("gate", Method::POST, "/access/v1/evaluation", Some(&question));
    twice.headers_mut().append("safeconduct-task", unknown.parse().unwrap());
    twice.headers_mut().append("safeconduct-task", unknown.parse().unwrap());
    assert_eq!(fixture.send(twice).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_task_is_shown_and_ended_by_those_who_have_a_part_in_it() {
    let fixture = fixture().await;
    let token = fixture.tokens["ada"].clone();
    let mut body = work("worker");
    body["on_behalf_of"] = json!({"token": token});
    let begun = fixture.begin("orchestrator", &body).await;
    fixture.begin("worker", &work("worker")).await;
    let path = format!("/v1/tasks/{}", text(&begun, "task"));
    for (who, mandate) in [
        ("worker", true),
        ("orchestrator", true),
        ("ada", false),
        (AUDITOR, true),
        (OPERATOR, true),
        (ADMINISTRATOR, true),
    ] {
        let shown = fixture.get(who, &path).await;
        assert_eq!(shown.status, StatusCode::OK, "{who}");
        assert_eq!(shown.json().get("mandate").is_some(), mandate, "{who}");
    }
    // Whether there is such a task is not told either.
    for who in ["bob", "helper", "gate"] {
        assert_eq!(fixture.get(who, &path).await.status, StatusCode::FORBIDDEN, "{who}");
        assert_eq!(fixture.get(who, "/v1/tasks/x").await.status, StatusCode::FORBIDDEN, "{who}");
        let end = fixture.post(who, &format!("{path}/end"), &json!({})).await;
        assert_eq!(end.status, StatusCode::FORBIDDEN, "{who}");
    }
    let auditor = fixture.post(AUDITOR, &format!("{path}/end"), &json!({})).await;
    assert_eq!(auditor.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.get(AUDITOR, "/v1/tasks/x").await.status, StatusCode::NOT_FOUND);
    let list = |who: &'static str, query: &'static str| {
        let fixture = &fixture;
        async move {
            let list = fixture.get(who, &format!("/v1/tasks{query}")).await.json();
            list["tasks"].as_array().unwrap().len()
        }
    };
    assert_eq!((list(AUDITOR, "").await, list("worker", "").await), (2, 2));
    assert_eq!((list("ada", "").await, list("orchestrator", "").await), (1, 1));
    assert_eq!((list("bob", "").await, list("worker", "?state=revoked").await), (0, 0));
    assert_eq!(list(AUDITOR, "?agent=helper").await, 0);
    let page = fixture.get(AUDITOR, "/v1/tasks?limit=1").await.json();
    let next = format!("/v1/tasks?after={}", text(&page, "next"));
    let rest = fixture.get(AUDITOR, &next).await.json();
    assert_eq!((rest["tasks"].as_array().unwrap().len(), rest.get("next")), (1, None));
    let ended = fixture.post(OPERATOR, &format!("{path}/end"), &json!({"state": "revoked"})).await;
    assert_eq!(ended.json()["state"], json!("revoked"));
}

#[tokio::test]
async fn the_kill_switch_stops_what_it_names() {
    let fixture = fixture().await;
    let begun = fixture.begin("ada", &work("worker")).await;
    let handle = text(&begun, "handle");
    let case = json!({"case": "C-1"});
    let kill = |who: &'static str, path: &'static str, scope: Json| {
        let fixture = &fixture;
        async move { fixture.post(who, path, &json!({"scope": scope, "reason": "an alarm"})).await }
    };
    let all = json!({"all": true});
    assert_eq!(kill("ada", "/v1/kill", all.clone()).await.status, StatusCode::FORBIDDEN);
    for nothing in [json!({}), json!({"all": false}), json!({"all": true, "identity": "worker"})] {
        let answer = kill(OPERATOR, "/v1/kill", nothing).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let unknown = kill(OPERATOR, "/v1/kill", json!({"task": "task_x"})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    // An operator does not stop those above them.
    let above = kill(OPERATOR, "/v1/kill", json!({"identity": ADMINISTRATOR})).await;
    assert_eq!(above.status, StatusCode::FORBIDDEN);
    let task = json!({"task": text(&begun, "task")});
    assert_eq!(kill(OPERATOR, "/v1/kill", task).await.json(), json!({"tasks": 1}));
    assert!(!fixture.ask("worker", handle, "crm.read", case.clone()).await.is_empty());

    let begun = fixture.begin("ada", &work("worker")).await;
    let handle = text(&begun, "handle");
    assert_eq!(kill(OPERATOR, "/v1/kill", all.clone()).await.json(), json!({"tasks": 1}));
    assert!(!fixture.ask("worker", handle, "crm.read", case.clone()).await.is_empty());
    let stopped = fixture.post("ada", "/v1/tasks", &work("worker")).await;
    assert_eq!(stopped.status, StatusCode::FORBIDDEN, "{}", stopped.json());
    assert_eq!(kill(OPERATOR, "/v1/kill/lift", all.clone()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(kill(OPERATOR, "/v1/kill/lift", all).await.status, StatusCode::CONFLICT);
    let begun = fixture.begin("ada", &work("worker")).await;
    assert!(fixture.ask("worker", text(&begun, "handle"), "crm.read", case).await.is_empty());

    let identity = json!({"identity": "worker"});
    assert_eq!(kill(OPERATOR, "/v1/kill", identity).await.json(), json!({"tasks": 1}));
    assert_eq!(fixture.get("worker", "/v1/whoami").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn intents_are_shown_to_those_who_may_undertake_them() {
    let fixture = fixture().await;
    let list = |who: &'static str| {
        let fixture = &fixture;
        async move {
            let list = fixture.get(who, "/v1/intents").await.json();
            list["intents"].as_array().unwrap().clone()
        }
    };
    assert_eq!((list("worker").await.len(), list("ada").await.len()), (2, 2));
    assert_eq!((list("gate").await.len(), list("orchestrator").await.len()), (0, 2));
    let one = &list("worker").await[1];
    assert_eq!(text(one, "intent"), "work");
    assert_eq!(one["parameters"]["case"]["type"], json!("identifier"));
    assert!(one.get("envelope").is_none());
    let whole = fixture.get("worker", "/v1/intents/work?version=1").await.json();
    assert_eq!(whole["envelope"][0]["arguments"]["/case"]["equals"], json!("${case}"));
    assert_eq!(fixture.get("ada", "/v1/intents/work").await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.get(AUDITOR, "/v1/intents/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        fixture.get(AUDITOR, "/v1/intents/work?version=2").await.status,
        StatusCode::NOT_FOUND
    );
    let page = fixture.get("worker", "/v1/intents?limit=1").await.json();
    assert_eq!(text(&page, "next"), "forbidden@1");
    let rest = fixture.get("worker", "/v1/intents?after=forbidden@1").await.json();
    assert_eq!(rest["intents"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_evaluations_against_a_budget_of_ten_permit_exactly_ten() {
    let fixture = std::sync::Arc::new(fixture().await);
    let begun = fixture.begin("ada", &work("worker")).await;
    let handle = text(&begun, "handle").to_owned();
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let (fixture, handle) = (std::sync::Arc::clone(&fixture), handle.clone());
            tokio::spawn(async move {
                fixture.ask("worker", &handle, "crm.read", json!({"case": "C-1"})).await
            })
        })
        .collect();
    let mut permitted = 0;
    for asked in asked {
        let reasons = asked.await.unwrap();
        permitted += usize::from(reasons.is_empty());
        assert!(reasons.is_empty() || reasons == ["task_budget_spent"], "{reasons:?}");
    }
    assert_eq!(permitted, 10);
}

const ISSUER: &str = "https://sts.example";

impl Fixture {
    /// An access token of that caller, for this server and for the task of that handle.
    async fn access_token(&self, who: &str, handle: &str) -> String {
        let body = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={handle}\
             &subject_token_type=urn:safeconduct:token-type:task-handle&resource={ISSUER}"
        );
        let mut request = self.request(who, Method::POST, "/oauth/token", None);
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers_mut().insert("content-type", form);
        *request.body_mut() = axum::body::Body::from(body);
        let answer = self.send(request).await.json();
        text(&answer, "access_token").to_owned()
    }

    async fn with_token(
        &self,
        token: &str,
        handle: Option<&str>,
        (method, path): (Method, &str),
        body: Option<&Json>,
    ) -> Answer {
        let mut request = self.request("", method, path, body);
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        handle.map(|handle| headers.insert("safeconduct-task", handle.parse().unwrap()));
        self.send(request).await
    }
}

#[tokio::test]
async fn an_access_token_is_for_its_task_whatever_roles_its_holder_has() {
    let fixture = fixture().await;
    fixture.open_token_service();
    let own = fixture.begin("clerk", &work("clerk")).await;
    let other = fixture.begin("clerk", &work("clerk")).await;
    let token = fixture.access_token("clerk", text(&own, "handle")).await;
    // Among the leases it is one that ends with its task.
    let kinds = async || {
        let leases = fixture.get("clerk", "/v1/leases").await.json();
        let leases = leases["leases"].as_array().unwrap().clone();
        leases.iter().map(|lease| text(lease, "kind").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["minted_token"]);
    let get = async |path: &str| fixture.with_token(&token, None, (Method::GET, path), None).await;
    let post = async |path: &str, body: Json| {
        fixture.with_token(&token, None, (Method::POST, path), Some(&body)).await
    };

    // What its holder may do otherwise, by its roles.
    for path in ["/v1/identities", "/v1/tokens", "/v1/delegations"] {
        assert_eq!(fixture.get("clerk", path).await.status, StatusCode::OK, "{path}");
    }
    let denials = || {
        let entries = fixture.memory.as_ref().unwrap().entries();
        let bodies = entries.iter().map(|entry| safeconduct_ledger::decode(&entry.leaf).unwrap());
        bodies.filter(|record| matches!(record.body, Body::Decided(_))).count()
    };
    let before = denials();
    let refused = [
        ("GET", "/v1/identities"),
        ("GET", "/v1/identities/ada"),
        ("PUT", "/v1/identities/ada"),
        ("GET", "/v1/records"),
        ("GET", "/v1/log/tail"),
        ("GET", "/v1/log/checkpoint"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/tokens/x/revoke"),
        ("GET", "/v1/policies"),
        ("POST", "/v1/policies/reload"),
        ("GET", "/v1/catalogue"),
        ("GET", "/v1/upstreams"),
        ("GET", "/v1/intents/work"),
        ("GET", "/v1/delegations"),
        ("POST", "/v1/delegations"),
        ("DELETE", "/v1/delegations/x"),
        ("POST", "/v1/kill"),
        ("POST", "/v1/kill/lift"),
        ("GET", "/v1/sessions/ada/x"),
        ("POST", "/v1/sessions/ada/x/erase"),
    ];
    for (method, path) in refused {
        let body = json!({"identity": "ada", "ttl_s": 60});
        let body = (method == "POST" || method == "PUT").then_some(&body);
        let answer = fixture.with_token(&token, None, (method.parse().unwrap(), path), body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    let others = format!("/v1/tasks/{}", text(&other, "task"));
    assert_eq!(get(&others).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post(&format!("{others}/end"), json!({})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(denials() - before, refused.len() + 2, "each is recorded");

    // Its own task, and what is done within it.
    let me = get("/v1/whoami").await.json();
    let operations = json!([
        "access_requests.ask",
        "access_requests.list",
        "intents.list",
        "leases.issue",
        "leases.list",
        "leases.renew",
        "tasks.begin",
        "tasks.list",
        "whoami"
    ]);
    assert_eq!((&me["method"], &me["operations"]), (&json!("access_token"), &operations));
    assert_eq!(get("/v1/intents").await.json()["intents"].as_array().unwrap().len(), 2);
    assert_eq!(get("/v1/leases").await.status, StatusCode::OK);
    let listed = get("/v1/tasks").await.json();
    let listed: Vec<_> = listed["tasks"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], own["task"]);
    let handle = Some(text(&other, "handle"));
    let begin = (Method::POST, "/v1/tasks");
    let elsewhere = fixture.with_token(&token, handle, begin, Some(&work("clerk"))).await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED, "not even by the other's handle");
    let begun = post("/v1/tasks", work("clerk")).await.json();
    let child = format!("/v1/tasks/{}", text(&begun, "task"));
    let child = fixture.get("clerk", &child).await.json();
    assert_eq!(child["parent"], own["task"], "under its own: {child}");
    let mine = format!("/v1/tasks/{}", text(&own, "task"));
    assert_eq!(get(&mine).await.status, StatusCode::OK);
    assert_eq!(post(&format!("{mine}/end"), json!({})).await.status, StatusCode::OK);
    assert_eq!(get("/v1/whoami").await.status, StatusCode::UNAUTHORIZED, "over with its task");
}

#[tokio::test]
async fn reported_signals_make_risk_and_revoking_ones_stop() {
    let fixture = fixture().await;
    let report = |who: &str, kind: &str| {
        let about = json!({ "identity": who });
        json!({"signals": [{"about": about, "kind": kind, "severity": "high", "detail": "seen"}]})
    };
    let compromised = report("worker", "credential_compromised");
    let by_agent = fixture.post("worker", "/v1/signals", &compromised).await;
    assert_eq!(by_agent.status, StatusCode::FORBIDDEN);
    let taken = fixture.post(OPERATOR, "/v1/signals", &compromised).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.json());
    assert_eq!(taken.json()["recorded"].as_array().map(Vec::len), Some(1));

    let begun = fixture.begin("ada", &work("worker")).await;
    for about in ["identity=worker".to_owned(), format!("task={}", text(&begun, "task"))] {
        let risk = fixture.get(OPERATOR, &format!("/v1/risk?{about}")).await.json();
        assert_eq!((&risk["score"], &risk["level"]), (&json!(65), &json!("high")), "{about}");
        assert_eq!(risk["parts"][0]["kind"], "credential_compromised");
    }
    for wrong in ["", "?identity=a&task=task_1", "?session=nothing", "?limit=0&identity=a&x=1"] {
        let answer = fixture.get(OPERATOR, &format!("/v1/risk{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let list = fixture.get(OPERATOR, "/v1/signals?identity=worker").await.json();
    assert_eq!(list["signals"][0]["source"], format!("person {OPERATOR}"));
    assert_eq!(fixture.get("worker", "/v1/signals").await.status, StatusCode::FORBIDDEN);

    // An operator does not stop those above them, in this way either.
    let (above, below) =
        (report(ADMINISTRATOR, "account_disabled"), report("worker", "account_disabled"));
    let above = fixture.post(OPERATOR, "/v1/signals", &above).await;
    assert_eq!(above.status, StatusCode::FORBIDDEN);
    let stopped = fixture.post(OPERATOR, "/v1/signals", &below).await;
    assert_eq!(stopped.json()["stopped"], json!(["identity worker"]));
    assert_eq!(stopped.json()["tasks"], 1);
    assert_eq!(fixture.get("worker", "/v1/whoami").await.status, StatusCode::UNAUTHORIZED);
}
