//! Rights that are set aside, and the proof that they are gone.

use super::*;

#[tokio::test]
async fn a_quarantine_denies_one_holder_one_right_and_one_step_restores_it() {
    let estate = estate().await;
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    let id = estate.set_aside(Effect::Revoke).await;
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(estate.ask("agent", "show").await, Ok(()), "another right of theirs");
    assert_eq!(estate.ask("other", "read").await, Ok(()), "the same statement, another holder");
    let denied = decided(&estate.bench.ledger);
    let denied = denied.iter().find(|one| one.decision == Decision::Deny).unwrap();
    let message = &denied.reasons[0].message;
    assert!(message.contains(&format!("safeconduct review remediate restore {id}")), "{message}");
    let restored = estate.service().restore_right(&id, &me(), "it is needed".into()).await.unwrap();
    assert_eq!(restored.state, RemediationState::Restored);
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    assert!(estate.service().quarantine(&id, Some(&me())).await.is_err(), "it is over");
}

#[tokio::test]
async fn a_restart_keeps_a_quarantine_and_what_can_restore_it() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Revoke).await;
    let (ports, ledger, _) = ports();
    let entries = estate.bench.ledger.entries();
    let proposal = Proposal { entries: entries.clone(), reads: Vec::new(), writes: Vec::new() };
    ledger.submit(proposal).unwrap();
    let service = Service::new(ports, Settings::default(), world(POLICIES));
    let mut restore = service.restore();
    for (sequence, record) in records(&estate.bench.ledger).iter().enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    assert_eq!(ask(&service, "agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(ask(&service, "other", "read").await, Ok(()));
    service.restore_right(&id, &me(), "again".into()).await.unwrap();
    assert_eq!(ask(&service, "agent", "read").await, Ok(()));
}

#[tokio::test]
async fn a_statement_that_is_renamed_stays_set_aside() {
    let estate = estate().await;
    estate.set_aside(Effect::Revoke).await;
    estate.edit(|files| {
        let text = files.get_mut(FILES).unwrap();
        *text = text.replace("@id(\"reads\")", "@id(\"others\")");
    });
    estate.folder.load("a hand").await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(estate.ask("other", "read").await, Ok(()));
}

#[tokio::test]
async fn a_whole_identity_is_quarantined_and_comes_back() {
    let estate = estate().await;
    let id = estate.schedule(None, Effect::Suspend, 0).await;
    estate.service().quarantine(&id, Some(&me())).await.unwrap();
    let codes = estate.ask("agent", "read").await.unwrap_err();
    assert_eq!(codes, ["identity_not_active", "set_aside"]);
    assert_eq!(estate.ask("other", "read").await, Ok(()));
    let applied = estate.service().apply_remediations(std::slice::from_ref(&id), &me(), None).await;
    assert!(applied.unwrap_err().to_string().contains("suspended"));
    estate.service().restore_right(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    // What a person stopped meanwhile stays stopped.
    let id = estate.schedule(None, Effect::Suspend, 0).await;
    estate.service().quarantine(&id, Some(&me())).await.unwrap();
    let suspended = Identity { status: IdentityStatus::Suspended, ..agent("agent") };
    estate.service().change_identity(suspended, &me()).await.unwrap();
    estate.service().restore_right(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["identity_not_active"]));
}

#[tokio::test]
async fn who_was_stopped_before_a_quarantine_is_so_after_it() {
    let estate = estate().await;
    let service = estate.service();
    let status = || service.world().identity(&who("agent")).unwrap().status;
    let set_aside = async || {
        let id = estate.schedule(None, Effect::Suspend, 0).await;
        service.quarantine(&id, Some(&me())).await.unwrap();
        id
    };
    for before in [IdentityStatus::Suspended, IdentityStatus::Quarantined, IdentityStatus::Retired]
    {
        let stopped = Identity { status: before, ..agent("agent") };
        service.change_identity(stopped, &me()).await.unwrap();
        let id = set_aside().await;
        assert_eq!(status(), IdentityStatus::Quarantined);
        service.restore_right(&id, &me(), "back".into()).await.unwrap();
        assert_eq!(status(), before);
    }
    // Two hold it, and somebody stopped it in between.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let first = set_aside().await;
    service.kill(KillScope::Identity(who("agent")), &me(), "seen".into()).await.unwrap();
    let second = set_aside().await;
    for id in [second, first] {
        service.restore_right(&id, &me(), "back".into()).await.unwrap();
    }
    assert_eq!(status(), IdentityStatus::Suspended);
    // Two hold it, and nobody did.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let (first, second) = (set_aside().await, set_aside().await);
    service.restore_right(&first, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Quarantined);
    service.restore_right(&second, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
}

#[tokio::test]
async fn time_sets_aside_what_its_people_had_notice_of() {
    let estate = estate().await;
    let grant = estate.grant("agent", "reads");
    let id = estate.schedule(Some(grant), Effect::Revoke, 60_000).await;
    assert_eq!(estate.service().sweep_remediations().await, 0);
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    estate.bench.clock.set(Timestamp::from_millis(60_000));
    assert_eq!(estate.service().sweep_remediations().await, 1);
    assert_eq!(estate.one(&id).state, RemediationState::Quarantined);
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
}

#[tokio::test]
async fn a_probe_that_is_still_permitted_is_a_failure() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("show", Decision::Deny)];
    let failed = estate.service().verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(failed.state, RemediationState::Failed);
    assert!(failed.set_aside);
}

#[tokio::test]
async fn a_deny_that_others_have_too_proves_nothing() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Suspend).await;
    let forbid = "forbid (principal, action == Safeconduct::Action::\"files.show\", resource);";
    estate.edit(|files| files.get_mut(FILES).unwrap().push_str(forbid));
    estate.folder.load("a hand").await.unwrap();
    let probe = |tool| vec![probing(tool, Decision::Deny)];
    let other = estate.service().verify_remediation(&id, &me(), probe("show")).await;
    assert!(matches!(other, Err(RemediateError::Inconclusive { .. })), "{other:?}");
}

#[tokio::test]
async fn denials_of_what_was_taken_away_say_that_it_was_needed() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    for _ in 0..2 {
        estate.ask("agent", "read").await.unwrap_err();
    }
    estate.ask("agent", "move").await.unwrap_err();
    assert_eq!(service.sweep_remediations().await, 0);
    estate.ask("agent", "read").await.unwrap_err();
    assert_eq!(service.sweep_remediations().await, 1);
    assert!(estate.one(&id).needed_at.is_some());
    assert_eq!(service.sweep_remediations().await, 0, "it is said once");
}

#[tokio::test]
async fn a_later_suspension_outlives_a_roll_back() {
    let estate = estate().await;
    let service = estate.service();
    let status = || service.world().identity(&who("agent")).unwrap().status;
    let gone = async |later: Option<IdentityStatus>| {
        service.change_identity(agent("agent"), &me()).await.unwrap();
        let id = estate.schedule(None, Effect::Revoke, 0).await;
        service.quarantine(&id, Some(&me())).await.unwrap();
        if let Some(status) = later {
            let stopped = Identity { status, ..agent("agent") };
            service.change_identity(stopped, &me()).await.unwrap();
        }
        service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
        assert_eq!(status(), IdentityStatus::Retired);
        id
    };
    let id = gone(None).await;
    service.roll_back(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
    let id = gone(Some(IdentityStatus::Suspended)).await;
    service.roll_back(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Suspended, "who stopped it later has the last word");
    // Another review that suspended it holds it still, and gives it back.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let first = estate.schedule(None, Effect::Revoke, 0).await;
    service.quarantine(&first, Some(&me())).await.unwrap();
    let second = estate.schedule(None, Effect::Suspend, 0).await;
    service.quarantine(&second, Some(&me())).await.unwrap();
    service.apply_remediations(std::slice::from_ref(&first), &me(), None).await.unwrap();
    service.roll_back(&first, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Quarantined);
    assert!(estate.ask("agent", "read").await.is_err());
    service.restore_right(&second, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
}

/// An enforcement point that gives one answer.
struct Point(fn(&PointProbe, &Service) -> Probed, std::sync::Weak<Service>);

impl EnforcementPoints for Point {
    fn probe(&self, probe: PointProbe) -> Probes<'_> {
        Probes(Box::pin(async move { (self.0)(&probe, &self.1.upgrade().unwrap()) }))
    }
}

fn as_a_gateway(probe: &PointProbe, service: &Service, mode: Mode) -> Probed {
    let mut asked = check(probe.action.as_str().strip_prefix("files.").unwrap());
    asked.subject = Subject::Caller(probe.proof.clone());
    asked.input = probe.input.clone();
    asked.mode = mode;
    let outcome = Box::new(service.weigh_check(asked));
    Probed::Weighed { point: who("gateway:files"), outcome }
}

#[tokio::test]
async fn a_probe_goes_through_the_point_that_serves_the_action() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|probe, service| as_a_gateway(probe, service, Mode::Enforce), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("read", Decision::Deny), probing("show", Decision::Permit)];
    let before = decided(&estate.bench.ledger).len();
    let verified = service.verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(verified.state, RemediationState::Verified);
    assert_eq!(verified.probes[0].point, Some(who("gateway:files")));
    assert_eq!(decided(&estate.bench.ledger).len(), before);
}

#[tokio::test]
async fn a_point_that_only_observes_has_not_taken_the_right_away() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|probe, service| as_a_gateway(probe, service, Mode::Observe), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("read", Decision::Deny)];
    let failed = service.verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(failed.state, RemediationState::Failed);
    assert_eq!(failed.probes[0].answer, Decision::Permit);
    assert!(failed.probes[0].reasons.iter().any(|code| &**code == "observed_only"));
}

#[tokio::test]
async fn a_point_that_does_not_come_to_a_decision_proves_nothing() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|_, _| Probed::Silent("it was refused".into()), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let silent =
        service.verify_remediation(&id, &me(), vec![probing("read", Decision::Deny)]).await;
    assert!(matches!(silent, Err(RemediateError::Inconclusive { .. })), "{silent:?}");
}

#[tokio::test]
async fn what_is_denied_without_the_right_proves_nothing_of_it() {
    let estate = estate().await;
    let service = estate.service();
    let elsewhere =
        POLICIES.replacen("resource);", "resource == Safeconduct::Server::\"other\");", 1);
    estate.edit(|files| *files.get_mut(FILES).unwrap() = elsewhere);
    estate.folder.load("a hand").await.unwrap();
    let id = estate.set_aside(Effect::Revoke).await;
    let probe = || vec![probing("read", Decision::Deny)];
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    let silent = service.verify_remediation(&id, &me(), probe()).await;
    assert!(matches!(silent, Err(RemediateError::Inconclusive { .. })), "{silent:?}");
    let used = vec![probing("show", Decision::Permit)];
    let used = service.verify_remediation(&id, &me(), used).await;
    assert!(matches!(used, Err(RemediateError::Step(_))), "{used:?}");
    let there = Probing {
        resource: EntityRef::new("Server", "other").unwrap(),
        ..probing("read", Decision::Deny)
    };
    let verified = service.verify_remediation(&id, &me(), vec![there]).await.unwrap();
    assert_eq!(verified.state, RemediationState::Verified);
}
