//! The course of campaigns: what reviewers may do, and what never happens whatever they try.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::{Just, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;
use safeconduct_model::{Digest, IdentityId, RecordId, Tier, Timestamp};
use safeconduct_review::*;

const DAY: i64 = 86_400_000;

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn stage(name: &str, strategy: Strategy) -> StageDefinition {
    StageDefinition {
        name: name.into(),
        lasts_ms: 14 * DAY,
        reviewers: vec![Reviewer::Owner],
        fallback: Vec::new(),
        strategy,
        if_no_reviewers: Response::NoResponse,
        stop: StopRule::default(),
        reminders_ms: Vec::new(),
        escalations: Vec::new(),
    }
}

fn definition(stages: Vec<StageDefinition>) -> Definition {
    Definition {
        name: "all agents".into(),
        owner: id("grace"),
        stages,
        strategy: Strategy::OneDenyDenies,
        stop: StopRule::default(),
        no_answer: NoAnswer::default(),
        remediation: RemediationStyle::Automatic,
        notice_ms: None,
        iterations: 1,
    }
}

fn right(holder: &str, tier: Tier) -> Case {
    let given_by = Some(id("giver"));
    let what = Arc::new(Right {
        kind: GrantKind::Statement,
        name: "p".into(),
        at: None,
        words: "anything on anything".into(),
        actions: 3,
        put_by: vec![id("author"), id("approver")],
    });
    Case { grant: Digest::from_bytes([7; 32]), holder: id(holder), tier, given_by, what }
}

fn campaign(definition: Definition, cases: &[Case]) -> Campaign {
    let cases = cases.iter().cloned().map(Ok::<_, Infallible>);
    let population = Population::freeze(cases, Vec::new()).unwrap();
    Campaign::begin(RecordId::new("cmp_1").unwrap(), Arc::new(definition), population).unwrap()
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY)
}

fn answer(by: &str, response: Response, day: i64) -> ReviewDecision {
    ReviewDecision {
        by: id(by),
        acting_for: None,
        response,
        reason: "seen".into(),
        opened_at: at(day),
        at: at(day),
        evidence: Digest::from_bytes([9; 32]),
        batch: 1,
    }
}

fn open(campaign: &mut Campaign, day: i64, reviewers: &[&str]) {
    let named = |_| reviewers.iter().map(|who| id(who)).collect();
    campaign.apply(campaign.open_stage(at(day), named, |_| Vec::new()).unwrap());
}

fn say(campaign: &mut Campaign, case: u32, by: &str, response: Response, day: i64) {
    campaign.apply(campaign.decide(case, answer(by, response, day)).unwrap());
}

#[test]
fn a_case_that_is_denied_goes_no_further_and_silence_has_its_effect() {
    let stages = vec![
        stage("owners", Strategy::OneAcceptAccepts),
        stage("security", Strategy::AllMustAccept),
    ];
    let cases = [
        right("a", Tier::Low),
        right("b", Tier::Low),
        right("c", Tier::High),
        right("d", Tier::Low),
    ];
    let mut campaign = campaign(definition(stages), &cases);
    open(&mut campaign, 0, &["ada"]);
    say(&mut campaign, 0, "ada", Response::Accept, 1);
    say(&mut campaign, 1, "ada", Response::Revoke, 1);
    let early = campaign.close_stage(at(2)).unwrap_err();
    assert_eq!(early, CampaignError::StillOpen { until: at(14), waiting: 2 });
    campaign.apply(campaign.close_stage(at(14)).unwrap());
    assert_eq!(*campaign.state(), CampaignState::StageDone(0));
    open(&mut campaign, 15, &["sec"]);
    let revoked = campaign.decide(1, answer("sec", Response::Accept, 16)).unwrap_err();
    assert_eq!(revoked, DecideError::Campaign(CampaignError::NoCase(1)));
    say(&mut campaign, 0, "sec", Response::Accept, 16);
    campaign.apply(campaign.close_stage(at(29)).unwrap());
    assert_eq!(*campaign.state(), CampaignState::Reviewed);
    let effects: Vec<_> = campaign.cases().map(|(_, c, item)| campaign.effect(c, item)).collect();
    assert_eq!(effects, [Effect::Keep, Effect::Revoke, Effect::Suspend, Effect::Keep]);

    // Those about whom nobody said anything are asked about once more, and only they.
    campaign.apply(campaign.reiterate().unwrap());
    open(&mut campaign, 30, &["ada"]);
    let asked: Vec<_> = campaign.cases().filter(|(_, _, item)| item.open).map(|c| c.0).collect();
    assert_eq!(asked, [2, 3]);
    say(&mut campaign, 2, "ada", Response::Reduce, 31);
    say(&mut campaign, 3, "ada", Response::NotDecided, 31);
    campaign.apply(campaign.close_stage(at(31)).unwrap());
    open(&mut campaign, 32, &["sec"]);
    campaign.apply(campaign.close_stage(at(46)).unwrap());
    let effects: Vec<_> = campaign.cases().map(|(_, c, item)| campaign.effect(c, item)).collect();
    assert_eq!(effects, [Effect::Keep, Effect::Revoke, Effect::Reduce, Effect::Keep]);
    assert_eq!(campaign.reiterate(), Err(CampaignError::NoIteration));

    let digest = campaign.digest();
    assert_eq!(campaign.sign_off(&id("ada"), digest), Err(CampaignError::NotOwner(id("grace"))));
    let other = Digest::from_bytes([0; 32]);
    assert_eq!(campaign.sign_off(&id("grace"), other), Err(CampaignError::OtherDigest));
    campaign.apply(campaign.sign_off(&id("grace"), digest).unwrap());
    assert!(matches!(campaign.cancel(), Err(CampaignError::NotNow { .. })));
}

#[test]
fn who_holds_or_gave_a_right_does_not_review_it() {
    let mut campaign =
        campaign(definition(vec![stage("s", Strategy::AllMustAccept)]), &[right("a", Tier::Low)]);
    open(&mut campaign, 0, &["a", "giver", "author", "approver", "ada", "ada"]);
    assert_eq!(*campaign.case(0).unwrap().1.reviewers, [id("ada")]);
    for (who, why) in [("a", "holds"), ("giver", "gave"), ("author", "gave"), ("approver", "gave")]
    {
        let interested = CampaignError::Interested { reviewer: id(who), why, case: 0 };
        let refused = campaign.decide(0, answer(who, Response::Accept, 1)).unwrap_err();
        assert_eq!(refused, DecideError::Campaign(interested.clone()));
        let deputy =
            ReviewDecision { acting_for: Some(id("ada")), ..answer(who, Response::Accept, 1) };
        assert_eq!(campaign.decide(0, deputy).unwrap_err(), interested.clone().into());
        assert_eq!(campaign.reassign(0, &id("ada"), id(who)).unwrap_err(), interested);
    }
    let stranger = campaign.decide(0, answer("eve", Response::Accept, 1)).unwrap_err();
    assert_eq!(stranger, DecideError::NotAsked(id("eve")));
    let deputy =
        ReviewDecision { acting_for: Some(id("ada")), ..answer("bob", Response::Accept, 1) };
    campaign.apply(campaign.decide(0, deputy).unwrap());
    campaign.apply(campaign.close_stage(at(1)).unwrap());
}

#[test]
fn a_revocation_is_not_taken_back_by_its_reviewer_nor_by_a_deputy() {
    let stages = vec![stage("s", Strategy::OneAcceptAccepts)];
    let mut campaign = campaign(definition(stages), &[right("a", Tier::Low)]);
    open(&mut campaign, 0, &["ada", "bob"]);
    say(&mut campaign, 0, "ada", Response::Accept, 1);
    say(&mut campaign, 0, "ada", Response::Revoke, 2);
    let back = campaign.decide(0, answer("ada", Response::Accept, 3)).unwrap_err();
    assert_eq!(back, DecideError::Revoked(id("ada")));
    let deputy =
        ReviewDecision { acting_for: Some(id("ada")), ..answer("eve", Response::Accept, 3) };
    assert_eq!(campaign.decide(0, deputy).unwrap_err(), DecideError::Revoked(id("ada")));
    assert_eq!(
        campaign.decide(0, answer("bob", Response::Accept, 14)).unwrap_err(),
        DecideError::Late(at(14))
    );
}

#[test]
fn nobody_answers_for_two_and_nobody_for_one_who_has() {
    let stages = vec![stage("s", Strategy::AllMustAccept)];
    let mut campaign = campaign(definition(stages), &[right("a", Tier::Low)]);
    open(&mut campaign, 0, &["ada", "bob", "eve"]);
    let of = |by, of, response, day| ReviewDecision {
        acting_for: Some(id(of)),
        ..answer(by, response, day)
    };
    say(&mut campaign, 0, "ada", Response::Accept, 1);
    let taken = campaign.decide(0, of("eve", "ada", Response::Revoke, 2)).unwrap_err();
    assert_eq!(taken, DecideError::Answered(id("ada")));
    campaign.apply(campaign.decide(0, of("eve", "bob", Response::Accept, 2)).unwrap());
    let twice = |of| DecideError::Twice { by: id("eve"), of: id(of) };
    let own = campaign.decide(0, answer("eve", Response::Accept, 3)).unwrap_err();
    assert_eq!(own, twice("bob"));
    // They may think better of it, and so may the one who was asked.
    campaign.apply(campaign.decide(0, of("eve", "bob", Response::Reduce, 4)).unwrap());
    say(&mut campaign, 0, "bob", Response::Accept, 5);
    say(&mut campaign, 0, "eve", Response::Accept, 6);
    assert_eq!(campaign.case(0).unwrap().1.answers.len(), 3);
}

#[test]
fn escalations_add_or_replace_in_their_time() {
    let mut first = stage("s", Strategy::AllMustAccept);
    let escalation =
        |day, how| Escalation { after_ms: day * DAY, to: vec![Reviewer::Manager], how };
    first.escalations = vec![escalation(3, Escalate::Add), escalation(6, Escalate::Replace)];
    let mut campaign = campaign(definition(vec![first]), &[right("a", Tier::Low)]);
    open(&mut campaign, 0, &["ada"]);
    assert!(campaign.escalate(at(2), |_| vec![id("boss")]).is_err());
    campaign.apply(
        campaign.escalate(at(3), |_| vec![id("boss"), id("giver"), id("approver")]).unwrap(),
    );
    assert_eq!(*campaign.case(0).unwrap().1.reviewers, [id("ada"), id("boss")]);
    say(&mut campaign, 0, "boss", Response::Accept, 4);
    let second = campaign.escalate(at(6), |_| vec![id("chief")]).unwrap();
    assert!(campaign.check(&second, None, at(5)).is_err(), "before its time");
    // It may be recorded when the stage is over.
    campaign.check(&second, None, at(15)).unwrap();
    campaign.apply(second);
    assert_eq!(*campaign.case(0).unwrap().1.reviewers, [id("boss"), id("chief")]);
    assert!(campaign.escalate(at(9), |_| vec![id("more")]).is_err());
    campaign.apply(campaign.reassign(0, &id("chief"), id("dora")).unwrap());
    say(&mut campaign, 0, "dora", Response::Accept, 7);
    campaign.apply(campaign.close_stage(at(7)).unwrap());
    let (case, item) = campaign.case(0).unwrap();
    assert_eq!(campaign.effect(case, item), Effect::Keep);
}

#[derive(Debug, Clone)]
enum Try {
    Open,
    Close,
    Reiterate,
    Say(u32, usize, Option<usize>, Response),
    Hand(u32, usize, usize),
    Escalate,
    Replace(usize),
}

const PEOPLE: [&str; 5] = ["a", "giver", "ada", "bob", "eve"];

fn tries() -> impl Generator<Value = Vec<Try>> {
    let response = prop::sample::select(Response::ALL.to_vec());
    let who = 0..PEOPLE.len();
    prop::collection::vec(
        prop_oneof![
            2 => Just(Try::Open),
            2 => Just(Try::Close),
            1 => Just(Try::Reiterate),
            8 => (0_u32..4, who.clone(), prop::option::of(who.clone()), response)
                .prop_map(|(case, by, of, said)| Try::Say(case, by, of, said)),
            1 => (0_u32..4, who.clone(), who.clone())
                .prop_map(|(case, a, b)| Try::Hand(case, a, b)),
            1 => Just(Try::Escalate),
            1 => who.prop_map(Try::Replace),
        ],
        1..80,
    )
}

proptest! {
    #[test]
    fn whatever_is_tried_the_population_stays_and_no_rule_is_broken(
        tries in tries(),
        strategies in prop::collection::vec(prop::sample::select(Strategy::ALL.to_vec()), 1..4),
    ) {
        let to = || vec![Reviewer::Manager];
        let escalations = vec![
            Escalation { after_ms: DAY, to: to(), how: Escalate::Add },
            Escalation { after_ms: 2 * DAY, to: to(), how: Escalate::Replace },
        ];
        let escalating = |one| StageDefinition {
            escalations: escalations.clone(),
            ..stage("s", one)
        };
        let stages = strategies.iter().map(|one| escalating(*one)).collect();
        let cases = ["a", "ada", "x", "y"].map(|holder| right(holder, Tier::High));
        let mut campaign = campaign(definition(stages), &cases);
        let frozen = campaign.population().clone();
        let mut day = 0;
        for one in tries {
            day += 1;
            let said = |by: usize, of: Option<usize>, said| ReviewDecision {
                acting_for: of.map(|of| id(PEOPLE[of])),
                ..answer(PEOPLE[by], said, day)
            };
            let step = match one {
                Try::Open => campaign
                    .open_stage(at(day), |_| PEOPLE.map(id).to_vec(), |_| Vec::new()).ok(),
                Try::Close => campaign.close_stage(at(day)).ok(),
                Try::Reiterate => campaign.reiterate().ok(),
                Try::Say(case, by, of, response) => {
                    campaign.decide(case, said(by, of, response)).ok()
                }
                Try::Hand(case, from, to) => {
                    campaign.reassign(case, &id(PEOPLE[from]), id(PEOPLE[to])).ok()
                }
                Try::Escalate => {
                    campaign.escalate(at(day), |_| vec![id("max"), id("a"), id("giver")]).ok()
                }
                Try::Replace(gone) => {
                    campaign.replace(&id(PEOPLE[gone]), |_| PEOPLE.map(id).to_vec()).ok()
                }
            };
            if let Some(step) = step {
                prop_assert_eq!(campaign.check(&step, None, at(day)), Ok(()));
                campaign.apply(step);
            }
            prop_assert_eq!(campaign.population(), &frozen);
            prop_assert_eq!(campaign.cases().count(), frozen.cases().len());
            for (_, case, item) in campaign.cases() {
                for who in &item.reviewers {
                    prop_assert!(*who != case.holder && !case.is_given_by(who));
                }
                // As many have answered as there are answers, and each for one.
                let by: BTreeSet<_> = item.answers.iter().map(|said| &said.by).collect();
                let of: BTreeSet<_> = item.answers.iter().map(ReviewDecision::reviewer).collect();
                prop_assert_eq!((by.len(), of.len()), (item.answers.len(), item.answers.len()));
                let mut revoked = BTreeSet::new();
                for said in item.earlier.iter().chain(&item.answers) {
                    for who in [Some(&said.by), said.acting_for.as_ref()].into_iter().flatten() {
                        prop_assert!(*who != case.holder && !case.is_given_by(who));
                    }
                    let taken_back = revoked.contains(said.reviewer());
                    prop_assert!(!taken_back || said.response == Response::Revoke);
                    if said.response == Response::Revoke {
                        revoked.insert(said.reviewer().clone());
                    }
                }
            }
        }
    }
}

#[test]
fn who_is_gone_is_replaced_where_they_were_silent_and_never_by_who_holds_the_right() {
    let cases = [right("a", Tier::Low), right("b", Tier::Low)];
    let mut campaign = campaign(definition(vec![stage("s", Strategy::AllMustAccept)]), &cases);
    open(&mut campaign, 0, &["ada", "bob"]);
    say(&mut campaign, 0, "ada", Response::Accept, 1);
    assert_eq!(campaign.waited_for(), BTreeSet::from([id("ada"), id("bob")]));
    let others = |_| vec![id("b"), id("giver"), id("bob"), id("eve"), id("ada")];
    let step = campaign.replace(&id("ada"), others).unwrap();
    campaign.check(&step, None, at(1)).unwrap();
    campaign.apply(step);
    let reviewers = |n| campaign.case(n).unwrap().1.reviewers.to_vec();
    assert_eq!(reviewers(0), [id("ada"), id("bob")], "what they said stands");
    assert_eq!(reviewers(1), [id("bob"), id("eve")]);
    assert!(campaign.replace(&id("ada"), others).is_err(), "nothing waits for them any more");
}

#[test]
fn reminders_come_in_their_time_while_somebody_is_silent() {
    let reminding =
        StageDefinition { reminders_ms: vec![DAY, 3 * DAY], ..stage("s", Strategy::AllMustAccept) };
    let mut campaign = campaign(definition(vec![reminding]), &[right("a", Tier::Low)]);
    open(&mut campaign, 0, &["ada"]);
    assert_eq!(campaign.remind(at(10)), None);
    for day in [11, 13] {
        assert_eq!(campaign.remind(at(day)), Some(Step::Reminded { people: 1 }), "day {day}");
        let step = campaign.remind(at(day)).unwrap();
        assert!(campaign.check(&step, None, at(day - 2)).is_err());
        assert!(campaign.check(&Step::Reminded { people: 2 }, None, at(day)).is_err());
        campaign.check(&step, None, at(15)).unwrap();
        campaign.apply(step);
        assert_eq!(campaign.remind(at(day)), None, "day {day}");
    }
    let mut answered = campaign.clone();
    answered.reiterate().unwrap_err();
    say(&mut answered, 0, "ada", Response::Accept, 13);
    assert_eq!(answered.remind(at(13)), None);
    assert_eq!(campaign.remind(at(14)), None, "it is over");
}
