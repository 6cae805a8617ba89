//! Files of identities, and what of them counts.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use safeconduct_model::{Identity, IdentityId, IdentityStatus};
use serde_json::{Value as Json, json};
use support::*;

fn upload(fixture: &Fixture, who: &str, query: &str, file: impl Into<Body>) -> Request<Body> {
    let path = format!("/v1/imports?{query}");
    let mut request = fixture.request(who, Method::POST, &path, None);
    *request.body_mut() = file.into();
    request
}

async fn sent(fixture: &Fixture, who: &str, query: &str, file: &str) -> (StatusCode, Json) {
    let answer = fixture.send(upload(fixture, who, query, file.to_owned())).await;
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body)
}

fn known(fixture: &Fixture, id: &str) -> Option<Identity> {
    fixture.service.world().identity(&IdentityId::new(id).unwrap()).cloned()
}

#[tokio::test]
async fn three_wrong_rows_of_many_refuse_all_or_are_left_out() {
    let fixture = Fixture::in_memory().await;
    let mut file = "id,kind,owner,fallback_owner\n".to_owned();
    for row in 0..5000 {
        let kind = if [10, 2000, 4999].contains(&row) { "robot" } else { "agent" };
        file.push_str(&format!("bot-{row},{kind},{ADMINISTRATOR},{OPERATOR}\n"));
    }
    let (status, report) = sent(&fixture, OPERATOR, "as=csv", &file).await;
    assert_eq!((status, &report["state"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("refused")));
    let wrong = report["wrong_rows"].as_array().unwrap();
    let lines: Vec<_> = wrong.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [12, 2002, 5001]);
    assert!(wrong.iter().all(|row| row["field"] == "kind"));
    assert_eq!(known(&fixture, "bot-0"), None, "nothing is imported");

    let (_, report) = sent(&fixture, OPERATOR, "as=csv&partial=true&dry_run=true", &file).await;
    assert_eq!((&report["state"], &report["new"]), (&json!("checked"), &json!(4997)));
    assert_eq!(known(&fixture, "bot-0"), None, "nor by looking");
    let (status, report) = sent(&fixture, OPERATOR, "as=csv&partial=true&name=a.csv", &file).await;
    assert_eq!((status, &report["new"]), (StatusCode::OK, &json!(4997)));
    assert_eq!(known(&fixture, "bot-4998").unwrap().status, IdentityStatus::Active);
    let (_, again) = sent(&fixture, OPERATOR, "as=csv&partial=true", &file).await;
    assert_eq!(
        (&again["new"], &again["changed"], &again["same"]),
        (&json!(0), &json!(0), &json!(4997))
    );

    let list = fixture.get(AUDITOR, "/v1/imports").await;
    let list: Json = serde_json::from_slice(&list.body).unwrap();
    assert_eq!(list["imports"].as_array().unwrap().len(), 2);
    assert_eq!(list["imports"][1]["name"], "a.csv");
    assert!(list["imports"].as_array().unwrap().iter().all(|one| one["state"] == "completed"));
}

#[tokio::test]
async fn who_looks_like_somebody_registered_is_refused() {
    let fixture = Fixture::in_memory().await;
    let problem = |report: Json| report["wrong_rows"][0]["problem"].to_string();
    let (_, case) = sent(&fixture, OPERATOR, "as=csv", "id,kind\nNOBODY,user\n").await;
    let case = problem(case);
    assert!(case.contains("differs only in case from `nobody`"), "{case}");
    let (_, look) = sent(&fixture, OPERATOR, "as=csv", "id,kind\nn\u{43e}body,user\n").await;
    let look = problem(look);
    assert!(look.contains("looks like `nobody`"), "{look}");
}

#[tokio::test]
async fn roles_take_the_right_to_give_them() {
    let fixture = Fixture::in_memory().await;
    let file = "id,kind,roles\neve,user,administrator\n";
    let (status, report) = sent(&fixture, OPERATOR, "as=csv", file).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(report["wrong_rows"][0]["field"], "roles");
    let (status, _) =
        sent(&fixture, OPERATOR, "as=csv", &format!("id,kind,environment\n{AUDITOR},user,x\n"))
            .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "nor is one with a role changed");
    let (status, _) = sent(&fixture, ADMINISTRATOR, "as=csv", file).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!known(&fixture, "eve").unwrap().roles.is_empty());
}

#[tokio::test]
async fn whom_nobody_answers_for_is_seen() {
    let fixture = Fixture::in_memory().await;
    let file = r#"{"entries":[{"spiffe_id":{"trust_domain":"example.org","path":"/bot"}}]}"#;
    let (_, report) = sent(&fixture, OPERATOR, "as=spire", file).await;
    assert_eq!((&report["unowned"], &report["orphaned"]), (&json!(1), &json!(1)));
    let bot = known(&fixture, "spiffe://example.org/bot").unwrap();
    assert_eq!(bot.status, IdentityStatus::Suspended);
    let orphans = fixture.get(AUDITOR, "/v1/estate/owns").await;
    let orphans: Json = serde_json::from_slice(&orphans.body).unwrap();
    assert_eq!(orphans["owned"][0]["orphaned"], "no_owner");
    let query = format!("as=spire&owner={ADMINISTRATOR}&fallback_owner={OPERATOR}");
    let (_, report) = sent(&fixture, OPERATOR, &query, file).await;
    assert_eq!((&report["changed"], &report["orphaned"]), (&json!(1), &json!(0)));
    let path = "/v1/estate/who/spiffe:%2F%2Fexample.org%2Fbot";
    let one: Json = serde_json::from_slice(&fixture.get(AUDITOR, path).await.body).unwrap();
    assert_eq!((&one["status"], &one["imported"]["from"]), (&json!("active"), &json!("spire")));
    assert_eq!((&one["passkeys"], &one["shared_by"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn what_cannot_be_read_says_where() {
    let fixture = Fixture::in_memory().await;
    for (query, file, says) in [
        ("as=xml", "", "`as` must be one of"),
        ("", "", "`as` must be one of"),
        ("as=csv", "id,colour\n", "`colour`"),
        ("as=kubernetes", "a: &a 1\nb: *a\n", "line 1"),
        ("as=oauth", "{", "line 1"),
        ("as=csv&name=%00", "id\n", "`name`"),
    ] {
        let (status, problem) = sent(&fixture, OPERATOR, query, file).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{query}: {problem}");
    }
    for who in [NOBODY, AUDITOR, AGENT] {
        let (status, _) = sent(&fixture, who, "as=csv", "id,kind\na,user\n").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{who}");
    }
}
