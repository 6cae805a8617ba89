//! The course of a campaign.

use super::*;
use safeconduct_review::{CampaignError, DecideError};

#[tokio::test]
async fn it_opens_is_answered_by_reviewers_and_deputies_and_is_signed_by_its_owner() {
    let bench = bench().await;
    let campaign = bench.start("remediation: automatic\n").await;
    let view = bench.view(&campaign);
    assert_eq!((view.state, view.cases, view.open, view.yours), ("in_stage", 4, 4, 3));
    assert_eq!(view.stage.as_deref(), Some("owners"));
    let names: Vec<_> = view.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["policies", "catalogue", "intents", "ledger"]);
    let (reader, writer, other) = (
        bench.case(&campaign, "reader", "agents-read"),
        bench.case(&campaign, "writer", "writer"),
        bench.case(&campaign, "other", "agents-read"),
    );
    assert_eq!(bench.reviewers(&campaign, reader), ["ada"]);

    // Nobody answers what they were not shown, and not what others are asked.
    let unseen = bench.answer_unseen(&campaign, "ada", reader, Response::Accept).await;
    assert_eq!(unseen, Err(CampaignStepError::NotShown(reader)));
    let stranger = bench.answer(&campaign, "sam", reader, Response::Accept).await;
    assert_eq!(stranger, Err(DecideError::NotAsked(id("sam")).into()));
    bench.clock.set(at(1));
    bench.answer(&campaign, "ada", reader, Response::Accept).await.unwrap();
    // Dee is the deputy of Ada, and not of Bob.
    bench.answer(&campaign, "dee", writer, Response::Reduce).await.unwrap();
    let not_theirs = bench.answer(&campaign, "dee", other, Response::Accept).await;
    assert_eq!(not_theirs, Err(DecideError::NotAsked(id("dee")).into()));
    let (by, of) = bench
        .service
        .with_campaign(&campaign, |running| {
            let answer = running.campaign.case(writer).unwrap().1.answers[0].clone();
            (answer.by, answer.acting_for)
        })
        .unwrap();
    assert_eq!((by, of), (id("dee"), Some(id("ada"))));

    // Somebody has time yet: the stage does not close, and nothing is signed.
    let early = bench.service.close_stage(&campaign, &id("grace")).await;
    let Err(CampaignStepError::Campaign(CampaignError::StillOpen { waiting, .. })) = early else {
        panic!("{early:?}")
    };
    assert_eq!(waiting, 2);
    let digest = Digest::from_bytes([0; 32]);
    let signed = bench.service.sign_off(&campaign, &id("grace"), digest).await;
    assert!(matches!(signed, Err(CampaignStepError::Campaign(CampaignError::NotNow { .. }))));
    assert!(bench.service.campaign_effects(&campaign).unwrap().is_empty());

    assert_eq!(bench.tend(14).await, 1, "its time is over");
    let view = bench.view(&campaign);
    assert_eq!((view.state, view.open), ("reviewed", 0));
    // Silence keeps what is low.
    let wanted = BTreeMap::from([("keep", 3), ("reduce", 1)]);
    assert_eq!(view.effects, wanted);
    let over = view.digest.unwrap().0;
    let other_owner = bench.service.sign_off(&campaign, &id("ada"), over).await;
    assert_eq!(other_owner, Err(CampaignError::NotOwner(id("grace")).into()));
    bench.service.sign_off(&campaign, &id("grace"), over).await.unwrap();
    let wanted = BTreeMap::from([("writer writer".to_owned(), Becomes::Reduce)]);
    assert_eq!(effects(&bench.service, &campaign), wanted);
    assert_eq!(bench.service.campaigns_signed_off().unwrap(), std::slice::from_ref(&campaign));
    // What is over is let go of, and read again.
    assert_eq!(bench.tend(15).await, 0);
    assert_eq!(effects(&bench.service, &campaign), wanted);
    let wanted = ["created", "stage_opened", "decided", "decided", "stage_closed", "signed_off"];
    assert_eq!(events(&bench, &campaign), wanted);
}

#[tokio::test]
async fn a_batch_is_taken_answer_by_answer_and_says_how_large_it_was() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let (reader, other) = (
        bench.case(&campaign, "reader", "agents-read"),
        bench.case(&campaign, "other", "agents-read"),
    );
    let shown = bench.service.open_case(&bench.read, &campaign, reader, &id("ada")).unwrap();
    assert_eq!(shown.you_answer_for.as_deref(), Some("ada"));
    bench.clock.set(Timestamp::from_millis(NOW + 40_000));
    // Looked at twice, it is open since the first time.
    bench.service.open_case(&bench.read, &campaign, reader, &id("ada")).unwrap();
    let answer = |case, reason: &str| CaseAnswer {
        case,
        response: Response::Revoke,
        reason: reason.into(),
        acting_for: None,
    };
    let answers =
        [answer(reader, "gone"), answer(reader, "again"), answer(other, "no"), answer(99, "no")];
    let results = bench.service.decide_cases(&campaign, &id("ada"), &answers).await.unwrap();
    let said: Vec<_> = results.iter().map(|(case, result)| (*case, result.is_ok())).collect();
    assert_eq!(said, [(reader, true), (reader, false), (other, false), (99, false)]);
    let (took, batch, evidence) = bench
        .service
        .with_campaign(&campaign, |running| {
            let answer = &running.campaign.case(reader).unwrap().1.answers[0];
            (answer.took_ms(), answer.batch, answer.evidence)
        })
        .unwrap();
    assert_eq!((took, batch), (40_000, 4));
    assert_ne!(evidence, Digest::from_bytes([0; 32]));
    // A revocation is not taken back, not even by a deputy.
    for who in ["ada", "dee"] {
        let back = bench.answer(&campaign, who, reader, Response::Accept).await;
        assert_eq!(back, Err(DecideError::Revoked(id("ada")).into()), "{who}");
    }
    let too_many = bench.service.decide_cases(&campaign, &id("ada"), &[]).await;
    assert_eq!(too_many, Err(DecideError::Batch.into()));
}

#[tokio::test]
async fn four_stages_narrow_down_and_what_nobody_answered_is_asked_again() {
    let bench = bench().await;
    let stages = "  - { name: managers, lasts: 7d, reviewers: [manager] }\n  \
                  - { name: security, lasts: 7d, reviewers: ['group:security'], strategy: all_must_accept }\n  \
                  - { name: last, lasts: 7d, reviewers: ['identity:fay'] }\niterations: 1\n";
    let campaign = bench.start(stages).await;
    let cases = ["reader agents-read", "writer agents-read", "writer writer", "other agents-read"];
    let [reads, writes, wipes, other] = cases.map(|case| {
        let (holder, right) = case.split_once(' ').unwrap();
        bench.case(&campaign, holder, right)
    });
    let counts = || {
        let view = bench.view(&campaign);
        (view.stage_number, view.open, view.answered, view.outcomes)
    };
    bench.answer(&campaign, "ada", reads, Response::Revoke).await.unwrap();
    for case in [writes, wipes] {
        bench.answer(&campaign, "ada", case, Response::Accept).await.unwrap();
    }
    let wanted = BTreeMap::from([("accept", 2), ("no_response", 1), ("revoke", 1)]);
    assert_eq!(counts(), (Some(1), 4, 3, wanted));

    // A stage that ends is followed by the next; what was revoked is not in it.
    assert_eq!(bench.tend(14).await, 2);
    assert_eq!(counts().0, Some(2));
    assert_eq!(counts().1, 3);
    assert_eq!(bench.reviewers(&campaign, writes), ["max"]);
    assert!(bench.reviewers(&campaign, other).is_empty(), "Bob has no manager");
    bench.answer(&campaign, "max", writes, Response::Accept).await.unwrap();
    bench.answer(&campaign, "max", wipes, Response::Reduce).await.unwrap();
    // Everyone who was asked has answered: no need to wait.
    bench.service.close_stage(&campaign, &id("grace")).await.unwrap();
    assert_eq!(bench.tend(14).await, 1);
    assert_eq!((counts().0, counts().1), (Some(3), 2));
    assert_eq!(bench.reviewers(&campaign, writes), ["sam", "sue"]);
    bench.answer(&campaign, "sam", writes, Response::Accept).await.unwrap();
    assert_eq!(bench.tend(21).await, 2);
    bench.answer(&campaign, "fay", writes, Response::Accept).await.unwrap();
    // It closes and asks again about the one case of which nobody said anything.
    assert_eq!(bench.tend(28).await, 3);
    let view = bench.view(&campaign);
    assert_eq!((view.iteration, view.stage_number, view.open), (1, Some(1), 1));
    assert_eq!(bench.reviewers(&campaign, other), ["bob"]);
    let again = bench.service.reiterate(&campaign, &id("grace")).await;
    assert!(matches!(again, Err(CampaignStepError::Campaign(_))));
    bench.answer(&campaign, "bob", other, Response::Revoke).await.unwrap();
    bench.service.close_stage(&campaign, &id("grace")).await.unwrap();
    assert_eq!(bench.tend(28).await, 0, "nothing is left");
    let again = bench.service.reiterate(&campaign, &id("grace")).await;
    assert_eq!(again, Err(CampaignError::NoIteration.into()));
    assert_eq!(bench.view(&campaign).state, "reviewed");
}

#[tokio::test]
async fn it_escalates_twice_and_reminds() {
    let bench = bench().await;
    let more = "    reminders: [1d]\n    escalations:\n      - { after: 7d, to: [manager] }\n      \
                - { after: 10d, to: ['group:security'], how: replace }\n";
    let campaign = bench.start(more).await;
    let reader = bench.case(&campaign, "reader", "agents-read");
    let writer = bench.case(&campaign, "writer", "writer");
    bench.answer(&campaign, "ada", writer, Response::Accept).await.unwrap();
    assert_eq!(bench.tend(6).await, 0);
    assert_eq!(bench.tend(7).await, 1);
    assert_eq!(bench.reviewers(&campaign, reader), ["ada", "max"]);
    assert_eq!(bench.reviewers(&campaign, writer), ["ada"], "that is answered");
    assert_eq!(bench.tend(10).await, 1);
    assert_eq!(bench.reviewers(&campaign, reader), ["sam", "sue"]);
    let late = bench.answer(&campaign, "ada", reader, Response::Accept).await;
    assert_eq!(late, Err(DecideError::NotAsked(id("ada")).into()));
    assert_eq!(bench.tend(13).await, 1, "a reminder");
    assert_eq!(bench.tend(13).await, 0, "once");
    bench.answer(&campaign, "sue", reader, Response::Accept).await.unwrap();
    assert_eq!(bench.tend(14).await, 1);
    let wanted = [
        "created",
        "stage_opened",
        "decided",
        "escalated",
        "escalated",
        "reminded",
        "decided",
        "stage_closed",
    ];
    assert_eq!(events(&bench, &campaign), wanted);
}

#[tokio::test]
async fn a_case_is_handed_on_and_not_to_who_holds_it() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let reader = bench.case(&campaign, "reader", "agents-read");
    let hand = async |from: &str, to: &str| {
        let service = &bench.service;
        service.reassign_case(&campaign, reader, &id(from), &id(to), &id(from)).await
    };
    assert_eq!(hand("ada", "reader").await, Err(CampaignStepError::NotAPerson(id("reader"))));
    assert_eq!(hand("bob", "sam").await, Err(CampaignError::NoCase(reader).into()));
    hand("ada", "sam").await.unwrap();
    assert_eq!(bench.reviewers(&campaign, reader), ["sam"]);
    bench.service.cancel_campaign(&campaign, &id("grace")).await.unwrap();
    assert_eq!(bench.state(&campaign), CampaignState::Cancelled);
    let after = bench.answer(&campaign, "sam", reader, Response::Accept).await;
    assert!(matches!(after, Err(CampaignStepError::Decide(DecideError::Campaign(_)))));
}
