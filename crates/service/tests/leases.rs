//! Leases: nothing is handed out before it is recorded, nothing outlives its task, and whatever
//! a crash leaves at a target is found and removed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use safeconduct_credential::lease::{Backoff, LeaseTerms};
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_review::{Grant, GrantSource};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;
use safeconduct_session::Used;

const NOW: i64 = 1_790_000_000_000;

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

fn crm() -> TargetName {
    name(TargetName::new("crm"))
}

/// What exists at the target, and how it behaves. Survives the process that talks to it.
#[derive(Default)]
struct Database {
    roles: Mutex<BTreeSet<Arc<str>>>,
    /// How often it has still to fail.
    failures: Mutex<u32>,
    /// Whether it makes what it is asked for and never says so.
    stuck: std::sync::atomic::AtomicBool,
    /// What happens once a role is made, before the answer.
    then: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

struct FakeIssuer(Arc<Database>);

impl FakeIssuer {
    fn fault(&self) -> Result<(), TargetFault> {
        let mut failures = self.0.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(TargetFault::Unreachable { target: crm(), problem: "it is down".into() })
    }
}

impl Issuer for FakeIssuer {
    fn kind(&self) -> LeaseKind {
        LeaseKind::PostgresRole
    }

    fn name(&self, id: &LeaseId, _: &GrantSpec) -> Result<Arc<str>, NamingError> {
        Ok(format!("sc_{id}").into())
    }

    fn address(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("host", "db.example".into())])
    }

    fn issue<'a>(
        &'a self,
        lease: &'a Lease,
        _: &'a GrantSpec,
    ) -> Awaited<'a, Result<Secret, IssueError>> {
        Awaited::of(async move {
            self.fault()?;
            self.0.roles.lock().unwrap().insert(Arc::clone(&lease.name));
            if let Some(then) = self.0.then.lock().unwrap().take() {
                then();
            }
            if self.0.stuck.load(std::sync::atomic::Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(Secret::new(String::from("s3cret-s3cret").into()))
        })
    }

    fn renew<'a>(&'a self, _: &'a Lease, _: Timestamp) -> Awaited<'a, Result<(), RenewError>> {
        Awaited::of(async { Ok(self.fault()?) })
    }

    fn revoke<'a>(&'a self, lease: &'a Lease) -> Awaited<'a, Result<Proof, RevokeError>> {
        Awaited::of(async {
            self.fault()?;
            self.0.roles.lock().unwrap().remove(&lease.name);
            Ok(Proof { seen: BTreeSet::from([Seen::NotListed]) })
        })
    }
}

const POLICIES: &str = r#"
permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("no-owner") @message("nobody owns the database")
forbid (principal, action == Safeconduct::Action::"lease", resource == Safeconduct::Target::"crm")
when { context.grants.contains("owner") && context.kind == "postgres_role"
       && context.ttl_s == 60 && context has task && context.task.intent == "work" };
@id("strong-only")
forbid (principal, action == Safeconduct::Action::"lease", resource)
when { context.grants.contains("sealed") && context.identity.assurance != "high" };
@id("sealed-once")
forbid (principal, action == Safeconduct::Action::"lease", resource)
when { context.grants.contains("sealed") && context has renews };
"#;

fn reader() -> BTreeSet<Arc<str>> {
    BTreeSet::from(["reader".into()])
}

/// Someone who acts in their task.
fn by(task: &TaskRef) -> Authentication {
    Authentication {
        identity: task.agent.clone(),
        token: name(TokenId::new("tok_ada")),
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::from_millis(NOW),
        expires_at: None,
        task: Some(task.clone()),
    }
}

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
    database: Arc<Database>,
}

fn world() -> World {
    let sources =
        Sources { policies: vec![SourceFile::new("p.cedar", POLICIES)], ..Sources::default() };
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let policies = Arc::new(load(&sources).unwrap().policies);
    World::new(policies, Arc::default(), Digest::from_bytes([9; 32]), vocabulary)
}

fn intent() -> Intent {
    Intent {
        name: name(IntentName::new("work")),
        version: 1,
        description: "A test's.".into(),
        parameters: BTreeMap::new(),
        envelope: Vec::new(),
        budget: Budget {
            calls: 10,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 3600,
        idle_s: 3600,
        tier_max: Tier::Low,
        delegation_depth: 1,
        credentials: BTreeMap::from([(
            crm(),
            BTreeSet::from(["reader".into(), "owner".into(), "sealed".into()]),
        )]),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            kinds: BTreeSet::from([IdentityKind::User, IdentityKind::Agent]),
            ..Undertakers::default()
        },
    }
}

fn over(ledger: Option<&MemoryLedger>, upto: usize, database: &Arc<Database>) -> Bench {
    let (ports, again, clock) = ports();
    clock.set(Timestamp::from_millis(NOW));
    let service = Arc::new(Service::new(ports, Settings::default(), world()));
    let entries: Vec<_> = ledger.iter().flat_map(|l| l.entries()).take(upto).collect();
    if !entries.is_empty() {
        let (reads, writes) = (Vec::new(), Vec::new());
        again.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
    }
    let mut restore = service.restore();
    for (sequence, entry) in entries.iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    let target = Target {
        issuer: Arc::new(FakeIssuer(Arc::clone(database))),
        terms: LeaseTerms { ttl_ms: 60_000, ttl_max_ms: 120_000 },
        backoff: Backoff { first_ms: 100, cap_ms: 1000, attempts: 3 },
    };
    service.set_targets(BTreeMap::from([(crm(), target)]));
    Bench { service, ledger: again, clock, database: Arc::clone(database) }
}

async fn bench() -> Bench {
    let bench = over(None, 0, &Arc::default());
    let ada = Identity {
        id: id("ada"),
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: None,
        sponsor: None,
        imported: None,
        fallback_owner: None,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    };
    bench.service.change_identity(ada, &id("ada")).await.unwrap();
    let versions = BTreeMap::from([(intent().name, BTreeMap::from([(1, intent())]))]);
    let intents = Intents { versions, digest: Digest::from_bytes([5; 32]) };
    bench.service.change_intents(Arc::new(intents)).await.unwrap();
    bench
}

impl Bench {
    async fn begin(&self) -> TaskRef {
        let by = Authentication {
            identity: id("ada"),
            token: name(TokenId::new("tok_ada")),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::from_millis(NOW),
            expires_at: None,
            task: None,
        };
        let undertaking = Undertaking {
            by,
            agent: id("ada"),
            intent: intent().name,
            version: None,
            parameters: BTreeMap::new(),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed::default(),
            handle: Some(Digest::from_bytes([1; 32])),
            conversation: None,
            run_of: None,
            pep: id("test"),
            trace: None,
        };
        let task = self.service.begin_task(undertaking).await.unwrap();
        TaskRef { id: task.id.clone(), agent: id("ada") }
    }

    async fn end(&self, task: &TaskRef) {
        let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
        self.service.end_task(&task.id, ending).await.unwrap();
    }

    fn roles(&self) -> usize {
        self.database.roles.lock().unwrap().len()
    }

    fn states(&self) -> Vec<LeaseState> {
        let bodies = self.ledger.entries().into_iter().map(|e| decode(&e.leaf).unwrap().body);
        bodies
            .filter_map(|body| match body {
                Body::LeaseChanged { state, .. } => Some(state),
                _ => None,
            })
            .collect()
    }

    fn later(&self, ms: i64) {
        self.clock.set(self.service.now().plus_ms(ms));
    }
}

#[tokio::test]
async fn a_lease_ends_with_its_task_and_that_is_proved() {
    use LeaseState::{Issued, Planned, Revoked, Revoking};
    let bench = bench().await;
    let task = bench.begin().await;
    let leased = bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    assert_eq!((bench.roles(), bench.states()), (1, vec![Planned, Issued]));
    assert_eq!(leased.secret.unwrap().reveal(), "s3cret-s3cret");
    let next = bench.service.settle_leases().await;
    assert_eq!((next, bench.roles()), (Some(leased.lease.expires_at), 1));
    bench.end(&task).await;
    assert_eq!(bench.service.settle_leases().await, None);
    assert_eq!((bench.roles(), bench.states()), (0, vec![Planned, Issued, Revoking, Revoked]));
    assert!(matches!(
        bench.service.lease(&by(&task), &crm(), Some(&reader())).await,
        Err(LeaseError::TaskEnded)
    ));
    for entry in bench.ledger.entries() {
        assert!(!String::from_utf8_lossy(&entry.leaf).contains("s3cret"));
    }
}

#[tokio::test]
async fn policy_is_asked_about_each_lease_before_the_target_is_touched() {
    let bench = bench().await;
    let task = bench.begin().await;
    let before = bench.ledger.entries().len();
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    let records = |from: usize| -> Vec<Record> {
        bench.ledger.entries().iter().skip(from).map(|e| decode(&e.leaf).unwrap()).collect()
    };
    let made = records(before);
    let Body::Decided(decided) = &made[0].body else { panic!("{:?}", made[0]) };
    assert_eq!((decided.action.as_str(), decided.decision), ("lease", Decision::Permit));
    assert_eq!(&*decided.reasons[0].code, "in_mandate", "no policy needs to permit it");
    assert_eq!(decided.resources[0].to_string(), r#"Safeconduct::Target::"crm""#);
    assert_eq!(decided.session, SessionKey::task(id("ada"), task.id.clone()));
    assert!(matches!(made[1].body, Body::LeaseChanged { state: LeaseState::Planned, .. }));
    assert_eq!(made[1].parent, Some(made[0].id.clone()));
    assert_eq!(bench.service.pending_outcomes(), 0);
    // It is no call of the task's, now or after a restart.
    let used = |bench: &Bench| {
        let session = bench.service.session(&SessionKey::task(id("ada"), task.id.clone()));
        session.and_then(|view| view.session.used().map(Used::calls))
    };
    let again = over(Some(&bench.ledger), usize::MAX, &bench.database);
    assert_eq!((used(&bench), used(&again)), (Some(0), Some(0)));
    assert_eq!(again.service.pending_outcomes(), 0);

    // All that the mandate names is more than policy allows.
    let before = bench.ledger.entries().len();
    let Err(LeaseError::Denied { decision, reasons }) =
        bench.service.lease(&by(&task), &crm(), None).await
    else {
        panic!("it was leased");
    };
    assert_eq!(reasons[0].policy().unwrap().id.as_str(), "no-owner");
    let made = records(before);
    assert_eq!((made.len(), &made[0].id), (1, &decision));
    assert_eq!(bench.roles(), 1);
    // The gateway asks too.
    let owner = Arc::from("owner");
    let denied = bench.service.secret_for(&by(&task), &crm(), &owner).await;
    assert!(matches!(denied, Err(LeaseError::Denied { .. })));
    // By the proof of whoever calls, as strong as it is.
    let sealed = Arc::from("sealed");
    let denied = bench.service.secret_for(&by(&task), &crm(), &sealed).await;
    let Err(LeaseError::Denied { reasons, .. }) = denied else { panic!("it was leased") };
    assert_eq!(reasons[0].policy().unwrap().id.as_str(), "strong-only");
    let strong = Authentication { assurance: Assurance::High, ..by(&task) };
    let before = bench.ledger.entries().len();
    let _ = bench.service.secret_for(&strong, &crm(), &sealed).await;
    assert_eq!(bench.roles(), 2, "it was leased");
    let made = records(before);
    let Body::Decided(decided) = &made[0].body else { panic!("{:?}", made[0]) };
    assert_eq!(decided.method, Method::ApiKey);
}

#[tokio::test]
async fn what_is_wanted_after_the_end_is_a_record_of_its_own() {
    let bench = bench().await;
    let task = bench.begin().await;
    let leased = bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    bench.end(&task).await;
    let late = || {
        let bodies = bench.ledger.entries().into_iter().map(|e| decode(&e.leaf).unwrap().body);
        let late = bodies.filter_map(|body| match body {
            Body::UsedAfterEnd { task: of, identity, action, .. } => {
                Some((of, identity, action.map(|action| action.to_string())))
            }
            _ => None,
        });
        late.collect::<Vec<_>>()
    };
    let of = |action: &str| (task.id.clone(), id("ada"), Some(action.to_owned()));
    assert!(bench.service.lease(&by(&task), &crm(), None).await.is_err());
    assert_eq!(late(), [of("lease")]);
    assert!(bench.service.renew_lease(&by(&task), &leased.lease.id).await.is_err());
    assert_eq!(late(), [of("lease"), of("lease")]);
    // Another's task is not theirs to use late.
    let other = TaskRef { agent: id("bob"), ..task.clone() };
    assert!(bench.service.lease(&by(&other), &crm(), None).await.is_err());
    assert_eq!(late().len(), 2);
}

#[tokio::test]
async fn a_lease_ends_when_its_time_is_over_unless_it_is_renewed() {
    let bench = bench().await;
    let task = bench.begin().await;
    let leased = bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap().lease;
    bench.later(50_000);
    let renewed = bench.service.renew_lease(&by(&task), &leased.id).await.unwrap();
    assert_eq!(renewed.expires_at, leased.expires_at.plus_ms(50_000));
    bench.later(20_000);
    assert_eq!(bench.service.settle_leases().await, Some(renewed.expires_at));
    bench.later(45_000);
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    let late = bench.service.renew_lease(&by(&task), &leased.id).await;
    assert!(matches!(late, Err(LeaseError::UnknownLease(_))));
}

#[tokio::test]
async fn policy_is_asked_about_each_renewal_and_what_it_forbids_ends_the_lease() {
    let bench = bench().await;
    let task = bench.begin().await;
    let strong = Authentication { assurance: Assurance::High, ..by(&task) };
    let sealed = BTreeSet::from(["sealed".into()]);
    let one = bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap().lease;
    let other = bench.service.lease(&strong, &crm(), Some(&sealed)).await.unwrap().lease;
    bench.later(10_000);
    bench.service.renew_lease(&strong, &one.id).await.unwrap();
    let denied = bench.service.renew_lease(&strong, &other.id).await;
    let Err(LeaseError::Denied { decision, reasons }) = denied else { panic!("{denied:?}") };
    assert_eq!(reasons[0].policy().unwrap().id.as_str(), "sealed-once");
    // Both answers are recorded, each as the cause of what came of it.
    let records: Vec<Record> =
        bench.ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap()).collect();
    let changed = |lease: &LeaseId| {
        let of = records.iter().rev().find_map(|record| match &record.body {
            Body::LeaseChanged { lease: of, state, detail } if of.id == *lease => {
                Some((*state, detail.clone().unwrap_or_default(), record.parent.clone()))
            }
            _ => None,
        });
        of.unwrap()
    };
    let (state, why, because) = changed(&one.id);
    assert_eq!((state, &*why), (LeaseState::Issued, "renewed"));
    let decided = |id: &RecordId| {
        records.iter().any(|r| {
            r.id == *id && matches!(&r.body, Body::Decided(d) if d.action.as_str() == "lease")
        })
    };
    assert!(because.is_some_and(|id| decided(&id)) && decided(&decision));
    let (state, why, _) = changed(&other.id);
    assert_eq!(state, LeaseState::Revoking);
    assert!(why.contains(decision.as_str()), "{why}");
    bench.service.settle_leases().await;
    assert_eq!(bench.roles(), 1, "the one that was denied is gone");
    assert_eq!(bench.service.pending_outcomes(), 0);
    // One that an earlier process made is asked about with all that the task may have.
    let again = over(Some(&bench.ledger), usize::MAX, &bench.database);
    again.clock.set(bench.service.now());
    let denied = again.service.renew_lease(&by(&task), &one.id).await;
    assert!(
        matches!(denied, Err(LeaseError::Denied { .. } | LeaseError::Renewal(_))),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_task_that_ends_while_the_target_is_busy_gets_nothing() {
    let bench = bench().await;
    let task = bench.begin().await;
    let (service, ended) = (Arc::clone(&bench.service), task.id.clone());
    *bench.database.then.lock().unwrap() = Some(Box::new(move || {
        let ending = Ending { state: TaskState::Revoked, by: None, reason: "killed".into() };
        // Queued before the first await: that is when an end takes effect.
        let mut end = std::pin::pin!(service.end_task(&ended, ending));
        let _ = end.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }));
    let leased = bench.service.lease(&by(&task), &crm(), Some(&reader())).await;
    assert!(matches!(leased, Err(LeaseError::TaskEnded)));
    assert_eq!(bench.roles(), 1, "it was made");
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    assert!(!bench.states().contains(&LeaseState::Issued));
}

/// The holder hangs up while the target works.
#[tokio::test]
async fn a_lease_that_nobody_waits_for_is_taken_back() {
    let bench = bench().await;
    let task = bench.begin().await;
    bench.database.stuck.store(true, std::sync::atomic::Ordering::SeqCst);
    {
        let target = crm();
        let (by, grants) = (by(&task), reader());
        let mut lease = Box::pin(bench.service.lease(&by, &target, Some(&grants)));
        let waker = std::task::Waker::noop();
        let polled = lease.as_mut().poll(&mut std::task::Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    assert_eq!(bench.roles(), 1, "it was made");
    bench.database.stuck.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    assert_eq!(bench.states().last(), Some(&LeaseState::Revoked));
}

#[tokio::test]
async fn who_may_not_act_any_more_gets_no_lease_and_keeps_none() {
    let bench = bench().await;
    let task = bench.begin().await;
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    let known = bench.service.world().identity(&id("ada")).unwrap().clone();
    let suspended = Identity { status: IdentityStatus::Suspended, ..known };
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    assert!(matches!(
        bench.service.lease(&by(&task), &crm(), Some(&reader())).await,
        Err(LeaseError::TaskEnded)
    ));
}

/// A task that `helper` was given by `lead`, out of one of theirs.
async fn delegated(bench: &Bench) -> TaskRef {
    let ada = bench.service.world().identity(&id("ada")).unwrap().clone();
    let bob = Identity { id: id("bob"), ..ada.clone() };
    bench.service.change_identity(bob, &id("ada")).await.unwrap();
    let nobody = TaskRef { id: TaskId::new("none").unwrap(), agent: id("lead") };
    let mut by = Authentication { task: None, ..by(&nobody) };
    for (handle, agent) in [(1, "lead"), (2, "helper")] {
        let identity = Identity {
            id: id(agent),
            kind: IdentityKind::Agent,
            owner: Some(id("ada")),
            fallback_owner: Some(id("bob")),
            ..ada.clone()
        };
        bench.service.change_identity(identity, &id("ada")).await.unwrap();
        let undertaking = Undertaking {
            by: by.clone(),
            agent: id(agent),
            intent: intent().name,
            version: None,
            parameters: BTreeMap::new(),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed::default(),
            handle: Some(Digest::from_bytes([handle; 32])),
            conversation: None,
            run_of: None,
            pep: id("test"),
            trace: None,
        };
        let task = bench.service.begin_task(undertaking).await.unwrap();
        by.task = Some(TaskRef { id: task.id.clone(), agent: id(agent) });
    }
    by.task.unwrap()
}

/// A remediation of what lets `lead` undertake `work`.
async fn scheduled(bench: &Bench) -> RecordId {
    let held = bench.service.can(&id("lead")).unwrap();
    let intent = |grant: &&Grant| matches!(grant.source, GrantSource::Intent { .. });
    let wanted = NewRemediation {
        holder: id("lead"),
        grant: Some(held.grants.iter().find(intent).unwrap().id),
        effect: safeconduct_review::Effect::Revoke,
        not_before: Timestamp::from_millis(NOW),
        cause: None,
        reason: "not undertaken".into(),
    };
    bench.service.schedule_remediations(vec![wanted], None).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_lease_ends_with_the_right_above_it_that_a_review_sets_aside() {
    let bench = bench().await;
    let child = delegated(&bench).await;
    bench.service.lease(&by(&child), &crm(), Some(&reader())).await.unwrap();
    assert!(bench.service.settle_leases().await.is_some());
    let review = scheduled(&bench).await;
    bench.service.quarantine(&review, Some(&id("ada"))).await.unwrap();
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    // What is asked for later is denied by a decision that names the review.
    let denied = bench.service.lease(&by(&child), &crm(), Some(&reader())).await;
    let Err(LeaseError::Denied { reasons, .. }) = denied else { panic!("it was leased") };
    assert_eq!(reasons[0].code(), "set_aside");
}

#[tokio::test]
async fn a_lease_on_its_way_is_not_handed_out_once_its_right_is_set_aside() {
    let bench = bench().await;
    let child = delegated(&bench).await;
    let review = scheduled(&bench).await;
    let service = Arc::clone(&bench.service);
    *bench.database.then.lock().unwrap() = Some(Box::new(move || {
        // In force before the first await.
        let by = id("ada");
        let mut aside = std::pin::pin!(service.quarantine(&review, Some(&by)));
        let _ = aside.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }));
    let leased = bench.service.lease(&by(&child), &crm(), Some(&reader())).await;
    assert!(matches!(leased, Err(LeaseError::TaskEnded)));
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    assert!(!bench.states().contains(&LeaseState::Issued));
}

/// Others change the world all the time: that takes no lease away.
#[tokio::test]
async fn a_lease_on_its_way_outlasts_changes_that_are_none_of_its_own() {
    let bench = bench().await;
    let task = bench.begin().await;
    let known = bench.service.world().identity(&id("ada")).unwrap().clone();
    let service = Arc::clone(&bench.service);
    *bench.database.then.lock().unwrap() = Some(Box::new(move || {
        let (other, by) = (Identity { id: id("bob"), ..known }, id("ada"));
        let mut change = std::pin::pin!(service.change_identity(other, &by));
        let _ = change.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }));
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    assert!(bench.service.world().identity(&id("bob")).is_some());
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_tried_again_and_then_called_irrevocable() {
    let bench = bench().await;
    let task = bench.begin().await;
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    bench.end(&task).await;
    *bench.database.failures.lock().unwrap() = 1;
    let next = bench.service.settle_leases().await.unwrap();
    assert!(next > bench.service.now() && bench.roles() == 1);
    bench.clock.set(next);
    assert_eq!((bench.service.settle_leases().await, bench.roles()), (None, 0));
    // Another one, that never comes back.
    let bench = self::bench().await;
    let task = bench.begin().await;
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    bench.end(&task).await;
    *bench.database.failures.lock().unwrap() = u32::MAX;
    let mut attempts = 0;
    while let Some(next) = bench.service.settle_leases().await {
        attempts += 1;
        assert!(attempts < 10);
        bench.clock.set(next);
    }
    assert_eq!(bench.states().last(), Some(&LeaseState::Irrevocable));
}

#[tokio::test]
async fn what_was_not_issued_is_looked_for_all_the_same() {
    let bench = bench().await;
    let task = bench.begin().await;
    *bench.database.failures.lock().unwrap() = 1;
    assert!(matches!(
        bench.service.lease(&by(&task), &crm(), Some(&reader())).await,
        Err(LeaseError::Issue(_))
    ));
    assert_eq!(bench.service.settle_leases().await, None);
    assert_eq!(bench.states().last(), Some(&LeaseState::Revoked));
}

/// A crash after each record and each step at the target: the next process finds what is there
/// and leaves nothing behind that no live task holds.
#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_nothing_behind() {
    let bench = bench().await;
    let task = bench.begin().await;
    let before = bench.ledger.entries().len();
    bench.service.lease(&by(&task), &crm(), Some(&reader())).await.unwrap();
    let role: Arc<str> = bench.database.roles.lock().unwrap().first().unwrap().clone();
    bench.end(&task).await;
    bench.service.settle_leases().await;
    let all = bench.ledger.entries().len();
    for upto in before..=all {
        for made in [true, false] {
            let database = Arc::new(Database::default());
            if made {
                database.roles.lock().unwrap().insert(Arc::clone(&role));
            }
            let again = over(Some(&bench.ledger), upto, &database);
            let planned = again.states();
            again.service.settle_leases().await;
            let held = planned.last() == Some(&LeaseState::Issued)
                && again.service.task(&task.id).unwrap().state == TaskState::Active;
            let known = !planned.is_empty() && planned.last() != Some(&LeaseState::Revoked);
            // A role of which no record says anything cannot be there: the plan comes first.
            if known && !held {
                assert_eq!(again.roles(), 0, "after {planned:?} of {upto} records");
                assert_eq!(again.states().last(), Some(&LeaseState::Revoked));
            }
        }
    }
}
