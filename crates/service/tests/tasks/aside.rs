//! Intents that are set aside.

use safeconduct_review::{Effect, GrantSource};

use super::*;

async fn set_aside(bench: &Bench, holder: &str) -> RecordId {
    let held = bench.service.can(&id(holder)).unwrap();
    let work = |grant: &&safeconduct_review::Grant| matches!(&grant.source, GrantSource::Intent { intent, schedule: None, .. } if intent.as_str() == "work");
    let wanted = NewRemediation {
        holder: id(holder),
        grant: Some(held.grants.iter().find(work).unwrap().id),
        effect: Effect::Revoke,
        not_before: Timestamp::from_millis(NOW),
        cause: None,
        reason: "not undertaken".into(),
    };
    let ids = bench.service.schedule_remediations(vec![wanted], None).await.unwrap();
    let review = ids.into_iter().next().unwrap();
    bench.service.quarantine(&review, Some(&id("ada"))).await.unwrap();
    review
}

#[tokio::test]
async fn an_intent_that_is_set_aside_is_neither_undertaken_nor_acted_under() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let read = || call(task.clone(), "records", READ);
    assert_eq!(bench.ask(read()).await, Ok(()));
    let review = set_aside(&bench, "agent").await;
    assert_eq!(bench.ask(read()).await, Err(vec!["set_aside"]));
    let begun = bench.service.begin_task(undertaking(proof("ada"), "agent", "work", 2)).await;
    let Err(BeginError::Denied { ruling, .. }) = begun else { panic!("{begun:?}") };
    let codes: Vec<_> = ruling.value().outcome.reasons.iter().map(Reason::code).collect();
    assert_eq!(codes, ["set_aside"]);
    // What is no task of it goes on, after a restart too.
    let again = bench.again();
    for bench in [&bench, &again] {
        assert_eq!(bench.ask(call(proof("agent"), "mail", &[])).await, Ok(()));
        let task = bench.enter("agent", 1);
        assert_eq!(bench.ask(call(task, "records", READ)).await, Err(vec!["set_aside"]));
    }
    bench.service.restore_right(&review, &id("ada"), "it is needed".into()).await.unwrap();
    assert_eq!(bench.ask(read()).await, Ok(()));
}

#[tokio::test]
async fn what_was_begun_under_it_for_others_is_not_acted_in_either() {
    let bench = bench().await;
    let parent = bench.begin("ada", "agent", "work", 1).await;
    let child = bench.delegate(&parent, "helper", 2, 3).await;
    assert_eq!(bench.ask(call(child.clone(), "records", READ)).await, Ok(()));
    let review = set_aside(&bench, "agent").await;
    assert_eq!(bench.ask(call(child.clone(), "records", READ)).await, Err(vec!["set_aside"]));
    bench.service.restore_right(&review, &id("ada"), "it is needed".into()).await.unwrap();
    assert_eq!(bench.ask(call(child, "records", READ)).await, Ok(()));
}
