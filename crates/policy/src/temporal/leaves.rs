//! Temporal clauses as policies read them: programs by name, and their answers to a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{Literal, Value as Cedar, ValueKind};
use safeconduct_model::{ActionName, Entity, Value};
use safeconduct_session::monitor::{
    Answering, Datum, Event, Monitors, Parameter, Part, Program, ProgramSet, Root,
};
use smol_str::SmolStr;

use crate::schema::ContextField;

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
    /// The same as a number.
    pub(crate) name: LeafName,
}

/// The name of a clause, as it is quickly compared: that of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeafName(u128);

impl LeafName {
    /// Of the member of `context.__temporal` that has the clause's answer.
    pub(crate) fn of_member(member: &str) -> Option<Self> {
        let number = u128::from_str_radix(member, 16).ok()?;
        (format!("{number:032x}") == member).then_some(Self(number))
    }
}

impl Leaf {
    pub(crate) fn of(program: Program, history: History) -> Self {
        let member = SmolStr::from(program.name().to_string());
        let name = LeafName(u128::from_be_bytes(program.name().0));
        Self { program, history, member, name }
    }

    /// Whether a value of the request that it wants is in that member of the context.
    pub(crate) fn looks_at(&self, field: ContextField) -> bool {
        let mut wanted = self.program.parameters().iter();
        wanted.any(|wanted| {
            let of = wanted.path.first().map(|first| ContextField::of(first));
            wanted.root == Root::Context && of.is_none_or(|of| of == field)
        })
    }

    /// Whether it looks at values: arguments, results, attributes, the context. Who acts, what is
    /// touched and what was decided are none.
    pub(crate) fn looks_at_values(&self) -> bool {
        let of_request =
            |wanted: &Parameter| wanted.root == Root::Context || !wanted.path.is_empty();
        let of_event = |of: Part| matches!(of, Part::Input | Part::Output | Part::Beside);
        self.program.parameters().iter().any(of_request)
            || self.program.reads().iter().any(|(_, field)| of_event(field.of))
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

/// The answers of the clauses that some policies read: one for each clause of each policy, in
/// that order. One that has no answer has none here, so that whatever reads it fails.
#[derive(Debug, Default)]
pub(crate) struct Answers<'l>(Vec<Answer<'l>>);

/// What a clause says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'l> {
    leaf: &'l Leaf,
    holds: Option<bool>,
}

impl Answer<'_> {
    /// What the clause of that name says, of some.
    pub(crate) fn find(all: &[Self], name: LeafName) -> Option<bool> {
        all.iter().find(|known| known.leaf.name == name)?.holds
    }
}

/// What parameters of clauses are looked up in.
pub(crate) struct Asked<'q> {
    pub(crate) principal: (&'q str, &'q Entity),
    pub(crate) resource: (&'q str, &'q Entity),
    pub(crate) input: &'q Value,
    /// Makes the context, for what is not an argument.
    pub(crate) context: &'q dyn Fn() -> Option<BTreeMap<SmolStr, Cedar>>,
}

impl<'l> Answers<'l> {
    /// Answers clauses.
    pub(crate) fn of(
        leaves: impl Iterator<Item = &'l Arc<Leaf>>,
        monitoring: &Monitoring,
        past: Option<&Past<'_>>,
        asked: &Asked<'_>,
    ) -> Self {
        let mut answers: Vec<Answer<'l>> = Vec::with_capacity(16);
        let mut asking = past.map(|past| Asking {
            past,
            monitoring,
            session: None,
            identity: None,
            context: Made::default(),
        });
        for leaf in leaves {
            let holds = asking.as_mut().and_then(|asking| asking.answer(leaf, asked));
            answers.push(Answer { leaf, holds });
        }
        Self(answers)
    }

    /// All of them, in the order in which they were asked for.
    pub(crate) fn as_slice(&self) -> &[Answer<'l>] {
        &self.0
    }

    pub(crate) fn find(&self, leaf: &Leaf) -> Option<bool> {
        Answer::find(&self.0, leaf.name)
    }

    /// As a record of Cedar's.
    pub(crate) fn record(&self) -> Cedar {
        let known = self.0.iter().filter_map(|answer| Some((answer.leaf, answer.holds?)));
        let members: BTreeMap<SmolStr, Cedar> =
            known.map(|(leaf, holds)| (leaf.member.clone(), Cedar::from(holds))).collect();
        Cedar::record_arc(Arc::new(members), None)
    }
}

/// What clauses are answered from, one after the other.
struct Asking<'a> {
    past: &'a Past<'a>,
    monitoring: &'a Monitoring,
    session: Option<Answering<'a>>,
    identity: Option<Answering<'a>>,
    context: Made,
}

impl Asking<'_> {
    fn answer(&mut self, leaf: &Leaf, asked: &Asked<'_>) -> Option<bool> {
        let (answering, monitors) = match leaf.history {
            History::Session => (&mut self.session, self.past.session),
            History::Identity => (&mut self.identity, self.past.identity),
        };
        let answering = answering.get_or_insert_with(|| {
            monitors.answering(self.monitoring.programs(leaf.history), self.past.event)
        });
        let values = leaf.program.parameters().iter();
        answering
            .answer(&leaf.program, values.map(|wanted| asked.parameter(wanted, &mut self.context)))
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
            let items = set.iter().map(|item| of_cedar(item, &[])).collect::<Option<Vec<_>>>();
            items.map(Datum::list)
        }
        (ValueKind::ExtensionValue(_), None) => Some(Datum::Other(value.to_string().into())),
    }
}
