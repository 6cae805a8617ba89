//! Tasks: what a decision within one costs more, and what a million live ones weigh.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use safeconduct_engine::Understood;
use safeconduct_model::{
    Absent, Allowance, ArgumentRule, Assurance, Authentication, Budget, Constraint, Decision,
    Digest, EntityType, Execution, Identity, IdentityId, IdentityKind, IdentityStatus, Intent,
    IntentName, Intents, Method, Mode, OnBehalfOf, OtherArguments, Parameter, ParameterType,
    RecordId, ResourceRule, Subject, Task, TaskRef, Term, Tier, Timestamp, TokenId, Undertakers,
    Value,
};
use safeconduct_policy::{SourceFile, load};
use safeconduct_service::memory::{MemoryLedger, ports};
use safeconduct_service::{Check, Ids, Narrowed, Report, Service, Settings, Undertaking, World};

use crate::report::say;
use crate::section::{Failure, Section, Target};
use crate::world::{self, Naming};

/// How many tasks are spoken of.
const TASKS: usize = 1_000_000;

/// How many live at once where they are weighed: what one takes does not grow with their number,
/// and half of them are begun in half of the time.
const WEIGHED: usize = 500_000;

/// What they are undertaken for.
const INTENT: &str = "summarise_customer_case";

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let (idle, called) = (weigh(Doing::Nothing)?, weigh(Doing::OneCall)?);
    let mut section = Section::new("1,000,000 live tasks");
    section.targets();
    let gib = |bytes: f64| bytes * TASKS as f64 / f64::from(1 << 30);
    section.target("tasks_1m_gib", gib(idle), Target::AtMost(2.0));
    section.target("tasks_1m_one_call_each_gib", gib(called), Target::AtMost(2.0));
    section.number("memory_bytes_per_task", idle);
    section.number("memory_bytes_per_task_one_call", called);
    section.line("");
    section.line(
        "Weighed with 500,000 of them. Each is begun for real: parameters checked, policy asked, its mandate sealed and its \
         session's keys made, with a handle of its own; then, in the second figure, one call is \
         decided in each and its outcome recorded. Ids are as long as a server's; the ledger is \
         one in memory that forgets, and keeps the versions of what was written. Memory is what \
         the process's resident set grows by.",
    );
    Ok(section)
}

/// What is done in each task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    OneCall,
}

impl Doing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::OneCall => "one-call",
        }
    }
}

fn weigh(doing: Doing) -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child-tasks", &WEIGHED.to_string(), doing.as_str()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Prints the bytes that one task of that many takes.
pub(crate) fn child(tasks: usize, doing: &str) -> Result<(), Failure> {
    let doing = match doing {
        "one-call" => Doing::OneCall,
        _ => Doing::Nothing,
    };
    tokio::runtime::Builder::new_current_thread().build()?.block_on(weigh_here(tasks, doing))
}

async fn weigh_here(tasks: usize, doing: Doing) -> Result<(), Failure> {
    let service = service().await?;
    let before = crate::startup::resident_bytes()?;
    for number in 0..tasks {
        let mut handle = [0; 32];
        handle
            .iter_mut()
            .zip((number as u64 + 1).to_be_bytes())
            .for_each(|(place, byte)| *place = byte);
        let task = begin(&service, number, Digest::from_bytes(handle)).await?;
        if doing == Doing::OneCall {
            call(&service, &task).await?;
        }
    }
    let grown = crate::startup::resident_bytes()?.saturating_sub(before);
    if service.live_tasks() != tasks {
        return Err("not all tasks live".into());
    }
    say(&format!("{}", grown / tasks.max(1)));
    Ok(())
}

/// One permitted call in a task, with its outcome.
async fn call(service: &Service, task: &Task) -> Result<(), Failure> {
    let acts_in = TaskRef { id: task.id.clone(), agent: task.agent.clone() };
    let check = Check {
        subject: Subject::Caller(Authentication {
            task: Some(acts_in),
            token: TokenId::new("tok_agent")?,
            ..proof(&task.agent)?
        }),
        action: world::entry(Naming::Folder)?.name,
        resource: None,
        input: Value::object([
            ("path", Value::from(format!("/cases/{}", task.id))),
            ("head", Value::from(40)),
            ("why", Value::from("the customer asked for it")),
        ]),
        asserted: None,
        session_name: None,
        pep: IdentityId::new("gateway:files")?,
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::LeftToCaller,
        network: None,
    };
    let ruling = service.check(check).await.map_err(|refused| refused.reason.message())?;
    let outcome = &ruling.value().outcome;
    if outcome.decision != Decision::Permit {
        return Err(format!("denied: {:?}", outcome.reasons).into());
    }
    let report = Report {
        decision: ruling.value().decision().clone(),
        reported_by: IdentityId::new("gateway:files")?,
        execution: Execution::Succeeded,
        duration_ms: Some(3),
        result: None,
        detail: None,
        edits: Vec::new(),
        read: Default::default(),
        beside: Default::default(),
    };
    service.observe(report).await?;
    Ok(())
}

/// Ids as long as a server's.
#[derive(Default)]
struct LongIds(AtomicU64);

impl Ids for LongIds {
    #[expect(clippy::expect_used, reason = "a prefix and 32 hexadecimal digits are a name")]
    fn record(&self, prefix: &'static str) -> RecordId {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        RecordId::new(format!("{prefix}_{number:032x}")).expect("a prefix and digits are a name")
    }
}

/// A decision point whose orchestrator begins tasks of agent 0, over a ledger that forgets.
pub(crate) async fn service() -> Result<Service, Failure> {
    let (mut ports, _, clock) = ports();
    ports.ledger = Arc::new(MemoryLedger::forgetful());
    ports.ids = Arc::new(LongIds::default());
    clock.set(Timestamp::from_millis(1_795_500_000_000));
    let text = "permit (principal, action, resource);";
    let files = vec![SourceFile::new("p.cedar", text)];
    let policies = Arc::new(load(&world::sources(files)?)?.policies);
    let entry = world::entry(Naming::Folder)?;
    let actions = BTreeMap::from([(entry.name.clone(), entry)]);
    let catalogue = Arc::new(safeconduct_model::Catalogue { actions, ..Default::default() });
    let world = World::new(policies, catalogue, Digest::from_bytes([9; 32]), world::vocabulary()?);
    let service =
        Service::new(ports, Settings { calls_max: u64::MAX, ..Settings::default() }, world);
    let by = IdentityId::new("orchestrator")?;
    for identity in [user()?, world::agent(0)?, orchestrator()?] {
        service.change_identity(identity, &by).await?;
    }
    let intent = intent()?;
    let versions = BTreeMap::from([(intent.name.clone(), BTreeMap::from([(1, intent)]))]);
    let intents = Intents { versions, digest: Digest::from_bytes([5; 32]) };
    service.change_intents(Arc::new(intents)).await?;
    Ok(service)
}

/// Begins the task of that number, under that handle.
pub(crate) async fn begin(
    service: &Service,
    number: usize,
    handle: Digest,
) -> Result<Arc<Task>, Failure> {
    let by = orchestrator()?.id;
    let undertaking = Undertaking {
        by: proof(&by)?,
        agent: world::agent(0)?.id,
        intent: IntentName::new(INTENT)?,
        version: None,
        parameters: BTreeMap::from([("case".into(), Value::from(format!("C-{number}")))]),
        prompt: None,
        on_behalf_of: None,
        narrowed: Narrowed::default(),
        handle: Some(handle),
        conversation: None,
        run_of: None,
        pep: by,
        trace: None,
    };
    Ok(service.begin_task(undertaking).await?)
}

fn user() -> Result<Identity, Failure> {
    Ok(Identity {
        id: IdentityId::new("ada")?,
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: None,
        sponsor: None,
        imported: None,
        fallback_owner: None,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    })
}

fn orchestrator() -> Result<Identity, Failure> {
    let ada = IdentityId::new("ada")?;
    Ok(Identity {
        id: IdentityId::new("orchestrator")?,
        kind: IdentityKind::Workload,
        owner: Some(ada.clone()),
        sponsor: None,
        imported: None,
        fallback_owner: Some(ada),
        roles: BTreeSet::from([safeconduct_model::Role::Orchestrator]),
        ..user()?
    })
}

pub(crate) fn proof(of: &IdentityId) -> Result<Authentication, Failure> {
    Ok(Authentication {
        identity: of.clone(),
        token: TokenId::new("tok_orchestrator")?,
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::from_millis(1_795_400_000_000),
        expires_at: None,
        task: None,
    })
}

/// One of the usual size: a path under the case's folder, a bounded number, one more action.
pub(crate) fn intent() -> Result<Intent, Failure> {
    let rule = |pointer: &str, constraint, absent| ArgumentRule {
        pointer: pointer.into(),
        constraint,
        absent,
    };
    let folder = Term::Literal(Value::from("/cases"));
    let allowance = Allowance {
        action: world::entry(Naming::Folder)?.name,
        resources: vec![ResourceRule {
            ty: EntityType::new("Safeconduct::Path")?,
            id: Some(Constraint::Under(folder.clone())),
        }],
        arguments: vec![
            rule("/path", Constraint::Under(folder), Absent::Refused),
            rule("/head", Constraint::AtMost(Term::Literal(Value::from(100))), Absent::Allowed),
            rule("/why", Constraint::LongestBytes(256), Absent::Allowed),
        ],
        others: OtherArguments::Refused,
    };
    let case = Parameter { ty: ParameterType::Identifier, default: None, description: None };
    Ok(Intent {
        name: IntentName::new(INTENT)?,
        version: 1,
        description: "Read one customer case and write a summary to it.".into(),
        parameters: BTreeMap::from([("case".into(), case)]),
        envelope: vec![allowance],
        budget: Budget {
            calls: 1_000_000_000,
            calls_of: BTreeMap::from([(world::entry(Naming::Folder)?.name, 1_000_000_000)]),
            spend: None,
            distinct_resources: Some(4096),
            bytes_out: Some(1 << 40),
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 86_400,
        idle_s: 86_400,
        tier_max: Tier::Moderate,
        delegation_depth: 1,
        credentials: BTreeMap::new(),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            kinds: BTreeSet::from([IdentityKind::Agent]),
            ..Undertakers::default()
        },
    })
}
