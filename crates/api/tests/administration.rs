//! The administration API, over a real store.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use safeconduct_api::ReloadError;
use safeconduct_model::Timestamp;
use serde_json::{Value as Json, json};
use support::*;
use tower::ServiceExt as _;

fn question() -> Json {
    json!({
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "read", "properties": {"note": "a secret value"}},
        "resource": {"type": "record", "id": "record-1"},
    })
}

async fn decide(fixture: &Fixture) -> String {
    let answer = fixture.post(PEP, "/access/v1/evaluation", &question()).await.json();
    answer["context"]["decision_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_shown_once_and_works() {
    let fixture = Fixture::new().await;
    let body = json!({"identity": NOBODY, "ttl_s": 60});
    let issued = fixture.post(OPERATOR, "/v1/tokens", &body).await;
    assert_eq!(issued.status, StatusCode::CREATED);
    assert_eq!(issued.header("cache-control"), "no-store");
    let issued = issued.json();
    let text = issued["token"].as_str().unwrap();
    assert!(safeconduct_api::Bearer::is_well_formed(text));
    let mut request = fixture.request("", Method::GET, "/v1/whoami", None);
    request.headers_mut().insert("authorization", format!("bearer {text}").parse().unwrap());
    let me = fixture.send(request).await.json();
    assert_eq!(me["identity"]["id"], json!(NOBODY));
    assert_eq!(me["token"], issued["id"]);
    // What every user may do, on what is theirs.
    let operations = json!([
        "access_requests.answer",
        "access_requests.answer_all",
        "access_requests.ask",
        "access_requests.list",
        "campaigns.decide",
        "campaigns.list",
        "campaigns.reassign",
        "campaigns.sign_off",
        "delegations.list",
        "delegations.make",
        "glass.break",
        "intents.list",
        "leases.issue",
        "leases.list",
        "leases.renew",
        "passkeys.list",
        "tasks.begin",
        "tasks.list",
        "whoami"
    ]);
    assert_eq!(me["operations"], operations);

    let listed = fixture.get(AUDITOR, &format!("/v1/tokens?identity={NOBODY}")).await;
    assert!(!String::from_utf8(listed.body.clone()).unwrap().contains(text));
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 2);

    // Its time passes.
    let later = fixture.service.now().plus_ms(61_000);
    fixture.clock.set(later);
    let mut request = fixture.request("", Method::GET, "/v1/whoami", None);
    request.headers_mut().insert("authorization", format!("Bearer {text}").parse().unwrap());
    assert_eq!(fixture.send(request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_request_that_does_not_fit_is_refused() {
    let fixture = Fixture::new().await;
    for (body, status) in [
        (json!({"identity": "unheard-of"}), StatusCode::NOT_FOUND),
        (json!({"identity": NOBODY, "ttl_s": 0}), StatusCode::BAD_REQUEST),
        (json!({"identity": NOBODY, "ttl_s": 31_622_401}), StatusCode::BAD_REQUEST),
        (json!({"identity": NOBODY, "forever": true}), StatusCode::BAD_REQUEST),
        (json!({"identity": ""}), StatusCode::BAD_REQUEST),
        (json!([]), StatusCode::BAD_REQUEST),
    ] {
        let answer = fixture.post(OPERATOR, "/v1/tokens", &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], json!(status.as_u16()));
    }
    let mut request = fixture.request(OPERATOR, Method::POST, "/v1/tokens", Some(&json!({})));
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(fixture.send(request).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn an_identity_is_registered_read_and_listed() {
    let fixture = Fixture::new().await;
    let id = "spiffe://example.org/agent/a";
    let path = format!("/v1/identities/{}", id.replace('/', "%2F").replace(':', "%3A"));
    let body = json!({
        "id": id, "kind": "agent", "owner": ADMINISTRATOR, "fallback_owner": OPERATOR,
        "groups": ["clerks"], "pep": {"subjects": ["user"]},
    });
    let put = |body: &Json| fixture.request(OPERATOR, Method::PUT, &path, Some(body));
    assert_eq!(fixture.send(put(&body)).await.status, StatusCode::NO_CONTENT);
    let shown = fixture.get(AUDITOR, &path).await.json();
    assert_eq!(shown["status"], json!("active"));
    // A type of the schema gets its full name.
    assert_eq!(shown["pep"]["subjects"], json!(["Safeconduct::user"]));

    let mut ownerless = body.clone();
    ownerless.as_object_mut().unwrap().remove("owner");
    let refused = fixture.send(put(&ownerless)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["code"], json!("no_owner"));
    let mut other = body.clone();
    other["id"] = json!("someone-else");
    assert_eq!(fixture.send(put(&other)).await.status, StatusCode::BAD_REQUEST);

    let mut ids = Vec::new();
    let mut path = "/v1/identities?limit=3".to_owned();
    loop {
        let page = fixture.get(AUDITOR, &path).await.json();
        let found = page["identities"].as_array().unwrap();
        ids.extend(found.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/identities?limit=3&after={}", next.replace('/', "%2F"));
    }
    assert_eq!(ids.len(), everyone().len() + 1);
    assert!(ids.is_sorted());
    let unknown = fixture.get(AUDITOR, "/v1/identities/unheard-of").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let wrong = fixture.get(AUDITOR, "/v1/identities?limit=0").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let unknown = fixture.get(AUDITOR, "/v1/identities?colour=red").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_outcome_is_taken_once_and_only_from_who_asked() {
    let fixture = Fixture::new().await;
    let decision = decide(&fixture).await;
    let path = format!("/v1/decisions/{decision}/outcome");
    let body = json!({"outcome": "succeeded", "duration_ms": 7, "result": {"n": 1.50}});
    for wrong in [
        json!({"outcome": "perhaps"}),
        json!({}),
        json!({"outcome": "failed", "detail": "has data in it: 4711"}),
        json!({"outcome": "failed", "more": 1}),
    ] {
        assert_eq!(
            fixture.post(PEP, &path, &wrong).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
    let foreign = fixture.post(STRANGER_PEP, &path, &body).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.post(PEP, &path, &body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.post(PEP, &path, &body).await.status, StatusCode::NOT_FOUND);

    let outcome = loop {
        let read = fixture.read.read_up_to();
        let page = fixture.get(AUDITOR, &format!("/v1/records?parent={decision}")).await.json();
        if let Some(outcome) = page["records"].get(0) {
            break outcome.clone();
        }
        fixture.read.grown_beyond(read).await;
    };
    assert!(outcome["record"].to_string().contains("succeeded"), "{outcome}");
}

#[tokio::test]
async fn records_are_found_and_paged_and_hold_no_values() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(decide(&fixture).await);
    }
    loop {
        let read = fixture.read.read_up_to();
        if fixture.get(AUDITOR, &format!("/v1/records/{}", ids[4])).await.status == StatusCode::OK {
            break;
        }
        fixture.read.grown_beyond(read).await;
    }
    let mut found = Vec::new();
    let mut path = format!("/v1/records?kind=decision&identity={PEP}&action=read&limit=2");
    let first = path.clone();
    loop {
        let page = fixture.get(AUDITOR, &path).await;
        assert!(!String::from_utf8_lossy(&page.body).contains("a secret value"));
        let page = page.json();
        assert!(page["read_up_to"].as_u64().unwrap() > 5);
        for record in page["records"].as_array().unwrap() {
            found.push(record["record"]["id"].as_str().unwrap().to_owned());
        }
        let Some(before) = page["next_before"].as_u64() else {
            break;
        };
        path = format!("{first}&before={before}");
    }
    ids.reverse();
    assert_eq!(found, ids);
    let none = fixture.get(AUDITOR, "/v1/records?decision=deny").await.json();
    assert_eq!(none["records"], json!([]));
    for wrong in ["decision=maybe", "since=yesterday", "token=t", "limit=1001", "identity=", "x=1"]
    {
        let answer = fixture.get(AUDITOR, &format!("/v1/records?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let unknown = fixture.get(AUDITOR, "/v1/records/dec_unheard_of").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_checkpoint_comes() {
    let fixture = Fixture::new().await;
    decide(&fixture).await;
    let note = loop {
        let answer = fixture.get(AUDITOR, "/v1/log/checkpoint").await;
        if answer.status == StatusCode::OK {
            break String::from_utf8(answer.body).unwrap();
        }
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        tokio::task::yield_now().await;
    };
    assert!(note.starts_with("example.com/ledger\n"), "{note}");
}

/// Reads events until `count` have come: their ids.
async fn events(body: Body, count: usize) -> Vec<u64> {
    let mut text = String::new();
    let mut stream = body.into_data_stream();
    let id = |line: &str| line.strip_prefix("id: ").map(|id| id.trim().parse().unwrap());
    loop {
        let ids: Vec<u64> = text.split_inclusive('\n').filter_map(id).collect();
        let complete = text.matches("\n\n").count();
        if complete >= count {
            return ids[..complete].to_vec();
        }
        let more = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap();
        text.push_str(std::str::from_utf8(&more.unwrap().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn the_tail_shows_every_record_once_and_goes_on_where_it_was() {
    let fixture = Fixture::new().await;
    let open = |path: &str, last: Option<&str>| {
        let mut request = fixture.request(AUDITOR, Method::GET, path, None);
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().unwrap());
        }
        fixture.router.clone().oneshot(request)
    };
    let response = open("/v1/log/tail?after=2", None).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    for _ in 0..300 {
        decide(&fixture).await;
    }
    assert_eq!(events(response.into_body(), 300).await, (3..303).collect::<Vec<u64>>());
    let again = open("/v1/log/tail?after=2", Some("290")).await.unwrap();
    assert_eq!(events(again.into_body(), 12).await, (291..303).collect::<Vec<u64>>());
    let wrong = open("/v1/log/tail", Some("x")).await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);

    // A new stream begins with what comes next, and ends when the server stops.
    let quiet = open("/v1/log/tail", None).await.unwrap();
    fixture.api.stop();
    let mut stream = quiet.into_body().into_data_stream();
    let end = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap();
    assert!(end.is_none());
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let fixture = Fixture::new().await;
    let mut open = Vec::new();
    for _ in 0..safeconduct_api::TAILS_MAX {
        let request = fixture.request(AUDITOR, Method::GET, "/v1/log/tail", None);
        open.push(fixture.router.clone().oneshot(request).await.unwrap());
    }
    let refused = fixture.get(AUDITOR, "/v1/log/tail").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    open.pop();
    let request = fixture.request(AUDITOR, Method::GET, "/v1/log/tail", None);
    assert_eq!(fixture.router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_session_is_shown_and_its_values_erased() {
    let fixture = Fixture::new().await;
    decide(&fixture).await;
    let world = fixture.service.world();
    let token = world.tokens().find(|token| token.identity.as_str() == PEP).unwrap().id.clone();
    let path = format!("/v1/sessions/{PEP}/{token}");
    let shown = fixture.get(AUDITOR, &path).await.json();
    assert_eq!(shown["steps"], json!(1));
    assert_eq!(shown["actions"], json!({"read": 1}));
    let erase = format!("{path}/erase");
    assert_eq!(fixture.post(AUDITOR, &erase, &json!({})).await.status, StatusCode::FORBIDDEN);
    let erased = fixture.post(ADMINISTRATOR, &erase, &json!({})).await.json();
    assert_eq!(erased["attachments"], json!(2), "the wrapped keys and the arguments");
    let unknown = fixture.get(AUDITOR, "/v1/sessions/someone/else").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn policies_catalogue_and_upstreams_are_shown() {
    let fixture = Fixture::new().await;
    let policies = fixture.get(OPERATOR, "/v1/policies").await.json();
    assert_eq!(policies["policies"], json!(6));
    assert!(policies["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(policies["loaded_at"], json!("2023-11-14T22:13:20.000Z"));
    let catalogue = fixture.get(OPERATOR, "/v1/catalogue?limit=2").await.json();
    assert_eq!(catalogue["actions"][0]["action"], json!("delete"));
    assert_eq!(catalogue["next"], json!("read"));
    let rest = fixture.get(OPERATOR, "/v1/catalogue?after=read").await.json();
    assert_eq!(rest["actions"].as_array().unwrap().len(), 1);
    let quarantined = fixture.get(OPERATOR, "/v1/catalogue?quarantined=true").await.json();
    assert_eq!(quarantined["actions"], json!([]));
    let upstreams = fixture.get(OPERATOR, "/v1/upstreams").await.json();
    assert_eq!(upstreams["upstreams"][0]["state"], json!("failed"));
}

#[tokio::test]
async fn a_reload_says_what_was_wrong() {
    let fixture = Fixture::new().await;
    let path = "/v1/policies/reload";
    assert_eq!(fixture.post(OPERATOR, path, &json!({})).await.status, StatusCode::OK);
    for (error, status) in [
        (ReloadError::Refused("p.cedar:3:1: no".into()), StatusCode::UNPROCESSABLE_ENTITY),
        (ReloadError::Failed("the disk".into()), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        *fixture.controls.refuse.lock().unwrap() = Some(error);
        assert_eq!(fixture.post(OPERATOR, path, &json!({})).await.status, status);
    }
}

#[tokio::test]
async fn without_policies_it_is_not_ready_but_alive() {
    let fixture = Fixture::new().await;
    fixture.controls.status.lock().unwrap().loaded_at = None;
    let ready = fixture.get("", "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["policies"]["ok"], json!(false));
    assert_eq!(fixture.get("", "/healthz").await.status, StatusCode::OK);
    fixture.controls.status.lock().unwrap().loaded_at = Some(Timestamp::from_millis(0));
    assert_eq!(fixture.get("", "/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_read_model_that_is_gone_is_a_503_and_nothing_more() {
    let fixture = Fixture::in_memory().await;
    let gone = fixture.get(AUDITOR, "/v1/records").await;
    assert_eq!(gone.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        fixture.post(PEP, "/access/v1/evaluation", &question()).await.json()["decision"],
        json!(true)
    );
}

#[tokio::test]
async fn passkeys_are_seen_and_taken_away_by_their_owner_and_by_administrators() {
    let fixture = Fixture::new().await;
    for (id, of) in [("-a", NOBODY), ("b", NOBODY), ("c", AUDITOR), ("d", AUDITOR)] {
        let identity = safeconduct_model::IdentityId::new(of).unwrap();
        let passkey = safeconduct_model::Passkey {
            id: safeconduct_model::PasskeyId::new(id).unwrap(),
            identity: identity.clone(),
            name: "My key".into(),
            rp: "safeconduct.example".into(),
            key: "AAAA".into(),
            aaguid: "00000000-0000-0000-0000-000000000000".into(),
            registered_at: fixture.service.now(),
            counter: 0,
            synced: true,
        };
        let by = safeconduct_model::Authentication {
            token: safeconduct_model::TokenId::new("passkey").unwrap(),
            identity,
            method: safeconduct_model::Method::Passkey,
            assurance: safeconduct_model::Assurance::High,
            at: fixture.service.now(),
            expires_at: None,
            task: None,
        };
        fixture.service.register_passkey(passkey, &by).await.unwrap();
    }
    let listed = async |who: &str, query: &str| -> Vec<String> {
        let answer = fixture.get(who, &format!("/v1/passkeys{query}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!String::from_utf8_lossy(&answer.body).contains("AAAA"), "the key");
        let passkeys = answer.json()["passkeys"].clone();
        let ids = passkeys.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    };
    assert_eq!(listed(NOBODY, "").await, ["-a", "b"]);
    assert!(listed(NOBODY, &format!("?identity={AUDITOR}")).await.is_empty());
    assert_eq!(listed(ADMINISTRATOR, "").await, ["-a", "b", "c", "d"]);
    assert_eq!(listed(ADMINISTRATOR, &format!("?identity={AUDITOR}&limit=1")).await, ["c"]);
    let remove = async |who: &str, id: &str| {
        let path = format!("/v1/passkeys/{id}");
        fixture.send(fixture.request(who, Method::DELETE, &path, None)).await.status
    };
    for (who, id, status) in [
        (NOBODY, "c", StatusCode::FORBIDDEN),
        (NOBODY, "none", StatusCode::FORBIDDEN),
        (OPERATOR, "b", StatusCode::FORBIDDEN),
        (ADMINISTRATOR, "none", StatusCode::NOT_FOUND),
        (NOBODY, "-a", StatusCode::NO_CONTENT),
        (NOBODY, "b", StatusCode::CONFLICT),
        (ADMINISTRATOR, "c", StatusCode::NO_CONTENT),
        (ADMINISTRATOR, "c", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(remove(who, id).await, status, "{who} {id}");
    }
    assert_eq!(listed(ADMINISTRATOR, "").await, ["b", "d"]);
}
