//! Tasks: what they permit, how they end, and that nothing outlives its end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_ledger::decode;
use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource)
unless { resource == Safeconduct::Intent::"forbidden" };
@id("agents") permit (principal is Safeconduct::Agent, action, resource)
when { context.action.name like "crm.*" };
@id("users") permit (principal == Safeconduct::User::"ada", action, resource)
when { context.action.name == "crm.records" };
"#;

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

fn action(tool: &str) -> ActionName {
    name(ActionName::new(format!("crm.{tool}")))
}

fn catalogue() -> Catalogue {
    let entry = |(tool, tier)| ActionEntry {
        name: action(tool),
        server: Some(name(ServerName::new("crm"))),
        tier,
        effect: Effect::Write,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Internal,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let tools = [("records", Tier::Moderate), ("pay", Tier::High), ("mail", Tier::Moderate)];
    let entries = tools.map(entry);
    Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

fn identity(of: &str, kind: IdentityKind) -> Identity {
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: Some(id("ada")),
        fallback_owner: Some(id("bob")),
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: match of {
            "orchestrator" => BTreeSet::from([Role::Orchestrator]),
            _ => BTreeSet::new(),
        },
    }
}

fn intent(of: &str) -> Intent {
    let text = |text: &str| Term::Literal(Value::from(text));
    let rule = |pointer: &str, constraint, absent| ArgumentRule {
        pointer: pointer.into(),
        constraint,
        absent,
    };
    let case = Term::Parameter("case".into());
    Intent {
        name: name(IntentName::new(of)),
        version: 1,
        description: "A test's.".into(),
        parameters: BTreeMap::from([(
            "case".into(),
            Parameter { ty: ParameterType::Identifier, default: None, description: None },
        )]),
        envelope: vec![
            Allowance {
                action: action("records"),
                resources: Vec::new(),
                arguments: vec![
                    rule(
                        "/operation",
                        Constraint::OneOf(vec![text("read_case"), text("write_summary")]),
                        Absent::Refused,
                    ),
                    rule("/case", Constraint::Equals(case), Absent::Refused),
                ],
                others: OtherArguments::Refused,
            },
            Allowance {
                action: action("pay"),
                resources: Vec::new(),
                arguments: Vec::new(),
                others: OtherArguments::Allowed,
            },
        ],
        budget: Budget {
            calls: 10,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: match of {
            "for_a_user" => OnBehalfOf::Required,
            _ => OnBehalfOf::Optional,
        },
        longest_s: 600,
        idle_s: 60,
        tier_max: Tier::Moderate,
        delegation_depth: 3,
        credentials: BTreeMap::new(),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            kinds: BTreeSet::from([IdentityKind::Agent]),
            ..Undertakers::default()
        },
    }
}

fn intents() -> Intents {
    let all = ["work", "forbidden", "for_a_user"].map(intent);
    let versions = all.into_iter().map(|i| (i.name.clone(), BTreeMap::from([(1, i)])));
    Intents { versions: versions.collect(), digest: Digest::from_bytes([5; 32]) }
}

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
}

const NOW: i64 = 1_790_000_000_000;

fn world() -> World {
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", POLICIES)],
        servers: vec![name(ServerName::new("crm"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let policies = Arc::new(load(&sources).unwrap().policies);
    World::new(policies, Arc::new(catalogue()), Digest::from_bytes([9; 32]), vocabulary)
}

async fn bench() -> Bench {
    bench_with(Settings::default()).await
}

async fn bench_with(settings: Settings) -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(Timestamp::from_millis(NOW));
    let service = Arc::new(Service::new(ports, settings, world()));
    let kinds = [
        ("agent", IdentityKind::Agent),
        ("helper", IdentityKind::Agent),
        ("ada", IdentityKind::User),
        ("bob", IdentityKind::User),
        ("orchestrator", IdentityKind::Workload),
    ];
    for (of, kind) in kinds {
        service.change_identity(identity(of, kind), &id("ada")).await.unwrap();
    }
    service.change_intents(Arc::new(intents())).await.unwrap();
    Bench { service, ledger, clock }
}

fn proof(of: &str) -> Authentication {
    Authentication {
        identity: id(of),
        token: name(TokenId::new(format!("tok_{of}"))),
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::from_millis(NOW),
        expires_at: None,
        task: None,
    }
}

fn undertaking(by: Authentication, agent: &str, intent: &str, handle: u8) -> Undertaking {
    Undertaking {
        by,
        agent: id(agent),
        intent: name(IntentName::new(intent)),
        version: None,
        parameters: BTreeMap::from([("case".into(), Value::from("C-1"))]),
        prompt: None,
        on_behalf_of: None,
        narrowed: Narrowed::default(),
        handle: (handle > 0).then(|| Digest::from_bytes([handle; 32])),
        conversation: None,
        run_of: None,
        pep: id("gateway"),
        trace: None,
    }
}

fn call(subject: Authentication, tool: &str, input: &[(&str, &str)]) -> Check {
    Check {
        subject: Subject::Caller(subject),
        action: action(tool),
        resource: None,
        input: Value::object(input.iter().map(|(name, value)| (*name, Value::from(*value)))),
        asserted: None,
        session_name: None,
        pep: id("gateway"),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::Only(BTreeSet::new()),
    }
}

const READ: &[(&str, &str)] = &[("operation", "read_case"), ("case", "C-1")];

impl Bench {
    async fn begin(&self, by: &str, agent: &str, intent: &str, handle: u8) -> Authentication {
        let undertaking = undertaking(proof(by), agent, intent, handle);
        self.service.begin_task(undertaking).await.unwrap();
        self.enter(agent, handle)
    }

    async fn delegate(
        &self,
        parent: &Authentication,
        to: &str,
        handle: u8,
        calls: u64,
    ) -> Authentication {
        let mut child = undertaking(parent.clone(), to, "work", handle);
        let budget = intent("work").budget;
        child.narrowed.budget = Some(Budget { calls, ..budget });
        self.service.begin_task(child).await.unwrap();
        self.enter(to, handle)
    }

    fn enter(&self, agent: &str, handle: u8) -> Authentication {
        self.service.enter_task(proof(agent), &Digest::from_bytes([handle; 32])).unwrap()
    }

    async fn ask(&self, check: Check) -> Result<(), Vec<&'static str>> {
        let outcome = self.service.check(check).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(outcome.reasons.iter().map(Reason::code).collect()),
        }
    }

    async fn end(&self, of: &Authentication) -> usize {
        let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
        let task = &of.task.as_ref().unwrap().id;
        self.service.end_task(task, ending).await.unwrap().len()
    }

    /// The same service after a crash: a new one over the same records.
    fn again(&self) -> Bench {
        self.again_upto(usize::MAX)
    }

    /// After a crash that only so many records came through.
    fn again_upto(&self, records: usize) -> Bench {
        let (ports, ledger, clock) = ports();
        clock.set(Timestamp::from_millis(NOW));
        let (reads, writes) = (Vec::new(), Vec::new());
        let entries: Vec<_> = self.ledger.entries().into_iter().take(records).collect();
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let service = Arc::new(Service::new(ports, Settings::default(), world()));
        let mut restore = service.restore();
        for (sequence, entry) in entries.iter().enumerate() {
            let sealed = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
        }
        restore.finish();
        Bench { service, ledger, clock }
    }

    fn bodies(&self) -> Vec<Body> {
        self.ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap().body).collect()
    }
}

#[tokio::test]
async fn a_task_permits_what_its_intent_allows_and_nothing_else() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    assert_eq!(bench.ask(call(task.clone(), "records", READ)).await, Ok(()));
    let outside = [
        call(task.clone(), "records", &[("operation", "export"), ("case", "C-1")]),
        call(task.clone(), "records", &[("operation", "read_case"), ("case", "C-2")]),
        call(task.clone(), "records", &[("operation", "read_case")]),
        call(task.clone(), "records", &[("operation", "read_case"), ("case", "C-1"), ("x", "y")]),
        call(task.clone(), "mail", &[]),
    ];
    for check in outside {
        assert_eq!(bench.ask(check).await, Err(vec!["outside_intent"]));
    }
    let paid = bench.ask(call(task, "pay", &[])).await;
    assert_eq!(paid, Err(vec!["above_tier"]), "in the envelope, yet of a tier above the intent's");
    // Outside of the task the agent has its taskless rights.
    assert_eq!(bench.ask(call(proof("agent"), "mail", &[])).await, Ok(()));
}

#[tokio::test]
async fn an_agent_needs_its_own_right_and_the_users() {
    let bench = bench().await;
    let adas = bench.begin("ada", "agent", "work", 1).await;
    assert_eq!(bench.ask(call(adas, "records", READ)).await, Ok(()));
    let bobs = bench.begin("bob", "agent", "work", 2).await;
    assert_eq!(bench.ask(call(bobs, "records", READ)).await, Err(vec!["user_not_permitted"]));
    let mut suspended = identity("ada", IdentityKind::User);
    suspended.status = IdentityStatus::Suspended;
    bench.service.change_identity(suspended, &id("bob")).await.unwrap();
    let adas = bench.enter("agent", 1);
    assert_eq!(bench.ask(call(adas, "records", READ)).await, Err(vec!["task_ended"]));
}

#[tokio::test]
async fn who_begins_a_task_says_what_it_is_worth() {
    let bench = bench().await;
    let begin = |undertaking| bench.service.begin_task(undertaking);
    let trusted = begin(undertaking(proof("orchestrator"), "agent", "work", 1)).await.unwrap();
    assert_eq!((&trusted.origin, &trusted.on_behalf_of), (&Origin::Trusted, &None));
    let own = begin(undertaking(proof("agent"), "agent", "work", 2)).await.unwrap();
    assert_eq!(own.origin, Origin::Agent(SessionKey::of(&proof("agent"))));
    let other = begin(undertaking(proof("helper"), "agent", "work", 3)).await.unwrap_err();
    assert!(matches!(other, BeginError::NotAllowed { .. }), "{other}");
    let denied = begin(undertaking(proof("ada"), "agent", "forbidden", 3)).await.unwrap_err();
    assert!(matches!(denied, BeginError::Denied { .. }), "{denied}");
    let nobody = begin(undertaking(proof("orchestrator"), "agent", "for_a_user", 3)).await;
    assert!(matches!(nobody, Err(BeginError::NoUser(_))));
    let mut said = undertaking(proof("orchestrator"), "agent", "for_a_user", 3);
    said.on_behalf_of = Some(OnBehalf::Delegated(id("ada")));
    assert!(matches!(begin(said.clone()).await, Err(BeginError::NotDelegated { .. })));
    let until = Timestamp::from_millis(NOW + 1000);
    let intent = name(IntentName::new("for_a_user"));
    bench.service.delegate(id("ada"), id("agent"), intent, until).await.unwrap();
    assert_eq!(begin(said.clone()).await.unwrap().on_behalf_of, Some(id("ada")));
    bench.clock.set(until);
    said.handle = Some(Digest::from_bytes([4; 32]));
    assert!(matches!(begin(said).await, Err(BeginError::NotDelegated { .. })));
    let mut unfit = undertaking(proof("ada"), "agent", "work", 5);
    unfit.parameters.insert("case".into(), Value::from("../C-1"));
    assert!(matches!(begin(unfit).await, Err(BeginError::Parameters(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_budget_of_ten_permits_exactly_ten() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (service, task) = (Arc::clone(&bench.service), task.clone());
            tokio::spawn(async move {
                let ruling = service.check(call(task, "records", READ)).await.unwrap();
                let outcome = ruling.into_value().outcome;
                (outcome.decision, outcome.reasons.iter().map(Reason::code).collect::<Vec<_>>())
            })
        })
        .collect();
    let mut permitted = 0;
    for call in calls {
        match call.await.unwrap() {
            (Decision::Permit, _) => permitted += 1,
            (Decision::Deny, codes) => assert_eq!(codes, ["task_budget_spent"]),
        }
    }
    assert_eq!(permitted, 10);
    let again = bench.again();
    let task = again.enter("agent", 1);
    assert_eq!(again.ask(call(task, "records", READ)).await, Err(vec!["task_budget_spent"]));
}

#[tokio::test]
async fn the_end_of_a_task_ends_all_under_it_and_nothing_else() {
    let bench = bench().await;
    let root = bench.begin("ada", "agent", "work", 1).await;
    let other = bench.begin("ada", "agent", "work", 2).await;
    let child = bench.delegate(&root, "helper", 3, 4).await;
    let grandchild = bench.delegate(&child, "agent", 4, 2).await;
    assert_eq!(bench.ask(call(grandchild.clone(), "records", READ)).await, Ok(()));
    let decided = bench.bodies().into_iter().rev().find_map(|body| match body {
        Body::Decided(decided) => decided.task,
        _ => None,
    });
    let actors: Vec<_> = decided.unwrap().actors.iter().map(ToString::to_string).collect();
    assert_eq!(actors, ["agent", "helper", "agent"]);
    assert_eq!(bench.end(&child).await, 2);
    for over in [&child, &grandchild] {
        let codes = bench.ask(call(over.clone(), "records", READ)).await;
        assert_eq!(codes, Err(vec!["task_ended"]));
    }
    let late = bench.bodies().iter().filter(|b| matches!(b, Body::UsedAfterEnd { .. })).count();
    assert_eq!(late, 2);
    for on in [&root, &other] {
        assert_eq!(bench.ask(call(on.clone(), "records", READ)).await, Ok(()));
    }
    assert_eq!(bench.end(&child).await, 0, "an end is no end twice");
    let again = bench.again();
    let codes = again.ask(call(again.enter("agent", 4), "records", READ)).await;
    assert_eq!(codes, Err(vec!["task_ended"]));
    assert_eq!(again.ask(call(again.enter("agent", 1), "records", READ)).await, Ok(()));
}

#[tokio::test]
async fn a_child_is_narrower_than_its_parent_and_keeps_to_its_own_session() {
    let bench = bench().await;
    let root = bench.begin("ada", "agent", "work", 1).await;
    let child = bench.delegate(&root, "helper", 2, 6).await;
    // Six of ten are given away: five more are too many, four are not.
    let mut greedy = undertaking(root.clone(), "helper", "work", 3);
    greedy.narrowed.budget = Some(Budget { calls: 5, ..intent("work").budget });
    let wider = bench.service.begin_task(greedy).await.unwrap_err();
    assert!(matches!(wider, BeginError::Wider(_)), "{wider}");
    bench.delegate(&root, "helper", 3, 4).await;
    let spent = bench.ask(call(root.clone(), "records", READ)).await;
    assert_eq!(spent, Err(vec!["task_budget_spent"]));
    // Neither the parent's session nor a sibling's is the child's to use.
    for handle in [1, 3] {
        let theirs = bench.service.enter_task(proof("ada"), &Digest::from_bytes([handle; 32]));
        assert_eq!(theirs, Err(EnterError::Unknown));
    }
    let forged = Authentication { task: root.task.clone(), ..proof("helper") };
    assert_eq!(bench.ask(call(forged, "records", READ)).await, Err(vec!["foreign_task"]));
    // A child of a child of a child of a child is one level too deep.
    let second = bench.delegate(&child, "agent", 4, 3).await;
    let third = bench.delegate(&second, "helper", 5, 2).await;
    let mut deep = undertaking(third, "agent", "work", 6);
    deep.narrowed.budget = Some(Budget { calls: 1, ..intent("work").budget });
    assert!(matches!(bench.service.begin_task(deep).await, Err(BeginError::Wider(_))));
}

#[tokio::test]
async fn a_task_of_its_own_sheds_nothing_that_the_agents_session_has() {
    let bench = bench().await;
    assert_eq!(bench.ask(call(proof("agent"), "mail", &[])).await, Ok(()));
    let undertaken = undertaking(proof("agent"), "agent", "work", 0);
    bench.service.begin_task(undertaken.clone()).await.unwrap();
    let again = bench.service.begin_task(undertaken).await.unwrap_err();
    assert!(matches!(again, BeginError::Attached(_)), "{again}");
    // Every call of the credential belongs to it now, whether it says so or not.
    let within = bench.service.within_attached_task(proof("agent"), None);
    assert!(within.task.is_some());
    assert_eq!(bench.ask(call(within.clone(), "mail", &[])).await, Err(vec!["outside_intent"]));
    assert_eq!(bench.ask(call(within.clone(), "records", READ)).await, Ok(()));
    let own = bench.service.session(&SessionKey::of(&proof("agent"))).unwrap().session;
    assert_eq!((own.steps(), own.denials()), (3, 1));
    bench.end(&within).await;
    assert_eq!(bench.service.within_attached_task(proof("agent"), None).task, None);
    let own = bench.service.session(&SessionKey::of(&proof("agent"))).unwrap().session;
    assert_eq!((own.steps(), own.denials()), (3, 1));
    let again = bench.again();
    let own = again.service.session(&SessionKey::of(&proof("agent"))).unwrap().session;
    assert_eq!((own.steps(), own.denials()), (3, 1));
}

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
