//! What is known of the moment of a decision beyond what its record says by itself, and what a
//! condition looks at that nobody knows.

use std::fmt;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Assurance, Confidentiality, Decided, Effect, Entity, EntityRef, Integrity, Label,
    Method, Tier, Value,
};

use super::RecordedDecision;
use super::view::{UNDERTAKE, by_itself};
use crate::schema::{ContextField as F, ContextFields};
use crate::shape::AdditionalArguments;
use crate::situation::{
    ActionSituation, Carried, FlowSituation, IdentitySituation, RiskSituation, SessionSituation,
    Situation, TaskSituation, TracedArgument,
};

/// Something of the moment of a decision, or why nobody knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It was so.
    Known(T),
    /// Nobody knows.
    Missing(Missing),
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Missing(Missing::NotRecorded)
    }
}

impl<T> Fact<T> {
    const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Missing(_) => None,
        }
    }

    const fn missing(&self) -> Missing {
        match self {
            Self::Known(_) => Missing::NotRecorded,
            Self::Missing(why) => *why,
        }
    }
}

/// Why nobody knows something of the moment of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// No record tells it.
    #[default]
    NotRecorded,
    /// Nothing was kept beside the record: the catalogue does not ask for it.
    NotKept,
    /// It was erased, or the key was that opens it.
    Erased,
    /// It lies sealed where the records lie, and is not opened from here.
    NotOpened,
    /// Not all records were read that it follows from.
    NotWhole,
}

impl Missing {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRecorded => "not_recorded",
            Self::NotKept => "not_kept",
            Self::Erased => "erased",
            Self::NotOpened => "not_opened",
            Self::NotWhole => "not_whole",
        }
    }

    /// A few words for people, behind the name of what is missing.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotRecorded => "which is not recorded",
            Self::NotKept => "which was not kept",
            Self::Erased => "which was erased",
            Self::NotOpened => "which is sealed and not opened from here",
            Self::NotWhole => "which follows from records that were not all read",
        }
    }
}

/// What a condition looks at that nobody knows of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// As policies name it: `context.input`.
    pub fact: Arc<str>,
    /// Why nobody knows it.
    pub why: Missing,
}

/// `context.input`, which was not kept
impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, {}", self.fact, self.why.words())
    }
}

/// Where the session stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecalledSession {
    /// Permitted decisions so far.
    pub steps: u64,
    /// Denied decisions so far.
    pub denials: u64,
    /// Different resources that were touched.
    pub distinct_resources: u64,
    /// The actions that were permitted.
    pub actions: Vec<ActionName>,
}

/// The task of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecalledTask {
    /// The intent's version.
    pub version: u32,
    /// The user for whom it acts.
    pub on_behalf_of: Option<EntityRef>,
    /// How many delegations lie above it.
    pub depth: u8,
    /// Calls that it may still make.
    pub budget_left: u64,
    /// Seconds since it began.
    pub age_s: i64,
    /// Its parameters, and its user, as policies see them.
    pub beside: Vec<Entity>,
}

/// What is known of the moment of a decision beside its record: opened, or folded from the records
/// before it. Nothing in it is guessed.
#[derive(Debug, Clone, Default)]
pub struct Recalled {
    /// The arguments.
    pub input: Fact<Value>,
    /// What was done with arguments that the action does not declare.
    pub additional: Fact<AdditionalArguments>,
    /// Whether it is known that the enforcement point said nothing beside them.
    pub nothing_beside: bool,
    /// What the catalogue of then says of the action with those arguments.
    pub action: Option<ActionSituation>,
    /// Where the session stood.
    pub session: Fact<RecalledSession>,
    /// What the session had read.
    pub label: Fact<Label>,
    /// The task, where the decision was in one.
    pub task: Fact<RecalledTask>,
    /// Score and level of the risk.
    pub risk: Fact<(u8, &'static str)>,
    /// Where the arguments came from, one by one.
    pub flow: Fact<Vec<TracedArgument>>,
}

impl Recalled {
    /// What of the context is known.
    pub(super) fn fields(&self, decided: &Decided) -> ContextFields {
        let mut known = ContextFields::default().with(F::Time).with(F::Identity);
        if method(decided).is_some() {
            known = known.with(F::IdentityMethod);
        }
        if self.action.is_some() {
            known = known.with_whole(F::Action);
        }
        if self.input.known().is_some() && self.additional.known().is_some() {
            known = known.with(F::Input);
        }
        if self.nothing_beside {
            known = known.with(F::Request).with(F::Own);
        }
        if self.session.known().is_some() {
            known = [F::SessionSteps, F::SessionDenials, F::SessionDistinctResources]
                .into_iter()
                .fold(known.with(F::Session).with(F::SessionActions), ContextFields::with);
        }
        if self.label.known().is_some() {
            known = [F::SessionUntrusted, F::SessionSensitivity, F::SessionCategories]
                .into_iter()
                .fold(known.with(F::Session), ContextFields::with);
            if self.action.is_some() {
                known = known.with(F::SessionAboveSink);
            }
        }
        // Of no task, and of no approval, it is known that it was not there.
        if decided.task.is_none() || self.task.known().is_some() {
            known = known.with_whole(F::Task);
        }
        if decided.approval.is_none() {
            known = known.with(F::Approval);
        }
        if self.risk.known().is_some() {
            known = known.with(F::Risk).with(F::RiskScore).with(F::RiskLevel);
        }
        if self.flow.known().is_some() {
            known = [F::FlowFromTask, F::FlowFromTrusted, F::FlowFromUntrusted, F::FlowUnseen]
                .into_iter()
                .fold(known.with(F::Flow), ContextFields::with);
        }
        known
    }

    /// Whether all entities are known that the context may point to.
    pub(super) const fn knows_others(&self, decided: &Decided) -> bool {
        self.input.known().is_some() && (decided.task.is_none() || self.task.known().is_some())
    }

    /// The first that is needed and not known.
    pub(super) fn lacking(&self, needed: ContextFields, known: ContextFields) -> Option<Lacking> {
        let field = needed.first_beyond(known)?;
        let why = match field {
            F::Input => match self.input.known() {
                Some(_) => self.additional.missing(),
                None => self.input.missing(),
            },
            // What arguments make of a tier shows with them alone.
            F::Action
            | F::ActionName
            | F::ActionTier
            | F::ActionEffect
            | F::ActionTrust
            | F::ActionGuessed
            | F::ActionAccepts => self.input.missing(),
            F::Session
            | F::SessionSteps
            | F::SessionDenials
            | F::SessionDistinctResources
            | F::SessionActions => self.session.missing(),
            F::SessionUntrusted
            | F::SessionSensitivity
            | F::SessionCategories
            | F::SessionAboveSink => self.label.missing(),
            F::Task => self.task.missing(),
            F::Risk | F::RiskScore | F::RiskLevel => self.risk.missing(),
            F::Flow
            | F::FlowFromTask
            | F::FlowFromTrusted
            | F::FlowFromUntrusted
            | F::FlowUnseen => self.flow.missing(),
            _ => Missing::NotRecorded,
        };
        Some(Lacking { fact: field.named().into(), why })
    }

    /// The arguments, as far as they are known.
    pub(super) fn arguments(&self) -> (&Value, AdditionalArguments) {
        let additional = self.additional.known().copied();
        let additional = additional.unwrap_or(AdditionalArguments::LeftOut);
        (self.input.known().unwrap_or(&Value::Null), additional)
    }

    /// What the context points to.
    pub(super) fn beside(&self) -> &[Entity] {
        self.task.known().map_or(&[], |task| &task.beside)
    }

    /// The moment, as far as it is known; nothing else of it may be looked at.
    pub(super) fn situation<'a>(&'a self, recorded: &'a RecordedDecision<'_>) -> Situation<'a> {
        let decided = recorded.decided;
        let task = decided.task.as_ref().zip(self.task.known());
        let session = self.session.known();
        Situation {
            session: SessionSituation {
                steps: session.map_or(0, |session| session.steps),
                denials: session.map_or(0, |session| session.denials),
                distinct_resources: session.map_or(0, |session| session.distinct_resources),
                calls_left: 0,
                actions: session.map_or_else(Vec::new, |s| s.actions.iter().collect()),
                label: self.label.known().unwrap_or_else(|| Label::least()),
            },
            identity: IdentitySituation {
                kind: None,
                method: method(decided).unwrap_or(decided.method),
                assurance: Assurance::Low,
                age_s: 0,
            },
            action: self.action.unwrap_or(ActionSituation {
                tier: Tier::Critical,
                effect: Effect::Administer,
                trust: Integrity::Untrusted,
                guessed: true,
                accepts: Confidentiality::Public,
            }),
            now: recorded.at,
            task: task.map(|(told, task)| TaskSituation {
                id: told.id.as_str(),
                intent: told.intent.as_str(),
                version: task.version,
                on_behalf_of: task.on_behalf_of.as_ref(),
                depth: task.depth,
                budget_left: task.budget_left,
                age_s: task.age_s,
            }),
            flow: self.flow.known().map_or_else(FlowSituation::default, |leaves| {
                FlowSituation::new(leaves.clone(), Carried::default())
            }),
            risk: self.risk.known().map_or_else(RiskSituation::default, |(score, level)| {
                RiskSituation { score: *score, level, signals: Default::default() }
            }),
            approval: None,
            request: None,
        }
    }
}

/// How who acts was proved, as policies saw it: of whom somebody else spoke, or for whom somebody
/// undertook something, was not asked for a proof. Whether an enforcement point that asks under
/// its own name about itself acts or speaks is not recorded.
pub(super) fn method(decided: &Decided) -> Option<Method> {
    let own = by_itself(decided);
    match () {
        () if !own || decided.action.as_str() == UNDERTAKE => Some(Method::PepAssertion),
        () if decided.pep == decided.session.identity => None,
        () => Some(decided.method),
    }
}
