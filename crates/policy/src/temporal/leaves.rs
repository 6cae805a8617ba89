//! Temporal clauses as policies read them: programs by name, and their answers to a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{Literal, Value as Cedar, ValueKind};
use safeconduct_model::{ActionName, Entity, Value};
use safeconduct_session::monitor::{Datum, Event, Monitors, Parameter, Program, ProgramSet, Root};
use smol_str::SmolStr;

/// Whose history a policy's temporal clauses are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum History {
    /// That of the session.
    Session,
    /// That of the identity, over all its sessions: `@history("identity")`.
    Identity,
}

impl History {
    /// The word for it in annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Identity => "identity",
        }
    }
}

/// One temporal clause, compiled.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) program: Program,
    pub(crate) history: History,
    /// The member of `context.__temporal` that has its answer.
    pub(crate) member: SmolStr,
}

impl Leaf {
    pub(crate) fn of(program: Program, history: History) -> Self {
        let member = SmolStr::from(program.name().to_string());
        Self { program, history, member }
    }

    /// The temporal clauses of a policy's text, in their order.
    pub(crate) fn texts(policy: &str) -> Vec<Arc<str>> {
        let masked = super::mask::mask(policy).unwrap_or_default();
        let clauses = masked.clauses.iter();
        clauses.filter_map(|clause| policy.get(clause.range.clone()).map(Arc::from)).collect()
    }
}

/// What a policy set wants to be remembered: the programs of its temporal clauses.
///
/// Whoever decides keeps one [`Monitors`] for each session and one for each identity. A request is
/// put to the policies with [`Policies::evaluate_after`](crate::Policies::evaluate_after) and its
/// own event as the newest of its [`Past`]; once the decision is recorded, and once an outcome is,
/// its event is taken in by both:
///
/// ```
/// use safeconduct_model::{ActionName, ServerName, Timestamp, Value};
/// use safeconduct_policy::{History, SourceFile, Sources, load};
/// use safeconduct_session::monitor::{Event, Monitors, RESPONSE};
///
/// let sources = Sources {
///     policies: vec![SourceFile::new("order.cedar", r#"
///         forbid (principal, action, resource)
///         when temporal {
///             formerly within 1h Safeconduct::Action::"files/resources/read"::response{}
///         };
///     "#)],
///     servers: vec![ServerName::new("files")?],
///     ..Sources::default()
/// };
/// let policies = load(&sources)?.policies;
/// let programs = policies.monitors().programs(History::Session);
/// let action = ActionName::new("files/resources/read")?;
/// assert!(programs.listens(RESPONSE, &action));
///
/// let mut session = Monitors::default();
/// session.observe(programs, &Event {
///     kind: RESPONSE,
///     action: &action,
///     principal: None,
///     resources: &[],
///     input: &Value::Null,
///     output: None,
///     beside: None,
///     at: Timestamp::from_millis(0),
///     decision: None,
/// });
/// assert_eq!(session.rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Monitoring {
    session: ProgramSet,
    identity: ProgramSet,
}

impl Monitoring {
    /// Of the clauses of a set, and of the actions that are asked about by other names.
    pub(crate) fn of<'l>(
        leaves: impl Iterator<Item = &'l Arc<Leaf>> + Clone,
        names: &BTreeMap<ActionName, Arc<str>>,
    ) -> Self {
        let of = |history| {
            let programs = leaves.clone().filter(|leaf| leaf.history == history);
            let programs = programs.map(|leaf| Arc::new(leaf.program.clone()));
            ProgramSet::new(programs, names.clone())
        };
        Self { session: of(History::Session), identity: of(History::Identity) }
    }

    /// The programs that live in one place.
    pub const fn programs(&self, history: History) -> &ProgramSet {
        match history {
            History::Session => &self.session,
            History::Identity => &self.identity,
        }
    }

    /// Whether there are none: then nothing needs to be remembered.
    pub fn is_empty(&self) -> bool {
        self.session.is_empty() && self.identity.is_empty()
    }
}

/// What is remembered of the time before a question, and the event of the request that it is
/// part of.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// What the session remembers.
    pub session: &'a Monitors,
    /// What the identity remembers.
    pub identity: &'a Monitors,
    /// The request that is decided on, which is the newest event of both.
    pub event: &'a Event<'a>,
}

/// The answers of the clauses that some policies read.
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<(SmolStr, bool)>);

/// What parameters of clauses are looked up in.
pub(crate) struct Asked<'q> {
    pub(crate) principal: (&'q str, &'q Entity),
    pub(crate) resource: (&'q str, &'q Entity),
    pub(crate) input: &'q Value,
    /// Makes the context, for what is not an argument.
    pub(crate) context: &'q dyn Fn() -> Option<BTreeMap<SmolStr, Cedar>>,
}

impl Answers {
    /// Answers clauses. One that has no answer is left out, so that whatever reads it fails.
    pub(crate) fn of<'l>(
        leaves: impl Iterator<Item = &'l Arc<Leaf>>,
        monitoring: &Monitoring,
        past: Option<&Past<'_>>,
        asked: &Asked<'_>,
    ) -> Self {
        let mut answers: Vec<(SmolStr, bool)> = Vec::new();
        let Some(past) = past else {
            return Self(answers);
        };
        let mut context = Made::default();
        for leaf in leaves {
            if answers.iter().any(|(member, _)| *member == leaf.member) {
                continue;
            }
            let values = leaf.program.parameters().iter();
            let values: Vec<Datum> =
                values.map(|wanted| asked.parameter(wanted, &mut context)).collect();
            let monitors = match leaf.history {
                History::Session => past.session,
                History::Identity => past.identity,
            };
            let programs = monitoring.programs(leaf.history);
            let answer = monitors.answer(programs, &leaf.program, past.event, &values);
            answers.extend(answer.map(|answer| (leaf.member.clone(), answer)));
        }
        Self(answers)
    }

    pub(crate) fn find(&self, member: &str) -> Option<bool> {
        self.0.iter().find(|(known, _)| known == member).map(|(_, answer)| *answer)
    }

    /// As a record of Cedar's.
    pub(crate) fn record(&self) -> Cedar {
        let members: BTreeMap<SmolStr, Cedar> =
            self.0.iter().map(|(member, answer)| (member.clone(), Cedar::from(*answer))).collect();
        Cedar::record_arc(Arc::new(members), None)
    }
}

/// The context, once it is asked for.
#[derive(Default)]
struct Made(Option<Option<BTreeMap<SmolStr, Cedar>>>);

impl Asked<'_> {
    fn parameter(&self, wanted: &Parameter, context: &mut Made) -> Datum {
        let (root, path) = (wanted.root, wanted.path.as_slice());
        match (root, path.split_first()) {
            (Root::Principal, _) => of_entity(self.principal, path, wanted),
            (Root::Resource, _) => of_entity(self.resource, path, wanted),
            (Root::Context, Some((first, rest))) if &**first == "input" => below(self.input, rest)
                .map_or(Datum::Absent, |value| Datum::of(value, &wanted.sort)),
            (Root::Context, Some((first, rest))) => {
                let made = context.0.get_or_insert_with(self.context);
                let found = made.as_ref().and_then(|made| made.get(&**first));
                found.and_then(|found| of_cedar(found, rest)).unwrap_or_default()
            }
            (Root::Context, None) => Datum::Absent,
        }
    }
}

fn below<'v>(mut value: &'v Value, path: &[Arc<str>]) -> Option<&'v Value> {
    for member in path {
        value = value.member(member)?;
    }
    Some(value)
}

fn of_entity((ty, entity): (&str, &Entity), path: &[Arc<str>], wanted: &Parameter) -> Datum {
    let Some((first, rest)) = path.split_first() else {
        return Datum::entity(ty, entity.uid.id.as_str());
    };
    let own = || match (&**first, rest.is_empty()) {
        ("id", true) => Datum::text(&entity.uid.id.shared()),
        ("type", true) => Datum::text(&ty.into()),
        _ => Datum::Absent,
    };
    let attribute = entity.attributes.get(first).and_then(|value| below(value, rest));
    attribute.map_or_else(own, |value| Datum::of(value, &wanted.sort))
}

fn of_cedar(value: &Cedar, path: &[Arc<str>]) -> Option<Datum> {
    match (value.value_kind(), path.split_first()) {
        (ValueKind::Record(members), Some((first, rest))) => of_cedar(members.get(&**first)?, rest),
        (_, Some(_)) | (ValueKind::Record(_), None) => None,
        (ValueKind::Lit(literal), None) => Some(match literal {
            Literal::Bool(truth) => Datum::Bool(*truth),
            Literal::Long(n) => Datum::Long(*n),
            Literal::String(text) => Datum::text(&text.as_str().into()),
            Literal::EntityUID(uid) => {
                let id: &str = uid.eid().as_ref();
                Datum::entity(&uid.entity_type().to_string(), id)
            }
        }),
        (ValueKind::Set(set), None) => {
            set.iter().map(|item| of_cedar(item, &[])).collect::<Option<_>>().map(Datum::List)
        }
        (ValueKind::ExtensionValue(_), None) => Some(Datum::Other(value.to_string().into())),
    }
}
