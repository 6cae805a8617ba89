//! The rules, as tables: what is so, and what is found.

use std::collections::BTreeSet;

use proptest::prelude::*;
use safeconduct_model::signal::Severity;
use safeconduct_model::*;

use super::*;
use crate::{Response, ReviewDecision, Step};

const NOW: i64 = 1_000 * DAY_MS;

fn days_ago(days: i64) -> Timestamp {
    Timestamp::from_millis(NOW - days * DAY_MS)
}

fn window(tracked_days: i64) -> Window {
    Window { now: Timestamp::from_millis(NOW), tracked_since: days_ago(tracked_days) }
}

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn action(text: &str) -> ActionName {
    ActionName::new(text).unwrap()
}

fn grant(held_days: i64, used_days: Option<i64>, used: &[&str]) -> GrantFacts {
    let facts = |(name, tier, class): (&str, Tier, &str)| {
        let classes = BTreeSet::from([class.into()]);
        (action(name), ActionFacts { tier, classes })
    };
    let all = [
        ("read", Tier::Low, "Case"),
        ("export", Tier::High, "Case"),
        ("pay", Tier::Moderate, "Account"),
    ];
    GrantFacts {
        holder: id("agent"),
        grant: Digest::from_bytes([1; 32]),
        source: "statement",
        name: "cases".into(),
        place: Some("a.cedar:1:1".into()),
        since: days_ago(held_days),
        actions: all.into_iter().map(facts).collect(),
        any_action: false,
        any_resource: false,
        used: UseFacts {
            permitted: used.len() as u64,
            last: used_days.map(days_ago),
            actions: used.iter().map(|name| action(name)).collect(),
            resources: 3,
            resources_more: false,
            evidence: vec![RecordId::new("dec_1").unwrap()],
        },
        evidence: Vec::new(),
    }
}

fn judged(facts: &GrantFacts, window: Window) -> Looked {
    let mut looked = Looked::default();
    Thresholds::default().grant(facts, window, &mut looked);
    looked
}

fn found(looked: &Looked) -> Option<(FindingKind, Severity, Age)> {
    assert!(looked.observed.len() <= 1, "{looked:?}");
    looked.observed.first().map(|one| (one.kind, one.severity, one.age))
}

#[test]
fn a_right_is_unused_only_after_a_whole_window() {
    use FindingKind::UnusedGrant as Unused;
    let (high, young, ripe) = (Severity::High, Age::Young, Age::Ripe);
    // Held for so many days, last used so many days ago, tracked for so many days.
    let table = [
        (100, None, 100, Some((Unused, high, ripe))),
        (100, Some(95), 100, Some((Unused, high, ripe))),
        (90, None, 90, Some((Unused, high, ripe))),
        (89, None, 100, Some((Unused, high, young))),
        (100, None, 89, None),
    ];
    for (held, used, tracked, expected) in table {
        let looked = judged(&grant(held, used, &[]), window(tracked));
        assert_eq!(found(&looked), expected, "{held} {used:?} {tracked}");
        assert_eq!(looked.not_judged.len(), usize::from(expected.is_none()), "{held} {tracked}");
    }
    let used = judged(&grant(100, Some(89), &["read", "export", "pay"]), window(100));
    assert_eq!(used, Looked::default(), "used, and all of it");
}

#[test]
fn a_window_shorter_than_the_life_of_a_right_is_named() {
    let covers = |held| {
        let looked = judged(&grant(held, None, &[]), window(400));
        looked.observed[0].facts.fact("window_covers_its_life").cloned()
    };
    assert_eq!(covers(90), Some(Fact::Text("yes".into())));
    assert_eq!(covers(200), Some(Fact::Text("no".into())));
}

#[test]
fn a_right_is_over_broad_by_what_is_never_touched() {
    let broad = |facts: &GrantFacts| judged(facts, window(100)).observed.first().cloned();
    let of = |facts: Option<Observed>, name: &str| facts.unwrap().facts.fact(name).cloned();
    let texts = |texts: &[&str]| Some(Fact::Texts(texts.iter().map(|t| (*t).into()).collect()));

    let facts = grant(100, Some(1), &["read"]);
    let one = broad(&facts).unwrap();
    assert_eq!((one.kind, one.severity), (FindingKind::OverBroadGrant, Severity::High));
    assert_eq!(of(Some(one.clone()), "actions_never_used"), texts(&["export", "pay"]));
    assert_eq!(of(Some(one), "classes_never_touched"), texts(&["Account"]));

    let all = grant(100, Some(1), &["read", "export", "pay"]);
    assert_eq!(broad(&all), None);
    let any = GrantFacts { any_resource: true, ..all };
    assert_eq!(of(broad(&any), "wildcards"), texts(&["resources"]));
    let mut many = any;
    many.used.resources_more = true;
    assert_eq!(broad(&many), None, "so many were touched that a wildcard is what it needs");
    let any = GrantFacts { any_action: true, ..grant(100, Some(1), &["read", "export"]) };
    assert_eq!(of(broad(&any), "wildcards"), texts(&["actions"]));
    assert_eq!(broad(&any).unwrap().severity, Severity::Moderate, "what is left is moderate");
}

#[test]
fn what_is_used_and_unexplained_is_found_until_it_is_long_ago() {
    let facts = |last| UnexplainedFacts {
        holder: id("agent"),
        policy: "gone".into(),
        in_force: false,
        used: UseFacts { last: Some(days_ago(last)), ..UseFacts::default() },
    };
    for (last, expected) in [(0, 1), (89, 1), (90, 0)] {
        let mut looked = Looked::default();
        Thresholds::default().unexplained(&facts(last), window(100), &mut looked);
        assert_eq!(looked.observed.len(), expected, "{last}");
    }
}

fn identity(owner: Accountable, fallback: Accountable) -> IdentityFacts {
    IdentityFacts {
        id: id("agent"),
        kind: IdentityKind::Agent,
        status: IdentityStatus::Active,
        owner,
        fallback,
        registered_at: days_ago(200),
        last_seen: Some(days_ago(1)),
        evidence: Vec::new(),
    }
}

fn kinds(facts: &IdentityFacts, tracked: i64) -> Vec<(FindingKind, Severity)> {
    let mut looked = Looked::default();
    Thresholds::default().identity(facts, window(tracked), &mut looked);
    let ripe = looked.observed.iter().filter(|one| one.age == Age::Ripe);
    ripe.map(|one| (one.kind, one.severity)).collect()
}

#[test]
fn somebody_must_answer_for_every_program() {
    use Accountable::{Gone, Nobody, Stands, Unknown};
    let stands = || Stands(id("ada"));
    let suspended = || Gone(id("ada"), IdentityStatus::Suspended);
    let retired = || Gone(id("ada"), IdentityStatus::Retired);
    let orphaned = |severity| vec![(FindingKind::OrphanedIdentity, severity)];
    let table = [
        (stands(), stands(), vec![]),
        (stands(), Nobody, vec![]),
        (retired(), stands(), orphaned(Severity::Moderate)),
        (Nobody, stands(), orphaned(Severity::Moderate)),
        (suspended(), retired(), orphaned(Severity::High)),
        (Unknown(id("x")), Nobody, orphaned(Severity::High)),
    ];
    for (owner, fallback, expected) in table {
        let facts = identity(owner, fallback);
        assert_eq!(kinds(&facts, 100), expected, "{facts:?}");
        let person = IdentityFacts { kind: IdentityKind::User, ..facts.clone() };
        assert_eq!(kinds(&person, 100), [], "people answer for themselves");
        let gone = IdentityFacts { status: IdentityStatus::Retired, ..facts };
        assert_eq!(kinds(&gone, 100), [], "nobody has to answer for what is gone");
    }
}

#[test]
fn an_identity_is_dormant_after_a_whole_window() {
    let ada = || Accountable::Stands(id("ada"));
    let dormant = vec![(FindingKind::DormantIdentity, Severity::Moderate)];
    // Registered, last seen, tracked: days ago.
    let table = [
        (200, Some(89), 200, vec![]),
        (200, Some(90), 200, dormant.clone()),
        (200, None, 200, dormant.clone()),
        (89, None, 200, vec![]),
        (200, None, 89, vec![]),
    ];
    for (registered, seen, tracked, expected) in table {
        let facts = IdentityFacts {
            registered_at: days_ago(registered),
            last_seen: seen.map(days_ago),
            ..identity(ada(), ada())
        };
        assert_eq!(kinds(&facts, tracked), expected, "{registered} {seen:?} {tracked}");
        let stopped = IdentityFacts { status: IdentityStatus::Suspended, ..facts };
        assert_eq!(kinds(&stopped, tracked), [], "who may not act is not dormant");
    }
}

#[test]
fn tokens_are_of_somebody_and_short() {
    let token = |life: i64, status| TokenFacts {
        id: TokenId::new("tok_1").unwrap(),
        identity: id("agent"),
        status,
        issued_at: days_ago(1),
        expires_at: days_ago(1 - life),
        last_used: None,
        evidence: Vec::new(),
    };
    let active = Some(IdentityStatus::Active);
    let long = |severity| vec![(FindingKind::LongLivedCredential, severity)];
    let orphaned = vec![(FindingKind::OrphanedToken, Severity::High)];
    let table = [
        (token(90, active), vec![]),
        (token(91, active), long(Severity::Moderate)),
        (token(366, active), long(Severity::High)),
        (token(30, Some(IdentityStatus::Suspended)), vec![]),
        (token(30, Some(IdentityStatus::Retired)), orphaned.clone()),
        (token(30, None), orphaned),
    ];
    for (facts, expected) in table {
        let mut looked = Looked::default();
        Thresholds::default().token(&facts, &mut looked);
        let found: Vec<_> = looked.observed.iter().map(|one| (one.kind, one.severity)).collect();
        assert_eq!(found, expected, "{facts:?}");
    }
}

#[test]
fn leases_end_with_their_tasks() {
    use LeaseState::{Irrevocable, Issued, Revoked, Revoking};
    let now = Timestamp::from_millis(NOW);
    let table = [
        (Issued, None, None),
        (Issued, Some(9), None),
        (Issued, Some(11), Some(FindingKind::OrphanedLease)),
        (Revoking, Some(11), Some(FindingKind::OrphanedLease)),
        (Revoked, Some(11), None),
        (Irrevocable, None, Some(FindingKind::IrrevocableLease)),
    ];
    for (state, ended_minutes, expected) in table {
        let facts = LeaseFacts {
            id: LeaseId::new("lease_1").unwrap(),
            target: TargetName::new("db").unwrap(),
            name: "role_1".into(),
            task: TaskId::new("task_1").unwrap(),
            agent: Some(id("agent")),
            state,
            task_ended: ended_minutes.map(|minutes: i64| now.plus_ms(-minutes * 60_000)),
            detail: None,
            evidence: Vec::new(),
        };
        let mut looked = Looked::default();
        Thresholds::default().lease(&facts, window(100), &mut looked);
        assert_eq!(looked.observed.first().map(|one| one.kind), expected, "{facts:?}");
    }
}

#[test]
fn nobody_reads_who_says_yes_so_fast_or_to_so_many() {
    // Answers, yes, median in seconds, batch.
    let table = [
        (10, 10, 3, 1, true),
        (10, 10, 300, 10, true),
        (10, 10, 300, 9, false),
        (9, 9, 3, 9, false),
        (100, 94, 3, 100, false),
        (100, 95, 9, 1, true),
    ];
    for (answers, approved, median_s, batch, expected) in table {
        let counts = AnswerCounts { answers, yes: approved, median_ms: median_s * 1000, batch };
        let none = AnswerCounts::default();
        for (requests, cases) in [(counts, none), (none, counts)] {
            let facts = AnswerFacts { by: id("ada"), requests, cases, evidence: Vec::new() };
            let mut looked = Looked::default();
            Thresholds::default().answers(&facts, &mut looked);
            assert_eq!(!looked.observed.is_empty(), expected, "{facts:?}");
        }
    }
    // Those who read what they approve and not what they review are found too.
    let read = AnswerCounts { answers: 100, yes: 60, median_ms: 90_000, batch: 1 };
    let unread = AnswerCounts { answers: 20, yes: 20, median_ms: 1_500, batch: 20 };
    let (by, evidence) = (id("ada"), Vec::new());
    let mut looked = Looked::default();
    let facts = AnswerFacts { by, requests: read, cases: unread, evidence };
    Thresholds::default().answers(&facts, &mut looked);
    let sheet = &looked.observed[0].facts;
    assert_eq!(sheet.fact("cases"), Some(&Fact::Number(20)));
    assert_eq!(sheet.fact("answers"), Some(&Fact::Number(100)));
}

#[test]
fn an_action_must_come_with_what_decides_it() {
    let coverage = |decisions, in_task, with_resource, known| CoverageFacts {
        pep: id("pep"),
        action: action("read"),
        decisions,
        in_task,
        with_resource,
        wants_task: true,
        wants_resource: true,
        known,
        evidence: Vec::new(),
    };
    let table = [
        (coverage(10, 1, 1, true), 0),
        (coverage(10, 0, 1, true), 1),
        (coverage(10, 1, 0, true), 1),
        (coverage(10, 0, 0, false), 3),
        (coverage(9, 0, 0, false), 0),
    ];
    for (facts, lacks) in table {
        let mut looked = Looked::default();
        Thresholds::default().coverage(&facts, &mut looked);
        let found = looked.observed.first().and_then(|one| one.facts.fact("lacks"));
        let found = found.map_or(0, |fact| match fact {
            Fact::Texts(texts) => texts.len(),
            _ => 0,
        });
        assert_eq!(found, lacks, "{facts:?}");
    }
}

#[test]
fn a_policy_permits_agents_what_some_intent_needs() {
    let policy = |beyond: &[(&str, Tier)]| PolicyFacts {
        policy: PolicyId::new("p").unwrap(),
        place: "a.cedar:1:1".into(),
        holders: 1,
        beyond: beyond.iter().map(|(name, tier)| (action(name), *tier)).collect(),
        evidence: vec![RecordId::new("pol_1").unwrap()],
    };
    let mut looked = Looked::default();
    Thresholds::default().policy(&policy(&[]), &mut looked);
    assert_eq!(looked, Looked::default());
    Thresholds::default().policy(&policy(&[("a", Tier::Low), ("b", Tier::Critical)]), &mut looked);
    assert_eq!(looked.observed[0].severity, Severity::High);
    assert_eq!(looked.observed[0].evidence.len(), 1);
}

#[test]
fn what_happened_is_held_against_nobody_for_ever() {
    let sharing = |last, places, returns| SharingFacts {
        identity: id("agent"),
        two_places: places,
        in_turns: BTreeSet::from(["tok_1".into(), "tok_2".into()]),
        returns,
        last: days_ago(last),
        evidence: Vec::new(),
    };
    let table = [
        (sharing(1, Some(Severity::Low), 0), Some(Severity::Moderate)),
        (sharing(1, Some(Severity::High), 0), Some(Severity::High)),
        (sharing(1, None, 3), Some(Severity::Moderate)),
        (sharing(1, None, 2), None),
        (sharing(1, Some(Severity::Low), 3), Some(Severity::High)),
        (sharing(30, Some(Severity::High), 3), None),
    ];
    for (facts, expected) in table {
        let mut looked = Looked::default();
        Thresholds::default().sharing(&facts, window(100), &mut looked);
        assert_eq!(looked.observed.first().map(|one| one.severity), expected, "{facts:?}");
    }
}

#[test]
fn a_person_and_a_program_act_differently() {
    let pace = |calls, hours| PaceFacts {
        identity: id("ada"),
        calls_a_minute: calls,
        hours_a_day: hours,
        last: days_ago(1),
        evidence: Vec::new(),
    };
    for (calls, hours, expected) in [(59, 19, 0), (60, 1, 1), (1, 20, 1)] {
        let mut looked = Looked::default();
        Thresholds::default().pace(&pace(calls, hours), window(100), &mut looked);
        assert_eq!(looked.observed.len(), expected, "{calls} {hours}");
    }
    let person = |kind, passkeys, by_passkey| PersonFacts {
        identity: id("agent"),
        kind,
        passkeys,
        by_passkey,
        answers: 0,
        last: (by_passkey > 0).then(|| days_ago(1)),
        evidence: Vec::new(),
    };
    let table = [
        (person(IdentityKind::Agent, 0, 0), 0),
        (person(IdentityKind::Agent, 1, 0), 1),
        (person(IdentityKind::Workload, 0, 1), 1),
        (person(IdentityKind::User, 1, 1), 0),
    ];
    for (facts, expected) in table {
        let mut looked = Looked::default();
        Thresholds::default().person(&facts, window(100), &mut looked);
        assert_eq!(looked.observed.len(), expected, "{facts:?}");
    }
}

proptest! {
    /// No right gives a finding to be opened before it is as old as the window, or before as much
    /// is tracked; and none that was used within it is unused.
    #[test]
    fn a_young_right_or_a_short_window_opens_nothing(
        held in 0..400i64, used in proptest::option::of(0..400i64), tracked in 0..400i64,
    ) {
        let looked = judged(&grant(held, used, &["read"]), window(tracked));
        let ripe: Vec<_> = looked.observed.iter().filter(|one| one.age == Age::Ripe).collect();
        if held < 90 || tracked < 90 {
            prop_assert!(ripe.is_empty());
        }
        let unused = looked.observed.iter().any(|one| one.kind == FindingKind::UnusedGrant);
        prop_assert!(!unused || used.is_none_or(|used| used >= 90));
        // What is old enough is found, or it is said why it is not.
        if held >= 90 && used.is_none() {
            prop_assert_eq!(ripe.len() + looked.not_judged.len(), 1);
        }
    }

    /// The rest of a right without what is named as never used is what was used.
    #[test]
    fn what_is_never_used_and_what_is_used_are_the_whole(used in 0u8..8) {
        let names = ["read", "export", "pay"];
        let used: Vec<&str> = (0..3).filter(|n| used >> n & 1 == 1).map(|n| names[n]).collect();
        let looked = judged(&grant(100, Some(1), &used), window(100));
        let never = looked.observed.first().and_then(|one| one.facts.fact("actions_never_used"));
        let never: Vec<_> = match never {
            Some(Fact::Texts(texts)) => texts.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let mut both: Vec<_> = never.iter().map(String::as_str).chain(used).collect();
        both.sort_unstable();
        prop_assert_eq!(both, ["export", "pay", "read"]);
    }
}

#[test]
fn witnesses_tell_pace_turns_and_batches() {
    let mut witness = Witness::default();
    for (n, answer) in (0..12i64).rev().enumerate() {
        let request = RecordId::new(format!("req_{answer}")).unwrap();
        let at = Timestamp::from_millis(answer * 1_000 + 5_000);
        let answered = AccessAnswered {
            by: id("ada"),
            method: Method::Passkey,
            standing_in_for: None,
            term: "owner".into(),
            stage: 0,
            answer: AccessAnswer::Approve { scope: "once".into(), uses: 1, until: None },
        };
        let event = AccessEvent::Answered(Box::new(answered));
        let body = Body::AccessRequestChanged(Box::new(AccessChange {
            request: request.clone(),
            sequence: 1,
            event,
        }));
        let id = RecordId::new(format!("ans_{n}")).unwrap();
        witness.take(&Record { id, at, trace: None, parent: None, body });
        witness.requested_at(request, Timestamp::from_millis(answer * 1_000));
    }
    let (facts, last) = witness.answers().remove(0);
    let requests = facts.requests;
    assert_eq!((requests.answers, requests.yes, requests.batch), (12, 12, 12));
    assert_eq!((requests.median_ms, last), (5_000, Timestamp::from_millis(16_000)));
    assert_eq!(facts.cases, AnswerCounts::default());
}

#[test]
fn witnesses_tell_how_cases_of_campaigns_were_answered() {
    let mut witness = Witness::default();
    for n in (0..6i64).rev() {
        let opened_at = Timestamp::from_millis(n * 60_000);
        let decided = ReviewDecision {
            by: id("ada"),
            acting_for: Some(id("bob")),
            response: if n == 0 { Response::Revoke } else { Response::Accept },
            reason: "fine".into(),
            opened_at,
            at: opened_at.plus_ms(2_000),
            evidence: Digest::from_bytes([1; 32]),
            batch: if n == 3 { 40 } else { 1 },
        };
        let step = Step::Decided { case: 7, decided: Box::new(decided.clone()) };
        let detail = step.detail();
        let members = detail.as_object().unwrap().iter().map(|(name, value)| match value {
            Value::Integer(n) => format!("\"{name}\":{n}"),
            Value::String(text) => format!("\"{name}\":\"{text}\""),
            other => panic!("{other:?}"),
        });
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        let change = ReviewChange {
            what: ReviewedThing::Campaign,
            id: "camp_1".into(),
            sequence: 2,
            event: step.event().into(),
            about: None,
            by: Some(id("ada")),
            detail: ReviewDetail::new(text).unwrap(),
        };
        let record_id = RecordId::new(format!("rev_{n}")).unwrap();
        let body = Body::ReviewChanged(Box::new(change));
        witness.take(&Record { id: record_id, at: decided.at, trace: None, parent: None, body });
    }
    let (facts, _) = witness.answers().remove(0);
    assert_eq!((facts.by, facts.requests), (id("ada"), AnswerCounts::default()));
    assert_eq!((facts.cases.answers, facts.cases.yes, facts.cases.batch), (6, 5, 40));
    assert_eq!((facts.cases.median_ms, facts.evidence.len()), (2_000, 4));
}
