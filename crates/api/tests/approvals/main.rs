//! Access requests over HTTP: who asks, sees, answers and takes them back, and what comes of it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod profile;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::{Vocabulary, World};
use serde_json::{Value as Json, json};
use support::*;

const RULES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("agents") permit (principal is Safeconduct::Agent, action, resource)
when { context.action.name like "crm.*" };
@id("lead") @requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action, resource)
when { ["crm.mail", "crm.pay", "crm.wipe", "crm.deploy"].contains(context.action.name) }
unless { context has approval };
@id("two") @requestable("approvers=group:leads; quorum=2; ttl=15m")
forbid (principal, action, resource)
when { context.action.name == "crm.move" }
unless { context has approval };
@id("never") forbid (principal, action, resource)
when { context.action.name == "crm.wipe" };
"#;

const INTENT: &str = "
intent: work
version: 1
description: Work on one case.
undertaken_by: { kinds: [agent] }
on_behalf_of: optional
longest: 10m
budget: { calls: 500 }
tier_max: critical
delegation_depth: 2
envelope:
  - { action: crm.note, other_arguments: allowed }
  - { action: crm.mail, other_arguments: allowed }
  - { action: crm.pay, other_arguments: allowed }
  - { action: crm.move, other_arguments: allowed }
  - { action: crm.wipe, other_arguments: allowed }
  - { action: crm.deploy, other_arguments: allowed }
";

fn world() -> World {
    let entry = |(tool, tier)| ActionEntry {
        name: ActionName::new(format!("crm.{tool}")).unwrap(),
        server: Some(ServerName::new("crm").unwrap()),
        tier,
        effect: Effect::Write,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Internal,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let entries = [
        ("note", Tier::Low),
        ("mail", Tier::Moderate),
        ("pay", Tier::Moderate),
        ("move", Tier::Moderate),
        ("wipe", Tier::Moderate),
        ("deploy", Tier::High),
    ]
    .map(entry);
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", RULES)],
        servers: vec![ServerName::new("crm").unwrap()],
        actions: entries.iter().map(|e| (e.name.clone(), e.server.clone())).collect(),
        ..Sources::default()
    };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let catalogue = Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    };
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    World::new(policies, Arc::new(catalogue), Digest::from_bytes([9; 32]), vocabulary)
}

fn intents() -> Intents {
    let intent = safeconduct_wire::intent::parse("i.yaml", INTENT).unwrap().intent;
    let versions = BTreeMap::from([(intent.name.clone(), BTreeMap::from([(1, intent)]))]);
    Intents { versions, digest: Digest::from_bytes([5; 32]) }
}

fn lead(id: &str) -> Identity {
    Identity { groups: BTreeSet::from(["leads".into()]), ..identity(id, IdentityKind::User, &[]) }
}

fn gate() -> Identity {
    Identity {
        pep: Some(PepRegistration {
            subjects: [EntityType::new("Safeconduct::Agent").unwrap()].into(),
            resources: BTreeSet::new(),
            properties: false,
            label_at: Default::default(),
        }),
        ..identity("gate", IdentityKind::Workload, &[])
    }
}

/// A task of the agent `worker`.
struct Bench {
    fixture: Fixture,
    task: String,
    handle: String,
}

async fn bench() -> Bench {
    let more = vec![
        gate(),
        identity("worker", IdentityKind::Agent, &[]),
        identity("helper", IdentityKind::Agent, &[]),
        Identity {
            fallback_owner: Some(IdentityId::new("dora").unwrap()),
            ..identity("ada", IdentityKind::User, &[])
        },
        identity("dora", IdentityKind::User, &[]),
        lead("lea"),
        lead("lou"),
        identity("orchestrator", IdentityKind::Workload, &[Role::Orchestrator]),
    ];
    let fixture = Fixture::with_tasks(world(), intents(), more).await;
    let body = json!({ "intent": "work", "agent": "worker" });
    let begun = fixture.post("orchestrator", "/v1/tasks", &body).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.json());
    let begun = begun.json();
    let text = |name: &str| begun[name].as_str().unwrap().to_owned();
    Bench { task: text("task"), handle: text("handle"), fixture }
}

fn mail(body: &str) -> Json {
    json!({ "to": "x@example.org", "body": body })
}

fn code(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    (answer.status.as_u16(), json["code"].as_str().unwrap_or_default().to_owned())
}

impl Bench {
    /// What the gate is answered about a call of the agent's.
    async fn evaluate(&self, tool: &str, arguments: Json) -> Json {
        self.evaluate_on("crm", tool, arguments).await
    }

    async fn evaluate_on(&self, server: &str, tool: &str, arguments: Json) -> Json {
        let question = json!({
            "subject": {"type": "Agent", "id": "worker"},
            "action": {"name": format!("crm.{tool}"), "properties": arguments},
            "resource": {"type": "Server", "id": server},
        });
        let path = "/access/v1/evaluation";
        let answer = self.fixture.post_in("gate", &self.handle, path, &question).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    async fn permits(&self, tool: &str, arguments: Json) -> bool {
        self.evaluate(tool, arguments).await["decision"] == json!(true)
    }

    async fn ask(&self, tool: &str, arguments: Json) -> Answer {
        let body = json!({
            "action": format!("crm.{tool}"),
            "arguments": arguments,
            "resource": {"type": "Server", "id": "crm"},
            "justification": "the customer waits",
        });
        self.fixture.post_in("worker", &self.handle, "/v1/access-requests", &body).await
    }

    /// The id of a request that was made just now.
    async fn asked(&self, tool: &str, arguments: Json) -> String {
        let answer = self.ask(tool, arguments).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    async fn shown(&self, who: &str, id: &str) -> Json {
        let answer = self.fixture.get(who, &format!("/v1/access-requests/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        answer.json()
    }

    async fn answer(&self, who: &str, id: &str, mut word: Json) -> Answer {
        let known = self.fixture.get(AUDITOR, &format!("/v1/access-requests/{id}")).await.json();
        let members = word.as_object_mut().unwrap();
        if !members.contains_key("digest") {
            members.insert("digest".into(), known["digest"].clone());
        }
        self.fixture.post(who, &format!("/v1/access-requests/{id}/answer"), &word).await
    }

    async fn approve(&self, who: &str, id: &str) -> Answer {
        self.answer(who, id, json!({ "approve": { "scope": "once" } })).await
    }

    async fn listed(&self, who: &str, query: &str) -> Vec<String> {
        let answer = self.fixture.get(who, &format!("/v1/access-requests{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        let requests = answer.json()["requests"].clone();
        let ids = requests.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn an_agent_asks_a_person_answers_and_the_call_runs_once() {
    let bench = bench().await;
    let denied = bench.evaluate("mail", mail("a")).await;
    assert_eq!(denied["decision"], json!(false));
    let context = &denied["context"];
    assert_eq!(context["requestable"]["approvers"], json!("group:leads"));
    assert_eq!(context["evaluation_id"], context["decision_id"]);
    let endpoint = &context["access_request"]["endpoint"];
    assert_eq!(*endpoint, json!("http://localhost:8080/access/v1/request"));

    let made = bench.ask("mail", mail("a")).await;
    assert_eq!(made.status, StatusCode::ACCEPTED);
    let again = bench.ask("mail", mail("a")).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(made.json()["id"], again.json()["id"]);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["link"], json!(format!("http://localhost:8080/approve/{id}")));

    // Whoever may answer sees it, and who asked, and nobody else.
    for (who, seen) in
        [("lea", 1), ("lou", 1), ("worker", 1), (AUDITOR, 1), ("ada", 0), ("helper", 0)]
    {
        assert_eq!(bench.listed(who, "").await.len(), seen, "{who}");
    }
    assert_eq!(bench.listed("lea", "?answerable=true").await, std::slice::from_ref(&id));
    assert!(bench.listed("worker", "?answerable=true").await.is_empty());
    assert!(bench.listed("lea", "?state=approved").await.is_empty());
    assert_eq!(bench.listed("lea", &format!("?task={}&agent=worker", bench.task)).await.len(), 1);
    let path = format!("/v1/access-requests/{id}");
    for who in ["ada", "helper"] {
        for path in [path.clone(), format!("{path}/wait"), "/v1/access-requests/req_none".into()] {
            assert_eq!(code(&bench.fixture.get(who, &path).await), (403, "forbidden".into()));
        }
    }
    let shown = bench.shown("lea", &id).await;
    assert_eq!(shown["asked"]["arguments"], mail("a"));
    assert_eq!(shown["asked"]["justification"]["lines"], json!(["the customer waits"]));
    assert_eq!(shown["evidence"]["reasons"][0]["policy"], json!("lead"));
    assert_eq!((&shown["may_answer"], &shown["state"]), (&json!(true), &json!("pending")));
    assert!(shown["if_unanswered"].as_str().unwrap().starts_with("it is denied at"));
    let own = bench.shown("worker", &id).await;
    assert_eq!((own.get("evidence"), &own["may_answer"]), (None, &json!(false)));

    // Looking answers nothing, whatever a scanner opens.
    for path in ["", "/answer", "/revoke", "/wait?seconds=1&state=approved"] {
        for method in [Method::GET, Method::HEAD] {
            let path = format!("/v1/access-requests/{id}{path}");
            bench.fixture.send(bench.fixture.request("lea", method, &path, None)).await;
        }
    }
    assert!(!bench.permits("mail", mail("a")).await);
    assert_eq!(code(&bench.approve("worker", &id).await), (403, "forbidden".into()));
    assert_eq!(code(&bench.approve("ada", &id).await), (403, "not_an_approver".into()));

    let answered = bench.approve("lea", &id).await;
    assert_eq!(
        (answered.status, answered.json()["state"].clone()),
        (StatusCode::OK, json!("approved"))
    );
    // One byte more is another call.
    assert!(!bench.permits("mail", mail("a ")).await);
    assert!(bench.permits("mail", mail("a")).await);
    assert!(!bench.permits("mail", mail("a")).await);
    assert_eq!(bench.shown("worker", &id).await["state"], json!("spent"));
    assert_eq!(code(&bench.approve("lou", &id).await), (409, "closed".into()));
}

#[tokio::test]
async fn two_approvers_are_two_people() {
    let bench = bench().await;
    let id = bench.asked("move", json!({ "n": 1 })).await;
    let first = bench.approve("lea", &id).await;
    assert_eq!(first.json()["state"], json!("pending"));
    assert_eq!(code(&bench.approve("lea", &id).await), (409, "answered".into()));
    assert!(!bench.permits("move", json!({ "n": 1 })).await);
    let other = json!({ "approve": { "scope": "task", "uses": 2 } });
    assert_eq!(code(&bench.answer("lou", &id, other).await), (409, "other_scope".into()));
    assert_eq!(bench.approve("lou", &id).await.json()["state"], json!("approved"));
    assert!(bench.permits("move", json!({ "n": 1 })).await);
    let answers = bench.shown("lea", &id).await["answers"].clone();
    let by: Vec<&Json> = answers.as_array().unwrap().iter().map(|one| &one["by"]).collect();
    assert_eq!(by, [&json!("lea"), &json!("lou")]);
}

/// What the first one approved is shown with its bounds, so that the second can say the same and
/// anybody who sees the request can judge what to take back. Each names a time of their own.
#[tokio::test]
async fn how_far_a_yes_reaches_is_shown_to_whoever_sees_the_request() {
    let bench = bench().await;
    let moves = |to: &str, n: i64| json!({ "to": to, "n": n });
    let id = bench.asked("move", moves("x@corp.example", 1)).await;
    assert!(bench.shown("lou", &id).await.get("reaches").is_none());
    let minutes = |n: i64| Timestamp::from_millis(1_700_000_000_000 + n * 60_000).to_string();
    let word = |until: String| {
        json!({ "approve": { "scope": "until", "uses": 3, "until": until,
            "at_most": { "/n": 5 }, "within": { "/to": { "domain": "corp.example" } },
            "resources": "of_type" } })
    };
    let first = bench.answer("lea", &id, word(minutes(12))).await;
    assert_eq!(first.json()["state"], json!("pending"), "{}", first.json());
    for who in ["lou", "lea", "worker", AUDITOR] {
        let reaches = bench.shown(who, &id).await["reaches"].clone();
        assert_eq!((&reaches["scope"], &reaches["uses"]), (&json!("until"), &json!(3)), "{who}");
        assert_eq!(reaches["until"], json!(minutes(12)));
        let resources = reaches["resources"].as_array().unwrap();
        assert!(resources.len() == 1 && resources[0].get("id").is_none(), "{resources:?}");
        let arguments = reaches["arguments"].as_array().unwrap().iter();
        let arguments: Vec<_> = arguments
            .map(|one| json!([one["pointer"], one["rule"], one["value"], one["shown"][0]["lines"]]))
            .collect();
        for bound in [
            json!(["/n", "at_most", 5, ["5"]]),
            json!(["/n", "at_least", 0, ["0"]]),
            json!(["/to", "domain", "corp.example", ["corp.example"]]),
        ] {
            assert!(arguments.contains(&bound), "{bound} in {arguments:?}");
        }
        assert_eq!(arguments.len(), 3);
    }
    let listed = bench.fixture.get("lou", "/v1/access-requests").await;
    let listed = String::from_utf8(listed.body.to_vec()).unwrap();
    assert!(!listed.contains("corp.example"), "a list shows no values: {listed}");

    let other = json!({ "approve": { "scope": "until", "uses": 3, "until": minutes(10) } });
    assert_eq!(code(&bench.answer("lou", &id, other).await), (409, "other_scope".into()));
    let second = bench.answer("lou", &id, word(minutes(10))).await;
    assert_eq!(second.json()["state"], json!("approved"), "{}", second.json());
    let shown = bench.shown(AUDITOR, &id).await;
    assert_eq!(shown["reaches"]["until"], json!(minutes(10)));
    assert_eq!(shown["approval"]["until"], json!(minutes(10)));
    assert!(bench.permits("move", moves("y@corp.example", 5)).await);
    assert!(!bench.permits("move", moves("y@example.org", 5)).await);
}

#[tokio::test]
async fn a_refusal_is_for_good() {
    let bench = bench().await;
    let id = bench.asked("mail", mail("a")).await;
    let no = json!({ "refuse": { "reason": "not to them" } });
    assert_eq!(bench.answer("lea", &id, no).await.json()["state"], json!("refused"));
    assert_eq!(code(&bench.approve("lou", &id).await), (409, "closed".into()));
    assert!(!bench.permits("mail", mail("a")).await);
    assert_eq!(code(&bench.ask("mail", mail("a")).await), (409, "refused_before".into()));
    let own = bench.shown("worker", &id).await;
    assert_eq!(own["answers"][0]["reason"], json!("not to them"));
}

#[tokio::test]
async fn what_is_listed_together_is_answered_at_once() {
    let bench = bench().await;
    let mut ids = Vec::new();
    for body in ["a", "b", "c"] {
        ids.push(bench.asked("mail", mail(body)).await);
    }
    let alone = bench.asked("move", json!({})).await;
    let shown = bench.shown("lea", &ids[0]).await;
    assert_eq!(shown["evidence"]["group"], json!(ids));
    let mut requests = Vec::new();
    for id in ids.iter().chain([&alone]) {
        requests.push(json!({ "id": id, "digest": bench.shown("lea", id).await["digest"] }));
    }
    let path = "/v1/access-requests/answers";
    let settled = bench.fixture.post("lea", path, &json!({ "requests": requests })).await;
    assert_eq!(settled.status, StatusCode::OK, "{}", settled.json());
    let settled = settled.json()["requests"].clone();
    let states: Vec<&Json> = settled.as_array().unwrap().iter().map(|one| &one["state"]).collect();
    let approved = json!("approved");
    assert_eq!(states, [&approved, &approved, &approved, &Json::Null]);
    assert!(settled[3]["problem"].is_string());
    for body in ["a", "b", "c"] {
        assert!(bench.permits("mail", mail(body)).await);
        assert!(!bench.permits("mail", mail(body)).await);
    }
}

#[tokio::test]
async fn who_lost_the_right_since_cannot_answer() {
    let bench = bench().await;
    let id = bench.asked("mail", mail("a")).await;
    assert_eq!(bench.shown("lea", &id).await["may_answer"], json!(true));
    let by = IdentityId::new("test").unwrap();
    let plain = identity("lea", IdentityKind::User, &[]);
    bench.fixture.service.change_identity(plain, &by).await.unwrap();
    assert_eq!(code(&bench.approve("lea", &id).await), (403, "not_an_approver".into()));
    assert_eq!(bench.fixture.get("lea", &format!("/v1/access-requests/{id}")).await.status, 403);
    // It names nobody's requests either.
    let path = "/v1/access-requests/req_none/answer";
    let digest = bench.shown(AUDITOR, &id).await["digest"].clone();
    let word = json!({ "approve": { "scope": "once" }, "digest": digest });
    let unknown = bench.fixture.post("lea", path, &word).await;
    assert_eq!(code(&unknown), (403, "not_an_approver".into()));
    assert_eq!(bench.approve("lou", &id).await.json()["state"], json!("approved"));
}

/// Whoever has no part in a request is told the same of it as of one that nobody ever made.
#[tokio::test]
async fn of_what_is_not_theirs_nobody_learns_by_answering() {
    let bench = bench().await;
    let digest = json!(format!("hmac-sha256:{}", "0".repeat(64)));
    let waits = bench.asked("mail", mail("a")).await;
    let high = bench.asked("deploy", json!({ "to": "x" })).await;
    let refused = bench.asked("mail", mail("b")).await;
    bench.answer("lea", &refused, json!({ "refuse": { "reason": "no" } })).await;
    let task = |within: Json| json!({ "scope": "task", "uses": 1, "within": within });
    let words = [
        json!({ "approve": { "scope": "once" } }),
        json!({ "approve": { "scope": "edited", "at_most": { "/to": 1 } } }),
        json!({ "approve": task(json!({ "/to": { "under": "/" } })) }),
        json!({ "approve": task(json!({ "/none": { "under": "/" } })) }),
        json!({ "approve": { "scope": "until", "uses": 1, "until": "2126-01-01T00:00:00.000Z" } }),
        json!({ "refuse": { "reason": "no" } }),
    ];
    let told = async |who: &str, id: &str, word: &Json, other: Option<&str>| {
        let mut word = word.clone();
        word["digest"] = digest.clone();
        if let Some(other) = other {
            word["standing_in_for"] = json!(other);
        }
        let path = format!("/v1/access-requests/{id}/answer");
        let answer = bench.fixture.post(who, &path, &word).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap().replace(id, "ID");
        (answer.status.as_u16(), text)
    };
    // dora stands in for a person who may not answer either.
    for (who, other) in [("ada", None), ("dora", Some("ada")), ("dora", Some("lea"))] {
        for word in &words {
            let none = told(who, "req_none", word, other).await;
            assert_eq!(none.0, 403, "{}", none.1);
            for id in [&waits, &high, &refused] {
                assert_eq!(told(who, id, word, other).await, none, "{who} {word}");
            }
        }
        let mut together = Vec::new();
        for id in [&waits, &high, &refused, "req_none"] {
            let mut body = json!({ "requests": [{ "id": id, "digest": digest }] });
            if let Some(other) = other {
                body["standing_in_for"] = json!(other);
            }
            let answer = bench.fixture.post(who, "/v1/access-requests/answers", &body).await;
            together.push(String::from_utf8(answer.body.to_vec()).unwrap().replace(id, "ID"));
        }
        assert!(together.iter().all(|one| *one == together[3]), "{together:?}");
    }
    // Whoever may answer, or might have, hears what is wrong.
    let of = async |id: &str, word: &Json| told("lea", id, word, None).await.0;
    assert_eq!((of(&waits, &words[0]).await, of(&waits, &words[3]).await), (409, 422));
    assert_eq!(of(&waits, &words[2]).await, 409, "there is such an argument");
    let late = told("lou", &refused, &words[0], None).await;
    assert!(late.0 == 409 && late.1.contains("closed"), "{late:?}");
}

#[tokio::test]
async fn an_answer_is_to_what_was_shown_and_no_wider() {
    let bench = bench().await;
    let pay = |amount: i64| json!({ "to": "acme", "amount": amount });
    let id = bench.asked("pay", pay(100)).await;
    let other = format!("hmac-sha256:{}", "0".repeat(64));
    let word = json!({ "approve": { "scope": "once" }, "digest": other });
    assert_eq!(code(&bench.answer("lea", &id, word).await), (409, "shown_otherwise".into()));
    let edited =
        |most: i64| json!({ "approve": { "scope": "edited", "at_most": { "/amount": most } } });
    assert_eq!(code(&bench.answer("lea", &id, edited(101)).await), (422, "edit".into()));
    let answered = bench.answer("lea", &id, edited(60)).await;
    assert_eq!(answered.json()["state"], json!("approved"), "{}", answered.json());
    assert!(!bench.permits("pay", pay(100)).await);
    assert!(!bench.permits("pay", pay(61)).await);
    assert!(bench.permits("pay", pay(60)).await);
    assert!(!bench.permits("pay", pay(60)).await);

    // So often in the task, the amount within a bound and all else as it was.
    let id = bench.asked("pay", pay(10)).await;
    let task =
        |at: &str| json!({ "approve": { "scope": "task", "uses": 2, "at_most": { at: 20 } } });
    assert_eq!(code(&bench.answer("lea", &id, task("/none")).await), (422, "scope".into()));
    let low = json!({ "approve": { "scope": "task", "uses": 2, "at_most": { "/amount": 5 } } });
    assert_eq!(code(&bench.answer("lea", &id, low).await), (422, "scope".into()));
    let until = "2126-01-01T00:00:00.000Z";
    let long = json!({ "approve": { "scope": "until", "uses": 2, "until": until } });
    assert_eq!(code(&bench.answer("lea", &id, long).await), (422, "scope".into()));
    assert_eq!(bench.answer("lea", &id, task("/amount")).await.status, StatusCode::OK);
    assert!(bench.permits("pay", pay(20)).await);
    assert!(!bench.permits("pay", pay(21)).await);
    assert!(!bench.permits("pay", pay(-20)).await, "at most is from 0 on");
    assert!(!bench.permits("pay", json!({ "to": "other", "amount": 1 })).await);
    assert!(bench.permits("pay", pay(1)).await);
    assert!(!bench.permits("pay", pay(1)).await);
}

#[tokio::test]
async fn a_standing_yes_lets_what_it_names_differ_and_nothing_else() {
    let bench = bench().await;
    let pay = |to: &str, amount: i64| json!({ "to": to, "amount": amount });
    let task = |within: Json, resources: &str| {
        json!({ "approve": { "scope": "task", "uses": 3, "at_most": { "/amount": 20 },
            "within": within, "resources": resources } })
    };
    let id = bench.asked("pay", pay("acme", 10)).await;
    for within in [json!({ "/none": { "under": "/srv" } }), json!({ "/to": { "under": "/srv" } })] {
        let answered = bench.answer("lea", &id, task(within, "same")).await;
        assert_eq!(code(&answered), (422, "scope".into()));
    }
    let within = json!({ "/to": { "one_of": ["other"] } });
    let answered = bench.answer("lea", &id, task(within, "of_type")).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.json());
    let on = async |server: &str, to: &str, amount: i64| {
        let answer = bench.evaluate_on(server, "pay", pay(to, amount)).await;
        answer["decision"] == json!(true)
    };
    assert!(on("crm", "acme", 20).await && on("hr", "other", 1).await);
    assert!(!on("hr", "eve", 1).await && !on("hr", "other", 21).await);
    assert!(on("crm", "other", 5).await && !on("crm", "other", 5).await);

    // Where nothing is said of resources, those that were asked for.
    let id = bench.asked("mail", mail("a")).await;
    let within = json!({ "/body": { "longest_bytes": 10 }, "/to": { "domain": "example.org" } });
    let word = json!({ "approve": { "scope": "task", "uses": 3, "within": within } });
    assert_eq!(bench.answer("lea", &id, word).await.status, StatusCode::OK);
    let on = async |server: &str, to: &str, body: &str| {
        let mail = json!({ "to": to, "body": body });
        bench.evaluate_on(server, "mail", mail).await["decision"] == json!(true)
    };
    assert!(on("crm", "y@example.org", "short").await);
    assert!(!on("hr", "y@example.org", "short").await);
    assert!(!on("crm", "y@example.com", "short").await);
    assert!(!on("crm", "y@example.org", "a longer text").await);
}

#[tokio::test]
async fn nobody_is_asked_where_nobody_could_help() {
    let bench = bench().await;
    assert_eq!(code(&bench.ask("note", json!({})).await), (409, "not_needed".into()));
    let never = bench.ask("wipe", json!({})).await;
    assert_eq!(code(&never), (403, "denied".into()));
    assert!(never.json()["decision_id"].is_string());
    let unknown = json!({ "action": "crm.mail", "arguments": {}, "more": 1 });
    let path = "/v1/access-requests";
    let wrong = bench.fixture.post_in("worker", &bench.handle, path, &unknown).await;
    assert_eq!(code(&wrong), (400, "invalid".into()));
}

#[tokio::test]
async fn what_is_high_takes_a_passkey() {
    let bench = bench().await;
    let id = bench.asked("deploy", json!({})).await;
    assert_eq!(bench.shown("lea", &id).await["assurance"], json!("high"));
    let answer = bench.approve("lea", &id).await;
    assert_eq!(code(&answer), (403, "needs_passkey".into()));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("/approve/{id}")), "{detail}");
    let glass = json!({ "agent": "worker", "reason": "the house burns", "seconds": 60 });
    let broken = bench.fixture.post("lea", "/v1/break-glass", &glass).await;
    assert_eq!(code(&broken), (403, "needs_passkey".into()));
    let listed = bench.fixture.get(AUDITOR, "/v1/break-glass").await;
    assert_eq!(listed.json(), json!({ "broken": [] }));
}

#[tokio::test]
async fn a_request_is_taken_back_by_those_it_concerns() {
    let bench = bench().await;
    let revoke = async |who: &str, id: &str| {
        let path = format!("/v1/access-requests/{id}/revoke");
        bench.fixture.post(who, &path, &json!({ "reason": "no more" })).await
    };
    for (who, body) in [("worker", "a"), ("lea", "b"), (OPERATOR, "c")] {
        let id = bench.asked("mail", mail(body)).await;
        assert_eq!(code(&revoke("ada", &id).await), (403, "forbidden".into()));
        bench.approve("lou", &id).await;
        // Who has answered keeps their part, and who might have has none any more.
        let who = if who == "lea" { "lou" } else { who };
        let taken = revoke(who, &id).await;
        assert_eq!(taken.status, StatusCode::OK, "{who}: {}", taken.json());
        assert!(!bench.permits("mail", mail(body)).await);
        assert_eq!(code(&revoke(who, &id).await), (409, "closed".into()));
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_answer() {
    let bench = bench().await;
    let id = bench.asked("mail", mail("a")).await;
    let path = format!("/v1/access-requests/{id}/wait?state=pending&seconds=60");
    let waiting = bench.fixture.get("worker", &path);
    let answering = async {
        // The wait is there before the answer is.
        while bench.fixture.service.access_waits() == 0 {
            tokio::task::yield_now().await;
        }
        bench.approve("lea", &id).await
    };
    let (waited, answered) = tokio::join!(waiting, answering);
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(waited.json()["state"], json!("approved"));
    assert_eq!(waited.json()["approval"]["uses_left"], json!(1));
    // It stands otherwise than the caller saw it: answered at once.
    let after = bench.fixture.get("worker", &path).await;
    assert_eq!(after.json()["state"], json!("approved"));
    for wrong in ["?seconds=0", "?seconds=61", "?state=perhaps", "?more=1"] {
        let path = format!("/v1/access-requests/{id}/wait{wrong}");
        assert_eq!(bench.fixture.get("worker", &path).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn waits_that_end_by_themselves_leave_nothing() {
    let bench = bench().await;
    let id = bench.asked("mail", mail("a")).await;
    let path = format!("/v1/access-requests/{id}/wait?seconds=1");
    let waits = (0..8).map(|_| bench.fixture.get("worker", &path));
    for waited in futures_util::future::join_all(waits).await {
        assert_eq!(waited.json()["state"], json!("pending"));
    }
    assert_eq!(bench.fixture.service.access_waits(), 0);
    // A server that stops lets nobody wait.
    bench.fixture.api.stop();
    let path = format!("/v1/access-requests/{id}/wait?seconds=60");
    let began = Instant::now();
    assert_eq!(bench.fixture.get("worker", &path).await.json()["state"], json!("pending"));
    assert!(began.elapsed().as_secs() < 30);
}

#[tokio::test]
async fn from_the_approval_to_the_permitted_call_it_is_quick() {
    let bench = bench().await;
    let mut took = Vec::new();
    // One agent is given no more than half of the twelve that a person is asked in an hour.
    for round in 0..5 {
        let arguments = mail(&format!("round {round}"));
        let id = bench.asked("mail", arguments.clone()).await;
        let path = format!("/v1/access-requests/{id}/wait");
        let waiting = async {
            bench.fixture.get("worker", &path).await;
            assert!(bench.permits("mail", arguments).await);
            Instant::now()
        };
        let answering = async {
            while bench.fixture.service.access_waits() == 0 {
                tokio::task::yield_now().await;
            }
            let began = Instant::now();
            bench.approve("lea", &id).await;
            began
        };
        let (ran, began) = tokio::join!(waiting, answering);
        took.push(ran.duration_since(began));
    }
    took.sort();
    assert!(took[took.len() / 2].as_millis() < 50, "{took:?}");
}
