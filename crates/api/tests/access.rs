//! Who may do what in our own administration: every operation of the checked-in description is
//! tried without a token and without the right, and the table of roles is checked in.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use safeconduct_model::{IdentityKind, Role};
use safeconduct_service::{Administration, Operation};
use serde_json::{Value as Json, json};
use support::*;

/// Operations that need no token: they show nothing that is anyone's. This list may only shrink.
const PUBLIC: [&str; 7] = [
    "access.metadata",
    "healthz",
    "metrics",
    "oauth.keys",
    "oauth.metadata",
    "oauth.metadata_as_openid",
    "readyz",
];

/// Operations of OAuth clients, which prove themselves and are refused as the RFCs have it: the
/// form that each takes, and what it answers to a user, who is no client that may do it.
const OAUTH: [(&str, &str, StatusCode, &str); 3] = [
    ("oauth.introspect", "token=x", StatusCode::OK, r#"{"active":false}"#),
    // One that is not known is as good as taken back (RFC 7009 section 2.2).
    ("oauth.revoke", "token=x", StatusCode::OK, ""),
    (
        "oauth.token",
        "grant_type=client_credentials&resource=https://sts.example",
        StatusCode::BAD_REQUEST,
        "unauthorized_client",
    ),
];

/// Operations that everyone with a good token may do: they show what is the caller's own, or
/// leave the answer to the policies in force. This list may only shrink.
const EVERYONES: [&str; 10] = [
    "access_requests.ask",
    "access_requests.list",
    "delegations.list",
    "intents.list",
    "leases.issue",
    "leases.list",
    "leases.renew",
    "tasks.begin",
    "tasks.list",
    "whoami",
];

/// Operations that every user may do, on what is theirs.
const USERS: [&str; 9] = [
    "access_requests.answer",
    "access_requests.answer_all",
    "campaigns.decide",
    "campaigns.list",
    "campaigns.reassign",
    "campaigns.sign_off",
    "delegations.make",
    "glass.break",
    "passkeys.list",
];

/// Rights that a handler asks for in the middle, where the first one is not enough.
const INNER: [&str; 3] =
    ["campaigns.reassign_others", "identities.change_privileged", "tokens.issue_privileged"];

/// What programs do that receive what we transmit: all of it by one right, and only where the
/// configuration names the program.
const RECEIVERS: [&str; 11] = [
    "ssf.add_subject",
    "ssf.change",
    "ssf.create",
    "ssf.delete",
    "ssf.poll",
    "ssf.read",
    "ssf.remove_subject",
    "ssf.replace",
    "ssf.set_status",
    "ssf.status",
    "ssf.verify",
];

/// The right of those.
const RECEIVE: &str = "streams.receive";

/// What directories do: all of `/scim/v2` by one right. What is there it says itself
/// (RFC 7643), and `tests/scim.rs` sees who is let in.
const PROVISION: &str = "scim.provision";

/// Those who prove themselves by a secret of their own, which no identity has; and what says what
/// is transmitted, where anything is.
const OTHERS: [&str; 3] = ["signals.push", "signals.webhook", "ssf.metadata"];

fn checked_in(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a text with the checked-in one; `UPDATE=1` writes it anew.
fn compare(path: &str, text: &str) {
    let file = checked_in(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "{path} is not up to date: run the tests with UPDATE=1 and look at the diff"
    );
}

/// Every operation of the description: id, method, path.
fn described() -> Vec<(String, Method, String)> {
    let description: Json = serde_json::from_str(&safeconduct_api::document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.push((id, method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
}

#[test]
fn the_description_is_the_checked_in_one() {
    let text = safeconduct_api::document();
    let description: Json = serde_json::from_str(&text).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    compare("../../openapi/safeconduct.json", &text);
}

#[test]
fn the_table_of_roles_is_the_checked_in_one() {
    let administration = Administration::load().unwrap();
    let columns: [(&str, safeconduct_model::Identity); 9] = [
        ("none", identity("x", IdentityKind::User, &[])),
        ("auditor", identity("x", IdentityKind::User, &[Role::Auditor])),
        ("operator", identity("x", IdentityKind::User, &[Role::Operator])),
        ("administrator", identity("x", IdentityKind::User, &[Role::Administrator])),
        ("orchestrator", identity("x", IdentityKind::Workload, &[Role::Orchestrator])),
        ("workload+operator", identity("x", IdentityKind::Workload, &[Role::Operator])),
        ("account+auditor", identity("x", IdentityKind::ServiceAccount, &[Role::Auditor])),
        ("pep", pep("x")),
        ("agent+all", identity("x", IdentityKind::Agent, &Role::ALL)),
    ];
    let mut table = format!("{:<30}", "operation");
    for (name, _) in &columns {
        table.push_str(&format!(" {name:<17}"));
    }
    for operation in Operation::ALL {
        table = format!("{}\n{:<30}", table.trim_end(), operation.as_str());
        for (_, identity) in &columns {
            let answer = if administration.permits(identity, *operation) { "yes" } else { "-" };
            table.push_str(&format!(" {answer:<17}"));
        }
    }
    compare("tests/access_matrix.txt", &format!("{}\n", table.trim_end()));
}

#[test]
fn description_and_operations_name_the_same() {
    let described: BTreeSet<String> = described().into_iter().map(|(id, ..)| id).collect();
    let operations = Operation::ALL.iter().map(|operation| operation.as_str());
    let ours =
        operations.filter(|word| !INNER.contains(word) && ![RECEIVE, PROVISION].contains(word));
    let ours = ours.chain(PUBLIC);
    let ours = ours.chain(OAUTH.map(|o| o.0)).chain(RECEIVERS).chain(OTHERS);
    let ours: BTreeSet<String> = ours.map(str::to_owned).collect();
    assert_eq!(described, ours);
}

/// The path with something in place of its parameters.
fn filled(path: &str) -> String {
    let segment = |segment: &str| match segment {
        "{case}" | "{id}" | "{identity}" | "{name}" | "{token}" => "x".to_owned(),
        other => other.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_operation_refuses_the_unauthenticated_and_the_unauthorized() {
    let fixture = Fixture::new().await;
    fixture.open_token_service();
    for (id, method, path) in described() {
        if OAUTH.iter().any(|(oauth, ..)| *oauth == id) || OTHERS.contains(&&*id) {
            continue;
        }
        let path = filled(&path);
        let body = json!({});
        let body = (method != Method::GET).then_some(&body);
        let without = fixture.request("", method.clone(), &path, body);
        let mut wrong = fixture.request("", method.clone(), &path, body);
        let token = format!("Bearer {}", safeconduct_api::new_token_text().unwrap());
        wrong.headers_mut().insert("authorization", token.parse().unwrap());
        if PUBLIC.contains(&&*id) {
            assert_eq!(fixture.send(without).await.status, StatusCode::OK, "{id}");
            continue;
        }
        for request in [without, wrong] {
            let answer = fixture.send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{id}");
            assert!(!answer.header("www-authenticate").is_empty(), "{id}");
        }
        let let_in = match method {
            Method::GET => StatusCode::OK,
            // It takes no body, and is for those who act in a task.
            _ if id == "leases.renew" => StatusCode::CONFLICT,
            // The empty body is looked at, and says nothing.
            _ => StatusCode::BAD_REQUEST,
        };
        let everyones = EVERYONES.contains(&&*id);
        let unauthorized = fixture.send(fixture.request(NOBODY, method.clone(), &path, body)).await;
        let users = everyones || USERS.contains(&&*id);
        let expected = if users { let_in } else { StatusCode::FORBIDDEN };
        assert_eq!(unauthorized.status, expected, "{id}");
        let expected = if everyones { let_in } else { StatusCode::FORBIDDEN };
        let agent = fixture.send(fixture.request(AGENT, method, &path, body)).await;
        assert_eq!(agent.status, expected, "{id}: an agent with every role");
    }
}

#[tokio::test]
async fn nobody_is_heard_or_told_who_was_not_agreed_with() {
    let fixture = Fixture::new().await;
    let mut pushed = fixture.request(NOBODY, Method::POST, "/v1/signals/streams/x", None);
    pushed.headers_mut().insert("content-type", "application/secevent+jwt".parse().unwrap());
    let refused = fixture.send(pushed).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["err"], "authentication_failed");
    let hooked = fixture.post(NOBODY, "/v1/signals/webhooks/x", &json!({})).await;
    assert_eq!(hooked.status, StatusCode::UNAUTHORIZED);
    // What comes for nobody is not even read.
    let long = json!({ "long": "x".repeat(8 << 20) });
    let path = "/v1/signals/webhooks/x";
    let mut long = fixture.request(NOBODY, Method::POST, path, Some(&long));
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        long.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(fixture.send(long).await.status, StatusCode::UNAUTHORIZED);
    let told = fixture.get("", "/.well-known/ssf-configuration").await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_oauth_operation_refuses_the_unauthenticated_and_the_unauthorized() {
    let fixture = Fixture::new().await;
    fixture.open_token_service();
    let paths: BTreeMap<String, String> =
        described().into_iter().map(|(id, _, path)| (id, path)).collect();
    for (id, form, status, said) in OAUTH {
        let ask = async |who: &str, authorization: Option<String>| {
            let mut request = fixture.request(who, Method::POST, &paths[id], None);
            let headers = request.headers_mut();
            let form_type = "application/x-www-form-urlencoded".parse().unwrap();
            headers.insert("content-type", form_type);
            authorization.map(|a| headers.insert("authorization", a.parse().unwrap()));
            *request.body_mut() = axum::body::Body::from(form);
            fixture.send(request).await
        };
        let unknown = safeconduct_api::new_token_text().unwrap();
        let basic = base64(&format!("{NOBODY}:{unknown}"));
        let others = base64(&format!("{AGENT}:{}", fixture.tokens[NOBODY]));
        for authorization in [
            None,
            Some(format!("Bearer {unknown}")),
            Some(format!("Basic {basic}")),
            Some(format!("Basic {others}")),
            Some("Negotiate x".to_owned()),
        ] {
            let refused = ask("", authorization.clone()).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{id} {authorization:?}");
            assert!(!refused.header("www-authenticate").is_empty(), "{id}");
            assert_eq!(refused.json()["error"], "invalid_client", "{id}");
        }
        let answer = ask(NOBODY, None).await;
        assert_eq!(answer.status, status, "{id}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(said) && (text.is_empty() == said.is_empty()), "{id}: {text}");
    }
}

#[tokio::test]
async fn keys_are_rotated_by_administrators_and_that_is_recorded() {
    let fixture = Fixture::in_memory().await;
    let post = async || fixture.post(ADMINISTRATOR, "/v1/keys/rotate", &json!({})).await;
    let closed = post().await;
    let said = (closed.status, closed.json()["code"].clone());
    assert_eq!(said, (StatusCode::CONFLICT, json!("no_token_service")));
    fixture.open_token_service();
    let states = async || -> Vec<Json> {
        let keys = fixture.get(AUDITOR, "/v1/keys").await.json();
        keys["keys"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect()
    };
    assert_eq!(states().await, ["signing"]);
    let at = |ms: i64| safeconduct_model::Timestamp::from_millis(1_700_000_000_000 + ms);
    fixture.clock.set(at(1000));
    let made = post().await;
    assert_eq!(made.status, StatusCode::CREATED);
    let key = made.json()["keys"][0].clone();
    assert_eq!((&key["state"], &key["algorithm"]), (&json!("next"), &json!("ES256")));
    assert_eq!(states().await, ["signing", "next"]);
    let published = fixture.get("", "/oauth/jwks").await.json();
    let published = published["keys"].as_array().unwrap();
    assert!(published.iter().any(|one| one["kid"] == key["id"]), "at once");
    // As many as one likes would fill the published set.
    let again = post().await;
    let said = (again.status, again.json()["code"].clone());
    assert_eq!(said, (StatusCode::CONFLICT, json!("keys_are_waiting")));
    fixture.clock.set(at(601_000));
    assert_eq!(states().await, ["former", "signing"]);
    let recorded = fixture.memory.as_ref().unwrap().entries();
    let recorded = recorded.iter().map(|entry| safeconduct_ledger::decode(&entry.leaf).unwrap());
    let rotated: Vec<_> = recorded
        .filter_map(|record| match record.body {
            safeconduct_model::Body::TokenKeysRotated { keys, by } => Some((keys, by)),
            _ => None,
        })
        .collect();
    let [(keys, by)] = rotated.as_slice() else { panic!("{rotated:?}") };
    assert_eq!((by.as_str(), json!(*keys[0])), (ADMINISTRATOR, key["id"].clone()));
    // What cannot be recorded is not done.
    fixture.memory.as_ref().unwrap().fail("no space left");
    let failed = post().await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(states().await, ["former", "signing"]);
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn an_operator_cannot_become_an_administrator() {
    let fixture = Fixture::new().await;
    let user = |id: &str, roles: Json| json!({"id": id, "kind": "user", "roles": roles});
    let put = |id: &str, body: Json| {
        fixture.request(OPERATOR, Method::PUT, &format!("/v1/identities/{id}"), Some(&body))
    };
    let plain = fixture.send(put("newcomer", user("newcomer", json!([])))).await;
    assert_eq!(plain.status, StatusCode::NO_CONTENT);
    let raised = fixture.send(put("newcomer", user("newcomer", json!(["auditor"])))).await;
    assert_eq!(raised.status, StatusCode::FORBIDDEN);
    let himself = fixture.send(put(OPERATOR, user(OPERATOR, json!(["administrator"])))).await;
    assert_eq!(himself.status, StatusCode::FORBIDDEN);
    // Taking a role away is a change of one who holds it.
    let lowered = fixture.send(put(ADMINISTRATOR, user(ADMINISTRATOR, json!([])))).await;
    assert_eq!(lowered.status, StatusCode::FORBIDDEN);
    for who in [ADMINISTRATOR, AUDITOR, OPERATOR] {
        let token = fixture.post(OPERATOR, "/v1/tokens", &json!({"identity": who})).await;
        assert_eq!(token.status, StatusCode::FORBIDDEN, "{who}");
    }
    let token = fixture.post(OPERATOR, "/v1/tokens", &json!({"identity": PEP})).await;
    assert_eq!(token.status, StatusCode::CREATED);
    let token = fixture.post(ADMINISTRATOR, "/v1/tokens", &json!({"identity": AUDITOR})).await;
    assert_eq!(token.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_refusal_of_someone_known_is_recorded_and_of_anyone_else_counted() {
    let fixture = Fixture::new().await;
    let before = fixture.read.read_up_to();
    let body = json!({"identity": ADMINISTRATOR});
    let wanted = fixture.request("", Method::POST, "/v1/tokens", Some(&body));
    assert_eq!(fixture.send(wanted).await.status, StatusCode::UNAUTHORIZED);
    let mut wanted =
        fixture.request(NOBODY, Method::PUT, "/v1/identities/nobody", Some(&json!({})));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    wanted.headers_mut().insert("traceparent", parent.parse().unwrap());
    assert_eq!(fixture.send(wanted).await.status, StatusCode::FORBIDDEN);
    // The right that a handler asks for in the middle.
    let privileged = fixture.post(OPERATOR, "/v1/tokens", &body).await;
    assert_eq!(privileged.status, StatusCode::FORBIDDEN);
    // What is permitted leaves the record of its change and no decision; reading leaves none.
    assert_eq!(fixture.get(AUDITOR, "/v1/identities").await.status, StatusCode::OK);
    let registered = json!({"id": "newcomer", "kind": "user"});
    let put = fixture.request(OPERATOR, Method::PUT, "/v1/identities/newcomer", Some(&registered));
    assert_eq!(fixture.send(put).await.status, StatusCode::NO_CONTENT);

    let found = loop {
        let read = fixture.read.read_up_to();
        let page = fixture.get(AUDITOR, "/v1/records?limit=100").await.json();
        let records: Vec<Json> =
            page["records"].as_array().unwrap().iter().map(|r| r["record"].clone()).collect();
        if records[0]["kind"] == json!("identity_changed")
            && records[0].to_string().contains("newcomer")
        {
            break records;
        }
        fixture.read.grown_beyond(read).await;
    };
    // Newest first: the change, then each refusal behind the beginning of its session.
    let kinds: Vec<&str> = found.iter().take(5).map(|r| r["kind"].as_str().unwrap()).collect();
    let expected = ["identity_changed", "decision", "session_began", "decision", "session_began"];
    assert_eq!(kinds, expected);
    let refusal = &found[3];
    assert_eq!(refusal["trace"], json!(trace));
    assert_eq!(refusal["body"]["decision"], json!("deny"));
    assert_eq!(refusal["body"]["action"], json!("administration/identities.change"));
    assert_eq!(refusal["body"]["reasons"][0]["code"], json!("no_permit"));
    let text = refusal.to_string();
    for part in ["Administration::User", "nobody", "Administration::Path", "/v1/identities/nobody"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let privileged = &found[1]["body"]["action"];
    assert_eq!(*privileged, json!("administration/tokens.issue_privileged"));
    assert!(before > 0);

    let metrics = fixture.get("", "/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "safeconduct_administration_unauthenticated_total 1",
        "safeconduct_decisions_total{decision=\"deny\",pep=\"administration\",rule_class=\"no_permit\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_refusal_stays_one_where_it_cannot_be_recorded() {
    let fixture = Fixture::in_memory().await;
    fixture.memory.as_ref().unwrap().fail("no space left");
    let refused = fixture.get(NOBODY, "/v1/tokens").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
