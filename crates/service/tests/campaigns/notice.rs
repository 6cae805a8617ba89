//! What a signature plans by itself.

use super::*;
use safeconduct_review::RemediationState;

async fn signed(bench: &Bench, more: &str) -> RecordId {
    let campaign = bench.start(more).await;
    let writer = bench.case(&campaign, "writer", "writer");
    bench.answer(&campaign, "ada", writer, Response::Reduce).await.unwrap();
    bench.tend(14).await;
    let over = bench.view(&campaign).digest.unwrap().0;
    bench.service.sign_off(&campaign, &id("grace"), over).await.unwrap();
    campaign
}

#[tokio::test]
async fn what_was_signed_is_planned_with_the_notice_of_its_definition() {
    let bench = bench().await;
    let campaign = signed(&bench, "remediation: automatic\nnotice: 7d\n").await;
    assert!(bench.service.remediations().is_empty());
    bench.clock.set(at(15));
    assert_eq!(bench.service.schedule_signed_off().await, 1);
    let planned = bench.service.remediations();
    let [one] = planned.as_slice() else { panic!("{planned:?}") };
    assert_eq!((one.state, one.plan.effect), (RemediationState::Scheduled, Becomes::Reduce));
    assert_eq!(one.plan.not_before, at(21), "the notice runs from the signature");
    assert_eq!(one.plan.cause.as_deref(), Some(campaign.as_str()));
    assert_eq!((one.plan.holder.clone(), one.scheduled_by.clone()), (id("writer"), None));
    assert_eq!(bench.service.schedule_signed_off().await, 0, "once");
    // By hand nothing more comes of it either.
    let again = bench.service.schedule_campaign(&campaign, at(15), Some(&id("grace"))).await;
    assert!(again.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_notice_somebody_plans_it() {
    let bench = bench().await;
    let campaign = signed(&bench, "remediation: automatic\n").await;
    assert_eq!(bench.service.schedule_signed_off().await, 0);
    let by_hand = bench.service.schedule_campaign(&campaign, at(15), Some(&id("grace"))).await;
    assert_eq!(by_hand.unwrap().len(), 1);
}

#[test]
fn a_notice_is_of_what_is_carried_out() {
    let text = |more: &str| {
        format!(
            "campaign: a\nowner: grace\nstages:\n  - {{ name: o, lasts: 1d, reviewers: [owner] }}\n{more}"
        )
    };
    let problem = |more: &str| safeconduct_wire::campaign::parse("c.yaml", &text(more)).err();
    assert!(problem("notice: 7d\n").is_none());
    for odd in ["remediation: report_only\nnotice: 7d\n", "notice: 400d\n"] {
        let found = problem(odd).unwrap();
        assert!(found.iter().any(|one| one.to_string().contains("notice")), "{odd}: {found:?}");
    }
}
