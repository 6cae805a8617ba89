//! What is known of the moment, and how policies see it: `context`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Context, Eid, EntityUID, Value as Cedar};
use safeconduct_model::{
    ActionName, ArgumentRole, Assurance, Category, Confidentiality, Effect, EntityRef,
    IdentityKind, Integrity, Label, Method, Tier, Timestamp, Value,
};
use smol_str::SmolStr;

use crate::exact;
use crate::schema::{Action, ContextField, ContextFields, Types};
use crate::shape::{AdditionalArguments, Converter, Misfit};

mod flow;

/// What is known of the moment of a decision.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// Where the session stands.
    pub session: SessionSituation<'a>,
    /// How the identity proved itself.
    pub identity: IdentitySituation,
    /// What the catalogue says of the action.
    pub action: ActionSituation,
    /// When.
    pub now: Timestamp,
    /// The task that it belongs to, where there is one.
    pub task: Option<TaskSituation<'a>>,
    /// Where the arguments came from, and what they carry out.
    pub flow: FlowSituation,
    /// How risky it is.
    pub risk: RiskSituation,
    /// What people approved that is used here, where there is something.
    pub approval: Option<ApprovalSituation<'a>>,
    /// What the enforcement point says beside the arguments. Members that the action's own
    /// context declares become members of `context`, those that its `request` declares members
    /// of `context.request`; others are left out.
    pub request: Option<&'a Value>,
}

/// The task of a decision. Its parameters are attributes of an entity of the shipped type
/// `TaskParameters` whose id is the task's, which comes with [`crate::Question::extra`].
#[derive(Debug, Clone)]
pub struct TaskSituation<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its intent.
    pub intent: &'a str,
    /// The intent's version.
    pub version: u32,
    /// The user for whom it acts.
    pub on_behalf_of: Option<&'a EntityRef>,
    /// How many delegations lie above it.
    pub depth: u8,
    /// Calls that it may still make.
    pub budget_left: u64,
    /// Seconds since it began.
    pub age_s: i64,
}

/// Where the session stands; counts beyond 2^63-1 stay there.
#[derive(Debug, Clone)]
pub struct SessionSituation<'a> {
    /// Permitted decisions so far.
    pub steps: u64,
    /// Denied decisions so far.
    pub denials: u64,
    /// Different resources that were touched.
    pub distinct_resources: u64,
    /// Calls that it may still make.
    pub calls_left: u64,
    /// The actions that were permitted.
    pub actions: Vec<&'a ActionName>,
    /// What it has read.
    pub label: &'a Label,
}

/// How the identity proved itself.
#[derive(Debug, Clone, Copy)]
pub struct IdentitySituation {
    /// What it is, where that is known.
    pub kind: Option<IdentityKind>,
    /// How it did.
    pub method: Method,
    /// How sure that is.
    pub assurance: Assurance,
    /// Seconds since it did.
    pub age_s: i64,
}

/// What the catalogue says of the action.
#[derive(Debug, Clone, Copy)]
pub struct ActionSituation {
    /// Its tier.
    pub tier: Tier,
    /// Its effect.
    pub effect: Effect,
    /// What its result is worth as a source of instructions.
    pub trust: Integrity,
    /// Whether tier and effect were guessed.
    pub guessed: bool,
    /// The most confidential content that it may be given.
    pub accepts: Confidentiality,
}

/// Where the values of the arguments came from, and what they carry out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowSituation {
    /// Every leaf of the arguments, or as many as are looked at.
    pub leaves: Vec<TracedArgument>,
    /// What goes out with them.
    pub carries: Carried,
    made: flow::Made,
}

impl FlowSituation {
    /// What is known of those leaves.
    pub fn new(leaves: Vec<TracedArgument>, carries: Carried) -> Self {
        Self { leaves, carries, made: flow::Made::default() }
    }
}

/// Where the value of one argument came from. A value that was seen in several places came from
/// all of them; one that came from none was never seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedArgument {
    /// JSON Pointer to it.
    pub pointer: Arc<str>,
    /// What it decides.
    pub role: ArgumentRole,
    /// The task itself names it.
    pub from_task: bool,
    /// It stood in what may steer an agent.
    pub from_trusted: bool,
    /// It stood in what anyone could have written.
    pub from_untrusted: bool,
    /// The task's intent holds it to something.
    pub bounded: bool,
}

/// How risky it is what somebody wants, and what was seen of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskSituation {
    /// 0 to 100.
    pub score: u8,
    /// The word for the score: `low`, `moderate`, `high`, `critical`.
    pub level: &'static str,
    /// The words for the kinds of the signals that count for something.
    pub signals: BTreeSet<&'static str>,
}

impl Default for RiskSituation {
    fn default() -> Self {
        Self { score: 0, level: "low", signals: BTreeSet::new() }
    }
}

/// An approval that is bound to what is asked, and used by it where it is permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalSituation<'a> {
    /// The access request, or the record by which rules were set aside.
    pub id: &'a str,
    /// Who approved.
    pub approvers: Vec<&'a str>,
    /// Seconds since the last of them did.
    pub age_s: i64,
    /// How far it reaches: `once`, `edited`, `task`, `until`, `break_glass`.
    pub scope: &'a str,
}

/// What labelled content goes out with the arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// The label of all of it.
    pub label: Label,
    /// How much of the most confidential source goes out, in thousandths.
    pub coverage: u16,
}

/// The context of one question, made of parts so that only those are made that some policy
/// looks at.
pub(crate) fn context(
    situation: &Situation<'_>,
    name: &ActionName,
    action: &Action,
    input: Option<Cedar>,
    needed: ContextFields,
    types: &Types,
) -> Result<Context, Misfit> {
    let mut members = BTreeMap::new();
    let has = |field| action.fields.has(field) && needed.has(field);
    if let Some(input) = input {
        members.insert(KEYS.input.clone(), input);
    }
    if has(ContextField::Session) {
        let accepts = situation.action.accepts;
        members.insert(KEYS.session.clone(), session(&situation.session, accepts, needed));
    }
    if has(ContextField::Identity) {
        members.insert(KEYS.identity.clone(), identity(&situation.identity, needed));
    }
    if has(ContextField::Action) {
        members.insert(KEYS.action.clone(), facts(&situation.action, name, needed));
    }
    if has(ContextField::Flow) {
        let accepts = situation.action.accepts;
        members.insert(KEYS.flow.clone(), flow::record(&situation.flow, accepts, needed));
    }
    if has(ContextField::Risk) {
        members.insert(KEYS.risk.clone(), risk(&situation.risk, needed));
    }
    if let Some(known) = situation.approval.as_ref().filter(|_| has(ContextField::Approval)) {
        members.insert(KEYS.approval.clone(), approval(known));
    }
    if let Some(known) = situation.task.as_ref().filter(|_| has(ContextField::Task)) {
        members.insert(KEYS.task.clone(), task(known, needed, types)?);
    }
    if has(ContextField::Time) {
        let now = exact::instant(situation.now.as_millis()).map_err(|problem| Misfit::Unfit {
            pointer: String::new(),
            problem: format!("the time of the decision {problem}"),
        })?;
        let time = BTreeMap::from([(KEYS.now.clone(), now)]);
        members.insert(KEYS.time.clone(), Cedar::record_arc(Arc::new(time), None));
    }
    asserted(situation.request, action, needed, &mut members)?;
    Ok(Context::Value(Arc::new(members)))
}

/// What the enforcement point says, as far as the action declares it.
fn asserted(
    request: Option<&Value>,
    action: &Action,
    needed: ContextFields,
    members: &mut BTreeMap<SmolStr, Cedar>,
) -> Result<(), Misfit> {
    let Some(said) = request.and_then(Value::as_object) else {
        return Ok(());
    };
    let mut converter = Converter::new(AdditionalArguments::LeftOut);
    if needed.has(ContextField::Own) && !action.own.members.is_empty() {
        members.extend(converter.stated(said, &action.own)?);
    }
    if let Some(declared) = action.request.as_ref().filter(|_| needed.has(ContextField::Request)) {
        let request = converter.stated(said, declared)?;
        members.insert(KEYS.request.clone(), Cedar::record_arc(Arc::new(request), None));
    }
    Ok(())
}

fn count(n: u64) -> Cedar {
    Cedar::from(i64::try_from(n).unwrap_or(i64::MAX))
}

fn word(text: &'static str) -> Cedar {
    Cedar::from(SmolStr::new_static(text))
}

/// A record of the members that are needed.
struct Members {
    needed: ContextFields,
    members: BTreeMap<SmolStr, Cedar>,
}

impl Members {
    const fn of(needed: ContextFields) -> Self {
        Self { needed, members: BTreeMap::new() }
    }

    fn with(mut self, field: ContextField, key: &SmolStr, value: impl FnOnce() -> Cedar) -> Self {
        if self.needed.has(field) {
            self.members.insert(key.clone(), value());
        }
        self
    }

    fn record(self) -> Cedar {
        Cedar::record_arc(Arc::new(self.members), None)
    }
}

fn session(
    session: &SessionSituation<'_>,
    accepts: Confidentiality,
    needed: ContextFields,
) -> Cedar {
    let actions = || {
        let names = session.actions.iter().map(|name| SmolStr::from(name.as_str()).into());
        Cedar::set_of_lits(names, None)
    };
    Members::of(needed)
        .with(ContextField::SessionActions, &KEYS.actions, actions)
        .with(ContextField::SessionCallsLeft, &KEYS.calls_left, || count(session.calls_left))
        .with(ContextField::SessionDenials, &KEYS.denials, || count(session.denials))
        .with(ContextField::SessionDistinctResources, &KEYS.distinct_resources, || {
            count(session.distinct_resources)
        })
        .with(ContextField::SessionSteps, &KEYS.steps, || count(session.steps))
        .with(ContextField::SessionUntrusted, &KEYS.untrusted, || {
            Cedar::from(session.label.integrity == Integrity::Untrusted)
        })
        .with(ContextField::SessionSensitivity, &KEYS.sensitivity, || {
            word(session.label.confidentiality.as_str())
        })
        .with(ContextField::SessionCategories, &KEYS.categories, || {
            categories(&session.label.categories)
        })
        .with(ContextField::SessionAboveSink, &KEYS.above_sink, || {
            Cedar::from(session.label.confidentiality > accepts)
        })
        .record()
}

fn categories(categories: &BTreeSet<Category>) -> Cedar {
    let names = categories.iter().map(|category| SmolStr::from(category.as_str()).into());
    Cedar::set_of_lits(names, None)
}

fn identity(identity: &IdentitySituation, needed: ContextFields) -> Cedar {
    let mut record = Members::of(needed)
        .with(ContextField::IdentityAge, &KEYS.age_s, || Cedar::from(identity.age_s))
        .with(ContextField::IdentityAssurance, &KEYS.assurance, || {
            word(identity.assurance.as_str())
        })
        .with(ContextField::IdentityMethod, &KEYS.method, || word(identity.method.as_str()));
    // Not every identity is known: whoever looks at what it is, looks at the whole.
    if let Some(kind) = identity.kind {
        record.members.insert(KEYS.kind.clone(), word(kind.as_str()));
    }
    if identity.method.is_attested() {
        record.members.insert(KEYS.attested.clone(), Cedar::from(true));
    }
    record.record()
}

fn task(task: &TaskSituation<'_>, needed: ContextFields, types: &Types) -> Result<Cedar, Misfit> {
    let text = |text: &str| Cedar::from(SmolStr::from(text));
    let entity = |ty: &str, id: &str| {
        let kind = types.resolve(ty).ok_or_else(|| Misfit::Unfit {
            pointer: "/task".into(),
            problem: format!("no schema declares the entity type `{ty}`"),
        })?;
        let uid = EntityUID::from_components(kind.ty.clone(), Eid::new(SmolStr::from(id)), None);
        Ok(Cedar::from(uid))
    };
    let mut record = Members::of(needed)
        .with(ContextField::TaskId, &KEYS.id, || text(task.id))
        .with(ContextField::TaskIntent, &KEYS.intent, || text(task.intent))
        .with(ContextField::TaskVersion, &KEYS.version, || Cedar::from(i64::from(task.version)))
        .with(ContextField::TaskDepth, &KEYS.depth, || Cedar::from(i64::from(task.depth)))
        .with(ContextField::TaskBudgetLeft, &KEYS.budget_left, || count(task.budget_left))
        .with(ContextField::TaskAge, &KEYS.age_s, || Cedar::from(task.age_s));
    if needed.has(ContextField::TaskParameters) {
        let parameters = entity("TaskParameters", task.id)?;
        record.members.insert(KEYS.parameters.clone(), parameters);
        // Not every task has one: whoever looks for it, looks at the whole.
        if let Some(user) = task.on_behalf_of {
            let user = entity(user.ty.as_str(), user.id.as_str())?;
            record.members.insert(KEYS.on_behalf_of.clone(), user);
        }
    }
    Ok(record.record())
}

fn approval(approval: &ApprovalSituation<'_>) -> Cedar {
    let text = |text: &str| Cedar::from(SmolStr::from(text));
    let approvers = approval.approvers.iter().map(|name| SmolStr::from(*name).into());
    let members = BTreeMap::from([
        (KEYS.id.clone(), text(approval.id)),
        (KEYS.approvers.clone(), Cedar::set_of_lits(approvers, None)),
        (KEYS.age_s.clone(), Cedar::from(approval.age_s)),
        (KEYS.scope.clone(), text(approval.scope)),
    ]);
    Cedar::record_arc(Arc::new(members), None)
}

fn risk(risk: &RiskSituation, needed: ContextFields) -> Cedar {
    let kinds = || risk.signals.iter().map(|kind| SmolStr::new_static(kind).into());
    Members::of(needed)
        .with(ContextField::RiskLevel, &KEYS.level, || word(risk.level))
        .with(ContextField::RiskScore, &KEYS.score, || Cedar::from(i64::from(risk.score)))
        .with(ContextField::RiskSignals, &KEYS.signals, || Cedar::set_of_lits(kinds(), None))
        .record()
}

fn facts(action: &ActionSituation, name: &ActionName, needed: ContextFields) -> Cedar {
    Members::of(needed)
        .with(ContextField::ActionEffect, &KEYS.effect, || word(action.effect.as_str()))
        .with(ContextField::ActionGuessed, &KEYS.guessed, || Cedar::from(action.guessed))
        .with(ContextField::ActionName, &KEYS.name, || Cedar::from(SmolStr::from(name.as_str())))
        .with(ContextField::ActionTier, &KEYS.tier, || word(action.tier.as_str()))
        .with(ContextField::ActionAccepts, &KEYS.accepts, || word(action.accepts.as_str()))
        .with(ContextField::ActionTrust, &KEYS.trust, || word(action.trust.as_str()))
        .record()
}

macro_rules! keys {
    ($($name:ident)*) => {
        struct Keys { $($name: SmolStr),* }
        /// Made once: no text is longer than what is held inline.
        static KEYS: LazyLock<Keys> =
            LazyLock::new(|| Keys { $($name: SmolStr::new_static(stringify!($name))),* });
    };
}

keys! {
    input session identity action time now request flow
    untrusted sensitivity categories above_sink accepts
    from_task from_trusted from_untrusted unseen bounded
    addresses commands amounts carries internal confidential secret coverage
    steps denials distinct_resources calls_left actions
    method assurance age_s kind attested
    name tier effect trust guessed
    task id intent version parameters on_behalf_of depth budget_left
    risk score level signals
    approval approvers scope
}
