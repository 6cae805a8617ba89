//! All requests together: repeats, groups, and how often people are asked.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use safeconduct_approval::*;
use safeconduct_model::*;
use support::*;

fn docket() -> Docket {
    Docket::new(Pace { asked_per_hour: 3, refusal_holds_ms: 7_200_000 })
}

fn ask(name: &str, amount: i64, at: Timestamp) -> Opened {
    Opened {
        id: record(name),
        at,
        answer_by: at.plus_ms(3_600_000),
        ..opened(terms("group:leads", 1), &payment(amount))
    }
}

/// The same of another task.
fn elsewhere(name: &str, amount: i64, task: &str, at: Timestamp) -> Opened {
    let mut opened = ask(name, amount, at);
    opened.binding.task = Some(TaskId::new(task).unwrap());
    opened
}

/// The same, of another agent.
fn by(agent: &str, mut opened: Opened) -> Opened {
    opened.binding.actors = vec![id(agent)];
    opened
}

fn take(docket: &mut Docket, opened: Opened) -> Vec<IdentityId> {
    match docket.open(opened).unwrap() {
        Opening::New(change) => {
            docket.apply(&change).unwrap();
            let request = docket.request(&change.request).unwrap();
            request.opened().asked.iter().cloned().collect()
        }
        Opening::Standing(id) => panic!("{id} stands already"),
    }
}

fn answer(docket: &mut Docket, name: &str, amount: i64, word: &Word, at: Timestamp) {
    let input = payment(amount);
    let bound = docket.request(&record(name)).unwrap().opened().binding.clone();
    let shown = attempt(&bound, &input);
    let id = record(name);
    let facts = |_: &AccessRequest| Holders::default();
    for (_, change) in docket.answer_all(&[(&id, &shown)], &lead("ada"), facts, word, at) {
        docket.apply(&change.unwrap()).unwrap();
    }
}

fn no() -> Word {
    Word::Refuse { reason: "no".into() }
}

#[test]
fn the_same_is_asked_once() {
    let mut docket = docket();
    take(&mut docket, ask("req_1", 250, START));
    let standing = Ok(Opening::Standing(record("req_1")));
    assert_eq!(docket.open(ask("req_2", 250, after(1))), standing);
    answer(&mut docket, "req_1", 250, &Word::Approve, after(2));
    assert_eq!(docket.open(ask("req_2", 250, after(3))), standing);
    assert_eq!(docket.open(ask("req_1", 1, after(3))), Err(AskError::Taken(record("req_1"))));
    // Its time is over, if nobody has said so yet.
    assert!(matches!(docket.open(ask("req_2", 250, after(1_000_000))), Ok(Opening::New(_))));
}

#[test]
fn a_refused_request_in_other_words_is_refused() {
    let mut docket = docket();
    take(&mut docket, ask("req_1", 250, START));
    answer(&mut docket, "req_1", 250, &no(), after(10));
    let repeat = Err(AskError::Repeat { request: record("req_1") });
    // Other bytes, of the same likeness; and so from another task.
    let mut reworded = ask("req_2", 250, after(20));
    reworded.binding.arguments = digest(&Value::from("ACME"));
    assert_eq!(docket.open(reworded.clone()), repeat);
    reworded.binding.task = None;
    assert_eq!(docket.open(reworded.clone()), repeat);
    assert!(matches!(docket.open(ask("req_2", 100, after(20))), Ok(Opening::New(_))));
    // Whoever acts in both, or for the same user: a child, a sibling, the parent itself.
    let of = |actors: &[&str], user: &str| {
        let mut other = reworded.clone();
        other.binding.actors = actors.iter().copied().map(id).collect();
        other.binding.on_behalf_of = Some(id(user));
        other
    };
    for actors in [&["child", "agent"][..], &["sibling", "parent-agent"], &["parent-agent"]] {
        assert_eq!(docket.open(of(actors, "another")), repeat, "{actors:?}");
    }
    assert_eq!(docket.open(of(&["other-agent"], "uma")), repeat);
    assert!(matches!(docket.open(of(&["other-agent"], "another")), Ok(Opening::New(_))));
    let later = after(7_200_010);
    let again = Opened { at: later, answer_by: later.plus_ms(1), ..reworded };
    assert!(matches!(docket.open(again), Ok(Opening::New(_))));
}

#[test]
fn like_requests_of_a_task_ask_once_and_are_answered_together() {
    let mut docket = docket();
    assert_eq!(take(&mut docket, ask("req_1", 1, START)).len(), 3);
    for (name, amount) in [("req_2", 2), ("req_3", 3), ("req_4", 4), ("req_5", 5)] {
        take(&mut docket, ask(name, amount, after(amount)));
    }
    take(&mut docket, elsewhere("req_6", 6, "task_2", after(6)));
    let group = docket.group(&record("req_1"), after(7));
    assert_eq!(group.len(), 5);

    // Shown are four; one of them is answered meanwhile; the fifth was not shown.
    let inputs: Vec<_> = (1..=4).map(payment).collect();
    let bindings: Vec<_> = inputs.iter().map(binding).collect();
    let attempts: Vec<_> = bindings.iter().zip(&inputs).map(|(b, i)| attempt(b, i)).collect();
    let ids: Vec<_> = (1..=4).map(|n| record(&format!("req_{n}"))).collect();
    let foreign = record("req_6");
    let mut shown: Vec<_> = ids.iter().zip(&attempts).collect();
    shown.push((&foreign, attempts.first().unwrap()));
    answer(&mut docket, "req_2", 2, &no(), after(8));
    let facts = |_: &AccessRequest| Holders::default();
    let answers = docket.answer_all(&shown, &lead("bob"), facts, &Word::Approve, after(9));
    for (id, change) in answers {
        match change {
            Ok(change) => docket.apply(&change).unwrap(),
            Err(error) => {
                assert_eq!(error, GroupError::NotOfGroup);
                assert!([record("req_2"), record("req_6")].contains(id));
            }
        }
    }
    let state = |name: &str| docket.request(&record(name)).unwrap().state();
    assert_eq!(["req_1", "req_3", "req_4"].map(state), [State::Approved; 3]);
    assert_eq!(state("req_2"), State::Refused);
    assert_eq!(["req_5", "req_6"].map(state), [State::Pending; 2]);
}

#[test]
fn nobody_is_asked_more_often_than_that() {
    let mut docket = docket();
    for n in 1..=3 {
        let (name, task) = (format!("req_{n}"), format!("task_{n}"));
        take(&mut docket, by(&format!("agent-{n}"), elsewhere(&name, n, &task, after(n))));
    }
    let busy = Err(AskError::ApproversBusy { retry_at: after(3_600_001) });
    assert_eq!(docket.open(elsewhere("req_4", 4, "task_4", after(4))), busy);
    // One more of a group asks nobody anew; whoever was not asked yet still can be.
    let more = by("agent-1", elsewhere("req_5", 5, "task_1", after(5)));
    assert_eq!(take(&mut docket, more), []);
    let mut other = elsewhere("req_6", 6, "task_6", after(6));
    other.asked.insert(id("eve"));
    assert_eq!(take(&mut docket, other), [id("eve")]);
    let later = elsewhere("req_7", 7, "task_7", after(3_600_001));
    assert!(matches!(docket.open(later), Ok(Opening::New(_))));
}

#[test]
fn one_agent_uses_nobody_up_for_the_others() {
    let mut docket = docket();
    for n in 1..=2 {
        let (name, task) = (format!("req_{n}"), format!("task_{n}"));
        assert_eq!(take(&mut docket, elsewhere(&name, n, &task, after(n))).len(), 3);
    }
    let busy = Err(AskError::ApproversBusy { retry_at: after(3_600_001) });
    assert_eq!(docket.open(elsewhere("req_3", 3, "task_3", after(3))), busy);
    // Another agent still is heard, once: then people were asked as often as they may be.
    let other = by("other-agent", elsewhere("req_3", 3, "task_3", after(3)));
    assert_eq!(take(&mut docket, other).len(), 3);
    let other = by("other-agent", elsewhere("req_4", 4, "task_4", after(4)));
    assert_eq!(docket.open(other), busy);
    let later = elsewhere("req_5", 5, "task_5", after(3_600_001));
    assert!(matches!(docket.open(later), Ok(Opening::New(_))));
}

#[test]
fn a_line_of_delegation_has_one_share() {
    let mut docket = docket();
    let line = |child: &str, opened: Opened| {
        let mut opened = opened;
        opened.binding.actors = vec![id(child), id("root")];
        opened
    };
    for (n, child) in [(1, "child-1"), (2, "child-2")] {
        let (name, task) = (format!("req_{n}"), format!("task_{n}"));
        take(&mut docket, line(child, elsewhere(&name, n, &task, after(n))));
    }
    // Three are asked at most, two of them by one line: neither a third child nor the root asks.
    let busy = Err(AskError::ApproversBusy { retry_at: after(3_600_001) });
    assert_eq!(docket.open(line("child-3", elsewhere("req_3", 3, "task_3", after(3)))), busy);
    assert_eq!(docket.open(by("root", elsewhere("req_3", 3, "task_3", after(3)))), busy);
    let other = by("other-agent", elsewhere("req_3", 3, "task_3", after(3)));
    assert_eq!(take(&mut docket, other).len(), 3);
}

/// The people of a stage, told once each.
fn told(docket: &mut Docket, name: &str, people: &[&str], at: Timestamp) -> Vec<IdentityId> {
    match docket.tell(&record(name), people.iter().copied().map(id).collect(), at) {
        Telling::Now { change, .. } => {
            docket.apply(&change).unwrap();
            let Event::Asked { people } = change.event else { panic!("another change") };
            people.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn later_stages_count_and_wait_for_their_turn() {
    let mut docket = docket();
    let staged = |name: &str, amount: i64, agent: &str, at: Timestamp| {
        let mut opened = by(agent, elsewhere(name, amount, name, at));
        opened.terms = terms("group:leads then identity:dan", 1);
        opened
    };
    let agents = ["one", "two", "three", "four"];
    for (n, agent) in (1..).zip(agents) {
        let name = format!("req_{n}");
        let mut opened = staged(&name, n, agent, after(n));
        // Each asks another lead first.
        opened.asked = [id("ada"), id(&format!("lead-{n}"))].into();
        take(&mut docket, opened);
        answer(&mut docket, &name, n, &Word::Approve, after(100 + n));
        assert!(docket.request(&record(&name)).unwrap().told().is_empty(), "a new stage");
    }
    // Three an hour, whatever the stage.
    for n in 1..=3 {
        assert_eq!(told(&mut docket, &format!("req_{n}"), &["dan"], after(200)), [id("dan")]);
        assert_eq!(told(&mut docket, &format!("req_{n}"), &["dan"], after(201)), []);
    }
    let later = Telling::Later(after(3_600_200));
    assert_eq!(docket.tell(&record("req_4"), [id("dan")].into(), after(202)), later);
    // And what they were asked in a later stage counts for who asks them first.
    let mut first = staged("req_5", 5, "five", after(203));
    first.asked = [id("dan")].into();
    let busy = Err(AskError::ApproversBusy { retry_at: after(3_600_200) });
    assert_eq!(docket.open(first), busy);
}

#[test]
fn a_later_stage_of_a_group_asks_once_and_nobody_is_left_behind() {
    let mut docket = docket();
    for (name, amount) in [("req_1", 1), ("req_2", 2), ("req_3", 3)] {
        let mut opened = ask(name, amount, after(amount));
        opened.terms = terms("group:leads then identity:dan", 1);
        take(&mut docket, opened);
    }
    assert_eq!(docket.left_behind(&record("req_2"), after(4)), [], "the group was asked");
    // The one that asked for all of them goes on without them.
    answer(&mut docket, "req_1", 1, &Word::Approve, after(5));
    let left = docket.left_behind(&record("req_1"), after(6));
    assert_eq!(left, [record("req_2"), record("req_3")]);
    let leads = ["ada", "bob", "cy"];
    assert_eq!(told(&mut docket, "req_2", &leads, after(6)), leads.map(id));
    assert_eq!(docket.left_behind(&record("req_1"), after(7)), []);
    assert_eq!(told(&mut docket, "req_3", &leads, after(7)), [], "they know of it by req_2");
    // In the second stage, too.
    assert_eq!(told(&mut docket, "req_1", &["dan"], after(8)), [id("dan")]);
    answer(&mut docket, "req_2", 2, &Word::Approve, after(9));
    assert_eq!(told(&mut docket, "req_2", &["dan"], after(9)), [], "dan knows of req_1");
}

#[test]
fn a_task_has_so_many_open_requests() {
    let mut docket = docket();
    for n in 0..LIVE_PER_TASK_MAX as i64 {
        take(&mut docket, ask(&format!("req_{n}"), n, START));
    }
    assert_eq!(docket.open(ask("req_x", 999, START)), Err(AskError::TooManyOfTask));
    let agent = id("agent");
    let task = TaskId::new("task_1").unwrap();
    let ids: Vec<_> =
        docket.live(&agent, Some(&task)).map(|request| request.opened().id.clone()).collect();
    for id in ids {
        let change = docket.request(&id).unwrap().revoke(None, "task_ended".into(), after(1));
        docket.apply(&change.unwrap()).unwrap();
    }
    assert_eq!(docket.live(&agent, Some(&task)).count(), 0);
    assert!(docket.open(ask("req_x", 999, after(2))).is_ok());
}

#[test]
fn what_covers_an_attempt_is_found() {
    let mut docket = docket();
    let input = payment(250);
    let bound = binding(&input);
    let tried = attempt(&bound, &input);
    assert_eq!(docket.covering(&tried, START, |_| true), Err(None));
    take(&mut docket, ask("req_1", 250, START));
    assert_eq!(docket.covering(&tried, START, |_| true), Err(Some(SpendError::Pending)));
    answer(&mut docket, "req_1", 250, &Word::Approve, after(1));
    let found = docket.covering(&tried, after(2), |_| true).unwrap();
    let spent = found.spend(&tried, record("dec"), after(2)).unwrap();
    docket.apply(&spent).unwrap();
    assert_eq!(docket.covering(&tried, after(3), |_| true), Err(None));

    // Until a time, from another task.
    take(&mut docket, elsewhere("req_2", 250, "task_2", after(3)));
    let elsewhere = docket.request(&record("req_2")).unwrap();
    let shown = Attempt { binding: &elsewhere.opened().binding, ..tried };
    let scope = Scope::Until { bounds: bounds(300), uses: 1, until: after(60_000) };
    let facts = Holders::default();
    let change = elsewhere.approve(&lead("ada"), &facts, scope, &shown, after(4)).unwrap();
    docket.apply(&change).unwrap();
    let found = docket.covering(&tried, after(5), |_| true).unwrap();
    assert_eq!(found.opened().id, record("req_2"));
    let other = docket.covering(&tried, after(5), |one| one.opened().id != record("req_2"));
    assert_eq!(other, Err(None));
    let spent = found.spend(&tried, record("dec"), after(5)).unwrap();
    docket.apply(&spent).unwrap();
    assert_eq!(docket.covering(&tried, after(6), |_| true), Err(None));
    assert_eq!(docket.apply(&spent), Err(FoldError::Stale { made_at: 2, stands_at: 3 }));
}

proptest! {
    #[test]
    fn equal_folds_are_equal_dockets(steps in prop::collection::vec((0..5_u8, 0..6_i64), 0..60)) {
        let mut first = docket();
        let mut changes = Vec::new();
        for (n, (step, amount)) in steps.into_iter().enumerate() {
            let at = after(n as i64 * 400_000);
            let input = payment(amount);
            let bound = binding(&input);
            let tried = attempt(&bound, &input);
            let agent = id("agent");
            let live = first.live(&agent, bound.task.as_ref()).nth(amount as usize % 3);
            let facts = Holders::default();
            let change = match (step, live) {
                (0 | 1, _) => match first.open(ask(&format!("req_{n}"), amount, at)) {
                    Ok(Opening::New(change)) => Some(*change),
                    _ => None,
                },
                (2, Some(of)) if of.opened().binding == bound => {
                    of.approve(&lead("ada"), &facts, Scope::Once, &tried, at).ok()
                }
                (3, Some(of)) => of.refuse(&lead("bob"), &facts, "no".into(), at).ok(),
                (4, _) => first.covering(&tried, at, |_| true).ok().map(|found| {
                    found.spend(&tried, record("dec"), at).unwrap()
                }),
                (_, of) => of.and_then(|request| request.due(at)),
            };
            if let Some(change) = change {
                first.apply(&change).unwrap();
                changes.push(change);
            }
            let ids = |request: &AccessRequest| request.opened().id.clone();
            for who in ["agent", "parent-agent", "uma", "ada", "bob", "starter"].map(id) {
                let rests = |request: &&AccessRequest| request.rests_on().any(|one| *one == who);
                let all: BTreeSet<_> = first.live_of(&agent).filter(rests).map(ids).collect();
                let found: BTreeSet<_> = first.resting_on(&who).map(ids).collect();
                prop_assert_eq!(found, all, "{}", who);
            }
        }
        let mut second = docket();
        for change in &changes {
            second.apply(change).unwrap();
            let again = second.clone();
            prop_assert!(second.apply(change).is_err());
            prop_assert_eq!(&second, &again);
        }
        prop_assert_eq!(first, second);
    }
}
