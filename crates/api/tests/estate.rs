//! The estate's six questions and the AuthZEN searches, over a real store.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use http::StatusCode;
use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Timestamp};
use serde_json::{Value as Json, json};
use support::*;

fn question(subject: &str, action: &str, resource: &str) -> Json {
    json!({
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "record", "id": resource},
    })
}

async fn decide(fixture: &Fixture, subject: &str, action: &str, resource: &str) -> Json {
    let asked = question(subject, action, resource);
    fixture.post(PEP, "/access/v1/evaluation", &asked).await.json()
}

/// The records that there are, once the read model has read them.
async fn settled(fixture: &Fixture) {
    let last = decide(fixture, "bob", "read", "last").await;
    let id = last["context"]["decision_id"].as_str().unwrap().to_owned();
    loop {
        let known = fixture.read.record(&safeconduct_model::RecordId::new(&*id).unwrap()).unwrap();
        if !known.records.is_empty() {
            return;
        }
        fixture.read.grown_beyond(known.read_up_to).await;
    }
}

async fn ok(fixture: &Fixture, who: &str, path: &str) -> Json {
    let answer = fixture.get(who, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

#[tokio::test]
async fn who_there_is_and_who_answers_for_them() {
    let fixture = Fixture::new().await;
    let who = ok(&fixture, AUDITOR, "/v1/estate/who?limit=3").await;
    let ids: Vec<_> = who["identities"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["administrator", "agent", "auditor"]);
    assert_eq!(who["next"], "auditor");
    assert_eq!(who["identities"][1]["owner"], "administrator");
    assert_eq!(who["identities"][1]["tasks"], 0);
    let owned = ok(&fixture, OPERATOR, "/v1/estate/owns?owner=administrator").await;
    let owned = owned["owned"].as_array().unwrap();
    assert_eq!(owned.len(), 3, "{owned:?}");
    assert!(owned.iter().all(|one| one["as"] == "owner"));

    let nobodys = ok(&fixture, OPERATOR, "/v1/estate/owns").await;
    assert_eq!(nobodys["owned"], json!([]));
    let by = IdentityId::new("test").unwrap();
    let gone = identity("gone", IdentityKind::User, &[]);
    fixture.service.change_identity(gone.clone(), &by).await.unwrap();
    let orphan = Identity {
        owner: Some(gone.id.clone()),
        fallback_owner: Some(gone.id.clone()),
        ..identity("lonely", IdentityKind::Agent, &[])
    };
    fixture.service.change_identity(orphan, &by).await.unwrap();
    let gone = Identity { status: IdentityStatus::Retired, ..gone };
    fixture.service.change_identity(gone, &by).await.unwrap();
    let nobodys = ok(&fixture, OPERATOR, "/v1/estate/owns").await;
    assert_eq!(nobodys["owned"][0]["id"], "lonely");
    assert_eq!(nobodys["owned"][0]["orphaned"], "owner_not_active");
    for path in ["who", "owns", "can/agent", "why/agent?action=read", "did/agent", "stop/agent"] {
        let answer = fixture.get(NOBODY, &format!("/v1/estate/{path}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(fixture.get(OPERATOR, "/v1/estate/did/agent").await.status, StatusCode::FORBIDDEN);
}

/// Whom an enforcement point spoke of, and who is not registered, exists too.
#[tokio::test]
async fn who_appeared_and_is_not_registered_is_among_them() {
    let fixture = Fixture::new().await;
    let all = ok(&fixture, AUDITOR, "/v1/estate/who").await;
    assert_eq!(all["unregistered"], json!([]));
    for subject in ["bob", "ann", "bob"] {
        decide(&fixture, subject, "read", "1").await;
    }
    let all = ok(&fixture, AUDITOR, "/v1/estate/who").await;
    let unregistered = all["unregistered"].as_array().unwrap();
    let ids: Vec<_> = unregistered.iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["ann", "bob"]);
    assert_eq!(unregistered[1]["as"], json!(["subject"]));
    assert_eq!(unregistered[1]["types"], json!(["Safeconduct::user"]));
    assert!(unregistered[1]["first_seen"].as_str() <= unregistered[1]["last_seen"].as_str());

    // A page has so many of both, and every one is in one page.
    let mut seen = Vec::new();
    let mut path = "/v1/estate/who?limit=2".to_owned();
    loop {
        let page = ok(&fixture, AUDITOR, &path).await;
        let of = |name: &str| page[name].as_array().unwrap().clone();
        let page_of_both = [of("identities"), of("unregistered")].concat();
        assert!(page_of_both.len() <= 2);
        seen.extend(page_of_both.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/estate/who?limit=2&after={next}");
    }
    seen.sort();
    let known = all["identities"].as_array().unwrap().iter().chain(unregistered);
    let mut wanted: Vec<_> = known.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    wanted.sort();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn what_somebody_can_do_and_why() {
    let fixture = Fixture::new().await;
    let can = ok(&fixture, AUDITOR, &format!("/v1/estate/can/{PEP}")).await;
    let grants = can["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 1, "{grants:?}");
    assert_eq!(grants[0]["words"], "read on anything");
    assert_eq!(grants[0]["given_by"], "workloads_read");
    assert!(grants[0]["at"].as_str().unwrap().starts_with("p.cedar:"));
    assert_eq!(grants[0]["conditional"], false);
    assert!(grants[0]["id"].as_str().unwrap().len() > 60);
    assert_eq!(ok(&fixture, AUDITOR, "/v1/estate/can/agent").await["grants"], json!([]));
    let missing = fixture.get(AUDITOR, "/v1/estate/can/nobody-else").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    let path = format!("/v1/estate/why/{PEP}?action=read&resource=Safeconduct::record::%22r%22");
    let why = ok(&fixture, AUDITOR, &path).await;
    assert_eq!(why["statements"][0]["policy"], "workloads_read");
    assert_eq!(why["statements"][0]["effect"], "permit");
    assert_eq!(why["now"]["decision"], "permit", "{why}");
    let path = format!("/v1/estate/why/{PEP}?action=write&resource=record::r");
    let why = ok(&fixture, AUDITOR, &path).await;
    assert_eq!(why["statements"], json!([]));
    assert_eq!(why["now"]["decision"], "deny");
    assert_eq!(why["now"]["reasons"][0]["code"], "no_permit", "{why}");
    // Nothing of this was recorded.
    let records = ok(&fixture, AUDITOR, "/v1/records?kind=decision").await;
    assert_eq!(records["records"], json!([]));
    for wrong in ["action=no.such", "action=read&resource=nothing", "resource=record::r", "x=1"] {
        let answer = fixture.get(AUDITOR, &format!("/v1/estate/why/{PEP}?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn what_somebody_has_done() {
    let fixture = Fixture::new().await;
    let asked = json!({
        "subject": {"type": "workload", "id": PEP},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "r"},
    });
    let mut decisions = Vec::new();
    for n in 1..=5 {
        fixture.clock.set(Timestamp::from_millis(1_700_000_000_000 + n * 1000));
        let answer = fixture.post(PEP, "/access/v1/evaluation", &asked).await.json();
        assert_eq!(answer["decision"], true, "{answer}");
        decisions.push(answer["context"]["decision_id"].as_str().unwrap().to_owned());
    }
    let path = format!("/v1/decisions/{}/outcome", decisions[4]);
    let reported = fixture.post(PEP, &path, &json!({"outcome": "failed"})).await;
    assert!(reported.status.is_success(), "{}", String::from_utf8_lossy(&reported.body));
    settled(&fixture).await;
    let did = ok(&fixture, AUDITOR, &format!("/v1/estate/did/{PEP}")).await;
    let used = &did["uses"][0];
    assert_eq!((&used["policy"], &used["action"]), (&json!("workloads_read"), &json!("read")));
    assert_eq!((&used["permitted"], &used["failed"]), (&json!(5), &json!(1)));
    assert_eq!(used["resources"], 1);
    let latest = used["latest"].as_array().unwrap();
    assert_eq!(latest.len(), 3);
    assert_eq!(latest[0]["decision"], json!(decisions[4]));
    assert_eq!(latest[0]["outcome"], "failed");
    assert!(latest[1].get("outcome").is_none());
    let later = format!("/v1/estate/did/{PEP}?since=2030-01-01T00:00:00Z");
    assert_eq!(ok(&fixture, AUDITOR, &later).await["uses"], json!([]));
}

#[tokio::test]
async fn what_would_be_stopped_is_shown_and_nothing_is_stopped() {
    let fixture = Fixture::new().await;
    let stop = ok(&fixture, OPERATOR, &format!("/v1/estate/stop/{PEP}")).await;
    assert_eq!(stop["status"], "active");
    assert_eq!(stop["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(stop["tasks"], json!([]));
    assert_eq!(decide(&fixture, "bob", "read", "r").await["decision"], true);
    let body = json!({"scope": {"identity": PEP}, "reason": "seen enough"});
    assert_eq!(fixture.post(OPERATOR, "/v1/kill", &body).await.status, StatusCode::OK);
    let stop = ok(&fixture, OPERATOR, &format!("/v1/estate/stop/{PEP}")).await;
    assert_eq!(stop["status"], "suspended");
}

async fn search(fixture: &Fixture, what: &str, body: &Json) -> Json {
    let answer = fixture.post(PEP, &format!("/access/v1/search/{what}"), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

#[tokio::test]
async fn searches_find_what_would_be_permitted() {
    let fixture = Fixture::new().await;
    for (subject, resource) in [("carol", "r-3"), ("dave", "r-1"), ("alice", "r-2")] {
        decide(&fixture, subject, "read", resource).await;
    }
    settled(&fixture).await;
    let before = ok(&fixture, AUDITOR, "/v1/records?kind=decision&limit=1000").await;

    let asked = json!({
        "subject": {"type": "user", "id": "ignored"},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "r-1"},
    });
    let found = search(&fixture, "subject", &asked).await;
    assert_eq!(
        found["results"],
        json!([{"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}])
    );
    assert_eq!(found["page"], json!({"next_token": "", "count": 2}));

    let asked = json!({
        "subject": {"type": "user", "id": "alice"},
        "resource": {"type": "record", "id": "r-1"},
        "action": {"name": "not looked at"},
    });
    let found = search(&fixture, "action", &asked).await;
    assert_eq!(found["results"], json!([{"name": "read"}, {"name": "write"}]));

    let mut asked = json!({
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "write"},
        "resource": {"type": "record"},
        "page": {"limit": 2},
    });
    let mut all = Vec::new();
    loop {
        let found = search(&fixture, "resource", &asked).await;
        all.extend(found["results"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let next = found["page"]["next_token"].as_str().unwrap().to_owned();
        if next.is_empty() {
            break;
        }
        asked["page"]["token"] = json!(next);
    }
    assert_eq!(all, ["last", "r-1", "r-2", "r-3"]);

    // What is found is what is decided, candidate by candidate.
    for subject in ["alice", "bob", "carol"] {
        for resource in ["r-1", "r-2"] {
            let asked = json!({
                "subject": {"type": "user", "id": subject},
                "resource": {"type": "record", "id": resource},
            });
            let found = search(&fixture, "action", &asked).await;
            for action in ["read", "write", "delete"] {
                let among = found["results"].as_array().unwrap().contains(&json!({"name": action}));
                let decided = decide(&fixture, subject, action, resource).await;
                assert_eq!(decided["decision"], json!(among), "{subject} {action} {resource}");
            }
        }
    }
    let records = ok(&fixture, AUDITOR, "/v1/records?kind=decision&limit=1000").await;
    let count = |page: &Json| page["records"].as_array().unwrap().len();
    assert!(count(&records) <= count(&before) + 18, "a search is no decision");
}

#[tokio::test]
async fn a_search_that_does_not_fit_is_refused() {
    let fixture = Fixture::new().await;
    let whole = json!({
        "subject": {"type": "user"},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "r"},
    });
    for (path, remove) in [("subject", "action"), ("subject", "resource"), ("resource", "subject")]
    {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(remove);
        let answer = fixture.post(PEP, &format!("/access/v1/search/{path}"), &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} without {remove}");
    }
    let mut other = whole.clone();
    other["page"] = json!({"token": "00"});
    let answer = fixture.post(PEP, "/access/v1/search/subject", &other).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&answer.body).contains("another search"));
    assert_eq!(
        fixture.post(NOBODY, "/access/v1/search/subject", &whole).await.status,
        StatusCode::FORBIDDEN
    );
    // Of a type that it may not speak of, an enforcement point learns of itself alone.
    let mut foreign = whole;
    foreign["subject"] = json!({"type": "Safeconduct::Workload"});
    let itself = json!([{"type": "Safeconduct::Workload", "id": PEP}]);
    assert_eq!(search(&fixture, "subject", &foreign).await["results"], itself);
    let metadata = fixture.get("", "/.well-known/authzen-configuration").await.json();
    for what in ["subject", "resource", "action"] {
        let endpoint = format!("http://localhost:8080/access/v1/search/{what}");
        assert_eq!(metadata[format!("search_{what}_endpoint")], json!(endpoint));
    }
}
