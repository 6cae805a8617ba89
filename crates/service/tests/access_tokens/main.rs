//! Access tokens: born by record for a task, bound to who holds them, and gone with the task.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that cannot go on fails"
)]

mod bench;
mod life;
mod races;
mod schedules;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use safeconduct_model::*;
use safeconduct_service::*;

use bench::*;

#[tokio::test]
async fn a_token_is_born_by_record_and_lets_its_agent_act_in_its_task() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_eq!(token.expires_in_s(), 300);
    assert!(bench.bodies().iter().any(|body| matches!(
        body, Body::TokenMinted(minted) if minted.id == token.token.id && minted.task == task.id
    )));
    let by = bench.bearer(&token).await.unwrap();
    assert_eq!((by.method, by.identity.as_str()), (Method::AccessToken, "agent"));
    assert_eq!(by.task.as_ref().unwrap().id, task.id);
    assert_eq!(bench.call(by.clone(), "crm.read").await, Vec::<&str>::new());
    // The resource is the CRM; the task's mail is not.
    assert_eq!(bench.call(by, "mail.send").await, ["outside_intent"]);
    let actions: Vec<_> = token.token.allowances.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(actions, ["crm.read", "crm.write"]);
}

#[tokio::test]
async fn pitfall_10_nobody_takes_anothers_place() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    // For a user: the user is the subject, the agent acts.
    assert_eq!(token.token.subject, id("ada"));
    assert_eq!(token.token.actors, [id("agent")]);
    // A task that the agent began for nobody: it is the subject, and nobody else acts.
    bench.begin_by(proof("agent"), "agent", 2).await;
    let own = bench.of_handle(2, CRM).await.unwrap();
    assert_eq!((own.token.subject, own.token.actors), (id("agent"), vec![]));
    // A delegated one: whoever delegated stands in the chain, outwards.
    let parent = bench.service.enter_task(proof("agent"), &handle(1).1).unwrap();
    bench.begin_by(parent, "helper", 3).await;
    let handle = handle(3).0;
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", handle.as_str()),
        ("subject_token_type", HANDLE),
        ("resource", CRM),
    ];
    let childs = bench.ask(Some(("helper", 8)), &Holding::default(), &pairs).await.unwrap();
    assert_eq!(childs.token.subject, id("ada"));
    assert_eq!(childs.token.actors, [id("helper"), id("agent")]);
    // Another's handle, another's token, an agent's token as a subject, another's as an actor.
    let refused = bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let refused = bench.of_token(&childs.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let details = r#"[{"type":"safeconduct_task","intent":"work"}]"#;
    for (who, wanted) in [("ada", true), ("helper", false), ("agent", false), ("nobody", false)] {
        let idp = [("iss", Value::from("https://idp.example"))];
        let subject = assertion(who, &key(1), bench.now(), &idp);
        let more = [("authorization_details", details)];
        let got = bench.of_token(&subject, CRM, &more).await;
        assert_eq!(got.is_ok(), wanted, "{who}");
        let Ok(got) = got else { continue };
        assert!(got.begun && got.token.subject == id("ada") && got.token.actors == [id("agent")]);
        assert_eq!(got.token.expires_at, at(120_000), "no longer than the user's token");
        let actor = assertion("helper", &key(1), bench.now(), &idp);
        let actor = [("actor_token", actor.as_str()), ("actor_token_type", ACCESS), more[0]];
        let refused = bench.of_token(&subject, CRM, &actor).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
        let may_act = Value::object([("sub", Value::from("helper"))]);
        let others = assertion(who, &key(1), bench.now(), &[idp[0].clone(), ("may_act", may_act)]);
        let refused = bench.of_token(&others, CRM, &more).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    }
}

#[tokio::test]
async fn pitfall_13_to_16_nothing_widens_on_the_way() {
    let bench = bench().await;
    bench.begin(1).await;
    let (scope, holding) = ([("scope", "crm.read")], Holding::default());
    let read = bench.of_handle_with(1, GATEWAY, &scope, &holding).await.unwrap();
    assert_eq!(read.token.scope_text().as_deref(), Some("crm.read"));
    for scope in ["crm.export", "openid", "mail.send", "crm.read openid"] {
        let more = [("scope", scope)];
        let refused = bench.of_handle_with(1, GATEWAY, &more, &Holding::default()).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidScope, "{scope}");
    }
    let refused = bench.of_handle(1, "https://unknown.example").await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidTarget);
    // A narrower token at our own edge is held to what it says, and its children too.
    let by = bench.bearer(&read).await.unwrap();
    assert_eq!(bench.call(by.clone(), "crm.read").await, Vec::<&str>::new());
    assert_eq!(bench.call(by.clone(), "crm.write").await, ["outside_intent"]);
    let wide = Undertaking {
        by: by.clone(),
        agent: id("helper"),
        intent: name(IntentName::new("work")),
        version: None,
        parameters: BTreeMap::new(),
        prompt: None,
        on_behalf_of: None,
        narrowed: Narrowed::default(),
        handle: Some(handle(9).1),
        conversation: None,
        run_of: None,
        pep: id("gateway"),
        trace: None,
    };
    assert!(bench.service.begin_task(wide).await.is_err(), "a child is no way out");
    // Exchanged, it stays what it is, whatever is asked and wherever it goes.
    let again = bench.of_token(&read.text, "https://all.example", &[]).await.unwrap();
    assert_eq!(again.token.allowances, read.token.allowances);
    let more = [("scope", "crm.write")];
    let refused = bench.of_token(&read.text, CRM, &more).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidScope);
    let details = r#"[{"type":"safeconduct_action","actions":["crm.write"]}]"#;
    let refused = bench.of_token(&read.text, CRM, &[("authorization_details", details)]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidAuthorizationDetails);
    // And it never lasts longer.
    bench.clock.set(at(100_500));
    let later = bench.of_token(&read.text, CRM, &[]).await.unwrap();
    assert_eq!(later.token.expires_at, read.token.expires_at);
    bench.clock.set(at(300_000));
    let refused = bench.of_token(&read.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    // Nor than its task: 900 s after it began.
    bench.clock.set(at(880_400));
    let last = bench.of_handle(1, CRM).await.unwrap();
    assert_eq!((last.token.expires_at, last.expires_in_s()), (at(900_000), 19));
    bench.clock.set(at(900_000));
    assert_eq!(bench.of_handle(1, CRM).await.unwrap_err(), FaultCode::InvalidRequest);
}

#[tokio::test]
async fn pitfall_19_a_client_names_no_task_but_by_its_handle() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let other = bench.begin(2).await;
    for subject in [task.id.as_str(), &task.handle.unwrap().to_string(), "sct_unknown"] {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
        ];
        let refused = bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest, "{subject}");
    }
    let more = [("task", other.id.as_str()), ("mission_id", other.id.as_str())];
    let token = bench.of_handle_with(1, CRM, &more, &Holding::default()).await.unwrap();
    assert_eq!(token.token.task, task.id);
}

#[tokio::test]
async fn pitfall_20_a_bound_token_needs_its_key_each_time() {
    let bench = bench().await;
    bench.begin(1).await;
    let holding = Holding { dpop: Some(42), certificate: None };
    let token = bench.of_handle_with(1, GATEWAY, &[], &holding).await.unwrap();
    assert_eq!(token.token.token_type(), "DPoP");
    let bound = format!("DPoP {}", token.text);
    let proof = bench.dpop(42, "/mcp/crm", Some(&token.text));
    assert!(bench.present(&bound, "/mcp/crm", &[&proof], None).await.is_ok());
    let fault = |got: Result<Authentication, NotAuthenticated>| match got.unwrap_err() {
        NotAuthenticated::Proof(fault) => fault.code,
        NotAuthenticated::Token(refused) => {
            assert_eq!(refused, TokenRefused::NotHeld);
            FaultCode::InvalidClient
        }
        other => panic!("{other}"),
    };
    let again = bench.present(&bound, "/mcp/crm", &[&proof], None).await;
    assert_eq!(fault(again), FaultCode::InvalidDpopProof, "a proof is used once");
    let other = bench.dpop(43, "/mcp/crm", Some(&token.text));
    let others = bench.present(&bound, "/mcp/crm", &[&other], None).await;
    assert_eq!(fault(others), FaultCode::InvalidClient, "another key");
    let bearer = bench.present(&format!("Bearer {}", token.text), "/mcp/crm", &[], None).await;
    assert_eq!(fault(bearer), FaultCode::InvalidClient, "as a bearer token");
    let none = bench.present(&bound, "/mcp/crm", &[], None).await;
    assert_eq!(fault(none), FaultCode::InvalidDpopProof);
    let elsewhere = bench.dpop(42, "/mcp/other", Some(&token.text));
    let elsewhere = bench.present(&bound, "/mcp/crm", &[&elsewhere], None).await;
    assert_eq!(fault(elsewhere), FaultCode::InvalidDpopProof, "for another address");
    let without = bench.dpop(42, "/mcp/crm", None);
    let without = bench.present(&bound, "/mcp/crm", &[&without], None).await;
    assert_eq!(fault(without), FaultCode::InvalidDpopProof, "for no token");
    let two = [bench.dpop(42, "/mcp/crm", Some(&token.text)), bench.dpop(42, "/mcp/crm", None)];
    let two = bench.present(&bound, "/mcp/crm", &[&two[0], &two[1]], None).await;
    assert_eq!(fault(two), FaultCode::InvalidDpopProof);
    // What needs to be bound is, and what is bound stays so.
    let refused = bench.of_handle(1, "https://bound.example").await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let refused = bench.of_token(&token.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let plain = bench.of_handle(1, GATEWAY).await.unwrap();
    let proof = bench.dpop(42, "/mcp/crm", Some(&plain.text));
    let as_bound = format!("DPoP {}", plain.text);
    let refused_as = bench.present(&as_bound, "/mcp/crm", &[&proof], None).await;
    assert_eq!(refusal(refused_as), TokenRefused::NotHeld);
}

#[tokio::test]
async fn a_nonce_is_asked_for_where_it_is_needed() {
    let bench = bench().await;
    bench.begin(1).await;
    let needed = TokenServiceSettings { dpop_nonce: DpopNonce::Needed, ..settings() };
    bench.service.open_token_service(needed, Arc::clone(&bench.keys) as _).unwrap();
    let holding = Holding { dpop: Some(42), certificate: None };
    let refused = bench.of_handle_with(1, CRM, &[], &holding).await;
    assert_eq!(refused.unwrap_err(), FaultCode::UseDpopNonce);
    assert!(bench.service.dpop_nonce().is_some());
}

#[tokio::test]
async fn pitfall_21_a_certificate_binds_until_it_rotates() {
    let bench = bench().await;
    bench.begin(1).await;
    let holding = Holding { dpop: None, certificate: Some(b"leaf") };
    let handle = handle(1).0;
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", handle.as_str()),
        ("subject_token_type", HANDLE),
        ("resource", GATEWAY),
        ("client_id", "agent"),
    ];
    // The certificate proves the client, too.
    let token = bench.ask(None, &holding, &pairs).await.unwrap();
    let bearer = format!("Bearer {}", token.text);
    assert!(bench.present(&bearer, "/mcp/crm", &[], Some(b"leaf")).await.is_ok());
    for certificate in [None, Some(&b"next"[..])] {
        let got = bench.present(&bearer, "/mcp/crm", &[], certificate).await;
        assert_eq!(refusal(got), TokenRefused::NotHeld);
    }
    // With a key of its own, the token outlives the certificate.
    let both = Holding { dpop: Some(42), certificate: Some(b"leaf") };
    let token = bench.ask(None, &both, &pairs).await.unwrap();
    let proof = bench.dpop(42, "/mcp/crm", Some(&token.text));
    let bound = format!("DPoP {}", token.text);
    assert!(bench.present(&bound, "/mcp/crm", &[&proof], Some(b"next")).await.is_ok());
    let stranger = Holding { dpop: None, certificate: Some(b"stranger") };
    let refused = bench.ask(None, &stranger, &pairs).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidClient);
}

#[tokio::test]
async fn pitfall_22_introspection_is_no_oracle() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    let active = bench.introspect(("crm-api", 9), &token.text).await;
    assert_eq!(active.member("active"), Some(&Value::Bool(true)));
    assert_eq!(active.member("client_id").and_then(Value::as_str), Some("agent"));
    // Others learn nothing, not even the agent that holds it.
    for by in [("agent", 7), ("helper", 8)] {
        assert_eq!(bench.introspect(by, &token.text).await, inactive());
    }
    let elsewhere = bench.of_handle(1, "https://all.example").await.unwrap();
    assert_eq!(bench.introspect(("crm-api", 9), &elsewhere.text).await, inactive());
    for text in ["", "x", "a.b.c", &token.text[1..]] {
        assert_eq!(bench.introspect(("crm-api", 9), &format!("{text}z")).await, inactive());
    }
    let form = Form::parse(&encoded(&[("token", &token.text)])).unwrap();
    let request = ClientRequest {
        authorization: &[],
        dpop: &[],
        method: "POST",
        path: "/oauth/introspect",
        peer: None,
    };
    let nobody = bench.service.introspect(&request, &form).await.unwrap_err();
    assert_eq!(nobody.code, FaultCode::InvalidClient);
    bench.end(&task.id).await;
    assert_eq!(bench.introspect(("crm-api", 9), &token.text).await, inactive());
}

#[tokio::test]
async fn pitfall_23_assertions_are_of_others_for_us_alone_and_used_once() {
    let bench = bench().await;
    bench.begin(1).await;
    let details = r#"[{"type":"safeconduct_task","intent":"work","seconds":60}]"#;
    let ask = async |assertion: &str, client| {
        let pairs = [
            ("grant_type", BEARER),
            ("assertion", assertion),
            ("resource", CRM),
            ("authorization_details", details),
        ];
        bench.ask(client, &Holding::default(), &pairs).await
    };
    let agent = Some(("agent", 7));
    let idp = ("iss", Value::from("https://idp.example"));
    let good = assertion("ada", &key(1), bench.now(), std::slice::from_ref(&idp));
    let token = ask(&good, agent).await.unwrap();
    assert_eq!((token.token.subject.as_str(), token.begun), ("ada", true));
    assert_eq!(token.token.expires_at, at(60_000), "no longer than the task");
    assert_eq!(ask(&good, agent).await.unwrap_err(), FaultCode::InvalidGrant, "used");
    let several = Value::from(vec![Value::from(ISSUER), Value::from("https://other")]);
    for (name, value) in [
        ("aud", several),
        ("aud", Value::from("https://other")),
        ("client_id", Value::from("helper")),
        ("iss", Value::from("https://stranger.example")),
    ] {
        let bad = assertion("ada", &key(1), bench.now(), &[idp.clone(), (name, value)]);
        assert_eq!(ask(&bad, agent).await.unwrap_err(), FaultCode::InvalidGrant, "{name}");
    }
    // One of our own is no assertion.
    let own = bench.of_handle(1, ISSUER).await.unwrap();
    assert_eq!(ask(&own.text, agent).await.unwrap_err(), FaultCode::InvalidGrant);
    // A user's proves no client; a workload's own does, and acts for itself.
    let users = assertion("ada", &key(1), bench.now(), std::slice::from_ref(&idp));
    assert_eq!(ask(&users, None).await.unwrap_err(), FaultCode::InvalidClient);
    let agents = assertion("agent", &key(1), bench.now(), std::slice::from_ref(&idp));
    let own = ask(&agents, None).await.unwrap();
    assert_eq!((own.token.subject, own.token.actors), (id("agent"), vec![]));
    let helpers = assertion("helper", &key(1), bench.now(), &[idp]);
    assert_eq!(ask(&helpers, agent).await.unwrap_err(), FaultCode::InvalidGrant);
}

#[tokio::test]
async fn pitfall_23_an_assertion_is_used_once_across_a_restart_too() {
    let bench = bench().await;
    let details = r#"[{"type":"safeconduct_task","intent":"work","seconds":60}]"#;
    let ask = async |assertion: &str| {
        let pairs = [
            ("grant_type", BEARER),
            ("assertion", assertion),
            ("resource", CRM),
            ("authorization_details", details),
        ];
        bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await
    };
    let claims = |iat: Option<Timestamp>| {
        let mut claims = vec![
            ("iss", Value::from("https://idp.example")),
            ("sub", Value::from("ada")),
            ("aud", Value::from(ISSUER)),
            ("exp", seconds(at(120_000))),
            ("jti", jti()),
        ];
        claims.extend(iat.map(|at| ("iat", seconds(at))));
        key(1).sign("JWT", &Value::object(claims)).unwrap()
    };
    let used = claims(Some(bench.now()));
    ask(&used).await.unwrap();
    bench.clock.set(at(10_000));
    let unused = claims(Some(at(3000)));
    bench.service.open_token_service(settings(), Arc::clone(&bench.keys) as _).unwrap();
    for (which, assertion) in [
        ("used before", used),
        ("older than the start", unused),
        ("undated", claims(None)),
        ("from the future", claims(Some(at(60_000)))),
    ] {
        assert_eq!(ask(&assertion).await.unwrap_err(), FaultCode::InvalidGrant, "{which}");
    }
    ask(&claims(Some(bench.now()))).await.unwrap();
}

#[tokio::test]
async fn proofs_of_strangers_are_not_remembered() {
    let bench = bench().await;
    bench.begin(1).await;
    let proof = bench.dpop(5, "/oauth/token", None);
    let ask = async |client: &str, by: u8| {
        let (handle, signed) = (handle(1).0, assertion(client, &key(by), bench.now(), &[]));
        let form = encoded(&[
            ("grant_type", EXCHANGE),
            ("subject_token", &handle),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
            ("client_assertion", &signed),
            ("client_assertion_type", JWT_ASSERTION),
        ]);
        let request = ClientRequest {
            authorization: &[],
            dpop: &[&proof],
            method: "POST",
            path: "/oauth/token",
            peer: None,
        };
        let form = Form::parse(&form).unwrap();
        let issued = bench.service.issue_access_token(&request, &form, handle_digest(), None).await;
        issued.map_err(|fault| fault.code)
    };
    // Neither unknown names nor wrong keys use a proof up, or take room.
    assert_eq!(ask("stranger", 7).await.unwrap_err(), FaultCode::InvalidClient);
    assert_eq!(ask("agent", 99).await.unwrap_err(), FaultCode::InvalidClient);
    assert!(ask("agent", 7).await.unwrap().token.confirmation.jkt.is_some());
    // Whoever has proved to be a client does, once for all clients.
    assert_eq!(ask("agent", 7).await.unwrap_err(), FaultCode::InvalidDpopProof);
    assert_eq!(ask("helper", 8).await.unwrap_err(), FaultCode::InvalidDpopProof);
}

fn handle_digest() -> Digest {
    handle(1000 + JTI.fetch_add(1, Ordering::Relaxed)).1
}
