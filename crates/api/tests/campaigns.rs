//! Campaigns of access reviews over HTTP, over a real store: who may see and do what of them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use http::{Method, StatusCode};
use serde_json::{Value as Json, json};
use support::*;

fn definition() -> Json {
    json!({
        "campaign": "workloads",
        "owner": AUDITOR,
        "scope": {"kinds": ["workload"]},
        "stages": [{"name": "owners", "lasts": "14d", "reviewers": ["owner"]}],
    })
}

async fn begun(fixture: &Fixture) -> String {
    let body = json!({"definition": definition()});
    let started = fixture.post(OPERATOR, "/v1/campaigns", &body).await;
    let said = String::from_utf8_lossy(&started.body).into_owned();
    assert_eq!(started.status, StatusCode::CREATED, "{said}");
    started.json()["id"].as_str().unwrap().to_owned()
}

async fn get(fixture: &Fixture, who: &str, path: &str) -> Json {
    let answer = fixture.get(who, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

#[tokio::test]
async fn a_campaign_from_its_beginning_to_its_signature() {
    let fixture = Fixture::new().await;
    let id = begun(&fixture).await;
    let path = format!("/v1/campaigns/{id}");
    let seen = get(&fixture, AUDITOR, &path).await;
    assert_eq!((&seen["state"], &seen["cases"]), (&json!("in_stage"), &json!(2)), "{seen}");
    // Who has no part in it sees nothing of it; its reviewer does, with a role or without.
    assert_eq!(get(&fixture, NOBODY, "/v1/campaigns").await["campaigns"], json!([]));
    assert_eq!(fixture.get(NOBODY, &path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(get(&fixture, AUDITOR, "/v1/campaigns?state=open").await["campaigns"][0]["id"], id);
    let wrong = fixture.get(AUDITOR, "/v1/campaigns?state=half").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let items = get(&fixture, ADMINISTRATOR, &format!("{path}/items?limit=1")).await;
    assert_eq!(items["items"].as_array().unwrap().len(), 1);
    let next = items["next"].as_str().unwrap();
    let rest = get(&fixture, ADMINISTRATOR, &format!("{path}/items?after={next}")).await;
    let (first, second) = (&items["items"][0]["case"], &rest["items"][0]["case"]);
    assert_ne!(first, second);
    assert!(rest.get("next").is_none());
    let mine = get(&fixture, AUDITOR, &format!("{path}/items")).await;
    assert_eq!(mine["items"], json!([]), "they read all, and are asked nothing");

    let decide =
        async |who: &str, body: Json| fixture.post(who, &format!("{path}/decisions"), &body).await;
    let answer = |case: &Json, response: &str| json!({"case": case, "response": response, "reason": "it reads for the report"});
    let body = json!({"decisions": [answer(first, "reduce"), answer(second, "accept")]});
    let unseen = decide(ADMINISTRATOR, body.clone()).await.json();
    assert_eq!(unseen["results"][0]["status"], "refused", "{unseen}");
    let item = get(&fixture, ADMINISTRATOR, &format!("{path}/items/{first}")).await;
    assert_eq!(item["you_answer_for"], ADMINISTRATOR);
    assert_eq!(item["words"], "read on anything");
    assert_eq!(item["evidence"]["owner"], ADMINISTRATOR);
    assert_eq!(item["evidence"]["peers"]["holders"], 1);
    assert!(item["evidence_digest"].as_str().unwrap().starts_with("sha256:"));
    let some = decide(ADMINISTRATOR, body.clone()).await;
    assert_eq!(some.status, StatusCode::OK);
    let words: Vec<_> = some.json()["results"].as_array().unwrap().clone();
    assert_eq!((&words[0]["status"], &words[1]["status"]), (&json!("recorded"), &json!("refused")));
    // Nobody else is asked, whatever roles they have.
    get(&fixture, OPERATOR, &format!("{path}/items/{second}")).await;
    let not_asked = decide(OPERATOR, json!({"decisions": [answer(second, "accept")]})).await.json();
    assert_eq!(not_asked["results"][0]["status"], "refused");
    let many: Vec<Json> = (0..101).map(|_| answer(first, "accept")).collect();
    let many = decide(ADMINISTRATOR, json!({"decisions": many})).await;
    assert_eq!(many.status, StatusCode::BAD_REQUEST);

    let close =
        async |who: &str| fixture.post(who, &format!("{path}/close-stage"), &json!({})).await;
    assert_eq!(close(NOBODY).await.status, StatusCode::FORBIDDEN);
    assert_eq!(close(AUDITOR).await.status, StatusCode::CONFLICT, "its owner; somebody has time");
    get(&fixture, ADMINISTRATOR, &format!("{path}/items/{second}")).await;
    decide(ADMINISTRATOR, json!({"decisions": [answer(second, "accept")]})).await;
    assert_eq!(close(AUDITOR).await.status, StatusCode::NO_CONTENT);

    let over = get(&fixture, AUDITOR, &path).await;
    assert_eq!(over["state"], "reviewed");
    assert_eq!(over["effects"], json!({"keep": 1, "reduce": 1}));
    let sign = async |who: &str, over: &Json| {
        fixture.post(who, &format!("{path}/sign-off"), &json!({"over": over})).await.status
    };
    assert_eq!(sign(ADMINISTRATOR, &over["digest"]).await, StatusCode::CONFLICT);
    let other = json!(format!("sha256:{}", "0".repeat(64)));
    assert_eq!(sign(AUDITOR, &other).await, StatusCode::CONFLICT);
    assert_eq!(sign(AUDITOR, &over["digest"]).await, StatusCode::NO_CONTENT);
    let id = safeconduct_model::RecordId::new(id.as_str()).unwrap();
    assert_eq!(fixture.service.campaign_effects(&id).unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_a_definition_with_a_schedule_is_kept() {
    let fixture = Fixture::new().await;
    let start = async |definition: Json| {
        fixture.post(OPERATOR, "/v1/campaigns", &json!({"definition": definition})).await
    };
    let mut wrong = definition();
    wrong["stages"][0]["lasts"] = json!("400d");
    let refused = start(wrong).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json()["detail"].as_str().unwrap().contains("stage `owners`"));
    let mut nothing = definition();
    nothing["scope"] = json!({"environments": ["moon"]});
    let nothing = start(nothing).await;
    assert_eq!(
        (nothing.status, nothing.json()["code"].clone()),
        (StatusCode::CONFLICT, json!("nothing"))
    );
    let mut nobody = definition();
    nobody["owner"] = json!("somebody-else");
    assert_eq!(start(nobody).await.status, StatusCode::CONFLICT);

    let mut kept = definition();
    kept["schedule"] = json!({"from": "2030-01-31", "months": 1});
    let answer = start(kept.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json(), json!({"name": "workloads", "next": "2030-01-31T00:00:00.000Z"}));
    let listed = get(&fixture, AUDITOR, "/v1/campaigns").await;
    assert_eq!(listed["standing"][0]["name"], "workloads");
    assert_eq!(listed["campaigns"], json!([]));
    let now = json!({"definition": kept, "begin": "now"});
    let now = fixture.post(OPERATOR, "/v1/campaigns", &now).await.json();
    assert_eq!(now["cases"], 2);
    let path = "/v1/campaigns/standing/workloads";
    let withdraw =
        async || fixture.send(fixture.request(OPERATOR, Method::DELETE, path, None)).await;
    assert_eq!(withdraw().await.status, StatusCode::NO_CONTENT);
    assert_eq!(withdraw().await.status, StatusCode::NOT_FOUND);

    let id = now["id"].as_str().unwrap();
    let case = get(&fixture, ADMINISTRATOR, &format!("/v1/campaigns/{id}/items?limit=1")).await;
    let hand = async |who: &str, to: &str| {
        let body = json!({"case": case["items"][0]["case"], "to": to, "from": ADMINISTRATOR});
        fixture.post(who, &format!("/v1/campaigns/{id}/reassign"), &body).await.status
    };
    assert_eq!(hand(NOBODY, NOBODY).await, StatusCode::FORBIDDEN);
    assert_eq!(hand(OPERATOR, AGENT).await, StatusCode::CONFLICT, "no person");
    assert_eq!(hand(OPERATOR, NOBODY).await, StatusCode::NO_CONTENT);
    let theirs = get(&fixture, NOBODY, &format!("/v1/campaigns/{id}/items")).await;
    assert_eq!(theirs["items"].as_array().unwrap().len(), 1);
    let cancel = fixture.post(OPERATOR, &format!("/v1/campaigns/{id}/cancel"), &json!({})).await;
    assert_eq!(cancel.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn expressions_choose_rights_and_reviewers_or_are_refused_with_their_place() {
    let fixture = Fixture::new().await;
    let start = async |definition: Json| {
        fixture.post(OPERATOR, "/v1/campaigns", &json!({"definition": definition})).await
    };
    let mut wrong = definition();
    wrong["scope"]["where"] = json!("resource.grups.contains(\"leads\")");
    wrong["stages"][0]["reviewers"] = json!([{"expression": "principal.id"}]);
    let refused = start(wrong).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("`/scope/where`: the expression is wrong at 1:1"), "{said}");
    assert!(said.contains("`/stages/0/reviewers/0`: the expression is wrong at 1:1"), "{said}");
    let mut chosen = definition();
    chosen["scope"]["where"] =
        json!("context.source == \"statement\" && resource.id != \"nobody\"");
    chosen["stages"][0]["reviewers"] =
        json!([{"expression": format!("principal.id == \"{ADMINISTRATOR}\"")}]);
    let begun = start(chosen).await;
    assert_eq!(begun.status, StatusCode::CREATED);
    let path = format!("/v1/campaigns/{}", begun.json()["id"].as_str().unwrap());
    let mine = get(&fixture, ADMINISTRATOR, &format!("{path}/items")).await;
    assert_eq!(
        mine["items"].as_array().unwrap().len() as u64,
        begun.json()["cases"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_before_ended() {
    let fixture = Fixture::new().await;
    let (first, second) = (begun(&fixture).await, begun(&fixture).await);
    let page = get(&fixture, AUDITOR, "/v1/campaigns?state=open&limit=1").await;
    assert_eq!((&page["campaigns"][0]["id"], &page["next"]), (&json!(second), &json!(second)));
    let rest = get(&fixture, AUDITOR, &format!("/v1/campaigns?limit=1&after={second}")).await;
    assert_eq!(rest["campaigns"][0]["id"], first);
    assert!(rest.get("next").is_none(), "{rest}");
    let odd = fixture.get(AUDITOR, "/v1/campaigns?after=none").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    let cancel = fixture.post(AUDITOR, &format!("/v1/campaigns/{second}/cancel"), &json!({})).await;
    assert_eq!(cancel.status, StatusCode::NO_CONTENT);
    let open = get(&fixture, AUDITOR, "/v1/campaigns?state=open").await;
    assert_eq!(open["campaigns"].as_array().unwrap().len(), 1);
    assert_eq!(open["campaigns"][0]["id"], first);
    let all = get(&fixture, AUDITOR, "/v1/campaigns").await;
    assert_eq!(all["campaigns"][0]["state"], "cancelled", "it was let go of, and is read again");
    assert_eq!(get(&fixture, AUDITOR, "/v1/campaigns").await, all);
}

#[tokio::test]
async fn who_gives_no_role_takes_no_right_from_who_has_one_and_nobody_gives_themselves_back() {
    let fixture = Fixture::new().await;
    let schedule = async |who: &str, holder: &str| {
        let one = json!({"holder": holder, "effect": "suspend", "reason": "not needed"});
        fixture.post(who, "/v1/remediations", &json!({"remediations": [one]})).await
    };
    let refused = schedule(OPERATOR, ADMINISTRATOR).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(schedule(OPERATOR, AGENT).await.status, StatusCode::FORBIDDEN, "it has a role");
    assert_eq!(schedule(OPERATOR, PEP).await.status, StatusCode::CREATED);
    let planned = schedule(ADMINISTRATOR, OPERATOR).await;
    assert_eq!(planned.status, StatusCode::CREATED);
    let id = planned.json()["ids"][0].as_str().unwrap().to_owned();
    let step = async |who: &str, step: &str, id: &str| {
        let body = json!({"step": step, "reason": "so", "with": []});
        fixture.post(who, &format!("/v1/remediations/{id}/step"), &body).await
    };
    for word in ["quarantine", "restore", "apply", "roll_back"] {
        assert_eq!(step(OPERATOR, word, &id).await.status, StatusCode::FORBIDDEN, "{word}");
    }
    let own = schedule(ADMINISTRATOR, ADMINISTRATOR).await.json();
    let own = step(ADMINISTRATOR, "restore", own["ids"][0].as_str().unwrap()).await;
    assert_eq!(
        (own.status, own.json()["code"].clone()),
        (StatusCode::CONFLICT, json!("own_right"))
    );
    assert_eq!(step(ADMINISTRATOR, "restore", &id).await.status, StatusCode::OK);
}
