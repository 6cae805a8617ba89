//! Tasks: what a decision within one costs more, and what a million live ones weigh.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;

use safeconduct_model::{
    Absent, Allowance, ArgumentRule, Assurance, Authentication, Budget, Constraint, Digest,
    EntityType, Identity, IdentityId, IdentityKind, IdentityStatus, Intent, IntentName, Intents,
    Method, OnBehalfOf, OtherArguments, Parameter, ParameterType, ResourceRule, Term, Tier,
    Timestamp, TokenId, Undertakers, Value,
};
use safeconduct_policy::{SourceFile, load};
use safeconduct_service::memory::{MemoryLedger, ports};
use safeconduct_service::{Narrowed, Service, Settings, Undertaking, World};

use crate::report::say;
use crate::section::{Failure, Section, Target};
use crate::world::{self, Naming};

/// How many tasks are spoken of.
const TASKS: usize = 1_000_000;

/// How many live at once where they are weighed: what one takes does not grow with their number,
/// and a fifth is begun in a fifth of the time.
const WEIGHED: usize = 200_000;

/// What they are undertaken for.
const INTENT: &str = "summarise_customer_case";

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let bytes = weigh()?;
    let mut section = Section::new("1,000,000 live tasks");
    section.targets();
    let gib = bytes * TASKS as f64 / f64::from(1 << 30);
    section.target("tasks_1m_gib", gib, Target::AtMost(2.0));
    section.number("memory_bytes_per_task", bytes);
    section.line("");
    section.line(
        "Weighed with 200,000 of them. Each is begun for real: parameters checked, policy asked, its mandate sealed and its \
         session made, with a handle of its own; the ledger is one in memory that forgets. Memory \
         is what the process's resident set grows by.",
    );
    Ok(section)
}

fn weigh() -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child-tasks", &WEIGHED.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Prints the bytes that one task of that many takes.
pub(crate) fn child(tasks: usize) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(weigh_here(tasks))
}

async fn weigh_here(tasks: usize) -> Result<(), Failure> {
    let service = service().await?;
    let before = crate::startup::resident_bytes()?;
    for number in 0..tasks {
        let mut handle = [0; 32];
        handle
            .iter_mut()
            .zip((number as u64 + 1).to_be_bytes())
            .for_each(|(place, byte)| *place = byte);
        begin(&service, number, Digest::from_bytes(handle)).await?;
    }
    let grown = crate::startup::resident_bytes()?.saturating_sub(before);
    if service.live_tasks() != tasks {
        return Err("not all tasks live".into());
    }
    say(&format!("{}", grown / tasks.max(1)));
    Ok(())
}

/// A decision point whose orchestrator begins tasks of agent 0, over a ledger that forgets.
pub(crate) async fn service() -> Result<Service, Failure> {
    let (mut ports, _, clock) = ports();
    ports.ledger = Arc::new(MemoryLedger::forgetful());
    clock.set(Timestamp::from_millis(1_795_500_000_000));
    let text = "permit (principal, action == Safeconduct::Action::\"undertake\", resource);";
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
pub(crate) async fn begin(service: &Service, number: usize, handle: Digest) -> Result<(), Failure> {
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
    service.begin_task(undertaking).await?;
    Ok(())
}

fn user() -> Result<Identity, Failure> {
    Ok(Identity {
        id: IdentityId::new("ada")?,
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: None,
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
        fallback_owner: Some(ada),
        roles: BTreeSet::from([safeconduct_model::Role::Orchestrator]),
        ..user()?
    })
}

fn proof(of: &IdentityId) -> Result<Authentication, Failure> {
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
