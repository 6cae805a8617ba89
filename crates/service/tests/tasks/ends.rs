//! How tasks end, and what is left after a crash.

use super::*;

#[tokio::test]
async fn a_task_expires_by_its_deadline_and_by_doing_nothing() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let idle = bench.begin("ada", "agent", "work", 2).await;
    bench.clock.set(Timestamp::from_millis(NOW + 59_000));
    assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, Ok(()));
    bench.clock.set(Timestamp::from_millis(NOW + 61_000));
    assert_eq!(bench.ask(call(idle, "records", READ)).await, Err(vec!["task_ended"]));
    assert_eq!(bench.service.sweep_tasks(), 0);
    assert!(bench.service.stands(&task, Timestamp::from_millis(NOW + 61_000)));
    bench.clock.set(Timestamp::from_millis(NOW + 600_000));
    assert_eq!(bench.service.sweep_tasks(), 1);
    assert!(!bench.service.stands(&task, Timestamp::from_millis(NOW + 600_000)));
    let states: Vec<_> = bench
        .bodies()
        .into_iter()
        .filter_map(|body| match body {
            Body::TaskEnded { state, reason, .. } => Some((state, reason.to_string())),
            _ => None,
        })
        .collect();
    let expired = |why: &str| (TaskState::Expired, why.to_owned());
    assert_eq!(states, [expired("idle"), expired("deadline")]);
}

#[tokio::test]
async fn the_kill_switch_stops_what_it_names() {
    let bench = bench().await;
    let adas = bench.begin("ada", "agent", "work", 1).await;
    let helpers = bench.begin("ada", "helper", "work", 2).await;
    let bob = id("bob");
    let kill = |scope| bench.service.kill(scope, &bob, "it reads everything".into());
    let ended = kill(KillScope::Task(adas.task.clone().unwrap().id)).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(bench.ask(call(adas, "records", READ)).await, Err(vec!["task_ended"]));
    assert_eq!(bench.ask(call(helpers.clone(), "records", READ)).await, Ok(()));
    kill(KillScope::Session(SessionKey::of(&proof("agent")))).await.unwrap();
    assert_eq!(bench.ask(call(proof("agent"), "mail", &[])).await, Err(vec!["killed"]));
    assert_eq!(bench.ask(call(proof("helper"), "mail", &[])).await, Ok(()));
    kill(KillScope::Identity(id("helper"))).await.unwrap();
    let codes = bench.ask(call(proof("helper"), "mail", &[])).await;
    assert_eq!(codes, Err(vec!["identity_not_active"]));
    kill(KillScope::All).await.unwrap();
    assert_eq!(bench.ask(call(proof("ada"), "records", READ)).await, Err(vec!["killed"]));
    let again = bench.again();
    assert_eq!(again.ask(call(proof("ada"), "records", READ)).await, Err(vec!["killed"]));
    let all = KillScope::All;
    again.service.lift_kill(all.clone(), &bob, "all is well".into()).await.unwrap();
    assert_eq!(again.ask(call(proof("ada"), "records", READ)).await, Ok(()));
    let twice = again.service.lift_kill(all, &bob, "again".into()).await;
    assert_eq!(twice, Err(ChangeError::NotKilled));
}

/// What an agent does in one task that it began itself counts in another one, and outside.
#[tokio::test]
async fn a_sibling_sheds_nothing_either() {
    let bench = bench_with(Settings { calls_max: 8, ..Settings::default() }).await;
    // Beginning is a decision of the agent's session too: two of eight.
    let first = bench.begin("agent", "agent", "work", 1).await;
    let second = bench.begin("agent", "agent", "work", 2).await;
    for _ in 0..5 {
        assert_eq!(bench.ask(call(first.clone(), "records", READ)).await, Ok(()));
    }
    assert_eq!(bench.ask(call(second.clone(), "records", READ)).await, Ok(()));
    for proof in [first, second, proof("agent")] {
        let codes = bench.ask(call(proof, "records", READ)).await;
        assert!(codes.unwrap_err().contains(&"budget_spent"));
    }
    let again = bench.again();
    let own = again.service.session(&SessionKey::of(&proof("agent"))).unwrap().session;
    assert_eq!(own.steps(), 8);
}

#[tokio::test]
async fn who_may_not_act_any_more_acts_in_no_task_and_nobody_acts_for_them() {
    for who in ["agent", "ada"] {
        let bench = bench().await;
        let task = bench.begin("ada", "agent", "work", 1).await;
        let child = bench.delegate(&task, "helper", 2, 3).await;
        let kind = if who == "ada" { IdentityKind::User } else { IdentityKind::Agent };
        let suspended = Identity { status: IdentityStatus::Suspended, ..identity(who, kind) };
        bench.service.change_identity(suspended, &id("bob")).await.unwrap();
        for of in [&task, &child] {
            assert!(!bench.service.stands(of, Timestamp::from_millis(NOW)));
            assert!(bench.ask(call(of.clone(), "records", READ)).await.is_err());
            assert!(!bench.again().service.stands(of, Timestamp::from_millis(NOW)));
        }
        // Active again, they do not live again.
        bench.service.change_identity(identity(who, kind), &id("bob")).await.unwrap();
        assert!(!bench.service.stands(&child, Timestamp::from_millis(NOW)));
    }
}

/// The kill is on the disk, the ends of its tasks are not.
#[tokio::test]
async fn a_kill_that_a_crash_cut_short_still_holds() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let scope = KillScope::Task(task.task.clone().unwrap().id);
    let before = bench.ledger.entries().len();
    bench.service.kill(scope, &id("bob"), "stop".into()).await.unwrap();
    let again = bench.again_upto(before + 1);
    assert!(matches!(again.bodies().last(), Some(Body::Killed { .. })));
    let codes = again.ask(call(again.enter("agent", 1), "records", READ)).await;
    assert_eq!(codes, Err(vec!["task_ended"]));
}

#[tokio::test]
async fn a_restart_takes_no_beginning_for_a_call_without_an_outcome() {
    let bench = bench().await;
    bench.begin("ada", "agent", "work", 1).await;
    let outcomes = |bench: &Bench| {
        bench.bodies().iter().filter(|body| matches!(body, Body::Executed(_))).count()
    };
    assert_eq!((bench.service.pending_outcomes(), outcomes(&bench.again())), (0, 0));
}

/// What a task may do cannot be read back: nothing is permitted, and nobody waits for ever.
#[tokio::test]
async fn a_mandate_that_cannot_be_read_permits_nothing() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let sealed: Vec<u64> = bench
        .ledger
        .entries()
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.attachment.is_some())
        .map(|(sequence, _)| sequence as u64)
        .collect();
    let again = bench.again();
    again.ledger.erase(&sealed).unwrap();
    for _ in 0..2 {
        let asked = again.service.check(call(task.clone(), "records", READ));
        let asked = tokio::time::timeout(std::time::Duration::from_secs(30), asked);
        let denied = match asked.await.unwrap() {
            Ok(ruling) => ruling.value().outcome.decision == Decision::Deny,
            Err(_) => true,
        };
        assert!(denied);
    }
}

#[tokio::test]
async fn a_parent_is_not_idle_while_its_child_works() {
    let bench = bench().await;
    let root = bench.begin("ada", "agent", "work", 1).await;
    let child = bench.delegate(&root, "helper", 2, 3).await;
    for second in [50, 100, 150] {
        bench.clock.set(Timestamp::from_millis(NOW + second * 1000));
        bench.service.sweep_tasks();
        assert_eq!(bench.ask(call(child.clone(), "records", READ)).await, Ok(()), "{second}");
    }
}

#[tokio::test]
async fn a_restart_keeps_the_mandate_and_an_erased_one_permits_nothing() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, Ok(()));
    let again = bench.again();
    let codes = again.ask(call(task.clone(), "records", &[("operation", "export")])).await;
    assert_eq!(codes, Err(vec!["outside_intent"]));
    assert_eq!(again.ask(call(task, "records", READ)).await, Ok(()));
    // No parameter's value stands in a leaf.
    for entry in bench.ledger.entries() {
        assert!(!String::from_utf8_lossy(&entry.leaf).contains("C-1"));
    }
}
