//! Prompts, conversations, scheduled runs, narrower tasks, clocks that step.

use super::*;

#[tokio::test]
async fn a_prompt_is_kept_sealed_and_is_worth_what_its_speaker_is() {
    let bench = bench().await;
    let words = "Sum up the case of Mrs Zauberflote";
    let told = |by: Authentication, agent: &str, handle: u8| {
        let prompt = Some(Arc::from(words));
        let narrowed = Narrowed {
            budget: Some(Budget { calls: 2, ..intent("work").budget }),
            ..Narrowed::default()
        };
        Undertaking { prompt, narrowed, ..undertaking(by, agent, "work", handle) }
    };
    let begin = |undertaking| bench.service.begin_task(undertaking);
    let by_user = begin(told(proof("ada"), "agent", 1)).await.unwrap();
    let by_agent = begin(told(proof("agent"), "agent", 2)).await.unwrap();
    // Within a task it is the agent that speaks, whoever spoke above it.
    let child = begin(told(bench.enter("agent", 1), "helper", 3)).await.unwrap();
    let silent = begin(undertaking(proof("ada"), "agent", "work", 4)).await.unwrap();
    let again = bench.again();
    for service in [&bench.service, &again.service] {
        for (task, integrity) in [
            (&by_user, Integrity::Trusted),
            (&by_agent, Integrity::Untrusted),
            (&child, Integrity::Untrusted),
        ] {
            let prompt = service.prompt(&task.id).unwrap();
            assert_eq!((&*prompt.text, prompt.integrity), (words, integrity));
            assert!(!format!("{prompt:?}").contains("Zauberflote"));
        }
        assert_eq!(service.prompt(&silent.id), None);
    }
    for entry in bench.ledger.entries() {
        assert!(!String::from_utf8_lossy(&entry.leaf).contains("Zauberflote"));
    }
    bench.end(&bench.enter("agent", 2)).await;
    assert_eq!(bench.service.prompt(&by_agent.id), None);
    for (length, fits) in [(0, false), (PROMPT_BYTES_MAX, true), (PROMPT_BYTES_MAX + 1, false)] {
        let mut long = undertaking(proof("ada"), "agent", "work", 9);
        long.prompt = Some("x".repeat(length).into());
        let begun = bench.service.begin_task(long).await;
        assert_eq!(begun.is_ok(), fits, "{length}");
        assert!(fits || matches!(begun, Err(BeginError::Prompt { bytes }) if bytes == length));
    }
}

#[tokio::test]
async fn two_conversations_of_one_credential_have_a_task_each() {
    let bench = bench().await;
    let conversation = |n: u8| Some(Digest::from_bytes([n; 32]));
    let begin = |of: Option<Digest>| {
        let mut own = undertaking(proof("agent"), "agent", "work", 0);
        own.conversation = of;
        bench.service.begin_task(own)
    };
    let within = |of: &str, conversation: Option<Digest>| {
        let proof = bench.service.within_attached_task(proof(of), conversation.as_ref());
        proof.task.map(|task| task.id)
    };
    let (one, two) = (begin(conversation(1)).await.unwrap(), begin(conversation(2)).await.unwrap());
    assert_eq!(within("agent", conversation(1)), Some(one.id.clone()));
    assert_eq!(within("agent", conversation(2)), Some(two.id.clone()));
    assert_eq!((within("agent", conversation(3)), within("agent", None)), (None, None));
    // Knowing the name of a conversation is not enough.
    assert_eq!(within("helper", conversation(1)), None);
    assert!(matches!(begin(conversation(1)).await, Err(BeginError::Attached(of)) if of == one.id));
    let plain = begin(None).await.unwrap();
    assert_eq!(within("agent", None), Some(plain.id.clone()));
    assert_eq!(within("agent", conversation(3)), None);
    // A restart mixes nothing up.
    let again = bench.again();
    let within = |conversation: Option<Digest>| {
        let proof = again.service.within_attached_task(proof("agent"), conversation.as_ref());
        proof.task.map(|task| task.id)
    };
    assert_eq!(within(conversation(2)), Some(two.id.clone()));
    assert_eq!(within(None), Some(plain.id.clone()));
    let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
    again.service.end_task(&two.id, ending).await.unwrap();
    assert_eq!((within(conversation(2)), within(None)), (None, Some(plain.id.clone())));
}

fn nightly(at_once: u32, overlap: Overlap) -> Intents {
    let schedule = Schedule {
        identity: id("agent"),
        parameters: BTreeMap::from([("case".into(), Value::from("C-1"))]),
        prompt: Some("Sum up the night.".into()),
        on_behalf_of: None,
        at_once,
        overlap,
    };
    // The schedule is the right: nobody else may undertake it.
    let nightly = Intent {
        schedules: BTreeMap::from([(name(ScheduleName::new("nightly")), schedule)]),
        undertakers: Undertakers::default(),
        ..intent("work")
    };
    let versions = BTreeMap::from([(nightly.name.clone(), BTreeMap::from([(1, nightly)]))]);
    Intents { versions, digest: Digest::from_bytes([40 + u8::try_from(at_once).unwrap(); 32]) }
}

impl Bench {
    async fn run(&self, by: Authentication, handle: u8) -> Result<Arc<Task>, BeginError> {
        let of = name(ScheduleName::new("nightly"));
        let handle = Digest::from_bytes([handle; 32]);
        let run = Run { of, by, handle, pep: id("administration"), trace: None };
        self.service.begin_task(self.service.run(run)?).await
    }
}

#[tokio::test]
async fn a_scheduled_job_has_one_task_per_run_with_what_its_operator_wrote() {
    let bench = bench().await;
    bench.service.change_intents(Arc::new(nightly(1, Overlap::Refuse))).await.unwrap();
    let run = bench.run(proof("agent"), 1).await.unwrap();
    assert_eq!(run.run_of, Some(name(ScheduleName::new("nightly"))));
    assert_eq!((run.integrity(), &run.begun_by), (Integrity::Trusted, &id("agent")));
    let prompt = bench.service.prompt(&run.id).unwrap();
    assert_eq!((&*prompt.text, prompt.integrity), ("Sum up the night.", Integrity::Trusted));
    let within = bench.enter("agent", 1);
    assert_eq!(bench.ask(call(within.clone(), "records", READ)).await, Ok(()));
    // One at a time, also after a restart; and not for another, nor from within a task.
    let full = |begun| matches!(begun, Err(BeginError::Running { runs: 1, .. }));
    assert!(full(bench.run(proof("agent"), 2).await));
    let again = bench.again();
    again.service.change_intents(Arc::new(nightly(1, Overlap::Refuse))).await.unwrap();
    assert!(full(again.run(proof("agent"), 2).await));
    for by in [proof("helper"), proof("ada"), within.clone()] {
        let begun = bench.run(by, 3).await;
        assert!(matches!(begun, Err(BeginError::UnknownSchedule(_))));
    }
    // What a schedule does not say is nobody else's to say.
    let mut other = undertaking(proof("agent"), "agent", "work", 4);
    other.run_of = Some(name(ScheduleName::new("nightly")));
    other.version = Some(1);
    other.prompt = Some("Sum up the night.".into());
    other.parameters = BTreeMap::from([("case".into(), Value::from("C-2"))]);
    assert!(matches!(bench.service.begin_task(other).await, Err(BeginError::Contended)));
    let own = undertaking(proof("agent"), "agent", "work", 4);
    let refused = bench.service.begin_task(own).await;
    assert!(matches!(refused, Err(BeginError::NotAnUndertaker { .. })));
    bench.end(&within).await;
    bench.run(proof("agent"), 2).await.unwrap();
    // A run whose time is over makes room though nobody has swept it away.
    bench.clock.set(Timestamp::from_millis(NOW + 600_000));
    bench.run(proof("agent"), 5).await.unwrap();
    assert_eq!(bench.service.live_tasks(), 1);
}

#[tokio::test]
async fn a_run_may_take_the_place_of_the_oldest() {
    let bench = bench().await;
    bench.service.change_intents(Arc::new(nightly(2, Overlap::Replace))).await.unwrap();
    let mut runs = Vec::new();
    for handle in 1..=3 {
        runs.push(bench.run(proof("agent"), handle).await.unwrap());
    }
    let states: Vec<_> =
        runs.iter().map(|run| bench.service.task(&run.id).unwrap().state).collect();
    assert_eq!(states, [TaskState::Revoked, TaskState::Active, TaskState::Active]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_runs_at_the_same_moment_as_many_begin_as_may() {
    let bench = bench().await;
    bench.service.change_intents(Arc::new(nightly(3, Overlap::Refuse))).await.unwrap();
    let bench = Arc::new(bench);
    let runs = (1..=40).map(|handle| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.run(proof("agent"), handle).await.is_ok() })
    });
    let mut begun = 0;
    for run in runs.collect::<Vec<_>>() {
        begun += usize::from(run.await.unwrap());
    }
    assert_eq!((begun, bench.service.live_tasks()), (3, 3));
}

#[tokio::test]
async fn a_task_may_be_narrower_in_tier_and_leases_too() {
    let bench = bench().await;
    let crm = || name(TargetName::new("crm"));
    let grants = |all: &[&str]| all.iter().map(|grant| Arc::from(*grant)).collect::<BTreeSet<_>>();
    let wide = Intent {
        credentials: BTreeMap::from([(crm(), grants(&["read", "write"]))]),
        ..intent("work")
    };
    let versions = BTreeMap::from([(wide.name.clone(), BTreeMap::from([(1, wide)]))]);
    let intents = Intents { versions, digest: Digest::from_bytes([8; 32]) };
    bench.service.change_intents(Arc::new(intents)).await.unwrap();
    let begin = |narrowed: Narrowed, handle| {
        let undertaking = undertaking(proof("ada"), "agent", "work", handle);
        bench.service.begin_task(Undertaking { narrowed, ..undertaking })
    };
    let leasing = |all: &[&str]| Some(BTreeMap::from([(crm(), grants(all))]));
    let narrow = Narrowed {
        tier_max: Some(Tier::Low),
        credentials: leasing(&["read"]),
        ..Narrowed::default()
    };
    let task = begin(narrow, 1).await.unwrap();
    let authority = bench.service.mandate(&task.id).unwrap().authority.clone();
    assert_eq!((authority.tier_max, Some(authority.credentials)), (Tier::Low, leasing(&["read"])));
    let asked = bench.ask(call(bench.enter("agent", 1), "records", READ)).await;
    assert_eq!(asked, Err(vec!["above_tier"]));
    let higher = Narrowed { tier_max: Some(Tier::High), ..Narrowed::default() };
    assert!(matches!(begin(higher, 2).await, Err(BeginError::Wider(_))));
    let more = Narrowed { credentials: leasing(&["read", "drop"]), ..Narrowed::default() };
    assert!(matches!(begin(more, 2).await, Err(BeginError::Wider(_))));
}

/// Time goes forwards and backwards: what has ended stays so, and no deadline comes again.
#[tokio::test]
async fn a_clock_that_steps_revives_nothing() {
    let bench = bench().await;
    let set = |seconds: i64| bench.clock.set(Timestamp::from_millis(NOW + seconds * 1000));
    let task = bench.begin("ada", "agent", "work", 1).await;
    // Backwards before it began: it neither ends nor lasts longer than its deadline.
    set(-3600);
    assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, Ok(()));
    assert_eq!(bench.service.sweep_tasks(), 0);
    // A step forwards over its idle time, seen by nobody but a sweep, and back again.
    set(300);
    assert_eq!(bench.service.sweep_tasks(), 1);
    set(1);
    let denied = Err(vec!["task_ended"]);
    assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, denied);
    let again = bench.again();
    assert_eq!(again.ask(call(task, "records", READ)).await, denied);
    // A step over the deadline, seen by a call, and back again.
    let other = bench.begin("ada", "agent", "work", 2).await;
    set(601);
    assert_eq!(bench.ask(call(other.clone(), "records", READ)).await, denied);
    set(2);
    assert_eq!(bench.ask(call(other.clone(), "records", READ)).await, denied);
    let child = undertaking(other, "helper", "work", 3);
    assert!(matches!(bench.service.begin_task(child).await, Err(BeginError::ParentEnded)));
    let late = bench.bodies().into_iter().rev().find_map(|body| match body {
        Body::UsedAfterEnd { action, .. } => Some(action.map(|action| action.to_string())),
        _ => None,
    });
    assert_eq!(late, Some(Some("undertake".to_owned())), "a child in an ended task is a late use");
    // A parent's deadline is its child's, whatever the clock said when that began.
    let root = bench.begin("ada", "agent", "work", 4).await;
    set(-500);
    let child = bench.delegate(&root, "helper", 5, 2).await;
    let of = |of: &Authentication| bench.service.task(&of.task.as_ref().unwrap().id).unwrap().task;
    assert!(of(&child).deadline <= of(&root).deadline);
    set(610);
    bench.service.sweep_tasks();
    assert_eq!(bench.service.live_tasks(), 0);
}

fn tree() -> impl Strategy<Value = (Vec<usize>, usize)> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..12).prop_flat_map(|parents| {
        let parents: Vec<usize> =
            parents.iter().enumerate().map(|(n, index)| index.index(n + 1)).collect();
        let nodes = parents.len() + 1;
        (Just(parents), 0..nodes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Ending any node of any tree ends exactly its subtree, also for a process that reads the
    /// records again.
    #[test]
    fn ending_a_node_ends_exactly_its_subtree((parents, ends) in tree()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = bench().await;
            let root = bench.begin("ada", "agent", "work", 1).await;
            let mut nodes = vec![Some(root)];
            for (n, parent) in parents.iter().enumerate() {
                let handle = u8::try_from(n + 2).unwrap();
                let node = match &nodes[*parent] {
                    None => None,
                    Some(parent) => {
                        let to = if n % 2 == 0 { "helper" } else { "agent" };
                        let mut child = undertaking(parent.clone(), to, "work", handle);
                        child.narrowed.budget = Some(Budget { calls: 0, ..intent("work").budget });
                        let begun = bench.service.begin_task(child).await;
                        // Too deep is no task.
                        begun.is_ok().then(|| bench.enter(to, handle))
                    }
                };
                nodes.push(node);
            }
            let Some(end) = &nodes[ends] else {
                return Ok(());
            };
            bench.end(end).await;
            let under = |mut n: usize| loop {
                if n == ends {
                    return true;
                }
                if n == 0 {
                    return false;
                }
                n = parents[n - 1];
            };
            let again = bench.again();
            for (n, node) in nodes.iter().enumerate() {
                let Some(node) = node else { continue };
                let now = Timestamp::from_millis(NOW);
                prop_assert_eq!(bench.service.stands(node, now), !under(n));
                prop_assert_eq!(again.service.stands(node, now), !under(n));
            }
            Ok(())
        })?;
    }
}
