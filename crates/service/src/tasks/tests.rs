use std::collections::BTreeMap;

use proptest::prelude::*;
use safeconduct_model::{Budget, KeyedDigest, KillScope, Origin};

use super::*;

fn who(name: &str) -> IdentityId {
    IdentityId::new(name).unwrap()
}

fn task(number: u64, agent: &str, begun_by: &str, user: Option<&str>) -> Arc<TaskSlot> {
    let task = Task {
        id: TaskId::new(format!("task_{number:08}")).unwrap(),
        intent: IntentName::new("work").unwrap(),
        intent_version: 1,
        agent: who(agent),
        on_behalf_of: user.map(who),
        begun_by: who(begun_by),
        origin: Origin::Trusted,
        parent: None,
        depth: 0,
        begun_at: Timestamp::from_millis(0),
        deadline: Timestamp::from_millis(1000 + number as i64),
        idle_s: 3600,
        budget: Arc::new(Budget {
            calls: 1,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        }),
        authority: KeyedDigest::from_bytes([0; 32]),
        handle: Some(safeconduct_model::Digest::from_bytes({
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            bytes
        })),
        conversation: None,
        run_of: None,
    };
    let sealed = Sealed {
        keys_at: Some(2 * number),
        mandate_at: 2 * number + 1,
        record: RecordId::new("rec_1").unwrap(),
    };
    Arc::new(TaskSlot::new(task, sealed, Timestamp::from_millis(0)))
}

fn end(tasks: &Tasks, slot: &Arc<TaskSlot>) -> Option<Arc<TaskSlot>> {
    slot.lock().end(TaskState::Completed);
    tasks.ended(slot)
}

fn ids(page: &TaskPage) -> Vec<&str> {
    page.tasks.iter().map(|view| view.task.id.as_str()).collect()
}

#[test]
fn a_question_looks_at_a_bounded_number_and_goes_on_where_it_stopped() {
    let tasks = Tasks::default();
    let many = TASKS_LOOKED_AT_MAX as u64 + 2000;
    (0..many).for_each(|n| tasks.insert(&task(n, "a", "b", None)));
    tasks.insert(&task(many, "c", "b", None));
    // By a list of its own: at once.
    let agent = who("c");
    let of_c = TaskQuery { agent: Some(&agent), ..TaskQuery::default() };
    let page = tasks.page(&of_c, 10, |_| true);
    assert_eq!((page.tasks.len(), page.next), (1, None));
    // By looking: not on the first page, yet on the way.
    let only_c = |task: &Task| task.agent == agent;
    let first = tasks.page(&TaskQuery::default(), 10, only_c);
    assert_eq!(first.tasks.len(), 0);
    let after = first.next.unwrap().to_string();
    let rest = TaskQuery { after: Some(&after), ..TaskQuery::default() };
    let second = tasks.page(&rest, 10, only_c);
    assert_eq!((second.tasks.len(), second.next), (1, None));
}

#[test]
fn nobody_is_listed_twice_and_those_who_have_nothing_see_nothing() {
    let tasks = Tasks::default();
    tasks.insert(&task(1, "a", "a", Some("a")));
    tasks.insert(&task(2, "a", "o", Some("u")));
    let of = |name: &str| {
        let name = who(name);
        let query = TaskQuery { concerns: Some(&name), ..TaskQuery::default() };
        ids(&tasks.page(&query, 10, |_| true)).len()
    };
    assert_eq!((of("a"), of("o"), of("u"), of("x")), (2, 1, 1, 0));
    let (agent, other) = (who("a"), who("u"));
    let both = TaskQuery { agent: Some(&agent), concerns: Some(&other), ..TaskQuery::default() };
    assert_eq!(ids(&tasks.page(&both, 10, |_| true)), ["task_00000002"]);
}

#[test]
fn ended_tasks_leave_what_holds_them() {
    let tasks = Tasks::default();
    let keep = ENDED_TASKS_MAX as u64;
    for n in 0..keep + 100 {
        let slot = task(n, "a", "b", None);
        tasks.insert(&slot);
        assert_eq!(end(&tasks, &slot).is_some(), n >= keep);
    }
    assert_eq!(tasks.live(), 0);
    // Their time is long from now, and they do not wait for it here.
    assert!(tasks.agenda_len() <= 1025, "{}", tasks.agenda_len());
    assert!(tasks.known(&TaskId::new("task_00000099").unwrap()).is_none());
    assert!(tasks.known(&TaskId::new("task_00000100").unwrap()).is_some());
    let first = tasks.page(&TaskQuery::default(), 1, |_| true);
    assert_eq!(ids(&first), ["task_00000100"]);
}

#[test]
fn budgets_of_one_intent_are_one() {
    let tasks = Tasks::default();
    let shared = |calls| {
        let mut of = (*task(1, "a", "b", None).task).clone();
        of.budget = Arc::new(Budget { calls, ..(*of.budget).clone() });
        tasks.share_budget(&mut of);
        of.budget
    };
    let whole = shared(10);
    assert!(Arc::ptr_eq(&whole, &shared(10)));
    let narrowed = shared(3);
    assert!(!Arc::ptr_eq(&whole, &narrowed) && narrowed.calls == 3);
}

/// What a list may be asked, as a plain filter says it.
#[derive(Debug, Clone)]
enum Doing {
    Begin { agent: u8, by: u8, user: Option<u8> },
    End(usize),
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        3 => (0..4_u8, 0..4_u8, prop::option::of(0..4_u8))
            .prop_map(|(agent, by, user)| Doing::Begin { agent, by, user }),
        1 => any::<usize>().prop_map(Doing::End),
    ]
}

proptest! {
    /// Pages put together are the whole list, whatever ends between them, and the kill switch
    /// hits what a look at every task would find.
    #[test]
    fn indexes_say_what_a_scan_would(
        doings in prop::collection::vec(doing(), 0..80),
        limit in 1..7_usize,
        asked in 0..4_u8,
        agent in prop::option::of(0..4_u8),
        active in any::<bool>(),
    ) {
        let tasks = Tasks::default();
        let name = |n: u8| format!("i{n}");
        let mut all = Vec::new();
        for doing in doings {
            match doing {
                Doing::Begin { agent, by, user } => {
                    let user = user.map(name);
                    let slot = task(all.len() as u64, &name(agent), &name(by), user.as_deref());
                    tasks.insert(&slot);
                    all.push(slot);
                }
                Doing::End(which) if !all.is_empty() => {
                    end(&tasks, &all[which % all.len()]);
                }
                Doing::End(_) => {}
            }
        }
        let (asked, agent) = (who(&name(asked)), agent.map(|n| who(&name(n))));
        let query = TaskQuery {
            state: active.then_some(TaskState::Active),
            agent: agent.as_ref(),
            concerns: Some(&asked),
            ..TaskQuery::default()
        };
        let mut listed = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = tasks.page(&TaskQuery { after: after.as_deref(), ..query }, limit, |_| true);
            prop_assert!(page.tasks.len() <= limit);
            listed.extend(page.tasks.iter().map(|view| view.task.id.clone()));
            match page.next {
                Some(next) => after = Some(next.to_string()),
                None => break,
            }
        }
        let fits = |slot: &&Arc<TaskSlot>| {
            let state = slot.lock().state;
            query.fits(&slot.task, state)
        };
        let expected: Vec<_> = all.iter().filter(fits).map(|slot| slot.task.id.clone()).collect();
        prop_assert_eq!(listed, expected);

        let scope = KillScope::Identity(asked);
        let live = |slot: &&Arc<TaskSlot>| slot.lock().state == TaskState::Active;
        let hit: Vec<_> = all.iter().filter(live).filter(|slot| scope.hits(&slot.task)).collect();
        prop_assert_eq!(tasks.hit_by(&scope).len(), hit.len());
        prop_assert_eq!(tasks.live(), all.iter().filter(live).count());
    }
}
