//! Findings over HTTP, over a real store: a look, what it found, exemptions, and who may.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use http::{Method, StatusCode};
use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Timestamp};
use serde_json::{Value as Json, json};
use support::*;

const SCAN: &str = "/v1/findings/scan";

async fn ok(fixture: &Fixture, who: &str, path: &str) -> Json {
    let answer = fixture.get(who, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn scan(fixture: &Fixture) -> Json {
    let answer = fixture.send(fixture.request(OPERATOR, Method::POST, SCAN, None)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn register(fixture: &Fixture, identity: Identity) {
    let by = IdentityId::new("test").unwrap();
    fixture.service.change_identity(identity, &by).await.unwrap();
}

/// An agent whose owner and fallback owner are somebody of that status.
async fn orphan(fixture: &Fixture, status: IdentityStatus) {
    let gone = Identity { status, ..identity("gone", IdentityKind::User, &[]) };
    let owner = Some(gone.id.clone());
    register(fixture, gone).await;
    let (owner, fallback_owner) = (owner.clone(), owner);
    let lonely = identity("lonely", IdentityKind::Agent, &[]);
    register(fixture, Identity { owner, fallback_owner, ..lonely }).await;
}

fn in_days(fixture: &Fixture, days: i64) -> String {
    let at: Timestamp = fixture.service.now().plus_ms(days * 86_400_000);
    String::from_utf8(at.to_ascii().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_finding_is_found_shown_exempt_and_closed() {
    let fixture = Fixture::new().await;
    let empty = ok(&fixture, AUDITOR, "/v1/findings").await;
    assert_eq!((&empty["total"], &empty["last_look"]), (&json!(0), &Json::Null));
    orphan(&fixture, IdentityStatus::Retired).await;
    let looked = scan(&fixture).await;
    assert_eq!(looked["opened"], 1, "{looked}");

    let list = ok(&fixture, AUDITOR, "/v1/findings?kind=orphaned_identity&severity=high").await;
    let finding = &list["findings"][0];
    assert_eq!(finding["identity"], "lonely");
    assert_eq!(finding["facts"]["problem"], "owner_gone");
    assert_eq!(finding["controls"][0], "owasp-nhi NHI1:2025");
    assert_eq!(list["last_look"]["opened"], 1);
    let path = format!("/v1/findings/{}", finding["id"].as_str().unwrap());
    assert_eq!(&ok(&fixture, OPERATOR, &path).await, finding);

    let exemption = format!("{path}/exemption");
    let endless = json!({"kind": "seasonal", "reason": "in spring"});
    let refused = fixture.post(OPERATOR, &exemption, &endless).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&refused.body).contains("until"));
    let with = |until: String| json!({"kind": "seasonal", "reason": "in spring", "until": until});
    let long = fixture.post(OPERATOR, &exemption, &with(in_days(&fixture, 367))).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    let wish = with(in_days(&fixture, 30));
    assert_eq!(fixture.post(AUDITOR, &exemption, &wish).await.status, StatusCode::FORBIDDEN);
    let exempt = fixture.post(OPERATOR, &exemption, &wish).await;
    assert_eq!(exempt.json()["state"], "exempt");
    assert_eq!(exempt.json()["exemption"]["by"], OPERATOR);
    assert_eq!(fixture.post(OPERATOR, &exemption, &wish).await.status, StatusCode::CONFLICT);
    let end = || fixture.request(ADMINISTRATOR, Method::DELETE, &exemption, None);
    assert_eq!(fixture.send(end()).await.json()["state"], "open");
    assert_eq!(fixture.send(end()).await.status, StatusCode::CONFLICT);

    orphan(&fixture, IdentityStatus::Active).await;
    assert_eq!(scan(&fixture).await["closed"], 1);
    assert_eq!(ok(&fixture, AUDITOR, "/v1/findings").await["total"], 0);
    let closed = ok(&fixture, AUDITOR, "/v1/findings?state=closed&identity=lonely").await;
    assert_eq!(closed["findings"][0]["state"], "closed");
    orphan(&fixture, IdentityStatus::Suspended).await;
    assert_eq!(scan(&fixture).await["reopened"], 1);
    assert_eq!(ok(&fixture, AUDITOR, &path).await["reopened"], 1);
}

#[tokio::test]
async fn what_does_not_fit_is_said() {
    let fixture = Fixture::new().await;
    for path in ["?state=lost", "?kind=none", "?severity=x", "?after=x", "?limit=0", "?other=1"] {
        let answer = fixture.get(AUDITOR, &format!("/v1/findings{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let unknown = format!("/v1/findings/{}", "0".repeat(32));
    for path in [unknown.as_str(), "/v1/findings/short"] {
        assert_eq!(fixture.get(AUDITOR, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for who in [AUDITOR, NOBODY, AGENT, PEP] {
        let answer = fixture.send(fixture.request(who, Method::POST, SCAN, None)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{who}");
    }
    let broken = Fixture::in_memory().await;
    let answer = broken.send(broken.request(OPERATOR, Method::POST, SCAN, None)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "the read model is gone");
}
