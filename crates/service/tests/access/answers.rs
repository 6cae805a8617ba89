//! Who may answer, and how they must prove it.

use super::*;

#[tokio::test]
async fn who_lost_the_right_since_cannot_answer() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    bench
        .service
        .change_identity(identity("lea", IdentityKind::User, &[]), &id("ada"))
        .await
        .unwrap();
    let by = passkey("lea", bench.service.now());
    let answer = bench.answer(&asked.request, by, AccessExtent::Once).await;
    assert!(matches!(answer, Err(AnswerAccessError::Answer(AnswerError::NotNamed { .. }))));

    let suspended = Identity {
        status: IdentityStatus::Suspended,
        ..identity("lou", IdentityKind::User, &["leads"])
    };
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    let by = passkey("lou", bench.service.now());
    let answer = bench.answer(&asked.request, by, AccessExtent::Once).await;
    assert_eq!(answer, Err(AnswerAccessError::CredentialEnded));
    assert_eq!(bench.state(&asked.request), AccessState::Pending);
}

/// What somebody said yes to who is suspended before it is used is approved no more, and asking
/// again asks somebody else.
#[tokio::test]
async fn the_yes_of_whoever_may_not_act_any_more_is_worth_nothing() {
    let bench = bench().await;
    let agent = proof("agent");
    let asked = bench.request(call(&agent, "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    let stand = |status| Identity { status, ..identity("lea", IdentityKind::User, &["leads"]) };
    let suspended = stand(IdentityStatus::Suspended);
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    assert!(bench.ask(call(&agent, "mail", mail("x"))).await.is_err());
    let again = bench.request(call(&agent, "mail", mail("x"))).await;
    assert_eq!((again.made, again.state), (AccessMade::Now, AccessState::Pending));
    assert_eq!(bench.state(&asked.request), AccessState::Revoked);
    let lou = passkey("lou", bench.service.now());
    let state = bench.answer(&again.request, lou, AccessExtent::Once).await;
    assert_eq!(state, Ok(AccessState::Approved));
    assert_eq!(bench.ask(call(&agent, "mail", mail("x"))).await, Ok(()));
}

#[tokio::test]
async fn programs_agents_and_those_with_a_part_answer_nothing() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "mail", mail("x"))).await;
    for (who, code) in [("agent", "a"), ("orchestrator", "p"), ("ada", "i"), ("bob", "n")] {
        let by = passkey(who, bench.service.now());
        let answer = bench.answer(&asked.request, by, AccessExtent::Once).await.unwrap_err();
        let found = match answer {
            AnswerAccessError::NotAPerson(_) if who == "agent" => "a",
            AnswerAccessError::NotAPerson(_) => "p",
            AnswerAccessError::Answer(AnswerError::Interested(_)) => "i",
            AnswerAccessError::Answer(AnswerError::NotNamed { .. }) => "n",
            other => panic!("{other}"),
        };
        assert_eq!(found, code, "{who}");
    }
}

/// A sponsor answers for an agent too: where they are a lead, others answer.
#[tokio::test]
async fn a_sponsor_has_a_part_in_what_their_agent_asks() {
    let bench = bench().await;
    let agent = identity("agent", IdentityKind::Agent, &[]);
    let sponsored = Identity { sponsor: Some(id("lou")), ..agent };
    bench.service.change_identity(sponsored, &id("ada")).await.unwrap();
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let of = |who: &str| bench.service.may_answer_access(&asked.request, &id(who)).unwrap();
    assert!(matches!(of("lou"), Err(AnswerError::Interested(_))) && of("lea").is_ok());
}

#[tokio::test]
async fn from_high_on_only_a_passkey_that_was_just_used_counts() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "pay", pay(10))).await;
    let now = bench.service.now();
    let signed_in =
        Authentication { method: Method::LocalPeer, assurance: Assurance::High, ..proof("lea") };
    let old = passkey("lea", now.plus_ms(-PASSKEY_FRESH_MS - 1));
    let future = passkey("lea", now.plus_ms(1));
    for by in [proof("lea"), signed_in, old, future] {
        let answer = bench.answer(&asked.request, by, AccessExtent::Once).await;
        let low = AnswerAccessError::Answer(AnswerError::Assurance {
            found: Assurance::Substantial,
            wanted: Assurance::High,
        });
        let lower = AnswerAccessError::Answer(AnswerError::Assurance {
            found: Assurance::Low,
            wanted: Assurance::High,
        });
        assert!([Err(low), Err(lower)].contains(&answer), "{answer:?}");
    }
    bench.approve(&asked.request).await;
    assert_eq!(bench.ask(call(&task, "pay", pay(10))).await, Ok(()));
}

#[tokio::test]
async fn what_is_critical_is_answered_in_person_and_each_use_by_itself() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "wipe", mail("x"))).await;
    let view = bench.service.access_request(&asked.request).unwrap();
    let bounds = view.asked.as_ref().unwrap().bounds(&view.summary);
    let now = bench.service.now();
    let standing = AccessExtent::Task { bounds, uses: 2 };
    let answer = bench.answer(&asked.request, passkey("lea", now), standing).await;
    assert!(matches!(answer, Err(AnswerAccessError::Answer(AnswerError::Scope(_)))), "{answer:?}");
    let mut deputy = bench.answering(
        &asked.request,
        passkey("dora", now),
        AccessWord::Approve(AccessExtent::Once),
    );
    deputy.standing_in_for = Some(id("lea"));
    let answer = bench.service.answer_access(deputy).await;
    assert_eq!(answer, Err(AnswerAccessError::Answer(AnswerError::NoDeputies)));
    bench.approve(&asked.request).await;
}

/// Whoever is in the group by now is asked, and nobody who is not.
#[tokio::test]
async fn a_group_is_who_is_in_it_when_it_is_asked() {
    let bench = bench().await;
    let asked_of = async |body: &str| {
        bench.request(call(&proof("agent"), "mail", mail(body))).await;
        let asked = |record: Record| match record.body {
            Body::AccessRequestChanged(change) => match change.event {
                AccessEvent::Requested(requested) => Some(requested.asked),
                _ => None,
            },
            _ => None,
        };
        bench.records().into_iter().filter_map(asked).next_back().unwrap()
    };
    assert_eq!(asked_of("1").await, ["lea", "lou"].map(id).into());
    let by = id("ada");
    for (who, groups) in [("lea", &[][..]), ("dora", &["leads"])] {
        let changed = identity(who, IdentityKind::User, groups);
        bench.service.change_identity(changed, &by).await.unwrap();
    }
    assert_eq!(asked_of("2").await, ["dora", "lou"].map(id).into());
}

#[tokio::test]
async fn only_the_fallback_owner_stands_in() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let stand_in = |who: &str| {
        let word = AccessWord::Approve(AccessExtent::Once);
        let mut answering = bench.answering(&asked.request, proof(who), word);
        answering.standing_in_for = Some(id("lea"));
        answering
    };
    let answer = bench.service.answer_access(stand_in("bob")).await;
    assert!(matches!(answer, Err(AnswerAccessError::NotADeputy { .. })));
    let whom = |who| bench.service.answers_access_for(&asked.request, &id(who)).unwrap();
    assert_eq!((whom("lea"), whom("dora")), (Ok(None), Ok(Some(id("lea")))));
    assert!(whom("bob").is_err());
    let dora = id("dora");
    let waiting = AccessQuery { answerable_by: Some(&dora), limit: 9, ..Default::default() };
    assert_eq!(bench.service.access_requests(&waiting).requests.len(), 1);
    let settled = bench.service.answer_access(stand_in("dora")).await.unwrap();
    assert_eq!(settled.state, AccessState::Approved);
    let view = bench.service.access_request(&asked.request).unwrap();
    assert_eq!(view.summary.answers[0].standing_in_for, Some(id("lea")));
}

#[tokio::test]
async fn what_was_shown_must_be_what_was_asked() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let word = AccessWord::Approve(AccessExtent::Once);
    let mut answering = bench.answering(&asked.request, proof("lea"), word);
    answering.shown = KeyedDigest::from_bytes([1; 32]);
    let answer = bench.service.answer_access(answering).await;
    assert!(matches!(answer, Err(AnswerAccessError::Answer(AnswerError::Shown(_)))));
}

/// Digest, bounds and how it ended are for those whom it concerns.
#[tokio::test]
async fn who_may_not_answer_is_told_so_before_anything_else() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "mail", mail("x"))).await;
    let refused = async |who: &str, shown: KeyedDigest| {
        let word = AccessWord::Approve(AccessExtent::Once);
        let mut answering = bench.answering(&asked.request, proof(who), word);
        answering.shown = shown;
        match bench.service.answer_access(answering).await {
            Err(AnswerAccessError::Answer(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let not_named = || AnswerError::NotNamed { person: id("bob"), stage: 0 };
    let takes = |who: &str| bench.service.takes_answer_of(&asked.request, &proof(who), None);
    assert_eq!(refused("bob", KeyedDigest::from_bytes([1; 32])).await, not_named());
    assert_eq!((takes("bob"), takes("lea")), (Err(not_named().into()), Ok(())));
    let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
    bench.service.end_task(&task.task.as_ref().unwrap().id, ending).await.unwrap();
    let shown = bench.shown(&asked.request);
    assert_eq!(refused("bob", shown).await, not_named());
    let closed = AnswerError::Closed(AccessState::Revoked);
    assert_eq!(refused("lou", shown).await, closed.clone());
    assert_eq!((takes("bob"), takes("lou")), (Err(not_named().into()), Err(closed.into())));
}

#[tokio::test]
async fn like_requests_of_a_task_are_answered_together() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let mut requests = Vec::new();
    for body in ["one", "two", "three"] {
        requests.push(bench.request(call(&task, "mail", mail(body))).await.request);
    }
    let other = bench.request(call(&proof("agent"), "mail", mail("one"))).await.request;
    let view = bench.service.access_request(&requests[0]).unwrap();
    assert_eq!(view.group.len(), 3);
    let shown = |id: &RecordId| (id.clone(), bench.shown(id));
    let answering = AnsweringAll {
        requests: [&requests[0], &requests[1], &other].map(shown).into(),
        by: proof("lea"),
        standing_in_for: None,
        refuse: None,
    };
    let settled = bench.service.answer_all_access(answering).await.unwrap();
    let states: Vec<_> =
        settled.iter().map(|(_, one)| one.as_ref().ok().map(|one| one.state)).collect();
    assert_eq!(states, [Some(AccessState::Approved), Some(AccessState::Approved), None]);
    assert_eq!(bench.ask(call(&task, "mail", mail("two"))).await, Ok(()));
    assert!(bench.ask(call(&task, "mail", mail("three"))).await.is_err());
}

#[tokio::test]
async fn a_quorum_is_of_different_people_who_approve_the_same() {
    let policies = POLICIES.replace("quorum=1", "quorum=2");
    let bench = bench_under(&policies).await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let first = bench.answer(&asked.request, proof("lea"), AccessExtent::Once).await;
    assert_eq!(first, Ok(AccessState::Pending));
    let twice = bench.answer(&asked.request, proof("lea"), AccessExtent::Once).await;
    assert!(matches!(twice, Err(AnswerAccessError::Answer(AnswerError::Twice(_)))));
    assert!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_err());
    let second = bench.answer(&asked.request, proof("lou"), AccessExtent::Once).await;
    assert_eq!(second, Ok(AccessState::Approved));
    assert_eq!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await, Ok(()));
}
