//! The use-cases over ports in memory: what holds however the records are kept.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_ledger::decode;
use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;

mod acknowledged;
mod declassify;
mod durable;
mod examples;
mod imports;
#[path = "../support/memory_read.rs"]
mod memory_read;
mod order;
mod places;
mod remediation;
mod removed;
mod replay;
mod replayed;
mod risk;
mod streams;
mod vouched;

const POLICIES: &str = r#"
@id("reads") permit (principal, action == Safeconduct::Action::"files.read", resource);
@id("redacted") @obligation("redact:$.ssn")
permit (principal, action == Safeconduct::Action::"files.show", resource);
@id("ask") @requestable("approvers=principal.owner; quorum=1; ttl=15m") @message("ask a person")
forbid (principal, action == Safeconduct::Action::"files.move", resource);
"#;

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

fn entry(tool: &str) -> ActionEntry {
    ActionEntry {
        name: name(ActionName::new(format!("files.{tool}"))),
        server: Some(name(ServerName::new("files"))),
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Internal,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: Some(Digest::from_bytes([1; 32])),
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: true,
        keep_result: true,
    }
}

fn catalogue() -> Catalogue {
    let entries = ["read", "show", "move"].map(entry);
    Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

fn policies(text: &str) -> Arc<safeconduct_policy::Policies> {
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        servers: vec![name(ServerName::new("files"))],
        actions: catalogue()
            .actions
            .into_values()
            .map(|entry| (entry.name, entry.server))
            .collect(),
        ..Sources::default()
    };
    Arc::new(load(&sources).unwrap().policies)
}

fn world(text: &str) -> World {
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    World::new(policies(text), Arc::new(catalogue()), digest, vocabulary)
}

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
}

async fn bench(settings: Settings) -> Bench {
    let (ports, ledger, clock) = ports();
    let service = Arc::new(Service::new(ports, settings, world(POLICIES)));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    Bench { service, ledger, clock }
}

impl Bench {
    /// A conversation shows `files.read` as that definition; 1 is what was approved.
    async fn shown(&self, conversation: &Conversation, extent: Extent, definition: u8) {
        let digest = Digest::from_bytes([definition; 32]);
        let seen = vec![(name(ActionName::new("files.read")), digest)];
        let server = name(ServerName::new("files"));
        self.service.definitions_seen(&server, conversation, extent, seen).await.unwrap();
    }

    /// Approves `files.read` as that definition.
    async fn pin(&self, definition: u8) {
        let mut catalogue = catalogue();
        for entry in catalogue.actions.values_mut() {
            entry.definition = Some(Digest::from_bytes([definition; 32]));
        }
        let (world, digest) = (self.service.world(), Digest::from_bytes([definition; 32]));
        let policies = Arc::clone(world.policies());
        let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
        let (service, catalogue) = (&self.service, Arc::new(catalogue));
        service.change_policies(policies, catalogue, digest, vocabulary, "pin").await.unwrap();
    }

    /// Whether `files.read` is permitted, or why not.
    async fn read(&self) -> Result<(), Vec<&'static str>> {
        let outcome = self.service.check(check("read")).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(codes(&outcome)),
        }
    }

    /// The definitions in the ledger, by their first byte.
    fn definitions_recorded(&self) -> Vec<u8> {
        let seen = records(&self.ledger).into_iter().filter_map(|record| match record.body {
            Body::DefinitionSeen { seen, .. } => seen.as_bytes().first().copied(),
            _ => None,
        });
        seen.collect()
    }
}

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn me() -> IdentityId {
    name(IdentityId::new("admin"))
}

fn agent(id: &str) -> Identity {
    Identity {
        id: name(IdentityId::new(id)),
        kind: IdentityKind::Agent,
        status: IdentityStatus::Active,
        owner: Some(name(IdentityId::new("alice"))),
        sponsor: None,
        imported: None,
        fallback_owner: Some(name(IdentityId::new("bob"))),
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

fn proof(identity: &str, token: &str) -> Authentication {
    Authentication {
        identity: name(IdentityId::new(identity)),
        token: name(TokenId::new(token)),
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::default(),
        expires_at: None,
        task: None,
    }
}

fn check(tool: &str) -> Check {
    Check {
        subject: Subject::Caller(proof("agent", "t1")),
        action: name(ActionName::new(format!("files.{tool}"))),
        resource: None,
        input: Value::object([("path", Value::from("/a"))]),
        asserted: None,
        session_name: None,
        pep: name(IdentityId::new("gateway:files")),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::Only(BTreeSet::from(["redact".into()])),
        network: None,
    }
}

fn records(ledger: &MemoryLedger) -> Vec<Record> {
    ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap()).collect()
}

fn decided(ledger: &MemoryLedger) -> Vec<Decided> {
    let bodies = records(ledger).into_iter().map(|record| record.body);
    bodies
        .filter_map(|body| match body {
            Body::Decided(decided) => Some(*decided),
            _ => None,
        })
        .collect()
}

fn codes(outcome: &Outcome) -> Vec<&'static str> {
    outcome.reasons.iter().map(Reason::code).collect()
}

#[tokio::test]
async fn a_permit_is_recorded_with_its_reasons() {
    let bench = bench(Settings::default()).await;
    let ruling = bench.service.check(check("read")).await.unwrap();
    assert_eq!(ruling.value().outcome.decision, Decision::Permit);
    let decided = decided(&bench.ledger).pop().unwrap();
    assert_eq!(decided.sequence, 1);
    assert_eq!(decided.reasons[0].policy.as_ref().unwrap().id.as_str(), "reads");
    assert_eq!(decided.principal.to_string(), "Safeconduct::Agent::\"agent\"");
    assert_eq!(decided.resources[0].to_string(), "Safeconduct::Server::\"files\"");
}

#[tokio::test]
async fn a_requestable_forbid_makes_a_requestable_deny() {
    let bench = bench(Settings::default()).await;
    let outcome = bench.service.check(check("move")).await.unwrap().into_value().outcome;
    assert_eq!(outcome.decision, Decision::Deny);
    assert_eq!(outcome.requestable.unwrap().ttl_s, 900);
    assert_eq!(outcome.reasons[0].message(), "ask a person");
}

#[tokio::test]
async fn what_nobody_knows_is_denied_and_recorded() {
    let bench = bench(Settings::default()).await;
    let mut unknown = check("read");
    unknown.action = name(ActionName::new("files.none"));
    let outcome = bench.service.check(unknown).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["unknown_action"]);
    let mut stranger = check("read");
    stranger.subject = Subject::Caller(proof("stranger", "t"));
    let outcome = bench.service.check(stranger).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["unknown_identity"]);
    assert_eq!(decided(&bench.ledger).len(), 2);
}

#[tokio::test]
async fn who_asks_and_is_not_registered_is_seen() {
    let bench = bench(Settings::default()).await;
    bench.clock.set(Timestamp::from_millis(1_790_000_000_000));
    assert!(bench.service.unregistered(None, 10).is_empty());
    for _ in 0..2 {
        let mut stranger = check("read");
        stranger.subject = Subject::Caller(proof("stranger", "t"));
        bench.service.check(stranger).await.unwrap();
        bench.clock.set(bench.service.now().plus_ms(1000));
    }
    bench.read().await.unwrap();
    let wanted = Unregistered {
        id: "stranger".into(),
        types: BTreeSet::new(),
        appeared: BTreeSet::from([AppearedAs::Caller]),
        seen: SeenAt {
            first: Timestamp::from_millis(1_790_000_000_000),
            last: Timestamp::from_millis(1_790_000_001_000),
        },
    };
    assert_eq!(bench.service.unregistered(None, 10), std::slice::from_ref(&wanted));
    assert!(bench.service.unregistered(Some("stranger"), 10).is_empty());
    assert!(bench.service.unregistered(None, 0).is_empty());
    let (ports, ..) = ports();
    let again = Service::new(ports, Settings::default(), world(POLICIES));
    let mut restore = again.restore();
    for (sequence, record) in (0..).zip(records(&bench.ledger)) {
        restore.apply(sequence, &record, Attachment::Absent).unwrap();
    }
    restore.finish();
    assert_eq!(again.unregistered(None, 10), [wanted]);
    // Once somebody registers them they are among the others.
    bench.service.change_identity(agent("stranger"), &me()).await.unwrap();
    assert!(bench.service.unregistered(None, 10).is_empty());
}

#[tokio::test]
async fn an_obligation_that_the_enforcement_point_does_not_know_is_a_deny() {
    let bench = bench(Settings::default()).await;
    let permitted = bench.service.check(check("show")).await.unwrap().into_value().outcome;
    assert_eq!(permitted.obligations, [Obligation::parse("redact:$.ssn")]);
    let mut ignorant = check("show");
    ignorant.understood = Understood::Only(BTreeSet::new());
    let denied = bench.service.check(ignorant).await.unwrap().into_value().outcome;
    assert_eq!(codes(&denied), ["unknown_obligation"]);
    assert!(denied.obligations.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_calls_of_a_session_are_one_sequence() {
    let bench = bench(Settings::default()).await;
    let calls: Vec<_> = (0..64)
        .map(|n| {
            let service = Arc::clone(&bench.service);
            let mut check = check("read");
            check.session_name = Some(name(SessionName::new(format!("part {}", n % 3))));
            tokio::spawn(async move { service.check(check).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().value().outcome.decision, Decision::Permit);
    }
    let sequences: Vec<_> = decided(&bench.ledger).iter().map(|d| d.sequence).collect();
    assert_eq!(sequences, (1..=64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_of_the_world_is_never_missed_and_denies_nobody() {
    let bench = bench(Settings::default()).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changing = {
        let (service, stop) = (Arc::clone(&bench.service), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut n = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                service.change_identity(agent(&format!("other{n}")), &me()).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    for _ in 0..500 {
        let outcome = bench.service.check(check("read")).await.unwrap().into_value().outcome;
        assert_eq!(outcome.decision, Decision::Permit);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    changing.await.unwrap();
    let mut suspended = agent("agent");
    suspended.status = IdentityStatus::Suspended;
    bench.service.change_identity(suspended, &me()).await.unwrap();
    let outcome = bench.service.check(check("read")).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["identity_not_active"]);
}

#[tokio::test]
async fn a_session_name_sheds_no_budget_and_another_token_is_another_session() {
    let settings = Settings { calls_max: 2, ..Settings::default() };
    let bench = bench(settings).await;
    for part in ["a", "b"] {
        let mut check = check("read");
        check.session_name = Some(name(SessionName::new(part)));
        let outcome = bench.service.check(check).await.unwrap().into_value().outcome;
        assert_eq!(outcome.decision, Decision::Permit);
    }
    let mut third = check("read");
    third.session_name = Some(name(SessionName::new("c")));
    let outcome = bench.service.check(third).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["budget_spent"]);
    let mut other = check("read");
    other.subject = Subject::Caller(proof("agent", "t2"));
    let outcome = bench.service.check(other).await.unwrap().into_value().outcome;
    assert_eq!(outcome.decision, Decision::Permit);
}

#[tokio::test]
async fn a_ledger_that_fails_is_a_deny() {
    let bench = bench(Settings::default()).await;
    bench.ledger.fail("no space left on device");
    let unrecorded = bench.service.check(check("read")).await.unwrap_err();
    assert_eq!(unrecorded.reason.code(), "not_recorded");
    assert!(matches!(bench.service.health(), LedgerHealth::Failed(_)));
}

fn report(decision: &RecordId, by: &str) -> Report {
    Report {
        decision: decision.clone(),
        reported_by: name(IdentityId::new(by)),
        execution: Execution::Succeeded,
        duration_ms: Some(3),
        result: Some(b"{}".to_vec()),
        detail: None,
        edits: Vec::new(),
        read: Read::Nothing,
        beside: Read::Nothing,
    }
}

#[tokio::test]
async fn only_the_enforcement_point_that_asked_reports_and_only_once() {
    let bench = bench(Settings::default()).await;
    let ruling = bench.service.check(check("read")).await.unwrap();
    let decision = ruling.value().decision().clone();
    let foreign = bench.service.observe(report(&decision, "agent")).await;
    assert!(matches!(foreign, Err(ObserveError::NotPending(_))));
    bench.service.observe(report(&decision, "gateway:files")).await.unwrap();
    let twice = bench.service.observe(report(&decision, "gateway:files")).await;
    assert!(matches!(twice, Err(ObserveError::NotPending(_))));
    let last = records(&bench.ledger).pop().unwrap();
    assert_eq!(last.parent, Some(decision));
}

#[tokio::test]
async fn an_outcome_that_never_comes_is_unknown() {
    let bench = bench(Settings::default()).await;
    bench.service.check(check("read")).await.unwrap();
    assert_eq!(bench.service.sweep(), 0);
    bench.clock.set(Timestamp::from_millis(Settings::default().outcome_deadline_ms));
    assert_eq!(bench.service.sweep(), 1);
    let Body::Executed(executed) = records(&bench.ledger).pop().unwrap().body else {
        panic!("no outcome")
    };
    assert_eq!(executed.execution, Execution::Unknown);
    assert_eq!(executed.detail.as_deref(), Some("never_reported"));
}

#[tokio::test]
async fn a_changed_definition_is_quarantined_until_it_is_as_approved_again() {
    let bench = bench(Settings::default()).await;
    let conversation = Conversation::default();
    bench.shown(&conversation, Extent::Whole, 1).await;
    assert_eq!(bench.read().await, Ok(()));
    bench.shown(&conversation, Extent::Whole, 2).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    assert!(!bench.service.may_see(&proof("agent", "t1"), &name(ActionName::new("files.read"))));
    bench.shown(&conversation, Extent::Whole, 1).await;
    assert_eq!(bench.read().await, Ok(()));
    assert_eq!(bench.definitions_recorded(), [2, 1]);
}

#[tokio::test]
async fn no_conversation_clears_what_another_one_was_shown() {
    let bench = bench(Settings::default()).await;
    let (one, other) = (Conversation::default(), Conversation::default());
    bench.shown(&one, Extent::Whole, 2).await;
    for _ in 0..2 {
        bench.shown(&other, Extent::Whole, 1).await;
        assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    }
    // Once it has ended, what it was shown stays until someone lists the tools anew.
    drop(one);
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.shown(&other, Extent::Part, 1).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.shown(&other, Extent::Whole, 1).await;
    assert_eq!(bench.read().await, Ok(()));
    assert_eq!(bench.definitions_recorded(), [2, 1]);
}

#[tokio::test]
async fn a_pin_that_is_renewed_frees_the_tool_that_some_were_shown_before_it_changed() {
    let bench = bench(Settings::default()).await;
    let (quiet, other) = (Conversation::default(), Conversation::default());
    bench.shown(&quiet, Extent::Whole, 1).await;
    bench.shown(&other, Extent::Whole, 2).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.pin(2).await;
    assert_eq!(bench.read().await, Ok(()));
    // Whoever is shown the old one from now on is shown what is no longer approved.
    bench.shown(&quiet, Extent::Whole, 1).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.shown(&quiet, Extent::Whole, 2).await;
    assert_eq!(bench.read().await, Ok(()));
    // A pin of what nobody was shown catches what everybody was.
    bench.pin(3).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
}

#[tokio::test]
async fn a_page_adds_to_what_was_shown_and_clears_nothing() {
    let bench = bench(Settings::default()).await;
    let conversation = Conversation::default();
    bench.shown(&conversation, Extent::Whole, 1).await;
    bench.shown(&conversation, Extent::Part, 2).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.shown(&conversation, Extent::Part, 1).await;
    assert_eq!(bench.read().await, Err(vec!["quarantined"]));
    bench.shown(&conversation, Extent::Whole, 1).await;
    assert_eq!(bench.read().await, Ok(()));
}

#[tokio::test]
async fn a_restart_does_not_clear_what_was_shown() {
    let bench = bench(Settings::default()).await;
    let conversation = Conversation::default();
    bench.shown(&conversation, Extent::Whole, 2).await;
    let (ports, ledger, clock) = ports();
    let service = Arc::new(Service::new(ports, Settings::default(), world(POLICIES)));
    let mut restore = service.restore();
    for (sequence, record) in records(&bench.ledger).iter().enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    let after = Bench { service, ledger, clock };
    assert_eq!(after.read().await, Err(vec!["quarantined"]));
    after.shown(&Conversation::default(), Extent::Whole, 1).await;
    assert_eq!(after.read().await, Ok(()));
}

#[tokio::test]
async fn one_conversation_is_not_remembered_without_bound() {
    let bench = bench(Settings::default()).await;
    let many = (0..=DEFINITIONS_MAX)
        .map(|n| (name(ActionName::new(format!("files.tool_{n}"))), Digest::from_bytes([1; 32])));
    let server = name(ServerName::new("files"));
    let conversation = Conversation::default();
    let taken =
        bench.service.definitions_seen(&server, &conversation, Extent::Part, many.collect()).await;
    assert!(matches!(taken, Err(ChangeError::OverLimit { .. })), "{taken:?}");
}

#[tokio::test]
async fn tokens_are_known_by_their_digest_until_they_end() {
    let bench = bench(Settings::default()).await;
    let token = Token {
        id: name(TokenId::new("tok_1")),
        identity: name(IdentityId::new("agent")),
        digest: token_digest("secret"),
        issued_at: Timestamp::default(),
        expires_at: Timestamp::from_millis(1000),
        revoked: false,
    };
    bench.service.register_token(token, &me()).await.unwrap();
    assert_eq!(bench.service.authenticate("secret").unwrap().identity.as_str(), "agent");
    assert_eq!(bench.service.authenticate("other"), Err(AuthenticateError::Unknown));
    bench.clock.set(Timestamp::from_millis(1000));
    assert_eq!(bench.service.authenticate("secret"), Err(AuthenticateError::Expired));
    bench.clock.set(Timestamp::from_millis(0));
    bench.service.revoke_token(&name(TokenId::new("tok_1")), &me()).await.unwrap();
    assert_eq!(bench.service.authenticate("secret"), Err(AuthenticateError::Revoked));
    assert!(!bench.service.stands(&proof("agent", "tok_1"), Timestamp::default()));
}

#[tokio::test]
async fn the_records_give_the_same_state_again() {
    let bench = bench(Settings::default()).await;
    for tool in ["read", "show", "move", "read"] {
        bench.service.check(check(tool)).await.unwrap();
    }
    let key = SessionKey::credential(name(IdentityId::new("agent")), name(TokenId::new("t1")));
    let before = bench.service.session(&key).unwrap();

    let (ports, ledger, _) = ports();
    let again = Service::new(ports, Settings::default(), world(POLICIES));
    let mut restore = again.restore();
    for (sequence, entry) in bench.ledger.entries().iter().enumerate() {
        let sealed =
            if entry.attachment.is_some() { Attachment::Present } else { Attachment::Absent };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    assert_eq!(restore.finish(), 3, "three permits had no outcome");
    // What the agent may have read meanwhile is not told any more.
    let mut after = again.session(&key).unwrap();
    assert_eq!(after.session.label().integrity, Integrity::Untrusted);
    after.session.recall(safeconduct_session::flow::Flow::default());
    let mut whole = before;
    whole.session.recall(after.session.flow().unwrap().clone());
    assert_eq!(after, whole);
    let identities: BTreeMap<_, _> =
        again.world().identities().map(|i| (i.id.clone(), i.clone())).collect();
    assert_eq!(identities.len(), 1);
    let unknown = records(&ledger);
    assert!(unknown.iter().all(|record| matches!(&record.body, Body::Executed(executed)
        if executed.execution == Execution::Unknown && executed.detail.as_deref() == Some("restart"))));
}

#[tokio::test]
async fn erased_values_are_gone_and_the_leaves_stay() {
    let bench = bench(Settings::default()).await;
    bench.service.check(check("read")).await.unwrap();
    let before = bench.ledger.entries();
    let key = SessionKey::credential(name(IdentityId::new("agent")), name(TokenId::new("t1")));
    assert_eq!(bench.service.erase(&key, &me()).await.unwrap(), 2);
    let after = bench.ledger.entries();
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was.leaf, is.leaf);
        assert_eq!(is.attachment, None);
    }
    assert_eq!(records(&bench.ledger).pop().unwrap().body.kind(), "values_erased");
    let outcome = bench.service.check(check("read")).await.unwrap().into_value().outcome;
    assert_eq!(outcome.decision, Decision::Permit);
}

#[tokio::test]
async fn what_is_no_person_needs_owners() {
    let bench = bench(Settings::default()).await;
    let mut orphan = agent("orphan");
    orphan.fallback_owner = None;
    let refused = bench.service.change_identity(orphan, &me()).await;
    assert!(matches!(refused, Err(ChangeError::NoOwner(_))));
}

#[tokio::test]
async fn a_revoked_credential_is_denied_even_where_it_was_checked_before() {
    let bench = bench(Settings::default()).await;
    let token = Token {
        id: name(TokenId::new("t1")),
        identity: name(IdentityId::new("agent")),
        digest: token_digest("secret"),
        issued_at: Timestamp::default(),
        expires_at: Timestamp::from_millis(1_000),
        revoked: false,
    };
    bench.service.register_token(token, &me()).await.unwrap();
    bench.service.authenticate("secret").unwrap();
    bench.service.revoke_token(&name(TokenId::new("t1")), &me()).await.unwrap();
    let outcome = bench.service.check(check("read")).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["credential_ended"]);
}

#[tokio::test]
async fn a_decision_too_long_for_a_record_is_refused_and_counted() {
    let bench = bench(Settings::default()).await;
    let mut long = check("read");
    let mut catalogue = catalogue();
    let action = name(ActionName::new("files.read"));
    catalogue.actions.get_mut(&action).unwrap().resources = vec![ResourceMapping {
        argument: "/paths/*".into(),
        ty: name(EntityType::new("Safeconduct::Path")),
        form: ResourceForm::Path { root: None },
        optional: false,
    }];
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([8; 32]);
    bench
        .service
        .change_policies(policies(POLICIES), Arc::new(catalogue), digest, vocabulary, "change")
        .await
        .unwrap();
    let paths = (0..20).map(|n| Value::from(format!("/{n}/{}", "x".repeat(8000)))).collect();
    long.input = Value::object([("paths", Value::Array(paths))]);
    let outcome = bench.service.check(long).await.unwrap().into_value().outcome;
    assert_eq!(codes(&outcome), ["over_limit"]);
    assert_eq!(decided(&bench.ledger).len(), 1);
}

#[tokio::test]
async fn an_outcome_that_could_not_be_recorded_can_be_reported_again() {
    let bench = bench(Settings::default()).await;
    let ruling = bench.service.check(check("read")).await.unwrap();
    let decision = ruling.value().decision().clone();
    bench.ledger.fail("no space left on device");
    let failed = bench.service.observe(report(&decision, "gateway:files")).await;
    assert!(matches!(failed, Err(ObserveError::Submit(_))));
    assert_eq!(bench.service.pending_outcomes(), 1);
}
