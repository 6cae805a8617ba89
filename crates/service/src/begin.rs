//! Use-case: begin a task. Policy decides the action `undertake`; the record of the task, with
//! its mandate sealed beside it, comes before anyone can act in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_credential::{Wider, mandate_value, narrows};
use safeconduct_engine::Understood;
use safeconduct_model::{
    ActionName, Allowance, Authentication, Body, Budget, Digest, Entity, EntityId, EntityRef,
    Identity, IdentityId, IdentityKind, IdentityStatus, Intent, IntentName, Mandate, Mode,
    NameError, OnBehalfOf, Origin, PROMPT_BYTES_MAX, Record, Role, ScheduleName, SessionKey,
    Subject, TargetName, Task, TaskId, Tier, Timestamp, TraceId, UndertakeError, Value,
};
use thiserror::Error;

use self::authority::authority;
use crate::access::Beginning;
use crate::late::Late;
use crate::line::Line;
use crate::sessions::{SESSIONS_MAX, Slot, lock};
use crate::tasks::{Held, Sealed, TASKS_MAX, TaskSlot};
use crate::{
    AccessState, AppendError, AskedAtOnce, Check, CheckedOrAsked, Entry, Proposal, Recorded,
    Ruling, Service, SubmitError, Ticket, Unrecorded, Versioned, World,
};

mod authority;
mod rehearse;
mod run;

pub use authority::undertaken;
pub use rehearse::*;
pub use run::*;

/// The action that policy decides when a task begins. Its resource is the intent.
pub const UNDERTAKE: &str = "undertake";

/// The undertaking of an intent.
#[derive(Debug, Clone)]
pub struct Undertaking {
    /// Who begins it.
    pub by: Authentication,
    /// Who will act.
    pub agent: IdentityId,
    /// What for.
    pub intent: IntentName,
    /// Which version; the highest where none is named.
    pub version: Option<u32>,
    /// What is said of it.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// What the agent is told, in words: 1 to [`PROMPT_BYTES_MAX`] bytes.
    pub prompt: Option<Arc<str>>,
    /// For whom.
    pub on_behalf_of: Option<OnBehalf>,
    /// What of the intent's envelope, budget and time is wanted, where that is not all.
    pub narrowed: Narrowed,
    /// SHA-256 of the handle by which the agent will name it; without one it is attached to the
    /// session of the agent that begins it.
    pub handle: Option<Digest>,
    /// SHA-256 of the id of the conversation to which it is attached, where it has no handle and
    /// the agent has conversations: then it is that conversation's alone.
    pub conversation: Option<Digest>,
    /// The schedule of which it is a run: intent, parameters and prompt are that schedule's, and
    /// nothing is said of them here.
    pub run_of: Option<ScheduleName>,
    /// The enforcement point that asks.
    pub pep: IdentityId,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
}

/// For whom a task acts, and why that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnBehalf {
    /// The user has proved to be there.
    Proved(Authentication),
    /// The user has given their standing word.
    Delegated(IdentityId),
}

/// What of an intent is wanted. What is not said is the intent's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// What may be done.
    pub allowances: Option<Vec<Allowance<Value>>>,
    /// How much of it.
    pub budget: Option<Budget>,
    /// For how many seconds.
    pub seconds: Option<u32>,
    /// How many levels of delegation may follow.
    pub depth: Option<u8>,
    /// The highest tier that needs nobody's approval.
    pub tier_max: Option<Tier>,
    /// What it may get leases of.
    pub credentials: Option<BTreeMap<TargetName, BTreeSet<Arc<str>>>>,
}

/// Why a task did not begin.
#[derive(Debug, Error)]
pub enum BeginError {
    /// The caller's fault: no such intent.
    #[error("no intent `{0}` of that version is known")]
    UnknownIntent(IntentName),
    /// The caller's fault: the agent may not undertake it.
    #[error("`{agent}` is not among those who may undertake `{intent}`")]
    NotAnUndertaker {
        /// The agent.
        agent: IdentityId,
        /// The intent.
        intent: IntentName,
    },
    /// The caller's fault: they may not begin tasks of this agent.
    #[error("`{by}` may begin tasks of themselves only")]
    NotAllowed {
        /// Who wanted to.
        by: IdentityId,
    },
    /// The kill switch has stopped the caller's session, or everything.
    #[error("stopped by the kill switch")]
    Stopped,
    /// The caller's fault: someone in it may not act.
    #[error("identity `{0}` is not active")]
    NotActive(IdentityId),
    /// The caller's fault: nobody is registered under that name.
    #[error("no identity `{0}` is registered")]
    UnknownIdentity(IdentityId),
    /// The caller's fault: the parameters do not fit.
    #[error(transparent)]
    Parameters(#[from] UndertakeError),
    /// The caller's fault: the prompt is empty or too long.
    #[error("the prompt has {bytes} bytes; it may have 1 to {PROMPT_BYTES_MAX}")]
    Prompt {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The caller's fault: the intent is undertaken for a user, and none is named.
    #[error("intent `{0}` is undertaken on behalf of a user: say for whom")]
    NoUser(IntentName),
    /// The caller's fault: the intent is not undertaken for a user.
    #[error("intent `{0}` is not undertaken on behalf of anyone")]
    NotForUsers(IntentName),
    /// The caller's fault: the user has not said so.
    #[error("`{user}` has not delegated `{intent}` to `{agent}`")]
    NotDelegated {
        /// The user.
        user: IdentityId,
        /// The agent.
        agent: IdentityId,
        /// The intent.
        intent: IntentName,
    },
    /// The caller's fault: it would be wider than what it comes from.
    #[error(transparent)]
    Wider(#[from] Wider),
    /// The caller's fault: the task that it is begun in has ended, or is not theirs.
    #[error("the task that this one is begun in is over, or is another's")]
    ParentEnded,
    /// The caller's fault: it would be over at once.
    #[error("the task would end before it begins")]
    NoTime,
    /// The caller's fault: no such schedule, or it is another's, or they act in a task already.
    #[error("you have no schedule `{0}`, or act in a task already")]
    UnknownSchedule(ScheduleName),
    /// The caller's fault: as many runs are under way as there may be.
    #[error("schedule `{schedule}` has {runs} runs under way, the most that it may have")]
    Running {
        /// The schedule.
        schedule: ScheduleName,
        /// How many runs there are.
        runs: usize,
    },
    /// The caller's fault: the session has a task already.
    #[error("this session acts in task `{0}` already: end it first")]
    Attached(TaskId),
    /// Policy's answer: no. Where people may set that aside, they are asked.
    #[error("policy does not let `{agent}` undertake `{intent}`{}", people(.asked.as_ref()))]
    Denied {
        /// The agent.
        agent: IdentityId,
        /// The intent.
        intent: IntentName,
        /// The decision.
        ruling: Box<Recorded<Ruling>>,
        /// What became of asking; `None` where nobody can be asked.
        asked: Option<AskedAtOnce>,
    },
    /// Too many of them.
    #[error("there are already {limit} {what}, the most that are kept")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Others changed what it rests on, again and again.
    #[error("too many changes at the same moment; try again")]
    Contended,
    /// Our fault: the decision could not be recorded.
    #[error("the decision could not be recorded: {}", .0.reason.message())]
    Unrecorded(Unrecorded),
    /// A name does not fit.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the task's record could not be made: {0}")]
    Record(Arc<str>),
}

impl Service {
    /// Begins a task. It can be acted in once this returns. Where policy denies it for what people
    /// may set aside, they are asked, with the same append; once they approve, it begins, once.
    ///
    /// # Errors
    /// [`BeginError`] says whose fault it is; nothing began.
    pub async fn begin_task(&self, mut undertaking: Undertaking) -> Result<Arc<Task>, BeginError> {
        self.name_types(&mut undertaking.narrowed);
        let begun = self.begin(&undertaking).await;
        if matches!(begun, Err(BeginError::ParentEnded)) {
            self.late_in_task(&undertaking.by, Late::Child);
        }
        begun
    }

    async fn begin(&self, undertaking: &Undertaking) -> Result<Arc<Task>, BeginError> {
        let plan = self.plan(undertaking)?;
        // Nobody is asked, and nothing approved is used, for what could not begin anyway.
        self.has_room_for(&plan)?;
        let question = plan.question(undertaking, &self.world())?;
        let checked = self.check_or_ask_of(question, Some(plan.beginning(undertaking))).await;
        let (ruling, asked) = match checked {
            Ok(CheckedOrAsked { ruling, asked }) => (Ok(ruling), asked),
            Err(unrecorded) => (Err(unrecorded), None),
        };
        self.tell_of_decision(&ruling);
        let ruling = ruling.map_err(BeginError::Unrecorded)?;
        if !ruling.value().goes_ahead() {
            return Err(BeginError::Denied {
                agent: undertaking.agent.clone(),
                intent: undertaking.intent.clone(),
                ruling: Box::new(ruling),
                asked,
            });
        }
        let decision = ruling.value().decision().clone();
        // The decision was the question; its outcome is the task.
        self.expect_nothing(&decision);
        self.replace_runs(undertaking).await?;
        let mut last = None;
        for _ in 0..3 {
            // What was planned may have changed while policy was asked.
            let plan = self.plan(undertaking)?;
            match self.queue_task(undertaking, plan, &decision) {
                Ok((task, ticket)) => {
                    last = Some((task, ticket));
                    break;
                }
                Err(BeginError::Submit(SubmitError::Stale)) => drop(self.keep_changes_out()),
                Err(error) => return Err(error),
            }
        }
        let (task, ticket) = last.ok_or(BeginError::Contended)?;
        self.ledger.durable(ticket).await?;
        Ok(task)
    }

    /// Everything that can be said before policy is asked.
    fn plan(&self, undertaking: &Undertaking) -> Result<Plan, BeginError> {
        let world = self.world();
        let now = self.clock.now();
        let name = &undertaking.intent;
        let intent = world.intents.version(name, undertaking.version);
        let intent = intent.ok_or_else(|| BeginError::UnknownIntent(name.clone()))?;
        let registered = |id: &IdentityId| {
            world.identity(id).ok_or_else(|| BeginError::UnknownIdentity(id.clone()))
        };
        let agent = registered(&undertaking.agent)?;
        let by = registered(&undertaking.by.identity)?;
        // Looked at here too, because the kill switch may have been used since policy was asked.
        if world.killed(&SessionKey::of(&undertaking.by)).is_some() {
            return Err(BeginError::Stopped);
        }
        for who in [agent, by] {
            if who.status != IdentityStatus::Active {
                return Err(BeginError::NotActive(who.id.clone()));
            }
        }
        self.check_run(undertaking, &world)?;
        // A schedule is a right of its own.
        if undertaking.run_of.is_none() && !intent.undertakers.include(agent) {
            let agent = agent.id.clone();
            return Err(BeginError::NotAnUndertaker { agent, intent: name.clone() });
        }
        let parent = self.parent(undertaking)?;
        let origin = origin(undertaking, by)?;
        let user = for_whom(undertaking, intent, by, parent.as_ref(), &world, now)?;
        if let Some(user) = user.as_ref().filter(|user| !world.is_active(user)) {
            return Err(BeginError::NotActive(user.clone()));
        }
        let user = user.as_ref().and_then(|user| world.identity(user)).map(|user| user.id.clone());
        if let (None, Origin::Agent(session)) = (&undertaking.handle, &origin)
            && let Some(other) = self.tasks.attached(session, undertaking.conversation.as_ref())
        {
            return Err(BeginError::Attached(other));
        }
        if let Some(bytes) = undertaking.prompt.as_ref().map(|prompt| prompt.len())
            && !(1..=PROMPT_BYTES_MAX).contains(&bytes)
        {
            return Err(BeginError::Prompt { bytes });
        }
        let parameters = intent.parameters(&undertaking.parameters)?;
        let above = parent.as_ref().map(|parent| &parent.mandate.authority);
        let authority = authority(&undertaking.narrowed, intent, &parameters, above, now)?;
        if authority.deadline <= now {
            return Err(BeginError::NoTime);
        }
        let idle_s = intent.idle_s;
        let mandate = Mandate { parameters, authority };
        let version = intent.version;
        Ok(Plan {
            world_version: world.version,
            now,
            // The names as they are registered: every task shares their texts.
            agent: agent.id.clone(),
            intent: intent.name.clone(),
            by: by.id.clone(),
            parent,
            origin,
            user,
            mandate,
            idle_s,
            version,
        })
    }

    /// Types of resources as the schema names them, where it does.
    fn name_types(&self, narrowed: &mut Narrowed) {
        let world = self.world();
        for rule in narrowed.allowances.iter_mut().flatten().flat_map(|one| &mut one.resources) {
            if let Some(ty) = world.policies.resolve_type(rule.ty.as_str()) {
                rule.ty = ty;
            }
        }
    }

    /// The task that this one is begun in.
    fn parent(&self, undertaking: &Undertaking) -> Result<Option<Parent>, BeginError> {
        let Some(named) = &undertaking.by.task else {
            return Ok(None);
        };
        if named.agent != undertaking.by.identity {
            return Err(BeginError::ParentEnded);
        }
        self.end_if_overdue(&named.id);
        let line = self.unsealed_line(&named.id).ok_or(BeginError::ParentEnded)?;
        let line = line.among(&self.world());
        let line = self.as_presented(&undertaking.by, line);
        if line.ended.is_some() {
            return Err(BeginError::ParentEnded);
        }
        let mandate = line.mandate.clone().ok_or(BeginError::ParentEnded)?;
        let begun_by = line.begun_by().cloned().collect();
        let Line { task, delegated_by, versions, .. } = line;
        Ok(Some(Parent { task, mandate, delegated_by, begun_by, versions }))
    }

    fn has_room_for_one(&self) -> Result<(), BeginError> {
        if self.tasks.live() >= TASKS_MAX {
            return Err(BeginError::OverLimit { what: "tasks", limit: TASKS_MAX });
        }
        Ok(())
    }

    /// Whether there is room for a task now, whatever policy says.
    fn has_room_for(&self, plan: &Plan) -> Result<(), BeginError> {
        self.has_room_for_one()?;
        let (Some(parent), Origin::Agent(session)) = (&plan.parent, &plan.origin) else {
            return Ok(());
        };
        let over = || BeginError::OverLimit { what: "sessions", limit: SESSIONS_MAX };
        let slot = self.session_slot(session).ok_or_else(over)?;
        let slot = lock(&slot);
        fits(&plan.mandate, parent, &slot)
    }

    fn queue_task(
        &self,
        undertaking: &Undertaking,
        plan: Plan,
        decision: &safeconduct_model::RecordId,
    ) -> Result<(Arc<Task>, Ticket), BeginError> {
        self.has_room_for_one()?;
        // Before changes are kept out: it takes sessions, whose holders may wait for those.
        if let Some(name) = &undertaking.run_of {
            self.end_overdue_runs(name);
        }
        // One run after another, so that no two find the same room.
        let _alone = undertaking.run_of.as_ref().map(|_| self.keep_changes_out());
        if let Some(name) = &undertaking.run_of {
            let world = self.world();
            let known = world.intents.schedule(name);
            let (_, schedule) = known.ok_or_else(|| BeginError::UnknownSchedule(name.clone()))?;
            self.has_room(name, schedule)?;
        }
        let Plan {
            world_version,
            now,
            agent,
            intent,
            by,
            parent,
            origin,
            user,
            mandate,
            idle_s,
            version,
        } = plan;
        let broken = |error: &dyn std::fmt::Display| BeginError::Record(error.to_string().into());
        let id = TaskId::new(self.ids.record("task").shared())?;
        let key = SessionKey::task(agent.clone(), id.clone());
        let over = || BeginError::OverLimit { what: "sessions", limit: SESSIONS_MAX };
        // The session that it comes from, where there is one, and the reads that go with it.
        let mut reads = vec![(Versioned::World, world_version)];
        // Nobody has read anything of the task yet, so its beginning makes nothing stale.
        let mut writes = Vec::new();
        let from = match &origin {
            Origin::Trusted => None,
            Origin::Agent(session) => Some((session, self.session_slot(session).ok_or_else(over)?)),
        };
        let mut from = from.as_ref().map(|(session, slot)| (*session, lock(slot)));
        if let Some((session, slot)) = &from {
            reads.push((Versioned::Session((*session).clone()), slot.version));
            writes.push(Versioned::Session((*session).clone()));
        }
        if undertaking.handle.is_none()
            && let Origin::Agent(session) = &origin
            && let Some(other) = self.tasks.attached(session, undertaking.conversation.as_ref())
        {
            return Err(BeginError::Attached(other));
        }
        if let (Some(parent), Some((_, slot))) = (&parent, &from) {
            fits(&mandate, parent, slot)?;
            reads.extend(parent.versions.iter().cloned());
        }
        let (keys, wrapped) = self.vault.begin(&key).map_err(|error| broken(&error))?;
        let canonical = safeconduct_ledger::canonical(&to_seal(&mandate, &undertaking.prompt));
        let mut task = Task {
            id,
            intent,
            intent_version: version,
            agent,
            on_behalf_of: user,
            begun_by: by,
            origin: origin.clone(),
            parent: parent.as_ref().map(|parent| parent.task.id.clone()),
            depth: parent.as_ref().map_or(0, |parent| parent.task.depth.saturating_add(1)),
            begun_at: now,
            deadline: mandate.authority.deadline,
            idle_s,
            budget: Arc::new(mandate.authority.budget.clone()),
            authority: keys.digest(&canonical),
            handle: undertaking.handle,
            conversation: undertaking.conversation.filter(|_| undertaking.handle.is_none()),
            run_of: undertaking.run_of.clone(),
        };
        let record = |id, body| Record {
            id,
            at: now,
            trace: undertaking.trace.clone(),
            parent: Some(decision.clone()),
            body,
        };
        let began = record(self.ids.record("ses"), Body::SessionBegan { session: key.clone() });
        let record = record(self.ids.record("rec"), Body::TaskBegan(Box::new(task.clone())));
        let sealed = keys.seal(&record.id, MANDATE, &canonical).map_err(|error| broken(&error))?;
        let leaf = |record| safeconduct_ledger::encode(record).map_err(|error| broken(&error));
        let entries = vec![
            Entry { leaf: leaf(&began)?, attachment: Some(wrapped) },
            Entry { leaf: leaf(&record)?, attachment: Some(sealed) },
        ];
        self.tasks.share_budget(&mut task);
        let ticket = self.ledger.submit(Proposal { entries, reads, writes })?;
        self.risks.watching.show(&record);
        if let Some((_, from)) = &mut from {
            from.version += 1;
            from.session.give(&mandate.authority.budget);
        }
        let sealed =
            Sealed { keys_at: Some(ticket.first), mandate_at: ticket.last, record: record.id };
        let slot = Arc::new(TaskSlot::new(task, sealed, now));
        // Before anyone can find it: what is not durable yet cannot be read back.
        self.tasks.hold(&slot, Held { mandate: Arc::new(mandate), keys }, canonical.len());
        self.tasks.insert(&slot);
        let task = Arc::clone(&slot.task);
        if let Some(parent) = &task.parent
            && let Some(parent) = self.tasks.known(parent)
        {
            parent.lock().children.push(task.id.clone());
        }
        Ok((task, ticket))
    }
}

/// Whether there is room in a parent, of which so much is used by now.
fn fits(mandate: &Mandate, parent: &Parent, of: &Slot) -> Result<(), BeginError> {
    let used = of.session.used().ok_or(BeginError::ParentEnded)?;
    if used.given().children >= safeconduct_model::CHILDREN_MAX {
        let limit = usize::try_from(safeconduct_model::CHILDREN_MAX).unwrap_or(usize::MAX);
        return Err(BeginError::OverLimit { what: "children of this task", limit });
    }
    Ok(narrows(&mandate.authority, &parent.mandate.authority, used)?)
}

/// Whom a denial was put to, at the end of a sentence.
fn people(asked: Option<&AskedAtOnce>) -> String {
    match asked {
        None => String::new(),
        Some(AskedAtOnce::Asked(request)) if request.state == AccessState::Pending => format!(
            "; people are asked (request `{}`): begin it again once they approve",
            request.id
        ),
        Some(AskedAtOnce::Asked(request)) => {
            format!("; request `{}` is {}", request.id, request.state.as_str())
        }
        Some(AskedAtOnce::Not(why)) => format!("; nobody is asked: {why}"),
    }
}

/// What a sealed mandate is called beside its record.
pub(crate) const MANDATE: &str = "mandate";

/// Where the prompt stands in what is sealed.
pub(crate) const PROMPT: &str = "prompt";

/// The mandate with the prompt: one value under one digest, so that neither changes unseen.
fn to_seal(mandate: &Mandate, prompt: &Option<Arc<str>>) -> Value {
    let mut value = mandate_value(mandate);
    if let (Value::Object(members), Some(prompt)) = (&mut value, prompt) {
        members.insert(PROMPT.into(), Value::String(Arc::clone(prompt)));
    }
    value
}

struct Plan {
    world_version: u64,
    now: Timestamp,
    agent: IdentityId,
    intent: IntentName,
    by: IdentityId,
    parent: Option<Parent>,
    origin: Origin,
    user: Option<IdentityId>,
    mandate: Mandate,
    idle_s: u32,
    version: u32,
}

struct Parent {
    task: Arc<Task>,
    mandate: Arc<Mandate>,
    /// Who delegated it, the nearest first.
    delegated_by: Vec<IdentityId>,
    /// Who began it, and what is above it.
    begun_by: BTreeSet<IdentityId>,
    versions: Vec<(Versioned, u64)>,
}

impl Plan {
    /// Whose the task would be: none of them approves it.
    fn beginning(&self, undertaking: &Undertaking) -> Beginning {
        let above = self.parent.iter();
        let agents = above.clone().map(|parent| &parent.task.agent);
        let delegated_by = agents.chain(above.clone().flat_map(|parent| &parent.delegated_by));
        let begun_by = above.flat_map(|parent| &parent.begun_by).chain([&self.by]);
        Beginning {
            on_behalf_of: self.user.clone(),
            delegated_by: delegated_by.cloned().collect(),
            begun_by: begun_by.cloned().collect(),
            terms: self.terms(undertaking),
        }
    }

    /// What it would be, as it was asked for, beside the parameters: times are those that were
    /// named, so that the same may be asked for again later.
    fn terms(&self, undertaking: &Undertaking) -> Value {
        let parent = self.parent.iter().map(|of| ("parent", Value::String(of.task.id.shared())));
        let prompt = undertaking.prompt.iter();
        let prompt = prompt.map(|prompt| (PROMPT, Value::String(Arc::clone(prompt))));
        let narrowed = narrowed_value(&undertaking.narrowed, &self.mandate);
        let version = ("version", Value::Integer(i64::from(self.version)));
        let narrowed = narrowed.map(|narrowed| ("narrowed", narrowed));
        Value::object(parent.chain(prompt).chain(narrowed).chain([version]))
    }

    /// The question to policy: may this agent undertake this intent now?
    fn question(&self, undertaking: &Undertaking, world: &World) -> Result<Check, BeginError> {
        let namespace = world.vocabulary.namespace();
        let ty = safeconduct_model::EntityType::new(format!("{namespace}::Intent"))?;
        let id = EntityId::new(undertaking.intent.shared())?;
        let mut asserted = vec![("begun_by", Value::from(undertaking.by.identity.as_str()))];
        asserted
            .extend(self.user.as_ref().map(|user| ("on_behalf_of", Value::from(user.as_str()))));
        let schedule = undertaking.run_of.as_ref();
        asserted.extend(schedule.map(|schedule| ("run_of", Value::from(schedule.as_str()))));
        Ok(Check {
            subject: Subject::Undertaker {
                by: undertaking.by.clone(),
                agent: undertaking.agent.clone(),
            },
            action: ActionName::new(UNDERTAKE)?,
            resource: Some(Entity::bare(EntityRef { ty, id })),
            input: Value::Object(self.mandate.parameters.clone()),
            asserted: Some(Value::object(asserted)),
            session_name: None,
            pep: undertaking.pep.clone(),
            mode: Mode::Enforce,
            trace: undertaking.trace.clone(),
            parent: None,
            understood: Understood::Only(Default::default()),
            network: None,
        })
    }
}

/// What of an intent is wanted, where that is not all.
fn narrowed_value(asked: &Narrowed, mandate: &Mandate) -> Option<Value> {
    let Narrowed { allowances, budget, seconds, depth, tier_max, credentials } = asked;
    let Value::Object(mut members) = mandate_value(mandate) else { return None };
    // What was asked for stands in the mandate as it is.
    members.retain(|name, _| match &**name {
        "allowances" => allowances.is_some(),
        "budget" => budget.is_some(),
        "tier_max" => tier_max.is_some(),
        "credentials" => credentials.is_some(),
        _ => false,
    });
    let number = |name: &str, n: i64| (Arc::from(name), Value::Integer(n));
    members.extend(seconds.map(|seconds| number("seconds", i64::from(seconds))));
    members.extend(depth.map(|depth| number("depth", i64::from(depth))));
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Whose word the parameters are. Trust starts only where a person or an orchestrator speaks.
fn origin(undertaking: &Undertaking, by: &Identity) -> Result<Origin, BeginError> {
    // What a run is to do was written by the operator, and held against that.
    if undertaking.run_of.is_some() {
        return Ok(Origin::Trusted);
    }
    if undertaking.by.task.is_some() || by.id == undertaking.agent {
        return Ok(Origin::Agent(SessionKey::of(&undertaking.by)));
    }
    let orchestrates = by.roles.contains(&Role::Orchestrator);
    if by.kind == IdentityKind::User || orchestrates {
        return Ok(Origin::Trusted);
    }
    Err(BeginError::NotAllowed { by: by.id.clone() })
}

/// For whom it acts: a child for whom its parent does, a person's task for that person, any
/// other for whoever has proved to be there or has given their word.
fn for_whom(
    undertaking: &Undertaking,
    intent: &Intent,
    by: &Identity,
    parent: Option<&Parent>,
    world: &World,
    now: Timestamp,
) -> Result<Option<IdentityId>, BeginError> {
    let inherited = parent.and_then(|parent| parent.task.on_behalf_of.clone());
    let themselves =
        (by.kind == IdentityKind::User && by.id != undertaking.agent).then(|| by.id.clone());
    let user = match &undertaking.on_behalf_of {
        None => inherited.or(themselves.filter(|_| intent.on_behalf_of != OnBehalfOf::Never)),
        Some(OnBehalf::Proved(user)) => Some(user.identity.clone()),
        Some(OnBehalf::Delegated(user)) if inherited.as_ref() == Some(user) => inherited,
        Some(OnBehalf::Delegated(user)) => {
            let (agent, intent) = (&undertaking.agent, &undertaking.intent);
            let stands = world.delegations.values().any(|delegation| {
                delegation.user == *user
                    && delegation.agent == *agent
                    && delegation.intent == *intent
                    && now < delegation.expires_at
            });
            if !stands {
                return Err(BeginError::NotDelegated {
                    user: user.clone(),
                    agent: agent.clone(),
                    intent: intent.clone(),
                });
            }
            Some(user.clone())
        }
    };
    // A child acts for whom its parent acts: another user would be another's authority.
    if let Some(parent) = parent
        && parent.task.on_behalf_of != user
    {
        return Err(BeginError::NotForUsers(undertaking.intent.clone()));
    }
    match (intent.on_behalf_of, user) {
        (OnBehalfOf::Required, None) => Err(BeginError::NoUser(intent.name.clone())),
        (OnBehalfOf::Never, Some(_)) => Err(BeginError::NotForUsers(intent.name.clone())),
        (_, user) => Ok(user),
    }
}
