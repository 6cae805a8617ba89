//! What records add to the use of rights.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use safeconduct_model::*;
use safeconduct_review::*;

const DAY: i64 = 86_400_000;

/// A decision in short: its number, whether it is a permit, its policies, its resource and day.
#[derive(Debug, Clone)]
struct Did {
    number: u64,
    permit: bool,
    policies: Vec<(&'static str, Option<AskedOf>)>,
    user: Option<&'static str>,
    resource: u16,
    at: i64,
}

fn decision(did: &Did) -> Record {
    let user = |user| {
        Box::new(DecidedTask {
            id: TaskId::new("task_1").unwrap(),
            intent: IntentName::new("work").unwrap(),
            on_behalf_of: Some(IdentityId::new(user).unwrap()),
            actors: vec![IdentityId::new("agent").unwrap()],
            spend: Amount(did.number),
            bytes_out: 0,
        })
    };
    let decided = Decided {
        session: SessionKey::credential(
            IdentityId::new("agent").unwrap(),
            TokenId::new("token").unwrap(),
        ),
        session_name: None,
        label: None,
        sequence: did.number,
        pep: IdentityId::new("gateway").unwrap(),
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", "agent").unwrap(),
        action: ActionName::new("crm.read").unwrap(),
        resources: vec![EntityRef::new("Case", did.resource.to_string()).unwrap()],
        input_digest: KeyedDigest::from_bytes([0; 32]),
        decision: if did.permit { Decision::Permit } else { Decision::Deny },
        mode: Mode::Enforce,
        reasons: did.policies.iter().map(|(policy, of)| reason(policy, *of)).collect(),
        shadow: Vec::new(),
        obligations: Vec::new(),
        requestable: None,
        policies: Digest::from_bytes([0; 32]),
        catalogue: Digest::from_bytes([0; 32]),
        task: did.user.map(user),
        flow: Vec::new(),
        risk: 0,
        network: None,
        approval: None,
    };
    record(format!("dec_{}", did.number), did.at, Body::Decided(Box::new(decided)))
}

fn reason(policy: &str, of: Option<AskedOf>) -> RecordedReason {
    RecordedReason {
        code: "policy".into(),
        policy: Some(RecordedPolicy {
            id: PolicyId::new(policy).unwrap(),
            effect: PolicyEffect::Permit,
            span: Span { file: "a.cedar".into(), line: 1, column: 1, end_line: 1 },
        }),
        message: "".into(),
        detail: None,
        of,
    }
}

fn outcome(number: u64, execution: Execution, at: i64) -> Record {
    let executed = Executed {
        decision: RecordId::new(format!("dec_{number}")).unwrap(),
        session: SessionKey::credential(
            IdentityId::new("agent").unwrap(),
            TokenId::new("token").unwrap(),
        ),
        execution,
        duration_ms: 1,
        result_digest: None,
        result_bytes: 0,
        detail: None,
        edits: Vec::new(),
        label: None,
        declassified: None,
    };
    record(format!("out_{number}"), at, Body::Executed(executed))
}

fn record(id: String, at: i64, body: Body) -> Record {
    let (id, at) = (RecordId::new(id).unwrap(), Timestamp::from_millis(at));
    Record { id, at, trace: None, parent: None, body }
}

fn permit(number: u64, policies: &[&'static str], at: i64) -> Did {
    let policies = policies.iter().map(|policy| (*policy, None)).collect();
    Did { number, permit: true, policies, user: None, resource: number as u16, at }
}

#[test]
fn each_policy_that_a_permit_rests_on_was_used_and_an_outcome_counts_where_its_decision_did() {
    let mut usage = Usage::default();
    usage.take(&decision(&permit(1, &["read", "staff"], DAY - 1)));
    usage.take(&decision(&permit(2, &["read"], DAY)));
    usage.take(&decision(&Did { permit: false, ..permit(3, &[], DAY) }));
    usage.take(&outcome(1, Execution::Succeeded, 3 * DAY));
    usage.take(&outcome(9, Execution::Failed, 3 * DAY));
    let all = usage.rows();
    let rows: Vec<_> = all
        .iter()
        .map(|(key, used)| {
            let counts = (used.permitted, used.denied, used.succeeded, used.failed);
            (key.policy.as_deref(), key.day, counts)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (None, 1, (0, 1, 0, 0)),
            (Some("read"), 0, (1, 0, 1, 0)),
            (Some("read"), 1, (1, 0, 0, 0)),
            (Some("staff"), 0, (1, 0, 1, 0)),
        ]
    );
}

/// What a policy answered of the user is the user's use of it, and their agent has none of it.
#[test]
fn a_users_right_that_an_agent_uses_for_them_is_used_by_the_user() {
    use AskedOf::{Actor, User};
    let mut usage = Usage::default();
    let of = |number, permit, policies: &[(&'static str, Option<AskedOf>)]| {
        let policies = policies.to_vec();
        decision(&Did { permit, policies, user: Some("ada"), ..self::permit(number, &[], 0) })
    };
    usage.take(&of(1, true, &[("agents", Some(Actor)), ("people", Some(User)), ("all", None)]));
    usage.take(&outcome(1, Execution::Succeeded, DAY));
    usage.take(&of(2, false, &[("no", Some(User))]));
    usage.take(&of(3, false, &[]));
    let all = usage.rows();
    let rows: Vec<_> = all
        .iter()
        .map(|(key, used)| {
            let policy = key.policy.as_deref().unwrap_or("-");
            let counts = (used.permitted, used.denied, used.succeeded);
            (key.principal.to_string(), policy, key.task, counts)
        })
        .collect();
    let (agent, ada) = ("Safeconduct::Agent::\"agent\"", "Safeconduct::User::\"ada\"");
    assert_eq!(
        rows,
        [
            (agent.to_owned(), "-", TaskKind::OnBehalf, (0, 2, 0)),
            (agent.to_owned(), "agents", TaskKind::OnBehalf, (1, 0, 1)),
            (agent.to_owned(), "all", TaskKind::OnBehalf, (1, 0, 1)),
            (ada.to_owned(), "all", TaskKind::ThroughAgent, (1, 0, 1)),
            (ada.to_owned(), "no", TaskKind::ThroughAgent, (0, 1, 0)),
            (ada.to_owned(), "people", TaskKind::ThroughAgent, (1, 0, 1)),
        ]
    );
}

#[test]
fn a_year_before_the_epoch_has_days_too() {
    let mut usage = Usage::default();
    usage.take(&decision(&permit(1, &["read"], -1)));
    assert_eq!(usage.rows().keys().next().unwrap().day, -1);
}

#[test]
fn resources_are_counted_up_to_a_limit_in_whatever_order() {
    let dids: Vec<Did> = (0..400).map(|n| permit(n, &["read"], 0)).collect();
    let mut forth = Usage::default();
    let mut back = Usage::default();
    dids.iter().for_each(|did| forth.take(&decision(did)));
    dids.iter().rev().for_each(|did| back.take(&decision(did)));
    assert_eq!(forth.rows(), back.rows());
    let rows = forth.rows();
    let used = rows.values().next().unwrap();
    assert!(used.touched_more());
    assert_eq!((used.permitted, used.resources.len()), (400, RESOURCES_COUNTED_MAX));
}

proptest! {
    /// A rebuild from any point on, added to what was counted before, is what one count finds.
    #[test]
    fn counts_of_parts_add_up_to_the_count_of_the_whole(
        dids in prop::collection::vec(
            (any::<bool>(), 0_usize..4, 0_usize..4, 0_u16..4, 0_i64..3), 0..60,
        ),
        at in 0_usize..60,
    ) {
        let sets: [&[&str]; 4] = [&[], &["a"], &["a", "b"], &["b"]];
        let records: Vec<Record> = (0..).zip(dids).map(|(number, (permit, set, of, resource, day))| {
            let asked = [None, None, Some(AskedOf::User), Some(AskedOf::Actor)][of];
            let policies = sets[set].iter().map(|policy| (*policy, asked)).collect();
            let user = (of > 0).then_some("ada");
            decision(&Did { number, permit, policies, user, resource, at: day * DAY })
        }).collect();
        let mut whole = Usage::default();
        records.iter().for_each(|record| whole.take(record));
        let (first, second) = records.split_at(at.min(records.len()));
        let mut added = std::collections::BTreeMap::<UseKey, Use>::new();
        for part in [second, first] {
            let mut usage = Usage::default();
            part.iter().for_each(|record| usage.take(record));
            for (key, used) in usage.rows() {
                added.entry(key).or_default().add(&used);
            }
        }
        prop_assert_eq!(added, whole.rows());
        let permits: u64 = whole.rows().values().map(|used| used.permitted + used.denied).sum();
        prop_assert!(permits >= records.len() as u64);
    }
}
