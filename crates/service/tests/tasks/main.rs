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

mod aside;
mod ends;
mod flow;
#[path = "../support/memory_read.rs"]
mod memory_read;
mod replayed;
mod runs;
mod taken;

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
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let tools = [("records", Tier::Moderate), ("pay", Tier::High), ("mail", Tier::Moderate)];
    let entries = tools.map(entry);
    let vouched = [("note", Effect::Write), ("book", Effect::Read)].map(|(tool, effect)| {
        let returns = Returns::uniform(Label::LEAST);
        ActionEntry { effect, returns, ..entry((tool, Tier::Moderate)) }
    });
    Catalogue {
        actions: entries.into_iter().chain(vouched).map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

fn identity(of: &str, kind: IdentityKind) -> Identity {
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: Some(id("ada")),
        sponsor: None,
        imported: None,
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
    bench_over(settings, |ports, _| ports).await
}

async fn bench_over(
    settings: Settings,
    over: impl FnOnce(Ports, Arc<MemoryLedger>) -> Ports,
) -> Bench {
    let (ports, ledger, clock) = ports();
    let ports = over(ports, Arc::clone(&ledger));
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
        network: None,
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
    assert_eq!(paid, Err(vec!["user_not_permitted"]), "in the envelope, yet not her right");
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
