//! Every kind of finding, each from what really happens: it opens with records that show it, a
//! severity and its controls; closes by itself; and is the same finding when it comes back, also
//! after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::signal::{About, Kind, Severity, Source};
use safeconduct_model::*;
use safeconduct_review::finding::{Finding, FindingKind, FindingState};

use crate::bench::*;
use crate::credentials::{lease, token};
use crate::people::{answered, requested};
use crate::rights::intent;

/// What is tried of the kind.
struct Life {
    kind: FindingKind,
    about: &'static str,
    bench: Bench,
}

impl Life {
    async fn of(kind: FindingKind, about: &'static str) -> Self {
        let bench = Bench::new().await;
        // Since when rights are held counts from the first look.
        bench.scan().await;
        Self { kind, about, bench }
    }

    fn found(&self) -> Option<Finding> {
        let fits = |finding: &Finding| {
            finding.kind == self.kind && finding.subject.to_string() == self.about
        };
        let mut found = self.bench.service.findings(fits);
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    }

    fn state(&self) -> Option<FindingState> {
        Some(self.found()?.state(self.bench.service.now()))
    }

    /// Does what it takes, twice, and undoes it in between.
    async fn lives(mut self, make: impl AsyncFn(&mut Bench), undo: impl AsyncFn(&mut Bench)) {
        let kind = self.kind;
        assert_eq!(self.state(), None, "{kind:?}");
        make(&mut self.bench).await;
        self.bench.scan().await;
        assert!(self.found().is_some(), "no {kind:?} about {}", self.about);
        let found = self.found().unwrap();
        self.shows(&found);
        assert_eq!((self.state(), found.reopened), (Some(FindingState::Open), 0), "{kind:?}");

        undo(&mut self.bench).await;
        self.bench.scan().await;
        assert_eq!(self.state(), Some(FindingState::Closed), "{kind:?}");
        assert!(self.found().unwrap().closed_at.is_some());
        // What is closed stays so, and is not recorded again.
        let recorded = self.bench.recorded("finding");
        assert_eq!(self.bench.scan().await.closed, 0, "{kind:?}");
        assert_eq!(self.bench.recorded("finding"), recorded, "{kind:?}");

        make(&mut self.bench).await;
        self.bench.scan().await;
        let again = self.found().unwrap();
        self.shows(&again);
        assert_eq!((self.state(), again.reopened), (Some(FindingState::Open), 1), "{kind:?}");
        assert_eq!((&again.id, again.opened_at), (&found.id, found.opened_at), "{kind:?}");
        self.bench = self.bench.restarted();
        assert_eq!(self.found(), Some(again), "{kind:?}");
    }

    /// It rests on records that there are, is as bad as its kind at least, and says its controls.
    fn shows(&self, found: &Finding) {
        let entries = self.bench.ledger.entries();
        let records = entries.iter().map(|entry| safeconduct_ledger::decode(&entry.leaf).unwrap());
        let records: BTreeSet<_> = records.map(|record| record.id).collect();
        let kind = self.kind;
        assert!(!found.evidence.is_empty(), "{kind:?} is shown by nothing");
        let unknown: Vec<_> = found.evidence.iter().filter(|id| !records.contains(*id)).collect();
        assert!(unknown.is_empty(), "{kind:?} is shown by what is no record: {unknown:?}");
        assert!(found.severity >= kind.severity() || kind == FindingKind::OrphanedIdentity);
        assert!(!kind.controls().is_empty(), "{kind:?}");
    }
}

/// A name that no record has yet.
fn unheard(bench: &Bench) -> String {
    format!("told_{}", bench.ledger.entries().len())
}

async fn status(bench: &Bench, who: &str, kind: IdentityKind, status: IdentityStatus) {
    bench.register(Identity { status, ..identity(who, kind) }).await;
}

/// A quarter goes by in which only the worker works.
async fn quarter(bench: &mut Bench) {
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
}

async fn month(bench: &mut Bench) {
    bench.pass(31 * DAY);
}

#[tokio::test]
async fn unused_grant() {
    let life = Life::of(FindingKind::UnusedGrant, "grant statement broad of helper").await;
    let uses = async |bench: &mut Bench| {
        assert_eq!(bench.does("helper", "read").await, Decision::Permit);
    };
    life.lives(quarter, uses).await;
}

#[tokio::test]
async fn over_broad_grant() {
    let life = Life::of(FindingKind::OverBroadGrant, "grant statement broad of worker").await;
    let uses = async |bench: &mut Bench| {
        assert_eq!(bench.does("worker", "export").await, Decision::Permit);
    };
    life.lives(quarter, uses).await;
}

#[tokio::test]
async fn dormant_identity() {
    let life = Life::of(FindingKind::DormantIdentity, "helper").await;
    let acts = async |bench: &mut Bench| {
        bench.does("helper", "read").await;
    };
    life.lives(quarter, acts).await;
}

#[tokio::test]
async fn orphaned_identity() {
    let life = Life::of(FindingKind::OrphanedIdentity, "worker").await;
    let leaves = async |bench: &mut Bench| {
        for person in ["grace", "ada"] {
            status(bench, person, IdentityKind::User, IdentityStatus::Suspended).await;
        }
    };
    let comes = async |bench: &mut Bench| {
        status(bench, "grace", IdentityKind::User, IdentityStatus::Active).await;
    };
    life.lives(leaves, comes).await;
}

#[tokio::test]
async fn orphaned_token() {
    let life = Life::of(FindingKind::OrphanedToken, "token t1 of worker").await;
    let one = token("t1", "worker", &life.bench, 60);
    life.bench.service.register_token(one, &id("test")).await.unwrap();
    let goes = async |bench: &mut Bench| {
        status(bench, "worker", IdentityKind::Agent, IdentityStatus::Retired).await;
    };
    let comes = async |bench: &mut Bench| {
        status(bench, "worker", IdentityKind::Agent, IdentityStatus::Active).await;
    };
    life.lives(goes, comes).await;
}

#[tokio::test]
async fn orphaned_lease() {
    let life = Life::of(FindingKind::OrphanedLease, "lease one").await;
    let one = lease(&life.bench, "one");
    let changed = |state| Body::LeaseChanged { lease: Box::new(one.clone()), state, detail: None };
    let issued = async |bench: &mut Bench| {
        bench.told(&unheard(bench), changed(LeaseState::Issued));
        bench.pass(12 * 60_000);
        *bench = bench.restarted();
    };
    let revoked = async |bench: &mut Bench| {
        bench.told(&unheard(bench), changed(LeaseState::Revoked));
        *bench = bench.restarted();
    };
    life.lives(issued, revoked).await;
}

#[tokio::test]
async fn orphan_grant() {
    let life = Life::of(FindingKind::OrphanGrant, "grant statement extra of helper").await;
    let more = format!("{POLICIES}{ONE_MORE}");
    life.bench.policies(&more).await;
    assert_eq!(life.bench.does("helper", "pay").await, Decision::Permit);
    let less = async |bench: &mut Bench| bench.policies(POLICIES).await;
    let back = async |bench: &mut Bench| bench.policies(&more).await;
    life.lives(less, back).await;
}

#[tokio::test]
async fn shared_identity() {
    let life = Life::of(FindingKind::SharedIdentity, "worker").await;
    let turns = async |bench: &mut Bench| {
        for token in ["t1", "t2", "t1", "t2", "t1"] {
            bench.does_by("worker", "read", token, Method::ApiKey).await;
        }
    };
    life.lives(turns, month).await;
}

#[tokio::test]
async fn long_lived_credential() {
    let life = Life::of(FindingKind::LongLivedCredential, "token t1 of worker").await;
    let issued = async |bench: &mut Bench| {
        let long = token("t1", "worker", bench, 200);
        bench.service.register_token(long, &id("test")).await.unwrap();
    };
    let revoked = async |bench: &mut Bench| {
        let one = TokenId::new("t1").unwrap();
        bench.service.revoke_token(&one, &id("test")).await.unwrap();
    };
    life.lives(issued, revoked).await;
}

#[tokio::test]
async fn used_after_task() {
    let life = Life::of(FindingKind::UsedAfterTask, "task task_1 of worker").await;
    let late = async |bench: &mut Bench| {
        let body = Body::UsedAfterEnd {
            task: task("task_1"),
            identity: id("worker"),
            token: TokenId::new("jti-1").unwrap(),
            action: Some(action("read")),
        };
        bench.told(&unheard(bench), body);
    };
    life.lives(late, month).await;
}

/// What could not be taken back stays found until somebody has seen to it.
#[tokio::test]
async fn irrevocable_lease() {
    let mut life = Life::of(FindingKind::IrrevocableLease, "lease one").await;
    let one = Box::new(lease(&life.bench, "one"));
    for (state, detail) in
        [(LeaseState::Issued, None), (LeaseState::Irrevocable, Some("no such database".into()))]
    {
        let body = Body::LeaseChanged { lease: one.clone(), state, detail };
        life.bench.told(&unheard(&life.bench), body);
    }
    life.bench = life.bench.restarted();
    life.bench.scan().await;
    let found = life.found().unwrap();
    life.shows(&found);
    life.bench.pass(400 * DAY);
    life.bench.scan().await;
    assert_eq!(life.state(), Some(FindingState::Open));
    let wish = safeconduct_review::finding::ExemptionWish {
        kind: safeconduct_review::finding::ExemptionKind::Other,
        reason: "the database is gone".into(),
        by: id("ada"),
        until: Some(life.bench.service.now().plus_ms(DAY)),
    };
    life.bench.service.exempt_finding(&found.id, wish).await.unwrap();
    assert_eq!(life.state(), Some(FindingState::Exempt));
    life.bench.pass(DAY);
    assert_eq!(life.state(), Some(FindingState::Open));
}

#[tokio::test]
async fn agent_used_by_person() {
    let life = Life::of(FindingKind::AgentUsedByPerson, "worker").await;
    let proves = async |bench: &mut Bench| {
        bench.does_by("worker", "read", "t1", Method::Passkey).await;
    };
    life.lives(proves, month).await;
}

#[tokio::test]
async fn person_used_by_agent() {
    let life = Life::of(FindingKind::PersonUsedByAgent, "ada").await;
    let fast = async |bench: &mut Bench| {
        for _ in 0..60 {
            bench.does("ada", "read").await;
        }
    };
    life.lives(fast, month).await;
}

#[tokio::test]
async fn rubber_stamping() {
    let life = Life::of(FindingKind::RubberStamping, "grace").await;
    let stamps = async |bench: &mut Bench| {
        for _ in 0..10 {
            let request = RecordId::new(unheard(bench)).unwrap();
            for (sequence, event) in [(0, requested()), (1, answered("grace"))] {
                let (request, name) = (request.clone(), unheard(bench));
                let change = AccessChange { request, sequence, event };
                bench.told(&name, Body::AccessRequestChanged(Box::new(change)));
                bench.pass(3_000);
            }
        }
    };
    life.lives(stamps, month).await;
}

#[tokio::test]
async fn policy_beyond_intents() {
    let life = Life::of(FindingKind::PolicyBeyondIntents, "policy broad").await;
    let intents = async |bench: &mut Bench| {
        bench.service.change_intents(Arc::new(intent("work"))).await.unwrap();
    };
    let none = async |bench: &mut Bench| {
        bench.service.change_intents(Arc::new(Intents::none())).await.unwrap();
    };
    life.lives(intents, none).await;
}

#[tokio::test]
async fn intent_drift() {
    let life = Life::of(FindingKind::IntentDrift, "worker").await;
    let drifts = async |bench: &mut Bench| {
        bench.does("worker", "read").await;
        let entries = bench.ledger.entries();
        let mut records = entries.iter().map(|one| safeconduct_ledger::decode(&one.leaf).unwrap());
        let last = records.rfind(|record| matches!(record.body, Body::Decided(_)));
        let (about, now) = (About::Identity(id("worker")), bench.service.now());
        let decision = last.unwrap().id;
        let (kind, severity) = (Kind::Drift, Severity::Moderate);
        let drift = Signal::new(about, kind, severity, Source::Detector, decision.as_str(), now);
        let taken = bench.service.take_signals(vec![drift], Some(&decision)).await.unwrap();
        assert_eq!(taken.recorded.len(), 1);
    };
    life.lives(drifts, month).await;
}

#[tokio::test]
async fn missing_coverage() {
    let life = Life::of(FindingKind::MissingCoverage, "action crm.read of gateway:crm").await;
    life.bench.service.change_intents(Arc::new(intent("work"))).await.unwrap();
    let taskless = async |bench: &mut Bench| {
        for _ in 0..10 {
            bench.does("worker", "read").await;
        }
    };
    life.lives(taskless, month).await;
}

/// What is tried here is all that there is.
#[test]
fn every_kind_is_tried() {
    let tried = include_str!("kinds.rs");
    for kind in FindingKind::ALL {
        assert!(tried.contains(&format!("async fn {}()", kind.as_str())), "{kind:?}");
    }
}
