//! What people and programs do that the other should, who shares an identity, who answers without
//! reading, and what is no longer what was done.

use std::collections::BTreeSet;

use safeconduct_model::signal::{About, Kind, Severity, Source};
use safeconduct_model::*;
use safeconduct_review::finding::FindingKind;

use crate::bench::*;

#[tokio::test]
async fn a_program_that_proves_itself_by_a_passkey_is_used_by_a_person() {
    let bench = Bench::new().await;
    bench.does("worker", "read").await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::AgentUsedByPerson), [""; 0]);
    bench.does_by("worker", "read", "t1", Method::Passkey).await;
    bench.does_by("ada", "read", "t1", Method::Passkey).await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::AgentUsedByPerson), ["worker"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::AgentUsedByPerson), [""; 0]);
}

#[tokio::test]
async fn a_person_who_calls_like_a_program_is_one() {
    let bench = Bench::new().await;
    for _ in 0..59 {
        bench.does("ada", "read").await;
        bench.does("worker", "read").await;
    }
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::PersonUsedByAgent), [""; 0]);
    bench.does("ada", "read").await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::PersonUsedByAgent), ["ada"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::PersonUsedByAgent), [""; 0]);
}

#[tokio::test]
async fn two_who_use_one_identity_are_seen() {
    let bench = Bench::new().await;
    // One credential after the other is a rotation; in turns, two have them.
    for token in ["t1", "t1", "t2", "t2"] {
        bench.does_by("worker", "read", token, Method::ApiKey).await;
    }
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::SharedIdentity), [""; 0]);
    for token in ["t1", "t2", "t1"] {
        bench.does_by("worker", "read", token, Method::ApiKey).await;
    }
    let places = Signal::new(
        About::Identity(id("helper")),
        Kind::TwoPlaces,
        Severity::High,
        Source::Detector,
        "dec_1",
        bench.service.now(),
    );
    bench.told("sig_a", Body::SignalSeen(Box::new(places)));
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::SharedIdentity), ["helper", "worker"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::SharedIdentity), [""; 0]);
}

#[tokio::test]
async fn drift_of_an_intent_is_found_while_it_is_recent() {
    let bench = Bench::new().await;
    let drift = Signal::new(
        About::Identity(id("worker")),
        Kind::Drift,
        Severity::Moderate,
        Source::Detector,
        "dec_1",
        bench.service.now(),
    );
    bench.told("sig_a", Body::SignalSeen(Box::new(drift)));
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::IntentDrift), ["worker"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::IntentDrift), [""; 0]);
}

pub(crate) fn requested() -> AccessEvent {
    AccessEvent::Requested(Box::new(AccessRequested {
        binding: Binding {
            principal: EntityRef::new("Safeconduct::Agent", "worker").unwrap(),
            actors: vec![id("worker")],
            on_behalf_of: None,
            task: None,
            intent: None,
            action: action("export"),
            resources: BTreeSet::new(),
            arguments: KeyedDigest::from_bytes([1; 32]),
        },
        asked_by: id("worker"),
        interested: BTreeSet::new(),
        approvers: "principal.owner".into(),
        quorum: 1,
        ttl_s: 900,
        assurance: Assurance::Low,
        deputies: Deputies::Allowed,
        standing: Standing::Refused,
        likeness: KeyedDigest::from_bytes([1; 32]),
        answer_by: Timestamp::from_millis(1_700_000_900_000),
        ends_at: None,
        asked: BTreeSet::new(),
    }))
}

pub(crate) fn answered(by: &str) -> AccessEvent {
    AccessEvent::Answered(Box::new(AccessAnswered {
        by: id(by),
        method: Method::ApiKey,
        standing_in_for: None,
        term: "principal.owner".into(),
        stage: 0,
        answer: AccessAnswer::Approve { scope: "once".into(), uses: 1, until: None },
    }))
}

#[tokio::test]
async fn whoever_says_yes_before_anybody_could_read_is_found() {
    let bench = Bench::new().await;
    let step = |request: &str, sequence, event| {
        Body::AccessRequestChanged(Box::new(AccessChange {
            request: RecordId::new(request).unwrap(),
            sequence,
            event,
        }))
    };
    for n in 0..10 {
        let (fast, slow) = (format!("fast_{n}"), format!("slow_{n}"));
        bench.told(&fast, step(&fast, 0, requested()));
        bench.pass(3_000);
        bench.told(&format!("{fast}_yes"), step(&fast, 1, answered("grace")));
        bench.told(&slow, step(&slow, 0, requested()));
        bench.pass(60_000);
        bench.told(&format!("{slow}_yes"), step(&slow, 1, answered("ada")));
    }
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::RubberStamping), ["grace"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::RubberStamping), [""; 0]);
}
