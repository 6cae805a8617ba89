//! Rights: unused, over-broad, unexplained, beyond what intents need; and identities that do
//! nothing or that nobody answers for.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::*;
use safeconduct_review::finding::{Fact, FindingKind, FindingState};

use crate::bench::*;

const UNUSED: FindingKind = FindingKind::UnusedGrant;
const BROAD: FindingKind = FindingKind::OverBroadGrant;

#[tokio::test]
async fn nothing_is_found_of_what_is_young_and_it_is_said_what_is_not_judged() {
    let bench = Bench::new().await;
    let report = bench.scan().await;
    assert_eq!((report.opened, report.identities), (0, 4), "{report:?}");
    bench.pass(89 * DAY);
    let report = bench.scan().await;
    assert_eq!(report.opened, 0, "{report:?}");
}

#[tokio::test]
async fn a_right_is_unused_until_it_is_used_or_gone_and_comes_back_by_hand() {
    let bench = Bench::new().await;
    let more = format!("{POLICIES}{ONE_MORE}");
    bench.policies(&more).await;
    bench.scan().await;
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
    bench.scan().await;
    let unused = bench.open(UNUSED);
    assert!(unused.contains(&"grant statement extra of helper".to_owned()), "{unused:?}");
    assert!(unused.contains(&"grant statement broad of helper".to_owned()), "{unused:?}");
    assert!(!unused.contains(&"grant statement broad of worker".to_owned()), "{unused:?}");
    let extra = |bench: &Bench| {
        let of = |finding: &safeconduct_review::finding::Finding| {
            finding.kind == UNUSED && &*finding.subject.name == "statement extra"
        };
        bench.service.findings(of).remove(0)
    };
    assert_eq!(extra(&bench).severity, Severity::Moderate);
    assert!(!extra(&bench).evidence.is_empty());

    // Whoever looks again sees the same, and records nothing.
    let before = bench.recorded("finding");
    let report = bench.scan().await;
    assert_eq!((report.opened, report.changed, report.closed), (0, 0, 0));
    assert_eq!(bench.recorded("finding"), before);

    // The right is taken away, and comes back by a hand edit.
    bench.policies(POLICIES).await;
    bench.scan().await;
    assert_eq!(extra(&bench).state(bench.service.now()), FindingState::Closed);
    bench.policies(&more).await;
    assert_eq!(bench.scan().await.reopened, 1);
    assert_eq!(extra(&bench).reopened, 1);

    // It is used at last.
    assert_eq!(bench.does("helper", "pay").await, Decision::Permit);
    bench.scan().await;
    assert_eq!(extra(&bench).state(bench.service.now()), FindingState::Closed);
    assert!(!bench.open(UNUSED).contains(&"grant statement extra of helper".to_owned()));
}

#[tokio::test]
async fn a_right_is_over_broad_until_all_of_it_is_used() {
    let bench = Bench::new().await;
    bench.scan().await;
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
    bench.scan().await;
    assert_eq!(bench.open(BROAD), ["grant statement broad of worker"]);
    let finding = bench.only(BROAD);
    assert_eq!(finding.severity, Severity::Moderate, "as exporting is");
    let never = finding.facts.fact("actions_never_used");
    assert_eq!(never, Some(&Fact::Texts(vec!["crm.export".into()])));
    assert!(finding.evidence.len() > 1, "{:?}", finding.evidence);
    assert_eq!(bench.does("worker", "export").await, Decision::Permit);
    bench.scan().await;
    assert_eq!(bench.open(BROAD), [""; 0]);
}

#[tokio::test]
async fn what_is_in_use_and_explained_by_nothing_is_an_orphan() {
    let bench = Bench::new().await;
    bench.policies(&format!("{POLICIES}{ONE_MORE}")).await;
    assert_eq!(bench.does("helper", "pay").await, Decision::Permit);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanGrant), [""; 0]);
    bench.policies(POLICIES).await;
    bench.scan().await;
    let orphans = bench.open(FindingKind::OrphanGrant);
    assert_eq!(orphans, ["grant statement extra of helper"]);
    bench.pass(91 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanGrant), [""; 0], "that is long ago");
}

pub(crate) fn intent(text: &str) -> Intents {
    let intent = safeconduct_model::Intent {
        name: IntentName::new(text).unwrap(),
        version: 1,
        description: "Read.".into(),
        parameters: BTreeMap::new(),
        envelope: vec![Allowance {
            action: action("read"),
            resources: Vec::new(),
            arguments: Vec::new(),
            others: OtherArguments::Allowed,
        }],
        budget: Budget {
            calls: 100,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 600,
        idle_s: 600,
        tier_max: Tier::Moderate,
        delegation_depth: 0,
        credentials: BTreeMap::new(),
        undertakers: Undertakers { kinds: [IdentityKind::Agent].into(), ..Default::default() },
        schedules: BTreeMap::new(),
    };
    let versions = BTreeMap::from([(1, intent)]);
    let versions = BTreeMap::from([(IntentName::new(text).unwrap(), versions)]);
    Intents { versions, digest: Digest::from_bytes([5; 32]) }
}

#[tokio::test]
async fn a_policy_permits_what_no_intent_needs_and_actions_come_without_their_task() {
    let bench = Bench::new().await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::PolicyBeyondIntents), [""; 0], "there are no intents");
    bench.service.change_intents(Arc::new(intent("work"))).await.unwrap();
    for _ in 0..10 {
        bench.does("worker", "read").await;
    }
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::PolicyBeyondIntents), ["policy broad"]);
    let coverage = bench.only(FindingKind::MissingCoverage);
    assert_eq!(coverage.subject.to_string(), "action crm.read of gateway:crm");
    let lacks = coverage.facts.fact("lacks");
    let task = "an intent holds it, and no task is named";
    assert_eq!(lacks, Some(&Fact::Texts(vec![task.into()])));

    bench.pass(91 * DAY);
    bench.scan().await;
    let unused = bench.open(UNUSED);
    assert!(unused.contains(&"grant intent work of helper".to_owned()), "{unused:?}");
    assert_eq!(bench.open(FindingKind::MissingCoverage), [""; 0], "that is long ago");
}

/// An agent acts by its own permit and by that of the user for whom it acts.
#[tokio::test]
async fn a_users_right_is_used_by_what_an_agent_does_for_them_and_is_nobody_elses() {
    let bench = Bench::new().await;
    bench.service.change_intents(Arc::new(intent("work"))).await.unwrap();
    bench.scan().await;
    bench.pass(91 * DAY);
    bench.reads_for("ada", "worker").await;
    bench.scan().await;
    let unused = bench.open(UNUSED);
    assert!(unused.contains(&"grant statement people of grace".to_owned()), "{unused:?}");
    assert!(!unused.contains(&"grant statement people of ada".to_owned()), "{unused:?}");
    assert!(!unused.contains(&"grant statement broad of worker".to_owned()), "{unused:?}");
    assert_eq!(bench.open(FindingKind::OrphanGrant), [""; 0]);
    bench.pass(91 * DAY);
    bench.scan().await;
    assert!(bench.open(UNUSED).contains(&"grant statement people of ada".to_owned()));
}

#[tokio::test]
async fn an_identity_is_dormant_until_it_acts() {
    let bench = Bench::new().await;
    bench.scan().await;
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::DormantIdentity), ["helper"]);
    bench.does("helper", "read").await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::DormantIdentity), [""; 0]);
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
    assert_eq!(bench.scan().await.reopened, 1 + 1, "it, and its unused right");
    assert_eq!(bench.open(FindingKind::DormantIdentity), ["helper"]);
}

#[tokio::test]
async fn an_identity_is_orphaned_until_somebody_answers_for_it() {
    let bench = Bench::new().await;
    let gone = |status| Identity { status, ..identity("grace", IdentityKind::User) };
    bench.register(gone(IdentityStatus::Suspended)).await;
    bench.scan().await;
    let kind = FindingKind::OrphanedIdentity;
    assert_eq!(bench.open(kind), ["helper", "worker"]);
    let severities = |bench: &Bench| -> Vec<_> {
        let all = bench.service.findings(|finding| finding.kind == kind);
        all.iter().map(|finding| finding.severity).collect()
    };
    assert_eq!(severities(&bench), [Severity::Moderate; 2], "the fallback owner stands");
    let ada = identity("ada", IdentityKind::User);
    bench.register(Identity { status: IdentityStatus::Retired, ..ada.clone() }).await;
    assert_eq!(bench.scan().await.changed, 2);
    assert_eq!(severities(&bench), [Severity::High; 2]);
    bench.register(gone(IdentityStatus::Active)).await;
    bench.scan().await;
    assert_eq!(bench.open(kind), [""; 0]);
}
