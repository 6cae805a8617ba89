//! `engine::decide`: all five stages, six candidate policies, a session of fifty steps, typed
//! arguments; at 10, 1,000 and 100,000 policies, beside Cedar's own `is_authorized` at 10.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use safeconduct_engine::{Facts, Known, MonitorFacts, TaskFacts, Understood, Vocabulary, decide};
use safeconduct_model::{
    ActionEntry, ActionName, Assurance, Authentication, Decision, Digest, EntityRef, IdentityId,
    KeyedDigest, Mandate, Method, Mode, Now, Origin, RecordId, Request, SessionKey, SessionRef,
    Subject, Task, TaskId, TaskRef, Tiers, Timestamp, TokenId, Value,
};
use safeconduct_policy::{History, Policies, SourceFile, load};
use safeconduct_service::entity_of;
use safeconduct_session::flow::Flow;
use safeconduct_session::monitor::{Event, Monitors, RESPONSE};
use safeconduct_session::{Charge, Session, Step, fingerprint};

use crate::cedar::{Given, Peer};
use crate::flow;
use crate::rounds::{Contestant, Shuffle, compete};
use crate::section::{Failure, Section, Target};
use crate::tasks;
use crate::world::{self, Naming};

/// Sizes of the policy sets.
const SIZES: [usize; 3] = [10, 1_000, 100_000];
const ROUNDS: u32 = 41;
const BATCH: u32 = 1_000;
/// When the decisions fall; a few days after the tokens were issued.
const AT: Timestamp = Timestamp::from_millis(1_795_500_000_000);

/// A decision within a task: envelope, tier and budget are checked besides.
const IN_TASK: &str = "decide in a task";

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let rigs = SIZES.into_iter().map(Rig::new).collect::<Result<Vec<_>, _>>()?;
    let peer = Peer::new(&world::policy_files(10, Naming::Folder))?;
    let prepared = peer.prepare(0, Given::WhatPoliciesReadOnly)?;
    let rig = rigs.first().ok_or("no rig")?;
    let tasked = Agent::in_task(0, &rig.vocabulary)?;
    let mut contestants = Vec::new();
    for rig in &rigs {
        for access in [Access::Hot, Access::Cold] {
            contestants.push(rig.contestant(access));
        }
    }
    contestants.push(Contestant::new(IN_TASK, |times| {
        (0..times).try_for_each(|_| rig.decide(black_box(&tasked)))
    }));
    for given in [Given::WhatPoliciesReadOnly, Given::WholeContext] {
        let peer = &peer;
        contestants.push(Contestant::new(given.name(), move |times| {
            for _ in 0..times {
                peer.ask(black_box(0), given)?;
            }
            Ok(())
        }));
    }
    contestants.push(Contestant::new("cedar alone", |times| {
        (0..times).try_for_each(|_| peer.answer(black_box(&prepared)))
    }));
    compete(&mut contestants, ROUNDS, BATCH)?;
    let median = |name: &str| {
        let found = contestants.iter().find(|c| c.name == name);
        found.map_or(f64::NAN, Contestant::median)
    };
    Ok(report(median))
}

fn report(median: impl Fn(&str) -> f64) -> Section {
    let ours = |access: Access, policies: usize| median(&name(access, policies));
    let lean = median(Given::WhatPoliciesReadOnly.name());
    let mut section = Section::new("One decision");
    section.targets();
    let (hot, cold) = (Access::Hot, Access::Cold);
    let grows = ours(hot, 100_000) / ours(hot, 10);
    section.target("decide_100k_over_10_policies", grows, Target::AtMost(1.5));
    section.target("decide_over_cedar_10", ours(hot, 10) / lean, Target::AtMost(1.0));
    section.target("decide_100k_over_cedar_10", ours(hot, 100_000) / lean, Target::AtMost(1.0));
    let in_task = median(IN_TASK) / ours(hot, 10);
    section.target("decide_in_task_over_without", in_task, Target::AtMost(1.5));
    section.number("decide_cold_100k_over_hot_10", ours(cold, 100_000) / ours(hot, 10));
    section.number("decide_cold_100k_over_cedar_10", ours(cold, 100_000) / lean);
    section.line("");
    section.line("| µs of CPU | 10 policies | 1,000 | 100,000 |");
    section.line("|---|---|---|---|");
    for access in [hot, cold] {
        let cells = SIZES.map(|size| format!("{:.2}", ours(access, size) / 1e3));
        section.line(format!("| `engine::decide`, {} | {} |", access.name(), cells.join(" | ")));
        for size in SIZES {
            let key = format!("decide_{}_{size}_us", access.name());
            section.number(&key, ours(access, size) / 1e3);
        }
    }
    let cost = median(IN_TASK) / 1e3;
    section.line(format!("| `engine::decide`, in a task, hot | {cost:.2} | – | – |"));
    for given in [Given::WhatPoliciesReadOnly, Given::WholeContext] {
        let cost = median(given.name()) / 1e3;
        section.line(format!("| Cedar, {} | {cost:.2} | – | – |", given.words()));
    }
    let alone = median("cedar alone") / 1e3;
    section.line(format!("| Cedar, nothing built, `is_authorized` alone | {alone:.2} | – | – |"));
    section.number("cedar_10_us", lean / 1e3);
    section.number("cedar_10_whole_context_us", median(Given::WholeContext.name()) / 1e3);
    section.number("cedar_10_alone_us", alone);
    section.line("");
    section.line(
        "Both sides build request, context and entities from the same plain values in every \
         operation. Ours makes the record, the session's step and the reasons besides. `cold` \
         takes a random agent, session and token of all that there are.",
    );
    section
}

#[derive(Debug, Clone, Copy)]
enum Access {
    /// The same agent again and again.
    Hot,
    /// Any agent.
    Cold,
}

impl Access {
    const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

fn name(access: Access, policies: usize) -> String {
    format!("decide {} {policies}", access.name())
}

/// All that decisions over one policy set need.
struct Rig {
    size: usize,
    policies: Policies,
    entry: ActionEntry,
    vocabulary: Arc<Vocabulary>,
    understood: Understood,
    tiers: Tiers,
    pep: IdentityId,
    agents: Vec<Agent>,
    /// What is remembered of the session, and of the identity.
    monitors: [Monitors; 2],
}

struct Agent {
    /// The task that it acts in, where it acts in one.
    task: Option<(Task, Mandate)>,
    known: Known,
    session: Session,
    proof: Authentication,
    path: Arc<str>,
}

/// Decides that many times and measures nothing: for whoever counts instructions from outside.
pub(crate) fn child(what: &str, times: u32) -> Result<(), Failure> {
    let rig = match what {
        "temporal" | "read" => Rig::with_temporal_clauses(Looks::Not)?,
        "looked" => Rig::with_temporal_clauses(Looks::InOne)?,
        "baseline" => Rig::with_temporal_clauses(Looks::InBaseline)?,
        _ => Rig::new(10)?,
    };
    let mut agent = match what {
        "task" => Agent::in_task(0, &rig.vocabulary)?,
        "plain" | "temporal" | "read" | "looked" | "baseline" => Agent::new(0, &rig.vocabulary)?,
        other => return Err(format!("there is no decision `{other}`").into()),
    };
    if matches!(what, "read" | "looked" | "baseline") {
        agent.reads(flow::busy()?);
    }
    (0..times).try_for_each(|_| rig.decide(black_box(&agent)))
}

/// Which policies look at where arguments came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// None does: it is for the record alone.
    Not,
    /// One of the ten that have a temporal clause.
    InOne,
    /// The baseline pack's, which is in force besides.
    InBaseline,
}

/// Nanoseconds of decisions with ten temporal policies in scope.
pub(crate) struct WithClauses {
    /// At ten policies, without any of it.
    pub(crate) plain: f64,
    /// With the ten temporal ones, in a session that has seen 200 results.
    pub(crate) temporal: f64,
    /// The same where the session has read 1 MB too: no policy looks at it.
    pub(crate) read: f64,
    /// One of the ten looks at it.
    pub(crate) looked: f64,
    /// The baseline pack is in force besides, and looks at it.
    pub(crate) baseline: f64,
}

/// Measures them side by side.
pub(crate) fn with_temporal_clauses() -> Result<WithClauses, Failure> {
    let (plain, temporal) = (Rig::new(10)?, Rig::with_temporal_clauses(Looks::Not)?);
    let mut read = Vec::new();
    for looks in [Looks::Not, Looks::InOne, Looks::InBaseline] {
        let mut rig = Rig::with_temporal_clauses(looks)?;
        rig.agents.first_mut().ok_or("no agent")?.reads(flow::busy()?);
        read.push(rig);
    }
    let rigs = [&plain, &temporal].into_iter().chain(&read);
    let mut contestants: Vec<_> = rigs.map(|rig| rig.contestant(Access::Hot)).collect();
    compete(&mut contestants, ROUNDS, BATCH)?;
    let medians: Vec<f64> = contestants.iter().map(Contestant::median).collect();
    let [plain, temporal, read, looked, baseline] = medians.as_slice() else {
        return Err("five were measured".into());
    };
    let (plain, temporal, read) = (*plain, *temporal, *read);
    Ok(WithClauses { plain, temporal, read, looked: *looked, baseline: *baseline })
}

impl Rig {
    fn new(size: usize) -> Result<Self, Failure> {
        Self::of(size, world::policy_files(size, Naming::Folder))
    }

    fn with_temporal_clauses(looks: Looks) -> Result<Self, Failure> {
        const CLAUSES: [&str; 10] = [
            "formerly within 1h A::error{ input.path: context.input.path }",
            "formerly within 1d (A::response{ input.path: \"/etc/passwd\" })",
            "previous within 1h A::error{}",
            "!A::error{} since within 1h A::response{ input.path: \"/etc/shadow\" }",
            "exists (n: Long). (count_within(1h, A::request{ input.path: context.input.path }) == n && n > 9)",
            "exists (n: Long). (count_within(1d, A::response{}) == n && n > 2000)",
            "exists (n: Long). (count_distinct_within(p, 1h, A::response{ input.path: p }) == n && n > 500)",
            "exists (n: Long). (sum_within(h, 1h, A::response{ input.head: h }) == n && n > 1000000)",
            "exists (p: String). (formerly within 1h A::error{ input.path: p } && formerly within 1h A::response{ input.path: p })",
            "A::request{ input.path: context.input.path } since within 1h A::error{ input.path: context.input.path }",
        ];
        let action = "Safeconduct::Action::\"files.read_text_file\"";
        let text: String = CLAUSES
            .iter()
            .zip(0..)
            .map(|(clause, number)| {
                let clause = clause.replace("A::", &format!("{action}::"));
                // It is true, so that the clause is looked at too.
                let first = match looks {
                    Looks::InOne if number == 0 => {
                        "when { context.flow.addresses.from_task.containsAll(\
                         context.flow.addresses.from_untrusted) && \
                         !context.flow.carries.above_sink }"
                    }
                    Looks::Not | Looks::InOne | Looks::InBaseline => "",
                };
                format!(
                    "forbid (principal, action == {action}, resource) {first} \
                     when temporal {{ {clause} }};\n"
                )
            })
            .collect();
        let mut files = world::policy_files(10, Naming::Folder);
        files.push(SourceFile::new("temporal.cedar", text));
        if looks == Looks::InBaseline {
            files.extend(safeconduct_policy::baseline());
        }
        let mut temporal = Rig::of(10, files)?;
        let agent = temporal.agents.first().ok_or("no agent")?;
        let mut session = Monitors::default();
        for number in 0..200 {
            session.observe(
                temporal.policies.monitors().programs(History::Session),
                &Event {
                    kind: RESPONSE,
                    action: &temporal.entry.name,
                    principal: Some(&agent.known.entity.uid),
                    resources: &[],
                    input: &Value::object([
                        ("path", Value::from(format!("/cases/{number}"))),
                        ("head", Value::from(number)),
                    ]),
                    output: None,
                    beside: None,
                    at: AT.plus_ms(number * 1000 - 600_000),
                    decision: None,
                },
            );
        }
        temporal.monitors[0] = session;
        Ok(temporal)
    }

    fn of(size: usize, files: Vec<SourceFile>) -> Result<Self, Failure> {
        let vocabulary = world::vocabulary()?;
        let agents = (0..world::agents(size))
            .map(|number| Agent::new(number, &vocabulary))
            .collect::<Result<_, _>>()?;
        let rig = Self {
            size,
            policies: load(&world::sources(files)?)?.policies,
            entry: world::entry(Naming::Folder)?,
            vocabulary,
            understood: Understood::LeftToCaller,
            tiers: Tiers::default(),
            pep: IdentityId::new("gateway:files")?,
            agents,
            monitors: Default::default(),
        };
        if rig.policies.len() < size {
            return Err(format!("{} policies instead of {size}", rig.policies.len()).into());
        }
        Ok(rig)
    }

    fn contestant(&self, access: Access) -> Contestant<'_> {
        let mut shuffle = Shuffle(7);
        Contestant::new(name(access, self.size), move |times| {
            for _ in 0..times {
                let number = match access {
                    Access::Hot => 0,
                    Access::Cold => shuffle.below(self.agents.len()),
                };
                let agent = self.agents.get(number).ok_or("no such agent")?;
                self.decide(black_box(agent))?;
            }
            Ok(())
        })
    }

    fn decide(&self, agent: &Agent) -> Result<(), Failure> {
        let task = agent.task.as_ref().map(|(task, mandate)| TaskFacts {
            task,
            mandate,
            intent: None,
            ended: None,
            delegated_by: Vec::new(),
            user: None,
            set_aside: None,
        });
        let facts = Facts {
            caller: Some(&agent.known),
            subject: None,
            entry: Some(&self.entry),
            quarantined: None,
            session: &agent.session,
            sequence: agent.session.sequence(),
            used: agent.session.used(),
            task,
            killed: None,
            input_bytes: 80,
            calls_max: 10_000,
            understood: &self.understood,
            tiers: &self.tiers,
            risk: None,
            last_word: None,
            approval: None,
            set_aside: None,
            vocabulary: &self.vocabulary,
            catalogue: Digest::from_bytes([2; 32]),
            monitors: Some(MonitorFacts {
                session: &self.monitors[0],
                identity: &self.monitors[1],
            }),
        };
        let now = Now { at: AT, decision: RecordId::new("dec_0123456789abcdef0123456789abcdef")? };
        let request = self.request(agent);
        let outcome = black_box(decide(&request, &facts, &self.policies, &now));
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(format!("denied: {:?}", outcome.reasons).into()),
        }
    }

    fn request(&self, agent: &Agent) -> Request {
        Request {
            subject: Subject::Caller(agent.proof.clone()),
            action: self.entry.name.clone(),
            resource: None,
            input: Value::object([
                ("path", Value::String(Arc::clone(&agent.path))),
                ("head", Value::from(40)),
                ("why", Value::from("the customer asked for it")),
            ]),
            input_digest: KeyedDigest::from_bytes([3; 32]),
            asserted: None,
            session: SessionRef { key: SessionKey::of(&agent.proof), name: None },
            pep: self.pep.clone(),
            mode: Mode::Enforce,
            trace: None,
            parent: None,
        }
    }
}

impl Agent {
    fn new(number: usize, vocabulary: &Vocabulary) -> Result<Self, Failure> {
        let identity = world::agent(number)?;
        Ok(Self {
            task: None,
            session: fifty_steps(number, Session::default())?,
            proof: Authentication {
                identity: identity.id.clone(),
                token: TokenId::new(format!("tok_{number:032}"))?,
                method: Method::ApiKey,
                assurance: Assurance::Low,
                at: AT.plus_ms(-86_400_000),
                expires_at: None,
                task: None,
            },
            path: world::path(number).into(),
            known: Known { entity: entity_of(&identity, vocabulary)?, identity },
        })
    }
}

impl Agent {
    /// Its session has read that.
    fn reads(&mut self, read: Flow) {
        self.session.flow_mut(|| read);
    }

    /// The same, in a task with an envelope and a budget.
    fn in_task(number: usize, vocabulary: &Vocabulary) -> Result<Self, Failure> {
        let mut agent = Self::new(number, vocabulary)?;
        let intent = tasks::intent()?;
        let parameters = BTreeMap::from([("case".into(), Value::from("C-1042"))]);
        let authority = intent.authority(&parameters, AT.plus_ms(3_600_000))?;
        let id = TaskId::new("task_0123456789abcdef0123456789abcdef")?;
        let task = Task {
            id: id.clone(),
            intent: intent.name,
            intent_version: 1,
            agent: agent.proof.identity.clone(),
            on_behalf_of: None,
            begun_by: IdentityId::new("help-desk")?,
            origin: Origin::Trusted,
            parent: None,
            depth: 0,
            begun_at: AT.plus_ms(-60_000),
            deadline: authority.deadline,
            idle_s: 3600,
            budget: Arc::new(authority.budget.clone()),
            authority: KeyedDigest::from_bytes([4; 32]),
            handle: Some(Digest::from_bytes([5; 32])),
            conversation: None,
            run_of: None,
        };
        agent.session = fifty_steps(number, Session::of_task())?;
        agent.proof.task = Some(TaskRef { id, agent: agent.proof.identity.clone() });
        agent.task = Some((task, Mandate { parameters, authority }));
        Ok(agent)
    }
}

/// A session of fifty steps, and what ten temporal policies remember of 200 results in it.
pub(crate) fn busy_session() -> Result<(Session, Monitors), Failure> {
    let mut rig = Rig::with_temporal_clauses(Looks::Not)?;
    let agent = rig.agents.pop().ok_or("no agent")?;
    let [remembered, _] = rig.monitors;
    Ok((agent.session, remembered))
}

/// A session of fifty steps: six different actions, twenty different files, two denials.
fn fifty_steps(agent: usize, session: Session) -> Result<Session, Failure> {
    steps(agent, 50, session)
}

/// The names of a catalogue's actions.
static TOOLS: LazyLock<Vec<ActionName>> = LazyLock::new(|| {
    let tools = ["read_text_file", "list", "search", "stat", "write", "tree"];
    tools.iter().filter_map(|tool| ActionName::new(format!("files.{tool}")).ok()).collect()
});

pub(crate) fn steps(agent: usize, count: usize, mut session: Session) -> Result<Session, Failure> {
    for step in 0..count {
        let tool = TOOLS.get(step % TOOLS.len()).ok_or("no tool")?;
        let file = format!("/cases/{agent}/{}", step % 20);
        session.apply(&Step {
            decision: if step % 25 == 24 { Decision::Deny } else { Decision::Permit },
            action: tool.clone(),
            resources: vec![fingerprint(&EntityRef::new("Safeconduct::Path", file)?)],
            charge: session.used().map(|_| Charge::default()),
            at: AT.plus_ms(-1000 * (50 - step as i64)),
        });
    }
    Ok(session)
}
