//! The outcome tables, through whole campaigns: what comes of a stage by what its reviewers said,
//! and of a case by what came of its stages, for every set of answers and every strategy.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::convert::Infallible;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Tier, Timestamp};
use safeconduct_review::*;

const DAY: i64 = 86_400_000;

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY)
}

/// A stage of one day that never ends a case before the last.
fn stage(strategy: Strategy, if_no_reviewers: Response) -> StageDefinition {
    StageDefinition {
        name: "s".into(),
        lasts_ms: DAY,
        reviewers: vec![Reviewer::Owner],
        fallback: Vec::new(),
        strategy,
        if_no_reviewers,
        stop: StopRule { stop_on: None, advance_on: Some(Response::ALL.into_iter().collect()) },
        reminders_ms: Vec::new(),
        escalations: Vec::new(),
    }
}

fn campaign(stages: Vec<StageDefinition>, strategy: Strategy) -> Campaign {
    let definition = Definition {
        name: "all".into(),
        owner: id("grace"),
        stages,
        strategy,
        stop: StopRule::default(),
        no_answer: NoAnswer::default(),
        remediation: RemediationStyle::Automatic,
        notice_ms: None,
        iterations: 0,
    };
    let what = Arc::new(Right {
        kind: GrantKind::Statement,
        name: "p".into(),
        at: None,
        words: "anything".into(),
        actions: 1,
        put_by: Vec::new(),
    });
    let grant = Digest::from_bytes([7; 32]);
    let right = Case { grant, holder: id("agent"), tier: Tier::High, given_by: None, what };
    let population = Population::freeze([Ok::<_, Infallible>(right)], Vec::new()).unwrap();
    Campaign::begin(RecordId::new("cmp_1").unwrap(), Arc::new(definition), population).unwrap()
}

/// One day of a campaign, in which each of these is said by a reviewer of that day alone, since
/// nobody takes a revocation back; who says nothing is silent until the end.
fn day(campaign: &mut Campaign, day: i64, said: &[Response]) {
    let who = |n: usize| id(&format!("reviewer-{day}-{n}"));
    let reviewers: Vec<_> = (0..said.len()).map(who).collect();
    campaign.apply(campaign.open_stage(at(day), |_| reviewers.clone(), |_| Vec::new()).unwrap());
    for (n, response) in said.iter().enumerate().filter(|(_, said)| **said != Response::NoResponse)
    {
        let decided = ReviewDecision {
            by: who(n),
            acting_for: None,
            response: *response,
            reason: "so".into(),
            opened_at: at(day),
            at: at(day),
            evidence: Digest::from_bytes([9; 32]),
            batch: 1,
        };
        campaign.apply(campaign.decide(0, decided).unwrap());
    }
    campaign.apply(campaign.close_stage(at(day + 1)).unwrap());
}

/// Every set of responses.
fn sets() -> impl Iterator<Item = Vec<Response>> {
    (0..32_u32).map(|bits| {
        let all = Response::ALL.into_iter().enumerate();
        all.filter(|(n, _)| bits >> n & 1 == 1).map(|(_, response)| response).collect()
    })
}

#[test]
fn a_stage_comes_to_what_the_table_says_of_its_answers() {
    for strategy in Strategy::ALL {
        for said in sets() {
            for nobody in Response::ALL {
                let mut campaign = campaign(vec![stage(strategy, nobody)], Strategy::OneDenyDenies);
                day(&mut campaign, 0, &said);
                let wanted = strategy.outcome(said.iter().copied(), nobody);
                let (_, item) = campaign.case(0).unwrap();
                assert_eq!(item.outcomes, [wanted], "{strategy:?} {said:?} {nobody:?}");
            }
        }
    }
}

#[test]
fn a_case_comes_to_what_the_table_says_of_its_stages_and_that_has_its_effect() {
    for strategy in Strategy::ALL {
        for said in sets().filter(|said| !said.is_empty()) {
            let one = stage(Strategy::OneDenyDenies, Response::NoResponse);
            let mut campaign = campaign(vec![one; said.len()], strategy);
            for (n, response) in (0..).zip(&said) {
                day(&mut campaign, n, &[*response]);
            }
            assert_eq!(*campaign.state(), CampaignState::Reviewed);
            let (case, item) = campaign.case(0).unwrap();
            assert_eq!(item.outcomes, said, "each stage has one answer");
            let outcome = strategy.outcome(said.iter().copied(), Response::NoResponse);
            assert_eq!(campaign.outcome(item), outcome, "{strategy:?} {said:?}");
            let effect = match outcome {
                Response::Accept => Effect::Keep,
                Response::Revoke => Effect::Revoke,
                Response::Reduce => Effect::Reduce,
                // Nobody said anything that decides, and it is of tier high.
                Response::NotDecided | Response::NoResponse => Effect::Suspend,
            };
            assert_eq!(campaign.effect(case, item), effect, "{strategy:?} {said:?}");
        }
    }
}

/// Which outcome of a stage ends a case: the stage's own rule, else the campaign's, else that of
/// the strategy; what stops counts before what advances.
#[test]
fn stop_and_advance_rules_decide_who_is_asked_next() {
    let set = |of: &[Response]| Some(of.iter().copied().collect());
    let rules = [
        StopRule::default(),
        StopRule { stop_on: set(&[Response::NotDecided]), advance_on: None },
        StopRule { stop_on: None, advance_on: set(&[Response::Reduce]) },
        StopRule { stop_on: set(&[Response::Accept]), advance_on: set(&[Response::Accept]) },
    ];
    for strategy in Strategy::ALL {
        for of_stage in &rules {
            for of_campaign in &rules {
                for said in Response::ALL {
                    let first = StageDefinition { stop: of_stage.clone(), ..stage(strategy, said) };
                    let stages = vec![first, stage(strategy, said)];
                    let mut all = campaign(stages, strategy);
                    let definition =
                        Definition { stop: of_campaign.clone(), ..all.definition().clone() };
                    let population = all.population().clone();
                    all = Campaign::begin(
                        RecordId::new("cmp_1").unwrap(),
                        Arc::new(definition),
                        population,
                    )
                    .unwrap();
                    day(&mut all, 0, &[]);
                    assert_eq!(all.case(0).unwrap().1.outcomes, [said]);
                    let rule = if of_stage.is_set() { of_stage } else { of_campaign };
                    let stops = rule.stops(said, strategy);
                    let state = all.state();
                    let wanted = match stops {
                        true => CampaignState::Reviewed,
                        false => CampaignState::StageDone(0),
                    };
                    assert_eq!(
                        *state, wanted,
                        "{strategy:?} {of_stage:?} {of_campaign:?} {said:?}"
                    );
                }
            }
        }
    }
}
