//! A right that counts in tasks of an intent alone: a question without a task says nothing of it,
//! and what was decided in one does.

use safeconduct_review::{CameTo, ProvedBy, RemediationState};

use super::memory_read::MemoryRead;
use super::taken::{Estate, estate, intent_of, statement};
use super::*;

/// The agents' right, in tasks of that intent alone.
const IN_TASKS: &str = r#"context.action.name like "crm.*" && context has task
    && context.task.intent == "work""#;

impl Estate {
    async fn in_tasks_alone(&self) {
        self.edit(|text| text.replace(r#"context.action.name like "crm.*""#, IN_TASKS));
        self.load().await;
    }

    fn read(&self) -> MemoryRead {
        MemoryRead(Arc::clone(&self.bench().ledger))
    }
}

fn probing(wanted: Decision) -> Probing {
    Probing {
        action: action("records"),
        resource: EntityRef::new("Server", "crm").unwrap(),
        input: Value::object(READ.iter().map(|(name, value)| (*name, Value::from(*value)))),
        wanted,
    }
}

#[tokio::test]
async fn a_right_that_needs_a_task_is_proved_gone_by_what_was_decided_in_one() {
    let estate = estate().await;
    estate.in_tasks_alone().await;
    let (bench, service) = (estate.bench(), &estate.bench().service);
    let task = bench.begin("orchestrator", "agent", "work", 1).await;
    for _ in 0..3 {
        assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, Ok(()));
    }
    let helper = bench.begin("orchestrator", "helper", "work", 2).await;
    assert_eq!(bench.ask(call(helper, "records", READ)).await, Ok(()));
    bench.clock.set(Timestamp::from_millis(NOW + 1));
    let review = estate.planned("agent", statement("agents")).await;
    estate.applied(&review).await;
    // The probe has no task: nothing could be said of the right by it alone.
    let probe = vec![probing(Decision::Deny)];
    let silent = service.verify_remediation(&review, &id("ada"), probe.clone()).await;
    assert!(matches!(silent, Err(RemediateError::Inconclusive { .. })), "{silent:?}");
    let read = estate.read();
    let silent = service.verify_remediation_by(&review, &id("ada"), probe, Some(&read)).await;
    let told = silent.unwrap_err().to_string();
    assert!(told.contains("recorded decisions prove that the right is gone"), "{told}");
    let by = id("ada");
    let verified = service.verify_remediation_by(&review, &by, Vec::new(), Some(&read));
    let verified = verified.await.unwrap();
    let replay = verified.replay.as_deref().unwrap();
    assert_eq!(replay.counts, BTreeMap::from([(CameTo::Denied, 3)]), "{:?}", replay.why);
    assert_eq!(verified.proved_by, Some(ProvedBy::Replay));
    assert_eq!(verified.state, RemediationState::Verified);
}

#[tokio::test]
async fn an_intent_is_proved_gone_by_what_was_undertaken() {
    let estate = estate().await;
    let (bench, service) = (estate.bench(), &estate.bench().service);
    bench.begin("orchestrator", "agent", "work", 1).await;
    bench.begin("orchestrator", "helper", "work", 2).await;
    bench.clock.set(Timestamp::from_millis(NOW + 1));
    let review = estate.planned("agent", intent_of("work")).await;
    estate.applied(&review).await;
    let read = estate.read();
    let by = id("ada");
    let verified = service.verify_remediation_by(&review, &by, Vec::new(), Some(&read));
    let verified = verified.await.unwrap();
    let replay = verified.replay.as_deref().unwrap();
    assert_eq!(replay.counts, BTreeMap::from([(CameTo::Denied, 1)]));
    assert_eq!(
        (verified.state, verified.proved_by),
        (RemediationState::Verified, Some(ProvedBy::Replay))
    );
}
