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
    assert!(again.unwrap().ids.is_empty());
}

/// Signs what came of silence and of those answers.
async fn silent(bench: &Bench, more: &str) -> RecordId {
    let campaign = bench.start(more).await;
    bench.tend(14).await;
    let over = bench.view(&campaign).digest.unwrap().0;
    bench.service.sign_off(&campaign, &id("grace"), over).await.unwrap();
    campaign
}

#[tokio::test]
async fn what_cannot_be_done_as_it_was_decided_takes_more_and_keeps_nothing_else() {
    let bench = bench().await;
    bench.service.change_intents(events::wiping()).await.unwrap();
    let (until, intent) = (at(90), IntentName::new("clean_up").unwrap());
    let given = bench.service.delegate(id("sue"), id("other"), intent, until).await.unwrap();
    let campaign = silent(&bench, "remediation: automatic\nnotice: 1d\n").await;
    assert_eq!(bench.view(&campaign).effects["suspend"], 2, "silence from tier high on");
    assert_eq!(bench.service.schedule_signed_off().await, 2);
    let planned = bench.service.remediations();
    let of = |kind: &str| planned.iter().find(|one| one.plan.right.as_str() == kind).unwrap();
    let (statement, word) = (of("statement"), of("delegation"));
    assert_eq!(
        (statement.plan.holder.clone(), statement.plan.effect),
        (id("writer"), Becomes::Suspend)
    );
    assert_eq!(word.plan.right.name(), Some(given.id.as_str()));
    assert_eq!(word.plan.effect, Becomes::Revoke, "a word can only be ended");
    let reason = "decided to suspend, which of a right of kind delegation means to revoke it";
    assert!(word.plan.reason.ends_with(reason), "{}", word.plan.reason);
    bench.clock.set(at(15));
    assert_eq!(bench.service.sweep_remediations().await, 2);
    assert_eq!(bench.service.world().delegations().count(), 0);
}

#[tokio::test]
async fn nobody_is_advised_to_reduce_what_has_no_text_nor_can_answer_that() {
    let bench = bench().await;
    bench.service.change_intents(events::wiping()).await.unwrap();
    let (until, intent) = (at(90), IntentName::new("clean_up").unwrap());
    let given = bench.service.delegate(id("sue"), id("other"), intent, until).await.unwrap();
    let campaign = bench.start("").await;
    let case = bench.case(&campaign, "other", given.id.as_str());
    let refused = bench.answer(&campaign, "bob", case, Response::Reduce).await.unwrap_err();
    assert!(refused.to_string().ends_with("and not a delegation"), "{refused}");
    bench.answer(&campaign, "bob", case, Response::Revoke).await.unwrap();
}

#[tokio::test]
async fn what_was_decided_of_very_many_rights_of_one_holder_is_planned_of_all_of_them() {
    let bench = bench().await;
    let many = GRANTS_SHOWN_MAX + 2;
    let one = |n: usize| {
        format!(
            "@id(\"w{n}\") permit (principal == Safeconduct::Agent::\"writer\", action == \
             Safeconduct::Action::\"crm.write\", resource == Safeconduct::Server::\"s{n}\");\n"
        )
    };
    let text: String = (0..many).map(one).collect();
    bench.change_policies(&text).await;
    let held = bench.service.can(&id("writer")).unwrap();
    assert_eq!((held.grants.len(), held.more), (GRANTS_SHOWN_MAX, 2));
    let campaign = silent(&bench, "remediation: automatic\n").await;
    // One of them is another by now, and that is said.
    bench.change_policies(&text.replace("Server::\"s7\"", "Server::\"other\"")).await;
    let planned = bench.service.schedule_campaign(&campaign, at(15), Some(&id("grace"))).await;
    let planned = planned.unwrap();
    assert_eq!(planned.ids.len(), many - 1);
    let [left] = planned.left_out.as_slice() else { panic!("{:?}", planned.left_out) };
    assert_eq!((left.holder.clone(), &left.why), (id("writer"), &NotPlanned::Gone));
    // By hand too.
    let last = bench.service.remediations().pop().unwrap().plan;
    let again = NewRemediation {
        holder: last.holder,
        grant: Some(last.grant),
        effect: Becomes::Revoke,
        not_before: at(15),
        cause: None,
        reason: "all of them".into(),
    };
    let all: Vec<_> = bench.service.remediations().into_iter().map(|one| one.plan.grant).collect();
    let each = all.into_iter().map(|grant| NewRemediation { grant: Some(grant), ..again.clone() });
    let by_hand = each.filter(|one| !held.grants.iter().any(|held| Some(held.id) == one.grant));
    let by_hand: Vec<_> = by_hand.collect();
    assert_eq!(by_hand.len(), 2);
    bench.service.schedule_remediations(by_hand, Some(&id("grace"))).await.unwrap();
}

#[tokio::test]
async fn without_a_notice_somebody_plans_it() {
    let bench = bench().await;
    let campaign = signed(&bench, "remediation: automatic\n").await;
    assert_eq!(bench.service.schedule_signed_off().await, 0);
    let by_hand = bench.service.schedule_campaign(&campaign, at(15), Some(&id("grace"))).await;
    assert_eq!(by_hand.unwrap().ids.len(), 1);
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
