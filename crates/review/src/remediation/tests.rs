use proptest::prelude::*;
use safeconduct_model::{
    ActionName, Decision, EntityRef, IntentName, LeaseId, PolicyId, TargetName,
};

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn id(text: &str) -> RecordId {
    RecordId::new(text).unwrap()
}

fn right(kind: usize) -> RightTaken {
    match kind {
        0 => RightTaken::Identity,
        1 => RightTaken::Statement {
            policy: PolicyId::new("crm.read").unwrap(),
            says: Digest::from_bytes([7; 32]),
            actions: vec![ActionName::new("crm.read").unwrap()],
        },
        2 => RightTaken::Intent { intent: IntentName::new("tidy").unwrap(), schedule: None },
        3 => RightTaken::Delegation {
            id: id("del_1"),
            word: Some(Word {
                user: IdentityId::new("ada").unwrap(),
                intent: IntentName::new("tidy").unwrap(),
            }),
        },
        _ => RightTaken::Lease {
            lease: LeaseId::new("lease_1").unwrap(),
            target: TargetName::new("crm").unwrap(),
        },
    }
}

fn plan(kind: usize, effect: Effect, not_before: i64) -> RemediationPlan {
    RemediationPlan {
        holder: IdentityId::new("agent").unwrap(),
        grant: Digest::from_bytes([1; 32]),
        right: right(kind),
        effect,
        not_before: at(not_before),
        cause: Some("camp_1/3".into()),
        reason: "not used for a quarter".into(),
    }
}

fn probe(answer: Decision) -> Probe {
    Probe {
        action: ActionName::new("crm.read").unwrap(),
        resource: EntityRef::new("Safeconduct::Server", "crm").unwrap(),
        wanted: Decision::Deny,
        answer,
        reasons: vec!["no_permit".into()],
        evidence: Some(id("dec_9")),
        point: Some(IdentityId::new("gateway:crm").unwrap()),
    }
}

/// Without a look at recorded decisions.
fn probed(probes: Vec<Probe>) -> RemediationStep {
    RemediationStep::verified(&plan(1, Effect::Revoke, 100), probes, None)
}

fn replay(counts: &[(CameTo, u64)]) -> RightReplay {
    let mut replay = RightReplay::new(Digest::from_bytes([3; 32]), at(1), at(2));
    for (came_to, count) in counts {
        for n in 0..*count {
            let record = id(&format!("dec_{}_{n}", came_to.as_str()));
            match came_to {
                CameTo::StillPermitted => {
                    replay.take_permitted(&record, &[PolicyId::new("crm.all").unwrap()]);
                }
                CameTo::NotReplayable => replay.take_unknown(&record, "not_recorded"),
                other => replay.take(&record, *other),
            }
        }
    }
    replay
}

fn verified(probes: Vec<Probe>, counts: &[(CameTo, u64)]) -> RemediationStep {
    let replay = Some(Box::new(replay(counts)));
    RemediationStep::verified(&plan(1, Effect::Revoke, 100), probes, replay)
}

fn steps() -> Vec<RemediationStep> {
    let reason = || Arc::<str>::from("said so");
    vec![
        RemediationStep::Scheduled { plan: Box::new(plan(1, Effect::Revoke, 100)) },
        RemediationStep::Quarantined { asked: true, before: None },
        RemediationStep::Quarantined {
            asked: false,
            before: Some(safeconduct_model::IdentityStatus::Suspended),
        },
        RemediationStep::Restored { reason: reason() },
        RemediationStep::Proposed { proposal: id("prop_1") },
        RemediationStep::Withdrawn { why: reason() },
        RemediationStep::Applied { proposal: Some(id("prop_1")), before: None },
        RemediationStep::Applied { proposal: None, before: Some(IdentityStatus::Suspended) },
        RemediationStep::Ended(Ended { tasks: 2, leases: 1, tokens: 0 }),
        RemediationStep::Conflict { problem: "`a.cedar` has changed".into() },
        RemediationStep::Failed { problem: "the ledger was full".into() },
        probed(vec![probe(Decision::Deny)]),
        probed(vec![probe(Decision::Permit)]),
        verified(Vec::new(), &[(CameTo::Denied, 2), (CameTo::NotReplayable, 1)]),
        verified(vec![probe(Decision::Permit)], &[(CameTo::StillPermitted, 1)]),
        RemediationStep::RolledBack { reason: reason() },
        RemediationStep::Needed { denials: 3 },
    ]
}

#[test]
fn every_step_is_read_back_from_its_record() {
    let mut all = steps();
    for kind in 0..5 {
        all.push(RemediationStep::Scheduled { plan: Box::new(plan(kind, Effect::Revoke, 5)) });
    }
    for step in all {
        let detail = step.detail();
        assert_eq!(RemediationStep::read(step.event(), &detail).unwrap(), step, "{detail}");
    }
    assert!(RemediationStep::read("dropped", "{}").is_err());
    assert!(RemediationStep::read("applied", r#"{"proposal":1}"#).is_err());
    assert!(RemediationStep::read("needed", "{}").is_err());
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let check = |kind, effect, not_before| plan(kind, effect, not_before).check(at(0));
    assert!(check(1, Effect::Reduce, 0).is_ok() && check(3, Effect::Revoke, 0).is_ok());
    assert!(check(1, Effect::Keep, 0).is_err());
    assert!(check(2, Effect::Reduce, 0).is_err(), "an intent is not reduced here");
    assert!(check(4, Effect::Suspend, 0).is_err(), "a lease cannot be given back");
    assert!(check(1, Effect::Revoke, NOTICE_MS_MAX + 1).is_err());
    let silent = RemediationPlan { reason: "".into(), ..plan(1, Effect::Revoke, 0) };
    assert_eq!(silent.check(at(0)), Err(RemediationError::Reason));
}

fn begun(kind: usize, effect: Effect) -> Remediation {
    Remediation::scheduled(id("rem_1"), plan(kind, effect, 100), None, at(0))
}

fn walk(remediation: &mut Remediation, step: &RemediationStep, now: i64) -> bool {
    let possible = remediation.check(step, at(now)).is_ok();
    if possible {
        remediation.apply(step, at(now));
    }
    possible
}

#[test]
fn notice_is_kept_unless_somebody_asks() {
    let mut one = begun(1, Effect::Revoke);
    assert!(!one.is_due(at(99)) && one.is_due(at(100)));
    let by_time = RemediationStep::Quarantined { asked: false, before: None };
    assert_eq!(one.check(&by_time, at(99)), Err(RemediationError::Notice));
    assert!(walk(&mut one, &RemediationStep::Quarantined { asked: true, before: None }, 50));
    assert!(one.set_aside);
    // What shrinks is never set aside by time alone.
    assert!(!begun(1, Effect::Reduce).is_due(at(1_000)));
}

#[test]
fn what_is_ended_does_not_come_back_and_what_is_suspended_does_not_go() {
    let mut lease = begun(4, Effect::Revoke);
    assert!(walk(&mut lease, &RemediationStep::Quarantined { asked: true, before: None }, 0));
    assert!(!lease.set_aside);
    let restored = RemediationStep::Restored { reason: "x".into() };
    assert_eq!(lease.check(&restored, at(1)), Err(RemediationError::Ended("lease")));
    assert!(walk(&mut lease, &RemediationStep::Applied { proposal: None, before: None }, 2));
    let mut suspended = begun(1, Effect::Suspend);
    assert!(walk(&mut suspended, &RemediationStep::Quarantined { asked: true, before: None }, 0));
    let applied = RemediationStep::Applied { proposal: None, before: None };
    assert_eq!(suspended.check(&applied, at(1)), Err(RemediationError::Suspended));
    let denied = probed(vec![probe(Decision::Deny)]);
    assert!(walk(&mut suspended, &denied, 1));
    assert!(suspended.set_aside && walk(&mut suspended, &restored, 2));
    assert!(!suspended.set_aside);
}

#[test]
fn what_is_used_proves_nothing_of_what_was_taken() {
    let mut one = begun(1, Effect::Suspend);
    assert!(walk(&mut one, &RemediationStep::Quarantined { asked: true, before: None }, 0));
    let permitted = Probe { wanted: Decision::Permit, ..probe(Decision::Permit) };
    let other = Probe { action: ActionName::new("crm.send").unwrap(), ..probe(Decision::Deny) };
    for probes in [vec![permitted.clone()], vec![other.clone()], vec![permitted, other]] {
        let refused = one.check(&probed(probes), at(1)).unwrap_err();
        assert!(matches!(refused, RemediationError::Beside(_)), "{refused}");
        assert!(refused.to_string().ends_with("wants a Deny: `crm.read`"), "{refused}");
    }
    let denied = probed(vec![probe(Decision::Deny)]);
    assert!(walk(&mut one, &denied, 1));
}

/// A right that is gone, to be verified.
fn gone(effect: Effect) -> Remediation {
    let mut one = begun(1, effect);
    if effect != Effect::Reduce {
        assert!(walk(&mut one, &RemediationStep::Quarantined { asked: true, before: None }, 0));
    }
    assert!(walk(&mut one, &RemediationStep::Applied { proposal: None, before: None }, 1));
    one
}

#[test]
fn probes_and_recorded_decisions_prove_together_or_one_alone() {
    use CameTo::{Denied, DeniedOtherwise, Error, Kept, KeptDenied, NotReplayable, StillPermitted};
    let deny = || vec![probe(Decision::Deny)];
    let permit = || vec![probe(Decision::Permit)];
    let come = |effect, probes: Vec<Probe>, counts: &[(CameTo, u64)]| {
        let mut one = gone(effect);
        let plan = plan(1, effect, 100);
        let step = RemediationStep::verified(&plan, probes, Some(Box::new(replay(counts))));
        one.check(&step, at(2)).map(|()| {
            one.apply(&step, at(2));
            (one.state, one.proved_by, one.note.as_deref().unwrap_or_default().to_owned())
        })
    };
    let proved = |by| Ok((RemediationState::Verified, Some(by), String::new()));
    let revoke = Effect::Revoke;
    assert_eq!(come(revoke, deny(), &[(Denied, 3)]), proved(ProvedBy::ProbeAndReplay));
    assert_eq!(come(revoke, deny(), &[(NotReplayable, 3)]), proved(ProvedBy::Probe));
    assert_eq!(come(revoke, deny(), &[]), proved(ProvedBy::Probe));
    let some = [(Denied, 1), (Error, 1), (NotReplayable, 7)];
    assert_eq!(come(revoke, Vec::new(), &some), proved(ProvedBy::Replay));
    // Nothing of these comes of the right's end.
    let nothing: [&[_]; 4] = [&[], &[(NotReplayable, 2)], &[(Error, 1)], &[(DeniedOtherwise, 1)]];
    for counts in nothing {
        let refused = come(revoke, Vec::new(), counts).unwrap_err();
        assert!(matches!(refused, RemediationError::NoEvidence { .. }), "{refused}");
    }
    let by_others = (RemediationState::StillPermitted, None, "still permitted by `crm.all`".into());
    assert_eq!(come(revoke, permit(), &[(StillPermitted, 2)]), Ok(by_others.clone()));
    assert_eq!(come(revoke, deny(), &[(Denied, 1), (StillPermitted, 2)]), Ok(by_others));
    let failed = |outcome: Result<(RemediationState, _, String), _>| {
        matches!(outcome, Ok((RemediationState::Failed, None::<ProvedBy>, _)))
    };
    assert!(failed(come(revoke, deny(), &[(Denied, 1), (Kept, 1)])), "it is not gone");
    assert!(failed(come(revoke, permit(), &[(Denied, 1)])), "they do not agree");
    let used = Probe { wanted: Decision::Permit, ..probe(Decision::Deny) };
    assert!(failed(come(revoke, vec![used], &[(StillPermitted, 1)])), "what is used is denied");
    let mut observed = permit();
    observed[0].reasons.push("observed_only".into());
    assert!(failed(come(revoke, observed, &[(StillPermitted, 1)])), "nothing stops it there");
    let reduce = Effect::Reduce;
    let kept = [(Kept, 5), (Denied, 1)];
    assert_eq!(come(reduce, deny(), &kept), proved(ProvedBy::ProbeAndReplay));
    assert_eq!(come(reduce, deny(), &[(Kept, 5)]), proved(ProvedBy::Probe));
    assert!(come(reduce, Vec::new(), &[(Kept, 5)]).is_err(), "what was cut was not looked at");
    assert!(failed(come(reduce, deny(), &[(Kept, 5), (KeptDenied, 1)])));
}

#[test]
fn a_verification_claims_nothing_that_does_not_follow() {
    let one = gone(Effect::Revoke);
    for proved_by in [None, Some(ProvedBy::Replay)] {
        let probes = vec![probe(Decision::Deny)];
        let step = RemediationStep::Verified { probes, replay: None, proved_by };
        assert_eq!(one.check(&step, at(2)), Err(RemediationError::Proof));
    }
    // Counts that do not add up are no record.
    let detail = verified(Vec::new(), &[(CameTo::Denied, 2)]).detail();
    let off = detail.replace("\"decisions\":2", "\"decisions\":3");
    assert_ne!(off, detail);
    assert!(RemediationStep::read("verified", &off).is_err());
}

#[test]
fn verifications_of_before_fold_as_they_did() {
    let record = |answer: &str| {
        format!(
            r#"{{"probes":[{{"action":"crm.read","answer":"{answer}","reasons":["no_permit"],"resource_id":"crm","resource_type":"Safeconduct::Server","wanted":"deny"}}]}}"#
        )
    };
    for (answer, state) in
        [("deny", RemediationState::Verified), ("permit", RemediationState::Failed)]
    {
        let step = RemediationStep::read("verified", &record(answer)).unwrap();
        assert_eq!(step.detail(), record(answer));
        let mut one = gone(Effect::Revoke);
        one.apply(&step, at(2));
        assert_eq!((one.state, one.replay, one.proved_by), (state, None, None));
    }
    let mut one = gone(Effect::Revoke);
    one.apply(&RemediationStep::read("verified", "{}").unwrap(), at(2));
    assert_eq!(one.state, RemediationState::Failed, "nothing shows nothing");
}

#[test]
fn a_replay_names_a_few_and_counts_all() {
    let all = replay(&[(CameTo::Denied, 100), (CameTo::StillPermitted, 7)]);
    assert_eq!((all.decisions(), all.count(CameTo::Denied)), (107, 100));
    assert_eq!(all.samples.len(), 2 * REPLAY_SAMPLES_MAX);
    assert_eq!(all.by, [(PolicyId::new("crm.all").unwrap(), 7)]);
    let mut many = replay(&[]);
    for n in 0..100 {
        many.take_unknown(&id("dec_1"), &format!("why_{n}"));
        many.take_permitted(&id("dec_1"), &[PolicyId::new(format!("p{n}")).unwrap()]);
    }
    assert!(many.by.len() == REPLAY_POLICIES_MAX && many.why.len() <= 16);
    assert_eq!(many.why.values().sum::<u64>(), 100);
}

#[test]
fn a_decision_about_any_right_can_be_carried_out() {
    for kind in 0..5 {
        for decided in [Effect::Reduce, Effect::Suspend, Effect::Revoke] {
            let carried_out = right(kind).carried_out(decided);
            assert!(carried_out >= decided, "nothing is made milder");
            assert_eq!(plan(kind, carried_out, 0).check(at(0)), Ok(()));
        }
    }
    assert_eq!(right(3).carried_out(Effect::Suspend), Effect::Revoke);
    assert_eq!(right(2).carried_out(Effect::Reduce), Effect::Suspend);
}

#[test]
fn plans_of_before_do_not_say_what_a_word_was() {
    let plan = RemediationPlan {
        right: RightTaken::Delegation { id: id("del_1"), word: None },
        ..plan(3, Effect::Revoke, 0)
    };
    let step = RemediationStep::Scheduled { plan: Box::new(plan) };
    let detail = step.detail();
    assert!(!detail.contains("user") && !detail.contains("intent"), "{detail}");
    assert_eq!(RemediationStep::read(step.event(), &detail).unwrap(), step);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is tried, in whatever order: the right is set aside only from a quarantine on,
    /// one step restores it, nothing follows an end, nothing is verified that was not taken, and
    /// what was recorded folds to the same.
    #[test]
    fn every_interleaving_holds_the_promises(
        kind in 0..5_usize,
        effect in prop::sample::select(vec![Effect::Reduce, Effect::Suspend, Effect::Revoke]),
        tries in prop::collection::vec((0..17_usize, 1..60_i64), 0..40),
    ) {
        prop_assume!(plan(kind, effect, 100).check(at(0)).is_ok());
        let all = steps();
        let mut one = begun(kind, effect);
        let (mut now, mut kept) = (0, Vec::new());
        for (which, later) in tries {
            now += later;
            let step = &all[which];
            let before = one.clone();
            if !walk(&mut one, step, now) {
                prop_assert_eq!(&one, &before, "what is refused changes nothing");
                continue;
            }
            kept.push((step.event(), step.detail(), now));
            prop_assert!(!before.state.is_final(), "{:?} after {:?}", step, before.state);
            prop_assert!(!before.set_aside || one.set_aside || matches!(
                step,
                RemediationStep::Restored { .. }
                    | RemediationStep::Applied { .. }
                    | RemediationStep::RolledBack { .. }
            ), "only these bring a right back: {:?}", step);
            if one.set_aside {
                prop_assert!(one.quarantined_at.is_some());
                prop_assert!(!one.state.is_final());
                prop_assert!(!matches!(one.state, RemediationState::Applied));
                let restored = RemediationStep::Restored { reason: "needed".into() };
                prop_assert!(one.check(&restored, at(now)).is_ok(), "{:?}", one.state);
            }
            if one.state == RemediationState::Verified {
                prop_assert!(one.applied_at.is_some() || one.set_aside);
                prop_assert!(one.probes.iter().all(Probe::holds));
                let of_it = |probe: &Probe| {
                    probe.wanted == Decision::Deny
                        && one.plan.right.is_about(&probe.action, &probe.resource)
                };
                let replayed = one.replay.as_ref().is_some_and(|r| r.count(CameTo::Denied) > 0);
                prop_assert!(replayed || one.probes.iter().any(of_it), "something shows it");
                prop_assert!(one.proved_by.is_some());
            }
            if one.state == RemediationState::RolledBack {
                prop_assert!(one.applied_at.is_some());
            }
            if let RemediationStep::Quarantined { asked: false, .. } = step {
                prop_assert!(now >= 100, "the notice is kept");
            }
        }
        let mut folded = begun(kind, effect);
        for (event, detail, when) in kept {
            folded.apply(&RemediationStep::read(event, &detail).unwrap(), at(when));
        }
        prop_assert_eq!(folded, one);
    }
}
