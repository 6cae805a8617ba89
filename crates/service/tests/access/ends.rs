//! What ends a request, and what does not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn a_restart_anywhere_changes_nothing() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let send = || call(&task, "mail", mail("x"));
    let asked = bench.request(send()).await;
    let bench = bench.again();
    assert_eq!(bench.state(&asked.request), AccessState::Pending);
    assert_eq!(bench.request(send()).await.request, asked.request);
    let view = bench.service.access_request(&asked.request).unwrap();
    assert_eq!(view.asked.unwrap().arguments, mail("x"));
    bench.approve(&asked.request).await;
    let bench = bench.again();
    assert_eq!(bench.state(&asked.request), AccessState::Approved);
    assert_eq!(bench.ask(send()).await, Ok(()));
    let bench = bench.again();
    assert_eq!(bench.state(&asked.request), AccessState::Spent);
    assert!(bench.ask(send()).await.is_err());
    assert_eq!(bench.spent(), 1);
}

#[tokio::test]
async fn no_answer_is_a_deny_and_an_approval_has_its_time() {
    let bench = bench().await;
    let agent = proof("agent");
    let (first, second) = (|| call(&agent, "mail", mail("1")), || call(&agent, "mail", mail("2")));
    let unanswered = bench.request(first()).await;
    let unused = bench.request(second()).await;
    bench.approve(&unused.request).await;
    bench.at(15 * MINUTE);
    assert!(bench.ask(second()).await.is_err(), "before anyone has recorded that it is over");
    assert_eq!(bench.service.sweep_access(), 1);
    assert_eq!(bench.state(&unused.request), AccessState::Expired);
    bench.at(ANSWER_WITHIN_MS);
    let by = passkey("lea", bench.service.now());
    let late = bench.answer(&unanswered.request, by, AccessExtent::Once).await;
    let expired = AnswerAccessError::Answer(AnswerError::Closed(AccessState::Expired));
    assert_eq!(late, Err(expired));
    assert_eq!((bench.service.sweep_access(), bench.service.sweep_access()), (1, 0));
    assert!(bench.ask(first()).await.is_err());
    assert_eq!(bench.again().state(&unanswered.request), AccessState::Expired);
    assert_eq!(bench.spent(), 0);
}

#[tokio::test]
async fn others_may_answer_once_nobody_has_for_a_while() {
    let policies = POLICIES
        .replace("approvers=group:leads;", "approvers=group:leads else identity:bob after 10m;");
    let policies = policies.replace("principal is Safeconduct::Agent", "principal");
    let bench = bench_under(&policies).await;
    // Somebody with whom bob has no part.
    let dora = proof("dora");
    let asked = bench.request(call(&dora, "mail", mail("x"))).await;
    let answer = || bench.answer(&asked.request, proof("bob"), AccessExtent::Once);
    assert!(answer().await.is_err());
    bench.at(10 * MINUTE);
    assert_eq!(bench.service.sweep_access(), 2, "it escalates, and bob is told");
    assert_eq!(answer().await, Ok(AccessState::Approved));
}

#[tokio::test]
async fn the_end_of_its_task_takes_everything_back() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let pending = bench.request(call(&task, "mail", mail("1"))).await;
    let approved = bench.request(call(&task, "mail", mail("2"))).await;
    bench.approve(&approved.request).await;
    let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
    bench.service.end_task(&task.task.as_ref().unwrap().id, ending).await.unwrap();
    for bench in [&bench, &bench.again()] {
        for request in [&pending.request, &approved.request] {
            assert_eq!(bench.state(request), AccessState::Revoked);
        }
        assert_eq!(bench.ask(call(&task, "mail", mail("2"))).await, Err(vec!["task_ended"]));
    }
}

#[tokio::test]
async fn the_kill_switch_takes_everything_back() {
    for (scope, hits) in [
        (KillScope::Identity(id("agent")), true),
        (KillScope::All, true),
        (KillScope::Identity(id("helper")), false),
        (KillScope::Session(SessionKey::of(&proof("agent"))), true),
    ] {
        let bench = bench().await;
        let asked = bench.request(call(&proof("agent"), "mail", mail("1"))).await;
        bench.approve(&asked.request).await;
        bench.service.kill(scope.clone(), &id("ada"), "stop".into()).await.unwrap();
        let state = if hits { AccessState::Revoked } else { AccessState::Approved };
        assert_eq!(bench.state(&asked.request), state, "{scope:?}");
    }
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("1"))).await;
    let suspended = Identity {
        status: IdentityStatus::Suspended,
        ..identity("agent", IdentityKind::Agent, &[])
    };
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    assert_eq!(bench.state(&asked.request), AccessState::Revoked);
}

/// What was approved until a time holds in every task, and ends with whoever it rests on: for
/// good, whoever comes back.
#[tokio::test]
async fn what_was_approved_until_a_time_ends_with_whoever_it_rests_on() {
    for (who, hits) in [("dora", true), ("lea", true), ("agent", true), ("lou", false)] {
        let bench = bench().await;
        let until = bench.service.now().plus_ms(10 * MINUTE);
        let work = name(IntentName::new("work"));
        bench.service.delegate(id("dora"), id("agent"), work, until).await.unwrap();
        let begin = async |handle: u8| {
            let on_behalf_of = Some(OnBehalf::Delegated(id("dora")));
            let undertaking = Undertaking { on_behalf_of, ..bench.undertaking(handle) };
            bench.service.begin_task(undertaking).await.unwrap();
            bench.service.enter_task(proof("agent"), &Digest::from_bytes([handle; 32])).unwrap()
        };
        let task = begin(1).await;
        // The agent delegates, so that it acts in what its helper asks for.
        let by = task.clone();
        let child = Undertaking { by, agent: id("helper"), ..bench.undertaking(2) };
        bench.service.begin_task(child).await.unwrap();
        let handle = Digest::from_bytes([2; 32]);
        let child = bench.service.enter_task(proof("helper"), &handle).unwrap();
        let asked = bench.request(call(&child, "mail", mail("x"))).await;
        let view = bench.service.access_request(&asked.request).unwrap();
        let bounds = view.asked.as_ref().unwrap().bounds(&view.summary);
        let extent = AccessExtent::Until { bounds, uses: 3, until };
        let state = bench.answer(&asked.request, proof("lea"), extent).await;
        assert_eq!(state, Ok(AccessState::Approved));

        let known = bench.service.world().identity(&id(who)).unwrap().clone();
        let suspended = Identity { status: IdentityStatus::Suspended, ..known.clone() };
        bench.service.change_identity(suspended, &id("ada")).await.unwrap();
        let wanted = if hits { AccessState::Revoked } else { AccessState::Approved };
        // A crash between the record of that and what follows of it changes nothing.
        let changed = |record: &Record| matches!(record.body, Body::IdentityChanged { .. });
        let changed = bench.records().iter().rposition(changed).unwrap();
        assert_eq!(bench.again_after(changed + 1).state(&asked.request), wanted, "{who}");
        bench.service.change_identity(known, &id("ada")).await.unwrap();
        for bench in [&bench, &bench.again()] {
            assert_eq!(bench.state(&asked.request), wanted, "{who}");
        }
    }
}

/// Counts how often it is read.
struct CountingClock(Arc<MemoryClock>, Arc<AtomicUsize>);

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }
}

/// What the ends of many take grows with what rests on them, not with all that others have asked
/// for, and whatever else there is to do has its turn in between.
#[tokio::test]
async fn many_ends_at_once_look_at_what_rests_on_them() {
    let pace = Pace { asked_per_hour: 100, ..Pace::default() };
    let bench = bench_with(POLICIES, Settings { pace, ..Settings::default() }).await;
    let mut asked = Vec::new();
    for n in 0..40 {
        let agent = format!("agent-{n}");
        let new = identity(&agent, IdentityKind::Agent, &[]);
        bench.service.change_identity(new, &id("ada")).await.unwrap();
        asked.push(bench.request(call(&proof(&agent), "mail", mail("x"))).await.request);
    }
    let mut leaving: Vec<IdentityId> = (0..200).map(|n| id(&format!("person-{n}"))).collect();
    for person in &leaving {
        let new = identity(person.as_str(), IdentityKind::User, &[]);
        bench.service.change_identity(new, &id("ada")).await.unwrap();
    }
    bench.approve(&asked[2]).await;
    leaving.extend(["agent-0", "lea"].map(id));

    let (ports, ledger, clock) = ports();
    clock.set(bench.service.now());
    let (reads, writes, entries) = (Vec::new(), Vec::new(), bench.ledger.entries());
    ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
    let looks = Arc::new(AtomicUsize::new(0));
    let counting = CountingClock(Arc::clone(&clock), Arc::clone(&looks));
    let service = restored(Ports { clock: Arc::new(counting), ..ports }, &entries);
    let bench = Bench { service, ledger, clock };

    let world = bench.service.world();
    let suspended = |who: &IdentityId| {
        let was = world.identity(who).unwrap().clone();
        let is = Identity { status: IdentityStatus::Suspended, ..was.clone() };
        Replacing { was: Some(was), is }
    };
    let changes = leaving.iter().map(suspended).collect();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let before = looks.load(Ordering::SeqCst);
    bench.service.replace_identities(changes, &id("ada"), None).await.unwrap();
    others.abort();
    let looks = looks.load(Ordering::SeqCst) - before;
    assert!(looks < leaving.len() * 10, "{looks} for {} ends and {}", leaving.len(), asked.len());
    assert!(turns.load(Ordering::SeqCst) >= leaving.len() / 64, "{turns:?}");
    for (n, request) in asked.iter().enumerate() {
        let wanted = if [0, 2].contains(&n) { AccessState::Revoked } else { AccessState::Pending };
        assert_eq!(bench.state(request), wanted, "{n}");
    }
}

#[tokio::test]
async fn a_revoking_signal_takes_everything_back_for_good() {
    use safeconduct_model::signal::{About, Kind, Severity, Signal, Source};
    let bench = bench_under(&[POLICIES, RIGHT].concat()).await;
    let agent = proof("agent");
    let wait = bench.request(call(&agent, "mail", mail("1"))).await;
    let approved = bench.request(call(&agent, "mail", mail("2"))).await;
    bench.approve(&approved.request).await;
    let by = passkey("lou", bench.service.now());
    bench.service.break_glass(breaking(by, 600_000)).await.unwrap();
    let source = Source::Stream("https://idp.example".into());
    let (about, at) = (About::Identity(id("agent")), bench.service.now());
    let signal = Signal::new(about, Kind::AccountDisabled, Severity::Critical, source, "j1", at);
    bench.service.take_signals(vec![signal], None).await.unwrap();
    // Whoever lets the agent act again gives back nothing of what it had.
    let again = identity("agent", IdentityKind::Agent, &[]);
    bench.service.change_identity(again, &id("ada")).await.unwrap();
    for bench in [&bench, &bench.again()] {
        assert!(bench.service.glasses().is_empty());
        for request in [&wait.request, &approved.request] {
            assert_eq!(bench.state(request), AccessState::Revoked);
        }
        let (once, twice) = (call(&agent, "mail", mail("2")), call(&agent, "mail", mail("3")));
        assert!(bench.ask(once).await.is_err() && bench.ask(twice).await.is_err());
    }
    assert_eq!(bench.spent(), 0);
}

#[tokio::test]
async fn a_task_that_waits_for_people_is_not_idle() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "mail", mail("x"))).await;
    bench.at(60 * MINUTE);
    assert_eq!(bench.service.sweep_tasks(), 0);
    let bench = bench.again();
    assert_eq!(bench.service.sweep_tasks(), 0, "nor after a restart");
    bench.approve(&asked.request).await;
    bench.at(70 * MINUTE);
    assert_eq!(bench.ask(call(&task, "mail", mail("x"))).await, Ok(()));
    bench.at(72 * MINUTE);
    assert_eq!(bench.service.sweep_tasks(), 1, "now it is");
}

#[tokio::test]
async fn another_rule_denies_what_was_approved_and_nothing_is_used() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    bench.change_policies(&[POLICIES, STOP].concat()).await;
    assert_eq!(
        bench.ask(call(&proof("agent"), "mail", mail("x"))).await,
        Err(vec!["policy", "policy"])
    );
    // Were only the new rule to stand in its way, that would be said.
    let only = STOP.replace("forbid", "@requestable(\"approvers=group:leads\") forbid");
    bench.change_policies(&[POLICIES, &only].concat()).await;
    assert_eq!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await, Err(vec!["policy"]));
    assert_eq!((bench.spent(), bench.state(&asked.request)), (0, AccessState::Approved));
    bench.change_policies(POLICIES).await;
    assert_eq!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await, Ok(()));
}

#[tokio::test]
async fn what_was_approved_on_laxer_terms_counts_for_nothing() {
    let bench = bench().await;
    let send = || call(&proof("agent"), "mail", mail("x"));
    let asked = bench.request(send()).await;
    bench.approve(&asked.request).await;
    let strict = POLICIES.replace("quorum=1", "quorum=2");
    for stricter in [strict.clone(), POLICIES.replace("group:leads", "identity:lou")] {
        bench.change_policies(&stricter).await;
        assert_eq!(bench.ask(send()).await, Err(vec!["policy"]));
    }
    bench.change_policies(&strict).await;
    let again = bench.request(send()).await;
    assert_eq!((again.made, again.state), (AccessMade::Now, AccessState::Pending));
    assert_eq!(bench.state(&asked.request), AccessState::Revoked);
    for (who, state) in [("lea", AccessState::Pending), ("lou", AccessState::Approved)] {
        let answer = bench.answer(&again.request, proof(who), AccessExtent::Once).await;
        assert_eq!(answer, Ok(state));
    }
    assert_eq!(bench.ask(send()).await, Ok(()));
    assert_eq!(bench.spent(), 1);
}

#[tokio::test]
async fn who_asked_or_an_operator_takes_a_request_back() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    bench.service.revoke_access(&asked.request, &id("ada"), "no more".into()).await.unwrap();
    assert!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_err());
    let again = bench.service.revoke_access(&asked.request, &id("ada"), "".into()).await;
    assert!(matches!(again, Err(RevokeAccessError::Revoke(_))));
    assert_eq!(bench.again().state(&asked.request), AccessState::Revoked);
}

#[tokio::test]
async fn what_was_erased_is_shown_approved_and_used_no_more() {
    let bench = bench().await;
    let pending = bench.request(call(&proof("agent"), "mail", mail("1"))).await;
    let approved = bench.request(call(&proof("agent"), "mail", mail("2"))).await;
    bench.approve(&approved.request).await;
    let of = requests_session(&id("agent")).unwrap();
    assert!(bench.service.erase(&of, &id("ada")).await.unwrap() >= 3, "key and arguments");
    for bench in [&bench, &bench.again()] {
        assert!(bench.ask(call(&proof("agent"), "mail", mail("2"))).await.is_err());
        for request in [&pending.request, &approved.request] {
            assert_eq!(bench.state(request), AccessState::Revoked);
            assert!(bench.service.access_request(request).unwrap().asked.is_none());
        }
    }
    let fresh = bench.request(call(&proof("agent"), "mail", mail("1"))).await;
    bench.approve(&fresh.request).await;
    assert_eq!(bench.ask(call(&proof("agent"), "mail", mail("1"))).await, Ok(()));
}

pub(super) const RIGHT: &str = r#"
@id("right") permit (principal == Safeconduct::User::"lou", action == Safeconduct::Action::"break_glass", resource)
when { context.for_s <= 600 };
"#;

pub(super) fn breaking(by: Authentication, for_ms: i64) -> BreakGlass {
    BreakGlass {
        by,
        agent: id("agent"),
        task: None,
        reason: "the pager is on fire".into(),
        for_ms,
        pep: id("gateway"),
        trace: None,
    }
}

#[tokio::test]
async fn rules_are_set_aside_for_a_time_by_who_has_that_right() {
    let bench = bench_under(&[POLICIES, RIGHT].concat()).await;
    let now = bench.service.now();
    let send = || call(&proof("agent"), "mail", mail("x"));
    let lou = || passkey("lou", now);
    for (by, for_ms) in [(lou(), 3_600_000), (passkey("lea", now), 600_000)] {
        let broken = bench.service.break_glass(breaking(by, for_ms)).await;
        assert!(matches!(broken, Err(BreakGlassError::Denied { .. })), "{broken:?}");
    }
    let without = bench.service.break_glass(breaking(proof("lou"), 60_000)).await;
    assert!(matches!(without, Err(BreakGlassError::Passkey)));
    for for_ms in [0, GLASS_MS_MAX + 1] {
        let broken = bench.service.break_glass(breaking(lou(), for_ms)).await;
        assert!(matches!(broken, Err(BreakGlassError::Time)));
    }
    assert!(bench.ask(send()).await.is_err());

    let broken = bench.service.break_glass(breaking(lou(), 600_000)).await.unwrap();
    assert_eq!(bench.ask(send()).await, Ok(()));
    assert_eq!(bench.ask(send()).await, Ok(()), "as often as it takes");
    assert!(bench.ask(call(&proof("helper"), "mail", mail("x"))).await.is_err());
    let records = bench.records();
    let due = records.iter().any(|record| match &record.body {
        Body::ReviewDue { of, about, cause } => {
            *of == broken.id && *about == id("lou") && &**cause == "break_glass"
        }
        _ => false,
    });
    let told = records.iter().filter(|record| match &record.body {
        Body::Decided(decided) => decided.approval.as_ref() == Some(&broken.id),
        _ => false,
    });
    assert!(due && told.count() == 2);

    let again = bench.again();
    again.change_policies(&[POLICIES, RIGHT].concat()).await;
    assert_eq!(again.ask(send()).await, Ok(()), "a restart changes nothing");
    again.service.mend_glass(&broken.id, &id("ada")).await.unwrap();
    assert!(again.ask(send()).await.is_err());
    bench.service.kill(KillScope::Identity(id("helper")), &id("ada"), "no".into()).await.unwrap();
    assert_eq!(bench.service.glasses().len(), 1);
    // Another rule stands all the same.
    bench.change_policies(&[POLICIES, RIGHT, STOP].concat()).await;
    assert!(bench.ask(send()).await.is_err());
    bench.change_policies(&[POLICIES, RIGHT].concat()).await;
    bench.at(10 * MINUTE);
    assert!(bench.ask(send()).await.is_err(), "its time is over");
    assert!(bench.service.glasses().is_empty());
}
