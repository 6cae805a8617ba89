use std::fs;
use std::path::Path;

use proptest::prelude::*;
use safeconduct_model::*;

use super::*;

fn id<T>(made: Result<T, NameError>) -> T {
    made.unwrap()
}

fn session() -> SessionKey {
    SessionKey::credential(id(IdentityId::new("agent-7")), id(TokenId::new("tok_1")))
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn reason(code: &str) -> RecordedReason {
    RecordedReason {
        code: code.into(),
        policy: Some(RecordedPolicy {
            id: id(PolicyId::new("no-move")),
            effect: PolicyEffect::Forbid,
            span: Span { file: "case.cedar".into(), line: 3, column: 1, end_line: 5 },
        }),
        message: "files stay where they are".into(),
        detail: Some("line one\nline \"two\"".into()),
        of: (code == "policy").then_some(AskedOf::User),
    }
}

fn identity() -> Identity {
    Identity {
        id: id(IdentityId::new("agent-7")),
        kind: IdentityKind::Agent,
        status: IdentityStatus::Active,
        owner: Some(id(IdentityId::new("ada"))),
        sponsor: Some(id(IdentityId::new("grace"))),
        imported: Some(Box::new(Imported {
            from: ImportSource::Scim,
            external_id: Some("0042".into()),
            user_name: Some("agent.seven".into()),
            display_name: Some("Agent \u{1f600}".into()),
            suspended: true,
        })),
        fallback_owner: None,
        environment: Some("test".into()),
        groups: ["clerks".to_owned(), "\u{1f600}".to_owned()].into(),
        pep: Some(PepRegistration {
            subjects: [id(EntityType::new("user"))].into(),
            resources: Default::default(),
            properties: true,
            label_at: LabelAt::Report,
        }),
        roles: [Role::Auditor, Role::Administrator].into(),
    }
}

fn decided() -> Decided {
    Decided {
        session: session(),
        session_name: Some(id(SessionName::new("tab 2"))),
        sequence: 12,
        pep: id(IdentityId::new("gateway:files")),
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", "agent-7").unwrap(),
        action: id(ActionName::new("files.move_file")),
        resources: vec![EntityRef::new("Safeconduct::Path", "/cases/4711/notes.md").unwrap()],
        input_digest: KeyedDigest::from_bytes([9; 32]),
        decision: Decision::Deny,
        mode: Mode::Enforce,
        reasons: vec![reason("policy")],
        shadow: vec![reason("policy_error")],
        obligations: vec![Obligation::parse("redact:$.ssn")],
        requestable: Some(Requestable { approvers: "owner".into(), quorum: 1, ttl_s: 900 }),
        policies: digest(1),
        catalogue: digest(2),
        task: Some(Box::new(DecidedTask {
            id: id(TaskId::new("task_1")),
            intent: id(IntentName::new("summarise_customer_case")),
            on_behalf_of: Some(id(IdentityId::new("ada"))),
            actors: vec![id(IdentityId::new("agent-8")), id(IdentityId::new("agent-7"))],
            spend: Amount(15_000),
            bytes_out: 120,
        })),
        flow: vec![RecordedFlow {
            pointer: "/destination".into(),
            role: ArgumentRole::Address,
            origins: [ValueOrigin::Untrusted, ValueOrigin::Task].into(),
            label: label(),
            sources: vec![id(RecordId::new("dec_9"))],
        }],
        label: Some(label()),
        risk: 65,
        network: Some(NetworkDigest::new(0xab)),
        approval: Some(id(RecordId::new("req_1"))),
    }
}

fn label() -> Label {
    Label {
        integrity: Integrity::Untrusted,
        confidentiality: Confidentiality::Confidential,
        categories: [Category::new("pii").unwrap()].into(),
    }
}

fn task() -> Task {
    Task {
        id: id(TaskId::new("task_1")),
        intent: id(IntentName::new("summarise_customer_case")),
        intent_version: 2,
        agent: id(IdentityId::new("agent-7")),
        on_behalf_of: Some(id(IdentityId::new("ada"))),
        begun_by: id(IdentityId::new("agent-7")),
        origin: Origin::Agent(session()),
        parent: Some(id(TaskId::new("task_0"))),
        depth: 1,
        begun_at: Timestamp::from_millis(1_700_000_000_000),
        deadline: Timestamp::from_millis(1_700_000_900_000),
        idle_s: 300,
        budget: Budget {
            calls: 20,
            calls_of: [(id(ActionName::new("crm.records")), 10)].into(),
            spend: Some(Spend {
                limit: Amount(1_000_000),
                amounts: [(id(ActionName::new("pay.transfer")), "/amount".into())].into(),
            }),
            distinct_resources: Some(5),
            bytes_out: Some(65_536),
        }
        .into(),
        authority: KeyedDigest::from_bytes([8; 32]),
        handle: Some(digest(9)),
        conversation: Some(digest(10)),
        run_of: Some(id(ScheduleName::new("nightly"))),
    }
}

fn lease() -> Lease {
    Lease {
        id: id(LeaseId::new("lease_1")),
        task: id(TaskId::new("task_1")),
        target: id(TargetName::new("crm-db")),
        kind: LeaseKind::PostgresRole,
        name: "sc_lease_1".into(),
        planned_at: Timestamp::from_millis(1_700_000_000_000),
        expires_at: Timestamp::from_millis(1_700_000_300_000),
        last_at: Timestamp::from_millis(1_700_000_900_000),
    }
}

fn signal() -> Signal {
    use safeconduct_model::signal::{About, Confidence, Kind, Severity, Source};
    let (source, at) = (Source::Stream("https://idp".into()), 1_700_000_000_000);
    let about = About::User(id(IdentityId::new("https://idp|ada")));
    Signal {
        confidence: Confidence::percent(90),
        topic: "a device".into(),
        detail: "device-compliance-change".into(),
        ..Signal::new(
            about,
            Kind::DeviceCompliance,
            Severity::High,
            source,
            "jti-1",
            Timestamp::from_millis(at),
        )
    }
}

#[test]
fn every_subject_and_source_of_a_signal_is_read_back() {
    use safeconduct_model::signal::{About, Source};
    let who = id(IdentityId::new("agent-7"));
    let task = id(TaskId::new("task_1"));
    let subjects = [
        About::Identity(who.clone()),
        About::User(who.clone()),
        About::Session(session()),
        About::Session(SessionKey::task(who.clone(), task.clone())),
        About::Task(task),
        About::Issuer("https://idp".into()),
    ];
    let sources = [
        Source::Detector,
        Source::Stream("https://idp".into()),
        Source::Webhook("edr".into()),
        Source::Person(who),
    ];
    for about in subjects {
        for source in &sources {
            let (about, source) = (about.clone(), source.clone());
            let (topic, detail) = Default::default();
            let signal = Signal { about, source, topic, detail, ..signal() };
            let record = record(Body::SignalSeen(Box::new(signal)));
            assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
        }
    }
}

/// One body of each kind that has to do with tasks.
fn task_bodies() -> Vec<Body> {
    let by = id(IdentityId::new("ada"));
    let task_id = id(TaskId::new("task_1"));
    vec![
        Body::IntentsLoaded { digest: digest(1), intents: 2, by: None, changed: Vec::new() },
        Body::TaskBegan(Box::new(task())),
        Body::TaskEnded {
            task: task_id.clone(),
            state: TaskState::Revoked,
            by: Some(by.clone()),
            reason: "killed".into(),
        },
        Body::DelegationMade(Delegation {
            id: id(RecordId::new("rec_1")),
            user: by.clone(),
            agent: id(IdentityId::new("agent-7")),
            intent: id(IntentName::new("summarise_customer_case")),
            expires_at: Timestamp::from_millis(1_700_000_000_000),
        }),
        Body::DelegationEnded { delegation: id(RecordId::new("rec_1")), by: by.clone() },
        Body::TokenMinted(Box::new(Minted {
            id: id(TokenId::new("at_1")),
            task: task_id.clone(),
            client: id(IdentityId::new("agent-7")),
            audience: "https://crm.example/mcp".into(),
            confirmation: Some(Confirmation::Jkt(
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into(),
            )),
            issued_at: Timestamp::from_millis(1_700_000_000_000),
            expires_at: Timestamp::from_millis(1_700_000_300_000),
        })),
        Body::TokenWithdrawn { token: id(TokenId::new("at_1")), by: by.clone() },
        Body::TokenKeysRotated { keys: vec!["k-1".into(), "k-2".into()], by: by.clone() },
        Body::TokenKeyDropped {
            key: "k-1".into(),
            reason: "found in a public repository".into(),
            by: by.clone(),
        },
        Body::TrustLoaded { digest: digest(3), records: 2, cause: "signal".into() },
        Body::LeaseChanged {
            lease: Box::new(lease()),
            state: LeaseState::Irrevocable,
            detail: Some("the target cannot be reached".into()),
        },
        Body::Killed {
            scope: KillScope::Session(SessionKey::task(
                id(IdentityId::new("agent-7")),
                task_id.clone(),
            )),
            by: by.clone(),
            reason: "it reads everything".into(),
        },
        Body::KillLifted { scope: KillScope::All, by, reason: "all is well".into() },
        Body::UsedAfterEnd {
            task: task_id,
            identity: id(IdentityId::new("agent-7")),
            token: id(TokenId::new("at_1")),
            action: Some(id(ActionName::new("files.move_file"))),
        },
        Body::SignalSeen(Box::new(signal())),
    ]
}

/// Access requests in each way that they change, and rules that were set aside.
fn access_bodies() -> Vec<Body> {
    let of = |sequence, event| {
        let request = id(RecordId::new("req_1"));
        Body::AccessRequestChanged(Box::new(AccessChange { request, sequence, event }))
    };
    let answered = |answer| {
        AccessEvent::Answered(Box::new(AccessAnswered {
            by: id(IdentityId::new("ada")),
            method: Method::Passkey,
            standing_in_for: Some(id(IdentityId::new("bob"))),
            term: "group:leads".into(),
            stage: 1,
            answer,
        }))
    };
    let time = Timestamp::from_millis(1_700_000_000_000);
    let requested = AccessRequested {
        binding: Binding {
            principal: EntityRef::new("Safeconduct::Agent", "agent-7").unwrap(),
            actors: vec![id(IdentityId::new("agent-7")), id(IdentityId::new("agent-1"))],
            on_behalf_of: Some(id(IdentityId::new("uma"))),
            task: Some(id(TaskId::new("task_1"))),
            intent: Some(id(IntentName::new("pay_invoice"))),
            action: id(ActionName::new("bank.pay")),
            resources: [EntityRef::new("Account", "4711").unwrap()].into(),
            arguments: KeyedDigest::from_bytes([3; 32]),
        },
        asked_by: id(IdentityId::new("agent-7")),
        interested: [id(IdentityId::new("uma"))].into(),
        approvers: "group:leads then identity:cfo".into(),
        quorum: 2,
        ttl_s: 900,
        assurance: Assurance::High,
        deputies: Deputies::Refused,
        standing: Standing::Allowed,
        likeness: KeyedDigest::from_bytes([4; 32]),
        answer_by: time,
        ends_at: Some(time),
        asked: ["ada", "bob"].map(|who| id(IdentityId::new(who))).into(),
    };
    let until = AccessAnswer::Approve { scope: "until".into(), uses: 3, until: Some(time) };
    vec![
        of(1, answered(until)),
        of(1, answered(AccessAnswer::Refuse { reason: "not this \"one\"".into() })),
        of(1, AccessEvent::Escalated),
        of(
            2,
            AccessEvent::Asked {
                people: ["ada", "bob"].map(|who| id(IdentityId::new(who))).into(),
            },
        ),
        of(1, AccessEvent::Expired),
        of(2, AccessEvent::Spent { decision: id(RecordId::new("dec_2")) }),
        of(1, AccessEvent::Revoked { by: None, reason: "task_ended".into() }),
        // The golden file shows this one.
        of(0, AccessEvent::Requested(Box::new(requested))),
        Body::GlassBroken(Box::new(BrokenGlass {
            agent: id(IdentityId::new("agent-7")),
            task: Some(id(TaskId::new("task_1"))),
            by: id(IdentityId::new("ada")),
            method: Method::Passkey,
            reason: "the pager is on fire".into(),
            until: time,
        })),
        Body::GlassMended {
            glass: id(RecordId::new("glass_1")),
            by: Some(id(IdentityId::new("ada"))),
        },
        Body::ReviewDue {
            of: id(RecordId::new("glass_1")),
            about: id(IdentityId::new("ada")),
            cause: "break_glass".into(),
        },
        Body::ReviewDone {
            of: id(RecordId::new("glass_1")),
            by: id(IdentityId::new("bob")),
            verdict: DueVerdict::Justified,
            note: "the pager was on fire".into(),
        },
    ]
}

/// One body of each kind that has to do with reviews.
fn review_bodies() -> Vec<Body> {
    let step = |what| {
        let change = ReviewChange {
            what,
            id: "0a1b2c".into(),
            sequence: 3,
            event: "opened".into(),
            about: Some(id(IdentityId::new("agent-7"))),
            by: Some(id(IdentityId::new("ada"))),
            detail: ReviewDetail::new(r#"{"a":[1,"x"],"b":{"c":null}}"#).unwrap(),
        };
        Body::ReviewChanged(Box::new(change))
    };
    ReviewedThing::ALL.into_iter().map(step).collect()
}

#[test]
fn steps_of_reviews_are_read_as_they_are_written_and_in_no_other_form() {
    for body in review_bodies() {
        let written = record(body.clone());
        let leaf = encode(&written).unwrap();
        assert_eq!(decode(&leaf).as_ref(), Ok(&written));
        let text = String::from_utf8(leaf).unwrap();
        for (from, to) in [
            (r#""a":[1,"x"]"#, r#""a":[1, "x"]"#),
            (r#""a":[1,"x"]"#, r#""a":[1.0,"x"]"#),
            (r#""b":{"c":null}"#, r#""a":{"c":null}"#),
            (r#""event":"opened""#, r#""event":"Opened""#),
            (r#""id":"0a1b2c""#, r#""id":"""#),
            (r#""detail":{"a":[1,"x"],"b":{"c":null}}"#, r#""detail":{}"#),
        ] {
            let other = text.replacen(from, to, 1);
            assert!(other != text && decode(other.as_bytes()).is_err(), "{other}");
        }
        let Body::ReviewChanged(mut change) = body else { panic!("another body") };
        change.detail = ReviewDetail::new(r#"{"b":1,"a":2}"#).unwrap();
        let unordered = record(Body::ReviewChanged(change.clone()));
        assert!(matches!(encode(&unordered), Err(EncodeError::Review { .. })));
        change.detail = ReviewDetail::default();
        let plain = record(Body::ReviewChanged(change));
        assert_eq!(decode(&encode(&plain).unwrap()), Ok(plain));
    }
    assert!(ReviewDetail::new("[]").is_err(), "no object");
    assert!(
        ReviewDetail::new(format!("{{\"a\":\"{}\"}}", "x".repeat(50_000))).is_err(),
        "too long"
    );
}

#[test]
fn access_requests_are_read_as_they_are_written_and_in_no_other_form() {
    for body in access_bodies() {
        let record = record(body);
        let leaf = encode(&record).unwrap();
        assert_eq!(decode(&leaf).as_ref(), Ok(&record));
        let text = String::from_utf8(leaf).unwrap();
        // What belongs to another event is refused.
        let more = text.replace(r#""event":"spent""#, r#""event":"expired""#);
        assert!(more == text || decode(more.as_bytes()).is_err(), "{more}");
    }
}

/// One body of each kind that has to do with passkeys.
fn passkey_bodies() -> Vec<Body> {
    let by = id(IdentityId::new("ada"));
    let passkey = id(PasskeyId::new("q8w_1-A"));
    vec![
        Body::PasskeyRegistered {
            passkey: Box::new(Passkey {
                id: passkey.clone(),
                identity: by.clone(),
                name: "the key at the ring".into(),
                rp: "safeconduct.example".into(),
                key: "pQECAyYgASFYIA".into(),
                aaguid: "00000000-0000-0000-0000-000000000000".into(),
                registered_at: Timestamp::from_millis(1_700_000_000_000),
                counter: 1,
                synced: false,
            }),
            by: by.clone(),
        },
        Body::PasskeyRemoved { passkey: passkey.clone(), identity: by.clone(), by: by.clone() },
        Body::PasskeyUsed(Box::new(PasskeyUse {
            passkey,
            identity: by,
            about: digest(11),
            nonce: digest(12),
            client_data: "{\"type\":\"webauthn.get\"}".into(),
            authenticator_data: "SZYN5YgOjGh0".into(),
            signature: "MEUCIQ".into(),
            counter: 2,
        })),
    ]
}

/// The last body of each kind.
fn one_of_each(bodies: Vec<Body>) -> Vec<Body> {
    let kinds: std::collections::BTreeMap<_, _> =
        bodies.into_iter().map(|body| (body.kind(), body)).collect();
    kinds.into_values().collect()
}

/// One body of each kind, with all that it can hold.
fn bodies() -> Vec<Body> {
    let by = id(IdentityId::new("ada"));
    let token = Token {
        id: id(TokenId::new("tok_1")),
        identity: id(IdentityId::new("agent-7")),
        digest: digest(5),
        issued_at: Timestamp::from_millis(1_700_000_000_000),
        expires_at: Timestamp::from_millis(1_800_000_000_000),
        revoked: false,
    };
    vec![
        Body::ServerStarted { version: "0.1.0".into() },
        Body::PoliciesLoaded { digest: digest(1), policies: 12, cause: "start".into() },
        Body::PoliciesRefused { digest: Some(digest(3)), problem: "case.cedar:1:1: no".into() },
        Body::CatalogueLoaded { digest: digest(2), actions: 14 },
        Body::IdentityChanged { identity: identity(), by: by.clone() },
        Body::TokenIssued { token, by: by.clone() },
        Body::TokenRevoked { token: id(TokenId::new("tok_1")), by: by.clone() },
        Body::SessionBegan { session: session() },
        Body::Decided(Box::new(decided())),
        Body::Executed(Executed {
            decision: id(RecordId::new("dec_1")),
            session: session(),
            execution: Execution::Failed,
            duration_ms: 17,
            result_digest: Some(KeyedDigest::from_bytes([4; 32])),
            result_bytes: 512,
            detail: Some("upstream_error".into()),
            edits: vec![Edit { obligation: Obligation::parse("redact:$.ssn"), values: 2 }],
            label: Some(label()),
            declassified: Some("redacted".into()),
        }),
        Body::SessionRead(Box::new(SessionRead {
            session: session(),
            pep: id(IdentityId::new("gateway:files")),
            server: id(ServerName::new("files")),
            source: "resources/list".into(),
            digest: Some(KeyedDigest::from_bytes([8; 32])),
            bytes: 512,
            label: label(),
        })),
        Body::ValuesErased { session: session(), by, attachments: 3 },
        Body::DefinitionSeen {
            action: id(ActionName::new("files.move_file")),
            server: id(ServerName::new("files")),
            pinned: digest(6),
            seen: digest(7),
        },
    ]
}

fn record(body: Body) -> Record {
    Record {
        id: id(RecordId::new("rec_1")),
        at: Timestamp::from_millis(1_795_319_000_120),
        trace: Some(id(TraceId::new("4bf92f3577b34da6a3ce929d0e0e4736"))),
        parent: Some(id(RecordId::new("dec_0"))),
        body,
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads, and on request writes, golden files")]
fn each_kind_has_the_leaf_of_its_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for body in bodies()
        .into_iter()
        .chain(task_bodies())
        .chain(passkey_bodies())
        .chain(review_bodies())
        .chain(one_of_each(access_bodies()))
    {
        let path = folder.join(format!("{}.json", body.kind()));
        let record = record(body);
        let leaf = encode(&record).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &leaf).unwrap();
        }
        let golden = fs::read(&path).unwrap();
        assert_eq!(String::from_utf8_lossy(&leaf), String::from_utf8_lossy(&golden));
        assert_eq!(decode(&golden).unwrap(), record);
    }
}

#[test]
fn a_set_of_intents_says_who_asked_for_it_and_what_changed_by_it() {
    let by = Some(id(IdentityId::new("ada")));
    let changed: Vec<IntentName> = ["pay", "read"].map(|name| id(IntentName::new(name))).into();
    let made = record(Body::IntentsLoaded { digest: digest(1), intents: 2, by, changed });
    let leaf = encode(&made).unwrap();
    let text = std::str::from_utf8(&leaf).unwrap();
    assert!(text.contains(r#""body":{"by":"ada","changed":["pay","read"],"digest":"#), "{text}");
    assert_eq!(decode(&leaf).unwrap(), made);
    let most = vec![id(IntentName::new("x".repeat(64))); INTENTS_NAMED_MAX];
    let by = Some(id(IdentityId::new("é".repeat(256))));
    let most = Body::IntentsLoaded { digest: digest(1), intents: 2, by, changed: most };
    assert!(encode(&record(most)).is_ok(), "as many as are named fit");
}

#[test]
fn leaves_are_canonical_json() {
    for body in bodies()
        .into_iter()
        .chain(task_bodies())
        .chain(passkey_bodies())
        .chain(review_bodies())
        .chain(one_of_each(access_bodies()))
    {
        let leaf = encode(&record(body)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
        let value = from_serde(&value);
        let canonical = crate::canonical(&value);
        assert_eq!(String::from_utf8_lossy(&leaf), String::from_utf8_lossy(&canonical));
    }
}

fn from_serde(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => Value::from(n.as_i64().unwrap()),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(from_serde).collect::<Vec<_>>())
        }
        serde_json::Value::Object(members) => {
            Value::object(members.iter().map(|(k, v)| (k.as_str(), from_serde(v))))
        }
    }
}

fn leaf() -> String {
    let body =
        Body::TokenRevoked { token: id(TokenId::new("tok_1")), by: id(IdentityId::new("ada")) };
    let record = Record { trace: None, parent: None, ..record(body) };
    String::from_utf8(encode(&record).unwrap()).unwrap()
}

#[test]
fn a_leaf_that_is_not_ours_is_refused_by_name() {
    let refused = |text: &str| decode(text.as_bytes()).unwrap_err().to_string();
    let leaf = leaf();
    assert!(decode(leaf.as_bytes()).is_ok());
    for (from, to, says) in [
        ("\"v\":1", "\"v\":2", "version 2"),
        ("\"v\":1", "\"v\":1,\"w\":1", "unknown field `w`"),
        ("\"v\":1", "\"v\":1,\"v\":1", "duplicate field `v`"),
        (",\"v\":1", "", "missing field `v`"),
        ("token_revoked", "token_lost", "kind `token_lost`"),
        ("\"by\":\"ada\"", "\"by\":\"ada\",\"x\":1", "unknown field `x`"),
        ("\"by\":\"ada\"", "\"by\":\"ada\",\"by\":\"ada\"", "duplicate field `by`"),
        ("\"by\":\"ada\"", "\"by\":\"\"", "`by`: an identity id is empty"),
        ("\"by\":\"ada\"", "\"by\":1", "expected a string"),
        ("2026-", "2026x", "`at` holds"),
        ("{\"at\"", "{ \"at\"", "not canonical from byte 1 on"),
        ("ada", "\\u0061da", "not canonical"),
        (",\"v\":1", ",\"trace\":null,\"v\":1", "not canonical"),
        ("\"v\":1", "\"v\":1.0", "invalid type"),
        ("\"v\":1}", "\"v\":1} ", "not canonical"),
        ("\"v\":1}", "\"v\":1}x", "trailing characters"),
        ("\"v\":1}", "\"v\":1", "EOF"),
    ] {
        let changed = leaf.replacen(from, to, 1);
        assert_ne!(changed, leaf, "{from}");
        let message = refused(&changed);
        assert!(message.contains(says), "{to}: {message}");
    }
    assert!(matches!(decode(b"\xff"), Err(DecodeError::Malformed { .. })));
    assert!(matches!(decode(&[b'['; 65_535]), Err(DecodeError::Malformed { .. })));
    assert_eq!(decode(&[b'['; 65_536]), Err(DecodeError::TooLong { bytes: 65_536 }));
}

#[test]
fn members_in_another_order_are_refused() {
    let leaf = leaf().replacen(
        "\"by\":\"ada\",\"token\":\"tok_1\"",
        "\"token\":\"tok_1\",\"by\":\"ada\"",
        1,
    );
    assert!(matches!(decode(leaf.as_bytes()), Err(DecodeError::NotCanonical { .. })));
}

#[test]
fn what_does_not_fit_a_leaf_is_refused() {
    let many = Decided {
        resources: (0..64)
            .map(|n| EntityRef::new("Path", format!("{n}{}", "x".repeat(8000))).unwrap())
            .collect(),
        ..decided()
    };
    let error = encode(&record(Body::Decided(Box::new(many)))).unwrap_err();
    assert!(matches!(error, EncodeError::TooLong { bytes } if bytes > 512_000));

    let late = Record {
        at: Timestamp::from_millis(i64::MAX),
        ..record(Body::ServerStarted { version: "1".into() })
    };
    assert_eq!(encode(&late), Err(EncodeError::TimeOutOfRange { field: "at" }));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,12}", "\\PC{1,20}"]
}

prop_compose! {
    fn records()(
        name in "[!-~]{1,40}", free in texts(), other in any::<String>(), at in -62_167_219_200_000_i64..253_402_300_799_999,
        n in any::<u64>(), m in any::<u32>(), bytes in any::<[u8; 32]>(),
        kind in 0_usize..12, some in any::<bool>(), deny in any::<bool>(), count in 0_usize..4,
    ) -> Record {
        let mut body = bodies().swap_remove(kind);
        match &mut body {
            Body::ServerStarted { version } => version.clone_from(&other),
            Body::PoliciesLoaded { cause, policies, .. } => {
                cause.clone_from(&other);
                *policies = n;
            }
            Body::PoliciesRefused { digest, problem } => {
                *digest = some.then(|| Digest::from_bytes(bytes));
                problem.clone_from(&other);
            }
            Body::IdentityChanged { identity, .. } => {
                identity.environment = some.then(|| other.clone());
                if let Some(imported) = &mut identity.imported {
                    imported.display_name = some.then(|| other.as_str().into());
                    imported.suspended = deny;
                }
                identity.groups.extend([other.clone(), free.clone()]);
                identity.pep = identity.pep.take().filter(|_| deny);
                identity.owner = Some(IdentityId::new(free.as_str()).unwrap()).filter(|_| some);
            }
            Body::Decided(decided) => {
                decided.decision = if deny { Decision::Deny } else { Decision::Permit };
                decided.mode = if some { Mode::Observe } else { Mode::Enforce };
                decided.reasons = vec![reason(&other); count];
                decided.shadow.truncate(count);
                decided.obligations = vec![Obligation::parse(&other); count];
                decided.sequence = n;
                decided.requestable = decided.requestable.take().filter(|_| deny);
                decided.input_digest = KeyedDigest::from_bytes(bytes);
                decided.resources = vec![EntityRef::new(free.as_str(), name.as_str()).unwrap(); count];
            }
            Body::Executed(executed) => {
                executed.duration_ms = n;
                executed.execution = Execution::ALL[count];
                executed.detail = some.then(|| other.as_str().into());
                executed.edits = vec![Edit { obligation: Obligation::parse(&free), values: m.into() }; count];
                executed.result_digest = deny.then(|| KeyedDigest::from_bytes(bytes));
            }
            _ => {}
        }
        Record {
            id: RecordId::new(name).unwrap(),
            at: Timestamp::from_millis(at),
            trace: some.then(|| TraceId::new(free.as_str()).unwrap()),
            parent: deny.then(|| RecordId::new(free.as_str()).unwrap()),
            body,
        }
    }
}

proptest! {
    #[test]
    fn decode_reads_what_encode_writes(record in records()) {
        let leaf = encode(&record).unwrap();
        prop_assert_eq!(decode(&leaf).unwrap(), record);
    }

    #[test]
    fn one_record_has_one_leaf(record in records(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let leaf = encode(&record).unwrap();
        let mut changed = leaf.clone();
        *place.get_mut(&mut changed) = byte;
        if changed != leaf && let Ok(other) = decode(&changed) {
            prop_assert_ne!(other, record);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}
