//! How clients prove themselves, and how tokens and keys end.

use std::sync::Arc;

use safeconduct_credential::jose::SigningKey;
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_service::memory::{MemoryClock, MemoryIds, MemoryLedger, MemoryVault};
use safeconduct_service::*;

use crate::bench::*;

#[tokio::test]
async fn a_client_proves_itself_in_one_way_and_whole() {
    let bench = bench().await;
    bench.begin(1).await;
    let handle = handle(1).0;
    let now = bench.now();
    let ask = async |signed: &str, more: &[(&str, &str)], authorization: &[&str]| {
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", handle.as_str()),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
        ];
        if !signed.is_empty() {
            pairs.push(("client_assertion", signed));
            pairs.push(("client_assertion_type", JWT_ASSERTION));
        }
        pairs.extend(more);
        let form = Form::parse(&encoded(&pairs)).unwrap();
        let request = ClientRequest {
            authorization,
            dpop: &[],
            method: "POST",
            path: "/oauth/token",
            peer: None,
        };
        let digest = Digest::from_bytes([8; 32]);
        let issued = bench.service.issue_access_token(&request, &form, digest, None).await;
        issued.map(drop).map_err(|fault| fault.code)
    };
    use FaultCode::{InvalidClient, InvalidRequest};
    let good = assertion("agent", &key(7), now, &[]);
    assert_eq!(ask(&good, &[("client_id", "agent")], &[]).await, Ok(()));
    assert_eq!(ask(&good, &[], &[]).await, Err(InvalidClient), "used before");
    let signed = |more: &[(&str, Value)]| assertion("agent", &key(7), now, more);
    let other_key = assertion("agent", &key(8), now, &[]);
    let nobody = assertion("nobody", &key(7), now, &[]);
    let old = assertion("agent", &key(7), now.plus_ms(-5000), &[]);
    let token_endpoint = Value::from(format!("{ISSUER}/oauth/token"));
    let both = Value::from(vec![Value::from(ISSUER), token_endpoint.clone()]);
    for bad in [
        other_key,
        nobody,
        old,
        signed(&[("aud", token_endpoint)]),
        signed(&[("aud", both)]),
        signed(&[("sub", Value::from("helper"))]),
        signed(&[("iss", Value::from("helper"))]),
        signed(&[("jti", Value::Null)]),
        signed(&[("exp", seconds(now.plus_ms(-60_000)))]),
        signed(&[("exp", seconds(now.plus_ms(7_200_000)))]),
        key(7).sign("at+jwt", &Value::object([("sub", Value::from("agent"))])).unwrap(),
        "x".into(),
    ] {
        assert_eq!(ask(&bad, &[], &[]).await, Err(InvalidClient), "{bad}");
    }
    assert_eq!(ask("", &[], &[]).await, Err(InvalidClient));
    assert_eq!(ask(&signed(&[]), &[("client_id", "helper")], &[]).await, Err(InvalidClient));
    assert_eq!(ask(&signed(&[]), &[], &["Bearer sc_x"]).await, Err(InvalidRequest));
    assert_eq!(
        ask("", &[("client_id", "a"), ("client_secret", "b")], &[]).await,
        Err(InvalidRequest)
    );
    assert_eq!(ask("", &[], &["Bearer sc_x"]).await, Err(InvalidClient));
    assert_eq!(ask("", &[], &["Negotiate x"]).await, Err(InvalidClient));
    assert_eq!(ask("", &[("client_assertion", "x")], &[]).await, Err(InvalidRequest));
    // By a registered token, as it is and as the secret of `Basic`.
    let token = Token {
        id: name(TokenId::new("tok_1")),
        identity: id("agent"),
        digest: token_digest("sc_secret"),
        issued_at: now,
        expires_at: now.plus_ms(3_600_000),
        revoked: false,
    };
    bench.service.register_token(token, &id("ada")).await.unwrap();
    let basic = |text: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    assert_eq!(ask("", &[], &["Bearer sc_secret"]).await, Ok(()));
    assert_eq!(ask("", &[], &[&basic("agent:sc_secret")]).await, Ok(()));
    assert_eq!(ask("", &[], &[&basic("helper:sc_secret")]).await, Err(InvalidClient));
    assert_eq!(ask("", &[], &[&basic("agent:sc_other")]).await, Err(InvalidClient));
    let mut suspended = identity("agent", IdentityKind::Agent);
    suspended.status = IdentityStatus::Suspended;
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    assert_eq!(ask(&signed(&[]), &[], &[]).await, Err(InvalidClient));
}

#[tokio::test]
async fn a_token_is_taken_back_by_record() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    let by = bench.bearer(&token).await.unwrap();
    assert_eq!(
        bench.withdraw(("helper", 8), &token.text).await,
        Err(FaultCode::UnauthorizedClient)
    );
    for unknown in ["x", "a.b.c"] {
        assert_eq!(bench.withdraw(("agent", 7), unknown).await, Ok(()));
    }
    for other in ["sc_x", "sct_x"] {
        let refused = bench.withdraw(("agent", 7), other).await;
        assert_eq!(refused, Err(FaultCode::UnsupportedTokenType));
    }
    assert_eq!(bench.count("token_withdrawn"), 0);
    assert!(bench.service.stands(&by, bench.now()));
    assert_eq!(bench.withdraw(("agent", 7), &token.text).await, Ok(()));
    assert_eq!(bench.withdraw(("agent", 7), &token.text).await, Ok(()));
    assert_eq!(bench.count("token_withdrawn"), 1);
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::NotAlive);
    assert!(!bench.service.stands(&by, bench.now()), "what goes on for it stops");
    assert_eq!(bench.call(by, "crm.read").await, ["credential_ended"]);
    assert_eq!(bench.introspect(("crm-api", 9), &token.text).await, inactive());
}

#[tokio::test]
async fn a_use_after_the_end_is_refused_and_recorded_once() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    bench.end(&task.id).await;
    assert_eq!(bench.of_handle(1, GATEWAY).await.unwrap_err(), FaultCode::InvalidRequest);
    for uses in 1..3 {
        let got = bench.bearer(&token).await;
        let challenge = got.clone().unwrap_err().challenge();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(refusal(got), TokenRefused::TaskEnded);
        assert_eq!(bench.count("used_after_end"), uses);
    }
}

#[tokio::test]
async fn tokens_of_others_and_for_others_are_refused() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::OtherResource);
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    let header = format!("Bearer {}", token.text);
    let elsewhere = bench.present(&header, "/mcp/mail", &[], None).await;
    assert_eq!(refusal(elsewhere), TokenRefused::OtherResource);
    // Signed by our key, and yet no record says that it was issued.
    let keys = bench.keys.all().unwrap();
    let ours = keys.iter().find(|key| key.algorithm == Algorithm::Es256).unwrap();
    let forged = SigningKey::from_secret(Algorithm::Es256, &ours.secret).unwrap();
    let mut said = token.token.clone();
    said.id = name(TokenId::new("at_forged"));
    let text = forged.sign("at+jwt", &said.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert_eq!(refusal(got), TokenRefused::NotAlive);
    // By a stranger's key, of another kind, or over its time.
    let text = key(1).sign("at+jwt", &token.token.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert!(matches!(refusal(got), TokenRefused::Jose(_)));
    let text = forged.sign("JWT", &token.token.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert!(matches!(refusal(got), TokenRefused::Jose(_)));
    assert!(bench.bearer(&token).await.is_ok());
    bench.clock.set(at(300_000));
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::Expired);
}

#[tokio::test]
async fn keys_rotate_and_tokens_of_the_old_ones_hold_to_their_end() {
    let bench = bench().await;
    bench.begin(1).await;
    let kids = || {
        let jwks = bench.service.token_jwks().unwrap();
        jwks.member("keys").unwrap().as_array().unwrap().len()
    };
    assert_eq!(kids(), 2, "one of each algorithm in use");
    let first = bench.of_handle(1, GATEWAY).await.unwrap();
    bench.clock.set(at(1000));
    let made = bench.service.rotate_token_keys(&id("ada")).await.unwrap();
    assert_eq!((made.len(), kids(), bench.count("token_keys_rotated")), (2, 4, 1));
    let again = bench.service.rotate_token_keys(&id("ada")).await;
    assert_eq!(again, Err(RotateError::Waiting { from: at(601_000) }));
    let kid = |token: &Issued| safeconduct_credential::jose::peek(&token.text).unwrap().kid;
    let second = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_eq!(kid(&first), kid(&second), "published, and does not sign yet");
    bench.clock.set(at(600_900));
    let last = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_eq!(kid(&first), kid(&last));
    bench.clock.set(at(601_000));
    let third = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_ne!(kid(&first), kid(&third));
    assert!(bench.bearer(&third).await.is_ok());
    // What the key before signed last holds to its end, also for who never saw it before.
    bench.service.open_token_service(settings(), Arc::clone(&bench.keys) as _).unwrap();
    bench.clock.set(at(899_000));
    bench.service.tend_token_keys().unwrap();
    assert!(bench.bearer(&last).await.is_ok(), "until the task ends at 900 s");
    bench.clock.set(at(961_000));
    bench.service.tend_token_keys().unwrap();
    assert_eq!((kids(), bench.keys.all().unwrap().len()), (2, 2));
}

/// A process that comes after this one: it reads the ledger again, and finds the same keys.
fn after(bench: &Bench) -> Bench {
    let ledger = Arc::new(MemoryLedger::default());
    let (reads, writes) = (Vec::new(), Vec::new());
    ledger.submit(Proposal { entries: bench.ledger.entries(), reads, writes }).unwrap();
    let clock = Arc::new(MemoryClock::default());
    clock.set(bench.now());
    let ports = Ports {
        ledger: Arc::clone(&ledger) as _,
        vault: Arc::new(MemoryVault),
        clock: Arc::clone(&clock) as _,
        ids: Arc::new(MemoryIds::default()),
    };
    let service = Arc::new(Service::new(ports, Settings::default(), world()));
    let mut restore = service.restore();
    for (sequence, entry) in bench.ledger.entries().iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    let keys = Arc::clone(&bench.keys);
    service.open_token_service(settings(), Arc::clone(&keys) as _).unwrap();
    Bench { service, ledger, clock, keys }
}

#[tokio::test]
async fn a_dropped_key_and_all_that_it_signed_is_nothing_at_once_and_for_good() {
    let bench = bench().await;
    bench.begin(1).await;
    let kid =
        |token: &Issued| safeconduct_credential::jose::peek(&token.text).unwrap().kid.unwrap();
    let published = |bench: &Bench| format!("{:?}", bench.service.token_jwks());
    let (first, unseen) =
        (bench.of_handle(1, GATEWAY).await.unwrap(), bench.of_handle(1, GATEWAY).await.unwrap());
    let by = bench.bearer(&first).await.unwrap();
    bench.clock.set(at(1000));
    bench.service.rotate_token_keys(&id("ada")).await.unwrap();
    let leaked = kid(&first);
    let drop = async |bench: &Bench, key: &str| {
        bench.service.drop_token_key(key, "it was in a public repository", &id("ada")).await
    };
    assert_eq!(drop(&bench, "no-such-key").await, Err(DropKeyError::Unknown));
    assert!(bench.bearer(&first).await.is_ok(), "nobody has dropped it yet");
    // A record that fails leaves it out of use, and says so.
    let failing = after(&bench);
    failing.of_handle(1, GATEWAY).await.unwrap();
    failing.ledger.fail("no space left");
    assert!(matches!(drop(&failing, &leaked).await, Err(DropKeyError::Unrecorded(_))));
    assert!(failing.bearer(&first).await.is_err() && !published(&failing).contains(&leaked));
    assert!(published(&bench).contains(&leaked));
    let left = drop(&bench, &leaked).await.unwrap();
    assert!(left.iter().all(|key| key.id != leaked));
    assert!(!published(&bench).contains(&leaked));
    assert_eq!(bench.count("token_key_dropped"), 1);
    for token in [&first, &unseen] {
        assert!(matches!(refusal(bench.bearer(token).await), TokenRefused::Jose(_)));
    }
    assert!(!bench.service.stands(&by, at(1000)), "nor does what it has proved before");
    // The key that waited signs at once.
    bench.begin(2).await;
    let next = bench.of_handle(2, GATEWAY).await.unwrap();
    assert!(left.iter().any(|key| key.id == kid(&next)));
    assert!(bench.bearer(&next).await.is_ok());
    // And with nothing that waits, a new one does.
    bench.clock.set(at(2000));
    let left = drop(&bench, &kid(&next)).await.unwrap();
    let newest = bench.of_handle(2, GATEWAY).await.unwrap();
    assert!(left.iter().any(|key| key.id == kid(&newest)) && kid(&newest) != kid(&next));
    assert!(bench.bearer(&newest).await.is_ok());
    // A crash between the record and the disk: the key lies there, and is not used again.
    let kept = bench.keys.all().unwrap();
    bench.clock.set(at(3000));
    drop(&bench, &kid(&newest)).await.unwrap();
    for key in kept.iter().filter(|key| key.made_at == at(2000)) {
        bench.keys.make(key.algorithm, key.made_at).unwrap();
    }
    let again = after(&bench);
    again.of_handle(2, GATEWAY).await.unwrap();
    assert!(!published(&again).contains(&kid(&newest)));
    assert!(again.bearer(&newest).await.is_err());
    assert!(again.keys.all().unwrap().iter().all(|key| key.made_at != at(2000)));
}

#[tokio::test]
async fn after_a_crash_tokens_are_what_their_records_say() {
    let bench = bench().await;
    let ended = bench.begin(1).await;
    bench.begin(2).await;
    let of_ended = bench.of_handle(1, GATEWAY).await.unwrap();
    let (scope, holding) = ([("scope", "crm.read")], Holding::default());
    let narrow = bench.of_handle_with(2, GATEWAY, &scope, &holding).await.unwrap();
    let withdrawn = bench.of_handle(2, GATEWAY).await.unwrap();
    bench.withdraw(("agent", 7), &withdrawn.text).await.unwrap();
    bench.end(&ended.id).await;
    bench.clock.set(at(5000));
    let again = after(&bench);
    // The first thing that is asked of the task: its mandate is read back from the disk.
    again.of_handle(2, GATEWAY).await.unwrap();
    assert_eq!(refusal(again.bearer(&of_ended).await), TokenRefused::TaskEnded);
    assert_eq!(refusal(again.bearer(&withdrawn).await), TokenRefused::NotAlive);
    let by = again.bearer(&narrow).await.unwrap();
    assert_eq!(again.call(by.clone(), "crm.write").await, ["outside_intent"]);
    assert_eq!(again.call(by, "crm.read").await, Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_not_recorded_is_not_issued() {
    let bench = bench().await;
    bench.begin(1).await;
    bench.ledger.fail("the disk is full");
    let refused = bench.of_handle(1, CRM).await;
    assert_eq!(refused.unwrap_err(), FaultCode::TemporarilyUnavailable);
}
