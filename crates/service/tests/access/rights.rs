//! What was said counts as long as whoever said it might say it: approvers who lose their right,
//! people who set rules aside and may act no more, reviews that are due of that.

use safeconduct_model::signal::{About, Kind, Severity, Signal, Source};

use super::ends::{RIGHT, breaking};
use super::*;

impl Bench {
    async fn lead_no_more(&self, who: &str) {
        let left = identity(who, IdentityKind::User, &[]);
        self.service.change_identity(left, &id("ada")).await.unwrap();
    }
}

#[tokio::test]
async fn who_leaves_the_group_before_the_use_has_approved_nothing() {
    let bench = bench().await;
    let send = || call(&proof("agent"), "mail", mail("x"));
    let asked = bench.request(send()).await;
    bench.approve(&asked.request).await;
    bench.lead_no_more("lea").await;
    assert!(bench.ask(send()).await.is_err(), "lea is no lead, though she may act");
    assert!(bench.again().ask(send()).await.is_err());
    let again = bench.request(send()).await;
    assert_eq!((again.made, again.state), (AccessMade::Now, AccessState::Pending));
    assert_eq!(bench.state(&asked.request), AccessState::Revoked);
    assert_eq!(bench.spent(), 0);
}

/// lea has approved the same for ten minutes, lou for twelve; then lea leads no more.
#[tokio::test]
async fn an_approval_that_holds_no_more_hides_none_that_does() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let others = [bench.begin(10).await, bench.begin(11).await];
    let mut asked = Vec::new();
    for other in &others {
        asked.push(bench.request(call(other, "mail", mail("x"))).await.request);
    }
    for (request, (who, minutes)) in asked.iter().zip([("lea", 10), ("lou", 12)]) {
        let view = bench.service.access_request(request).unwrap();
        let bounds = view.asked.as_ref().unwrap().bounds(&view.summary);
        let until = bench.service.now().plus_ms(minutes * MINUTE);
        let extent = AccessExtent::Until { bounds, uses: 3, until };
        assert_eq!(bench.answer(request, proof(who), extent).await, Ok(AccessState::Approved));
    }
    bench.lead_no_more("lea").await;
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.ask(call(&task, "mail", mail("x"))).await, Ok(()));
    }
}

#[tokio::test]
async fn a_quorum_counts_nobody_who_lost_the_right_meanwhile() {
    let bench = bench_under(&POLICIES.replace("quorum=1", "quorum=2")).await;
    let agent = Identity { owner: Some(id("bob")), ..identity("agent", IdentityKind::Agent, &[]) };
    bench.service.change_identity(agent, &id("ada")).await.unwrap();
    let send = || call(&proof("agent"), "mail", mail("x"));
    let asked = bench.request(send()).await;
    let first = bench.answer(&asked.request, proof("lea"), AccessExtent::Once).await;
    assert_eq!(first, Ok(AccessState::Pending));
    bench.lead_no_more("lea").await;
    let second = bench.answer(&asked.request, proof("lou"), AccessExtent::Once).await;
    let closed = AnswerError::Closed(AccessState::Revoked);
    assert_eq!(second, Err(AnswerAccessError::Answer(closed)));
    assert_eq!(bench.state(&asked.request), AccessState::Revoked);
    assert!(bench.ask(send()).await.is_err());
}

#[tokio::test]
async fn what_somebody_set_aside_holds_again_when_they_may_act_no_more() {
    for (how, stands) in [("kill", false), ("suspend", false), ("nothing", true)] {
        let bench = bench_under(&[POLICIES, RIGHT].concat()).await;
        let send = || call(&proof("agent"), "mail", mail("x"));
        let by = passkey("lou", bench.service.now());
        bench.service.break_glass(breaking(by, 600_000)).await.unwrap();
        assert_eq!(bench.ask(send()).await, Ok(()));
        match how {
            "kill" => {
                let scope = KillScope::Identity(id("lou"));
                bench.service.kill(scope, &id("ada"), "left".into()).await.unwrap();
            }
            "suspend" => {
                let status = IdentityStatus::Suspended;
                let lou = Identity { status, ..identity("lou", IdentityKind::User, &["leads"]) };
                bench.service.change_identity(lou, &id("ada")).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(bench.ask(send()).await.is_ok(), stands, "{how}");
        // Nor do they hold for the agent again when the person comes back.
        if !stands {
            let lou = identity("lou", IdentityKind::User, &["leads"]);
            bench.service.change_identity(lou, &id("ada")).await.unwrap();
            assert!(bench.service.glasses().is_empty(), "{how}");
        }
        let again = bench.again();
        again.change_policies(&[POLICIES, RIGHT].concat()).await;
        assert_eq!(again.ask(send()).await.is_ok(), stands, "{how}, after a restart");
    }
}

#[tokio::test]
async fn a_review_is_due_until_somebody_else_has_done_it() {
    let bench = bench_under(&[POLICIES, RIGHT].concat()).await;
    let by = passkey("lou", bench.service.now());
    let broken = bench.service.break_glass(breaking(by, 600_000)).await.unwrap();
    let due = bench.service.due_reviews();
    assert_eq!(due.len(), 1);
    assert_eq!(
        (&due[0].of, &due[0].about, &*due[0].cause),
        (&broken.id, &id("lou"), "break_glass")
    );
    bench.at(REVIEW_WITHIN_MS - 1);
    assert!(!due[0].is_late(bench.service.now()));
    bench.at(REVIEW_WITHIN_MS);
    assert!(due[0].is_late(bench.service.now()));

    let review = |by: Authentication, note: &str| ReviewingDue {
        of: broken.id.clone(),
        by,
        verdict: DueVerdict::Unjustified,
        note: note.into(),
    };
    let tries = [
        (review(passkey("lou", bench.service.now()), "all fine"), "own"),
        (review(proof("agent"), "all fine"), "person"),
        (review(proof("lea"), ""), "note"),
        (review(Authentication { method: Method::AccessToken, ..proof("lea") }, "x"), "task"),
        (ReviewingDue { of: name(RecordId::new("glass_x")), ..review(proof("lea"), "x") }, "none"),
    ];
    for (wanted, why) in tries {
        let refused = bench.service.review_due(wanted).await.unwrap_err();
        let found = match refused {
            ReviewDueError::Own(_) => "own",
            ReviewDueError::NotAPerson(_) => "person",
            ReviewDueError::Note { .. } => "note",
            ReviewDueError::WithinTask => "task",
            ReviewDueError::Unknown(_) => "none",
            other => panic!("{other}"),
        };
        assert_eq!(found, why);
        assert_eq!(bench.again().service.due_reviews(), due, "a restart closes none");
    }
    let done = bench.service.review_due(review(proof("lea"), "nothing was on fire")).await;
    assert_eq!(done.unwrap().of, broken.id);
    assert!(bench.service.due_reviews().is_empty());
    assert!(bench.again().service.due_reviews().is_empty());
    let Body::ReviewDone { of, by, verdict, note } = bench.records().pop().unwrap().body else {
        panic!("no record of it")
    };
    assert_eq!((of, by, verdict), (broken.id.clone(), id("lea"), DueVerdict::Unjustified));
    assert_eq!(&*note, "nothing was on fire");
    let twice = bench.service.review_due(review(proof("lea"), "again")).await;
    assert!(matches!(twice, Err(ReviewDueError::Unknown(_))));
}

#[tokio::test]
async fn who_answers_sees_the_risk_that_decisions_see() {
    let bench = bench().await;
    let session = SessionKey::of(&proof("agent"));
    let source = Source::Detector;
    let at = bench.service.now();
    let of_session = About::Session(session.clone());
    let signal =
        Signal::new(of_session.clone(), Kind::DenialStreak, Severity::High, source, "s1", at);
    bench.service.take_signals(vec![signal], None).await.unwrap();
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let view = bench.service.access_request(&asked.request).unwrap();
    assert!(view.concerned.contains(&of_session), "{:?}", view.concerned);
    let risk = bench.service.risk_of(&view.concerned);
    assert!(risk.score > 0 && risk.parts.len() == 1, "{risk:?}");

    // In a task: it, what is said of its session, and of the user.
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "mail", mail("x"))).await;
    let view = bench.service.access_request(&asked.request).unwrap();
    let id = task.task.as_ref().unwrap().id.clone();
    let of_task = SessionKey::task(super::id("agent"), id.clone());
    for about in [About::Task(id), About::Session(of_task), About::Identity(super::id("agent"))] {
        assert!(view.concerned.contains(&about), "{about}");
    }
    assert_eq!(bench.service.risk_of(&view.concerned).parts.len(), 0);
}

/// Those of a later stage are told as often as anybody is, which is recorded; a restart knows.
#[tokio::test]
async fn later_stages_ask_within_the_limit() {
    let policies =
        POLICIES.replace("approvers=group:leads;", "approvers=group:leads then identity:dora;");
    let pace = Pace { asked_per_hour: 2, ..Pace::default() };
    let bench = bench_with(&policies, Settings { pace, ..Settings::default() }).await;
    let asked = |bench: &Bench| {
        let asked = |record: Record| match record.body {
            Body::AccessRequestChanged(change) => match change.event {
                AccessEvent::Asked { people } => Some(people.into_iter().collect::<Vec<_>>()),
                _ => None,
            },
            _ => None,
        };
        bench.records().into_iter().filter_map(asked).collect::<Vec<_>>()
    };
    let first = bench.request(call(&proof("agent"), "mail", mail("1"))).await;
    let second = bench.request(call(&proof("helper"), "mail", mail("2"))).await;
    for request in [&first.request, &second.request] {
        let state = bench.answer(request, proof("lea"), AccessExtent::Once).await;
        assert_eq!(state, Ok(AccessState::Pending));
    }
    assert_eq!(asked(&bench), [[id("dora")], [id("dora")]]);
    bench.at(60 * MINUTE);
    let third = bench.request(call(&proof("agent"), "mail", mail("3"))).await;
    bench.at(60 * MINUTE + 1);
    assert_eq!(bench.service.sweep_access(), 0);
    bench.answer(&third.request, proof("lou"), AccessExtent::Once).await.unwrap();
    assert_eq!(asked(&bench).len(), 3, "an hour later dora can be asked again");
}

#[tokio::test]
async fn an_escalation_waits_for_who_was_asked_enough() {
    let policies = POLICIES
        .replace("approvers=group:leads;", "approvers=group:leads else identity:dora after 10m;");
    let pace = Pace { asked_per_hour: 1, ..Pace::default() };
    let bench = bench_with(&policies, Settings { pace, ..Settings::default() }).await;
    let told = |bench: &Bench| {
        let told = |record: &Record| match &record.body {
            Body::AccessRequestChanged(change) => match &change.event {
                AccessEvent::Asked { people } => people.contains(&id("dora")),
                _ => false,
            },
            _ => false,
        };
        bench.records().iter().filter(|record| told(record)).count()
    };
    bench.request(call(&proof("agent"), "mail", mail("1"))).await;
    bench.at(10 * MINUTE);
    assert_eq!(bench.service.sweep_access(), 2, "it escalates, and dora is told");
    assert_eq!(told(&bench), 1);
    // An hour after the leads were asked they can be asked again; dora not yet.
    bench.at(60 * MINUTE);
    bench.request(call(&proof("helper"), "mail", mail("2"))).await;
    bench.at(69 * MINUTE);
    bench.service.sweep_access();
    bench.at(70 * MINUTE - 1);
    bench.service.sweep_access();
    assert_eq!(told(&bench), 1);
    bench.at(70 * MINUTE);
    bench.service.sweep_access();
    assert_eq!(told(&bench), 2);
    assert_eq!(told(&bench.again()), 2);
}

/// What different agents ask for is held against the same refusals.
#[tokio::test]
async fn likeness_is_of_what_is_asked_and_not_of_who_asks() {
    let bench = bench().await;
    for who in ["agent", "helper"] {
        bench.request(call(&proof(who), "mail", mail("the same"))).await;
    }
    let likeness = |record: Record| match record.body {
        Body::AccessRequestChanged(change) => match change.event {
            AccessEvent::Requested(requested) => Some(requested.likeness),
            _ => None,
        },
        _ => None,
    };
    let known: Vec<_> = bench.records().into_iter().filter_map(likeness).collect();
    assert_eq!(known.len(), 2);
    assert_eq!(known[0], known[1]);
}
