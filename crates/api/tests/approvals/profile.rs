//! The profile for enforcement points, from the Deny to the one use.

use super::*;

const TYPES: &str = "urn:openid:authzen:access-request:error:";

fn question(status: &str) -> Json {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": "write", "properties": { "text": "x" } },
        "resource": {
            "type": "record", "id": "record-1",
            "properties": { "status": status, "owner": "auditor" },
        },
    })
}

async fn evaluated(fixture: &Fixture, question: &Json) -> Json {
    let answer = fixture.post(PEP, "/access/v1/evaluation", question).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

fn with(mut question: Json, name: &str, value: Json) -> Json {
    question[name] = value;
    question
}

fn naming(question: &Json, denial: &Json) -> Json {
    let denial = json!({ "evaluation_id": denial["context"]["evaluation_id"] });
    with(question.clone(), "denial", denial)
}

fn problem(answer: &Answer) -> (u16, String) {
    let ty = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    let ty = ty.strip_prefix(TYPES).map_or(ty.clone(), str::to_owned);
    (answer.status.as_u16(), ty)
}

#[tokio::test]
async fn a_deny_is_requested_approved_and_evaluated_again_once() {
    let fixture = Fixture::new().await;
    let metadata = fixture.get("", "/.well-known/authzen-configuration").await.json();
    let endpoint = metadata["access_request_endpoint"].as_str().unwrap();
    assert!(endpoint.ends_with("/access/v1/request"));
    let capability = json!(["urn:openid:authzen:capability:access-request"]);
    assert_eq!(metadata["capabilities"], capability);

    let asked = question("archived");
    let denial = evaluated(&fixture, &asked).await;
    assert_eq!(denial["decision"], json!(false));
    let path = "/access/v1/request";
    let made = fixture.post(PEP, path, &naming(&asked, &denial)).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json());
    assert_eq!(made.header("retry-after"), "5");
    let task = made.json()["task"].clone();
    assert_eq!(task["status"], json!("pending"));
    let again = fixture.post(PEP, path, &naming(&asked, &denial)).await;
    assert_eq!(again.json()["task"]["id"], task["id"]);
    let id = task["id"].as_str().unwrap();
    let status = format!("/access/v1/request/{id}");
    assert_eq!(made.header("location"), task["status_endpoint"].as_str().unwrap());

    // What waits is no approval, and a name is no grant.
    let approval = json!({ "approval": { "id": id } });
    let retried = with(asked.clone(), "context", approval.clone());
    let pending = evaluated(&fixture, &retried).await;
    assert_eq!(pending["decision"], json!(false));
    assert_eq!(pending["context"]["reason"], json!("grant_pending"));
    assert_eq!(pending["context"]["next_action"], json!("retry"));

    // Of other callers' requests nobody learns.
    assert_eq!(problem(&fixture.get(STRANGER_PEP, &status).await), (404, "unknown_task".into()));
    let cancel = format!("{status}/cancel");
    let strange = fixture.post(STRANGER_PEP, &cancel, &json!({})).await;
    assert_eq!(problem(&strange), (404, "unknown_task".into()));
    assert_eq!(fixture.get(NOBODY, &status).await.status, StatusCode::FORBIDDEN);

    let shown = fixture.get(AUDITOR, &format!("/v1/access-requests/{id}")).await.json();
    assert_eq!(shown["may_answer"], json!(true), "{shown}");
    let word = json!({ "approve": { "scope": "once" }, "digest": shown["digest"] });
    let answer = format!("/v1/access-requests/{id}/answer");
    let answered = fixture.post(AUDITOR, &answer, &word).await;
    assert_eq!(answered.json()["state"], json!("approved"), "{}", answered.json());
    let approved = fixture.get(PEP, &status).await.json();
    assert_eq!(approved["task"]["status"], json!("approved"));
    assert_eq!(approved["result"]["mode"], json!("reevaluate"));
    assert_eq!(approved["result"]["approval"]["id"], json!(id));
    assert!(approved["result"]["approval"]["approved_until"].is_string());

    // It helps nobody else, and nothing else.
    let bob = json!({ "type": "user", "id": "bob" });
    let bobs = evaluated(&fixture, &with(retried.clone(), "subject", bob)).await;
    assert_eq!(bobs["decision"], json!(false));
    let other = json!({ "name": "write", "properties": { "text": "y" } });
    let other = evaluated(&fixture, &with(retried.clone(), "action", other)).await;
    assert_eq!(other["context"]["reason"], json!("out_of_scope"));
    assert_eq!(evaluated(&fixture, &retried).await["decision"], json!(true));
    let second = evaluated(&fixture, &retried).await;
    assert_eq!(second["decision"], json!(false));
    assert_eq!(second["context"]["reason"], json!("approval_expired"));
    let made_up = json!({ "approval": { "id": "req_none" } });
    let made_up = evaluated(&fixture, &with(asked, "context", made_up)).await;
    assert_eq!(made_up["context"]["reason"], json!("approval_unverifiable"));
}

#[tokio::test]
async fn a_deny_binds_its_caller_and_its_question() {
    let fixture = Fixture::new().await;
    let asked = question("archived");
    let denial = evaluated(&fixture, &asked).await;
    let path = "/access/v1/request";
    let binding = (400, "invalid_denial_binding".to_owned());
    let request = async |who: &str, body: &Json| fixture.post(who, path, body).await;
    let whole = naming(&asked, &denial);
    assert_eq!(problem(&request(STRANGER_PEP, &whole).await), binding);
    let bob = json!({ "type": "user", "id": "bob" });
    assert_eq!(problem(&request(PEP, &with(whole.clone(), "subject", bob)).await), binding);
    let read = json!({ "name": "read" });
    assert_eq!(problem(&request(PEP, &with(whole.clone(), "action", read)).await), binding);
    let other = json!({ "type": "record", "id": "record-2" });
    assert_eq!(problem(&request(PEP, &with(whole.clone(), "resource", other)).await), binding);
    let none = json!({ "evaluation_id": "dec_none" });
    assert_eq!(problem(&request(PEP, &with(whole.clone(), "denial", none)).await), binding);
    let permit = evaluated(&fixture, &question("open")).await;
    let id = json!({ "evaluation_id": permit["context"]["decision_id"] });
    assert_eq!(problem(&request(PEP, &with(whole.clone(), "denial", id)).await), binding);
    for (name, value) in [("items", json!([])), ("callback", json!({})), ("denial", json!({}))] {
        let answer = request(PEP, &with(whole.clone(), name, value)).await;
        assert_eq!(code(&answer), (400, "invalid".into()), "{name}");
    }
    assert_eq!(request(NOBODY, &whole).await.status, StatusCode::FORBIDDEN);
    // Nothing permits it, whoever is asked.
    let nothing = json!({
        "subject": { "type": "user", "id": "bob" }, "action": { "name": "write" },
        "resource": { "type": "record", "id": "r" },
    });
    let denied = evaluated(&fixture, &nothing).await;
    let id = json!({ "evaluation_id": denied["context"]["decision_id"] });
    let answer = request(PEP, &with(nothing, "denial", id)).await;
    assert_eq!(problem(&answer), (400, "not_requestable".into()));
    fixture.clock.set(Timestamp::from_millis(1_700_000_000_000 + 15 * 60_000));
    assert_eq!(problem(&request(PEP, &whole).await), (410, "expired_denial".into()));
}

#[tokio::test]
async fn a_request_is_cancelled_once() {
    let fixture = Fixture::new().await;
    let asked = question("archived");
    let denial = evaluated(&fixture, &asked).await;
    let made = fixture.post(PEP, "/access/v1/request", &naming(&asked, &denial)).await;
    let id = made.json()["task"]["id"].as_str().unwrap().to_owned();
    let cancel = format!("/access/v1/request/{id}/cancel");
    let cancelled = fixture.post(PEP, &cancel, &json!({})).await;
    assert_eq!(cancelled.json()["task"]["status"], json!("cancelled"));
    let again = fixture.post(PEP, &cancel, &json!({})).await;
    assert_eq!(problem(&again), (409, "invalid_task_state".into()));
}
