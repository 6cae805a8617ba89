//! A directory pushes people and groups.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use axum::body::Body;
use http::{Method, StatusCode};
use safeconduct_model::signal::{About, Kind, Severity, Signal, Source};
use safeconduct_model::{Identity, IdentityId, IdentityStatus, KillScope};
use serde_json::{Value as Json, json};
use support::*;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

async fn sent(
    fixture: &Fixture,
    (method, path): (Method, &str),
    body: Option<&Json>,
    match_version: Option<&str>,
) -> (StatusCode, Json) {
    let path = format!("/scim/v2{path}");
    let mut request = fixture.request(OPERATOR, method, &path, None);
    if let Some(body) = body {
        *request.body_mut() = Body::from(body.to_string());
        request.headers_mut().insert("content-type", "application/scim+json".parse().unwrap());
    }
    if let Some(version) = match_version {
        request.headers_mut().insert("if-match", version.parse().unwrap());
    }
    let answer = fixture.send(request).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

async fn posted(fixture: &Fixture, path: &str, body: Json) -> (StatusCode, Json) {
    sent(fixture, (Method::POST, path), Some(&body), None).await
}

async fn patched(fixture: &Fixture, path: &str, operations: Json) -> (StatusCode, Json) {
    let body = json!({ "schemas": [PATCH], "Operations": operations });
    sent(fixture, (Method::PATCH, path), Some(&body), None).await
}

async fn got(fixture: &Fixture, path: &str) -> (StatusCode, Json) {
    sent(fixture, (Method::GET, path), None, None).await
}

fn user(name: &str) -> Json {
    json!({ "schemas": [USER], "userName": name, "externalId": format!("x-{name}"), "active": true })
}

fn status(fixture: &Fixture, id: &str) -> Option<IdentityStatus> {
    fixture.service.world().identity(&IdentityId::new(id).unwrap()).map(|one| one.status)
}

#[tokio::test]
async fn people_come_change_and_go() {
    let fixture = Fixture::in_memory().await;
    let (code, ada) = posted(&fixture, "/Users", user("ada@example.org")).await;
    assert_eq!(code, StatusCode::CREATED, "{ada}");
    assert_eq!(status(&fixture, "ada@example.org"), Some(IdentityStatus::Active));
    let at = format!("/Users/{}", ada["id"].as_str().unwrap());
    assert!(ada["meta"]["location"].as_str().unwrap().ends_with(&at));

    for filter in
        ["userName%20eq%20%22ADA%40example.org%22", "externalId%20eq%20%22x-ada%40example.org%22"]
    {
        let (_, list) = got(&fixture, &format!("/Users?filter={filter}")).await;
        assert_eq!((&list["totalResults"], &list["Resources"][0]["id"]), (&json!(1), &ada["id"]));
    }
    let (code, error) = got(&fixture, "/Users?filter=userName%20co%20%22a%22").await;
    assert_eq!((code, &error["scimType"]), (StatusCode::BAD_REQUEST, &json!("invalidFilter")));
    let (code, error) = posted(&fixture, "/Users", user("ADA@example.org")).await;
    assert_eq!((code, &error["scimType"]), (StatusCode::CONFLICT, &json!("uniqueness")));
    let (code, _) = posted(&fixture, "/Users", user("аda@example.org")).await;
    assert_eq!(code, StatusCode::CONFLICT, "a Cyrillic letter");

    let off = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    let (code, gone) = patched(&fixture, &at, off).await;
    assert_eq!((code, &gone["active"]), (StatusCode::OK, &json!(false)));
    assert_eq!(status(&fixture, "ada@example.org"), Some(IdentityStatus::Suspended));
    let on = json!([{ "op": "replace", "value": { "active": true } }]);
    assert_eq!(patched(&fixture, &at, on).await.1["active"], json!(true));

    let stale = ada["meta"]["version"].as_str().unwrap();
    let renamed = json!({ "schemas": [USER], "userName": "ada@example.org", "displayName": "Ada" });
    let (code, now) = sent(&fixture, (Method::PUT, &at), Some(&renamed), Some(stale)).await;
    assert_eq!((code, &now["displayName"]), (StatusCode::OK, &json!("Ada")), "it is as it was");
    let (code, _) = sent(&fixture, (Method::PUT, &at), Some(&renamed), Some(stale)).await;
    assert_eq!(code, StatusCode::PRECONDITION_FAILED);

    let (code, _) = sent(&fixture, (Method::DELETE, &at), None, None).await;
    assert_eq!(code, StatusCode::NO_CONTENT);
    assert_eq!(status(&fixture, "ada@example.org"), Some(IdentityStatus::Retired));
    assert_eq!(got(&fixture, &at).await.0, StatusCode::NOT_FOUND);
    for name in ["ada@example.org", "ADA@example.org"] {
        let (code, error) = posted(&fixture, "/Users", user(name)).await;
        assert_eq!((code, &error["scimType"]), (StatusCode::CONFLICT, &json!("uniqueness")));
    }
    assert_eq!(status(&fixture, "ada@example.org"), Some(IdentityStatus::Retired));
}

#[tokio::test]
async fn a_directory_does_not_let_go_on_what_was_stopped_here() {
    let fixture = Fixture::in_memory().await;
    let (_, eve) = posted(&fixture, "/Users", user("eve")).await;
    let at = format!("/Users/{}", eve["id"].as_str().unwrap());
    let scope = KillScope::Identity(IdentityId::new("eve").unwrap());
    let by = IdentityId::new(OPERATOR).unwrap();
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    patched(&fixture, &at, off).await;
    fixture.service.kill(scope, &by, "seen enough".into()).await.unwrap();
    let on = json!([{ "op": "replace", "path": "active", "value": true }]);
    let (code, still) = patched(&fixture, &at, on).await;
    assert_eq!((code, &still["active"]), (StatusCode::OK, &json!(false)));
    assert_eq!(status(&fixture, "eve"), Some(IdentityStatus::Suspended));
}

#[tokio::test]
async fn a_directory_does_not_let_go_on_whom_a_signal_stops() {
    let fixture = Fixture::in_memory().await;
    let revoke = async |id: &str| {
        let about = About::Identity(IdentityId::new(id).unwrap());
        let (kind, severity) = (Kind::AccountDisabled, Severity::Critical);
        let (source, at) = (Source::Webhook("edr".into()), fixture.service.now());
        let signal = Signal::new(about, kind, severity, source, id, at);
        fixture.service.take_signals(vec![signal], None).await.unwrap();
    };
    let (_, eve) = posted(&fixture, "/Users", user("eve")).await;
    let at = format!("/Users/{}", eve["id"].as_str().unwrap());
    let set = |active: bool| json!([{ "op": "replace", "path": "active", "value": active }]);
    patched(&fixture, &at, set(false)).await;
    revoke("eve").await;
    let (code, still) = patched(&fixture, &at, set(true)).await;
    assert_eq!((code, &still["active"]), (StatusCode::OK, &json!(false)));
    assert_eq!(status(&fixture, "eve"), Some(IdentityStatus::Suspended));
    // Whom nobody knew when it came, the directory brings, and does not start.
    revoke("mallory").await;
    let (code, mallory) = posted(&fixture, "/Users", user("mallory")).await;
    assert_eq!((code, &mallory["active"]), (StatusCode::CREATED, &json!(false)));
    let at = format!("/Users/{}", mallory["id"].as_str().unwrap());
    patched(&fixture, &at, set(true)).await;
    assert_eq!(status(&fixture, "mallory"), Some(IdentityStatus::Suspended));
}

async fn changed(fixture: &Fixture, id: &str, change: impl FnOnce(&mut Identity)) {
    let mut identity = identity(fixture, id);
    change(&mut identity);
    let by = IdentityId::new(OPERATOR).unwrap();
    fixture.service.change_identity(identity, &by).await.unwrap();
}

fn identity(fixture: &Fixture, id: &str) -> Identity {
    fixture.service.world().identity(&IdentityId::new(id).unwrap()).unwrap().clone()
}

#[tokio::test]
async fn who_was_stopped_here_is_not_made_retired_by_a_directory() {
    let fixture = Fixture::in_memory().await;
    let on = json!([{ "op": "replace", "path": "active", "value": true }]);
    for stop in [IdentityStatus::Suspended, IdentityStatus::Quarantined] {
        let name = stop.as_str();
        let (_, eve) = posted(&fixture, "/Users", user(name)).await;
        let group = json!({ "schemas": [GROUP], "displayName": format!("g-{name}"),
            "members": [{ "value": eve["id"] }] });
        assert_eq!(posted(&fixture, "/Groups", group).await.0, StatusCode::CREATED);
        changed(&fixture, name, |eve| {
            eve.status = stop;
            eve.groups.insert("ours".to_owned());
        })
        .await;
        let at = format!("/Users/{}", eve["id"].as_str().unwrap());
        let (code, _) = sent(&fixture, (Method::DELETE, &at), None, None).await;
        assert_eq!(code, StatusCode::NO_CONTENT);
        let left = identity(&fixture, name);
        assert_eq!(left.status, stop);
        assert_eq!(left.groups.iter().collect::<Vec<_>>(), ["ours"]);
        assert_eq!(posted(&fixture, "/Users", user(name)).await.0, StatusCode::CONFLICT);
        patched(&fixture, &at, on.clone()).await;
        assert_eq!(status(&fixture, name), Some(stop));
    }
}

#[tokio::test]
async fn a_directory_lets_go_on_only_whom_it_stopped() {
    let fixture = Fixture::in_memory().await;
    let (_, eve) = posted(&fixture, "/Users", user("eve")).await;
    let at = format!("/Users/{}", eve["id"].as_str().unwrap());
    let imported = |file: &'static str| {
        let mut request = fixture.request(OPERATOR, Method::POST, "/v1/imports?as=csv", None);
        *request.body_mut() = Body::from(file);
        fixture.send(request)
    };
    let (off, on) = ("id,kind,status\neve,user,suspended\n", "id,kind,status\neve,user,active\n");
    let set = |active: bool| json!([{ "op": "replace", "path": "active", "value": active }]);
    assert_eq!(imported(off).await.status, StatusCode::OK);
    patched(&fixture, &at, set(true)).await;
    assert_eq!(status(&fixture, "eve"), Some(IdentityStatus::Suspended), "a file stopped her");
    assert_eq!(imported(on).await.status, StatusCode::OK);
    patched(&fixture, &at, set(false)).await;
    assert_eq!(imported(on).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status(&fixture, "eve"), Some(IdentityStatus::Suspended), "the directory did");
    patched(&fixture, &at, set(true)).await;
    assert_eq!(status(&fixture, "eve"), Some(IdentityStatus::Active));
}

#[tokio::test]
async fn a_group_is_changed_whole_or_not() {
    let fixture = Fixture::in_memory().await;
    let (_, list) = got(&fixture, "/Users?filter=userName%20eq%20%22auditor%22").await;
    let auditor = &list["Resources"][0]["id"];
    let group = |name: &str, members: &Json| json!({ "schemas": [GROUP], "displayName": name, "members": members });
    let theirs = group("theirs", &json!([{ "value": auditor }]));
    assert_eq!(posted(&fixture, "/Groups", theirs).await.0, StatusCode::FORBIDDEN);
    let (_, list) = got(&fixture, "/Groups").await;
    assert_eq!(list["totalResults"], 0, "nothing is kept of it: {list}");
    let (_, clerks) = posted(&fixture, "/Groups", group("clerks", &json!([]))).await;
    let at = format!("/Groups/{}", clerks["id"].as_str().unwrap());
    let renamed = group("officers", &json!([{ "value": auditor }]));
    let (code, _) = sent(&fixture, (Method::PUT, &at), Some(&renamed), None).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(got(&fixture, &at).await.1["displayName"], "clerks");

    let join = |identity: &mut Identity| {
        identity.groups.insert("clerks".to_owned());
    };
    changed(&fixture, AGENT, join).await;
    let empty = group("officers", &json!([]));
    for (method, body) in [(Method::DELETE, None), (Method::PUT, Some(&empty))] {
        let (code, error) = sent(&fixture, (method, &at), body, None).await;
        assert_eq!(code, StatusCode::CONFLICT, "{error}");
    }
    changed(&fixture, AGENT, |agent| agent.groups.clear()).await;
    posted(&fixture, "/Users", user("gone")).await;
    changed(&fixture, "gone", |gone| {
        gone.status = IdentityStatus::Retired;
        join(gone);
    })
    .await;
    assert_eq!(sent(&fixture, (Method::DELETE, &at), None, None).await.0, StatusCode::NO_CONTENT);
    assert!(identity(&fixture, "gone").groups.is_empty());
}

#[tokio::test]
async fn a_search_has_pages_over_people_and_groups() {
    let fixture = Fixture::in_memory().await;
    let group = json!({ "schemas": [GROUP], "displayName": "clerks" });
    posted(&fixture, "/Groups", group).await;
    let (_, people) = got(&fixture, "/Users").await;
    let people = people["totalResults"].as_u64().unwrap();
    for (start, count, shown) in [(1, 1, 1), (people, 2, 2), (people + 1, 5, 1), (people + 2, 5, 0)]
    {
        let asked = json!({ "startIndex": start, "count": count });
        let (code, page) = posted(&fixture, "/.search", asked).await;
        assert_eq!((code, &page["totalResults"]), (StatusCode::OK, &json!(people + 1)));
        assert_eq!(page["Resources"].as_array().unwrap().len(), shown, "{start}");
    }
}

#[tokio::test]
async fn who_has_a_role_is_changed_by_those_who_give_roles() {
    let fixture = Fixture::in_memory().await;
    let (_, list) = got(&fixture, "/Users?filter=userName%20eq%20%22auditor%22").await;
    let at = format!("/Users/{}", list["Resources"][0]["id"].as_str().unwrap());
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let (code, error) = patched(&fixture, &at, off).await;
    assert_eq!((code, &error["status"]), (StatusCode::FORBIDDEN, &json!("403")));
    assert_eq!(status(&fixture, AUDITOR), Some(IdentityStatus::Active));
}

#[tokio::test]
async fn groups_are_our_groups() {
    let fixture = Fixture::in_memory().await;
    let (_, ada) = posted(&fixture, "/Users", user("ada")).await;
    let (_, bob) = posted(&fixture, "/Users", user("bob")).await;
    let group =
        json!({ "schemas": [GROUP], "displayName": "clerks", "members": [{ "value": ada["id"] }] });
    let (code, clerks) = posted(&fixture, "/Groups", group.clone()).await;
    assert_eq!(code, StatusCode::CREATED, "{clerks}");
    let at = format!("/Groups/{}", clerks["id"].as_str().unwrap());
    let groups = |id: &str| {
        let world = fixture.service.world();
        world
            .identity(&IdentityId::new(id).unwrap())
            .unwrap()
            .groups
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!((groups("ada"), groups("bob")), (vec!["clerks".to_owned()], vec![]));
    assert_eq!(posted(&fixture, "/Groups", group).await.0, StatusCode::CONFLICT);

    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": bob["id"] }] }]);
    let (code, both) = patched(&fixture, &at, add).await;
    assert_eq!((code, both["members"].as_array().unwrap().len()), (StatusCode::OK, 2));
    let path = format!("members[value eq {}]", ada["id"]);
    let remove = json!([{ "op": "remove", "path": path }]);
    patched(&fixture, &at, remove).await;
    assert_eq!((groups("ada").len(), groups("bob").len()), (0, 1));
    let rename = json!([{ "op": "replace", "value": { "displayName": "officers" } }]);
    let (_, renamed) = patched(&fixture, &at, rename).await;
    assert_eq!(renamed["displayName"], "officers");
    assert_eq!(groups("bob"), ["officers"]);
    let stranger = json!([{ "op": "add", "path": "members", "value": [{ "value": "nobody" }] }]);
    assert_eq!(patched(&fixture, &at, stranger).await.0, StatusCode::BAD_REQUEST);
    let (_, list) = got(
        &fixture,
        "/Groups?excludedAttributes=members&filter=displayName%20eq%20%22Officers%22",
    )
    .await;
    assert!(list["Resources"][0].get("members").is_none() && list["totalResults"] == 1, "{list}");
    assert_eq!(sent(&fixture, (Method::DELETE, &at), None, None).await.0, StatusCode::NO_CONTENT);
    assert!(groups("bob").is_empty());
}

#[tokio::test]
async fn nobody_else_pushes_and_errors_are_in_their_form() {
    let fixture = Fixture::in_memory().await;
    for path in [
        "/ServiceProviderConfig",
        "/ResourceTypes",
        "/Schemas",
        "/Users",
        "/Groups",
        "/Users/x",
        "/Groups/x",
    ] {
        let path = format!("/scim/v2{path}");
        for who in [NOBODY, AUDITOR, AGENT] {
            assert_eq!(fixture.get(who, &path).await.status, StatusCode::FORBIDDEN, "{path}");
        }
        let without = fixture.get("", &path).await;
        assert_eq!(without.status, StatusCode::UNAUTHORIZED);
        assert_eq!(without.header("content-type"), "application/scim+json");
        assert!(!without.header("www-authenticate").is_empty());
    }
    for (path, body) in
        [("/Users", json!({})), ("/Users", json!([])), ("/Groups", json!({ "displayName": 1 }))]
    {
        let (code, error) = posted(&fixture, path, body).await;
        assert_eq!((code, &error["status"]), (StatusCode::BAD_REQUEST, &json!("400")));
        assert_eq!(error["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    }
    assert_eq!(got(&fixture, "/Nothing").await.0, StatusCode::NOT_FOUND);
    let (_, page) = got(&fixture, "/Users?startIndex=2&count=1").await;
    assert_eq!((&page["startIndex"], &page["itemsPerPage"]), (&json!(2), &json!(1)));
}
