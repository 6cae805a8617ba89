//! Conditions compiled: what each event changes, and how an answer is looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use safeconduct_model::ActionName;
use sha2::{Digest as _, Sha256};

use super::datum::Datum;
use super::formula::{Comparison, Field, Formula, Matches, Parameter, Part, Symbol};

/// The name of a program: a digest of all that it says, so that equal names are equal programs,
/// whatever policy set they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProgramName(pub [u8; 16]);

/// As its bytes, compared as one number.
impl Ord for ProgramName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ProgramName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A condition that is kept up event by event. Made by [`Program::compile`].
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) name: ProgramName,
    pub(super) parameters: Vec<Parameter>,
    /// How many symbols there are.
    pub(super) symbols: usize,
    /// What is remembered; a node reads only those before it.
    pub(super) nodes: Vec<Node>,
    /// What must be found when a request is decided on.
    pub(super) answer: Plan,
    /// The nodes that the answer needs a row of.
    pub(super) asks: Vec<usize>,
    pub(super) lookback_ms: i64,
    pub(super) listens: Listens,
    /// The fields of events that it reads.
    pub(super) reads: Vec<(EventName, Field)>,
}

/// The kind of an event, and the action that it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName {
    /// `request`, `response`, `error`.
    pub kind: Arc<str>,
    /// The action, as policies name it.
    pub action: Arc<str>,
}

/// Which events change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listens {
    To(Vec<EventName>),
    ToAll,
}

/// Something that is remembered from event to event.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) keeps: Keeps,
    pub(super) window_ms: i64,
    /// How long rows are kept: longer than the window where it is asked later what was found at
    /// a past event.
    pub(super) kept_ms: i64,
    /// What is found at an event, and how.
    pub(super) plan: Plan,
    /// What is known whenever the node is read.
    pub(super) key: Vec<Symbol>,
    /// What reading it finds.
    pub(super) rest: Vec<Symbol>,
    /// The place in `rest` that is the number of the event itself: it is not stored twice.
    pub(super) instant: Option<usize>,
    /// The place in `rest` that a sum is kept of.
    pub(super) sum: Option<usize>,
    pub(super) listens: Listens,
}

#[derive(Debug, Clone)]
pub(super) enum Keeps {
    /// When each row was last found.
    Latest,
    /// The rows of the last event.
    Last,
    /// Since when each row is found at every event.
    Runs,
    /// When each row was last found; it counts as long as all these do.
    Since(Vec<Left>),
}

/// What must have held at every event since an anchor.
#[derive(Debug, Clone)]
pub(super) enum Left {
    /// No row of this node for which the test holds, since.
    Without(usize, Test),
    /// The row of this node that is asked for, ever since.
    With(usize),
    /// This, which is the same at every event.
    Always(Test),
}

/// Steps that bind symbols and leave out what does not fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The event is such a one.
    Matches(Pattern),
    /// The same, where it may also not be: then `found` is false and all that it would bind is
    /// absent.
    MayMatch { pattern: Pattern, found: Symbol },
    /// Each row of a node.
    Read(usize),
    /// A value.
    Let(Symbol, Operand),
    /// The number of the event.
    Instant { symbol: Symbol, known: bool },
    /// The number of the event, and its time in milliseconds.
    Moment { index: Symbol, at: Symbol },
    /// A test.
    Where(Test),
    /// Nothing is found by that plan.
    Without(Plan),
}

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) name: EventName,
    pub(super) fields: Vec<(Field, Slot)>,
    /// Whether a field is one of those that an event can have several of.
    pub(super) several: bool,
}

/// What a field must be.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Any,
    Is(Datum),
    Same(Symbol),
    Bind(Symbol),
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Compare(Comparison, Operand, Operand),
    All(Vec<Test>),
    Not(Box<Test>),
    /// That a plan found something at a past event.
    Then(Box<Then>),
}

#[derive(Debug, Clone)]
pub(super) struct Then {
    /// The number of the event, and its time.
    pub(super) index: Symbol,
    pub(super) at: Symbol,
    pub(super) plan: Plan,
    /// What must be known besides.
    pub(super) wants: BTreeSet<Symbol>,
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Is(Datum),
    Of(Symbol),
    Aggregate(Box<Counted>),
}

/// A count or sum.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) sum: Option<Symbol>,
    pub(super) over: Vec<Symbol>,
    pub(super) plan: Plan,
    /// The node that has it ready.
    pub(super) kept: Option<usize>,
}

impl Program {
    /// Its name.
    pub const fn name(&self) -> ProgramName {
        self.name
    }

    /// The values of a request that it wants, in their order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How long ago something can be that it depends on, in milliseconds.
    pub const fn lookback_ms(&self) -> i64 {
        self.lookback_ms
    }

    /// The events that change it; `None` where every event does.
    pub fn listens_to(&self) -> Option<&[EventName]> {
        match &self.listens {
            Listens::To(events) => Some(events),
            Listens::ToAll => None,
        }
    }

    /// The fields of events that it reads. Nothing else of an event matters to it, its kind,
    /// action and time aside.
    pub fn reads(&self) -> &[(EventName, Field)] {
        &self.reads
    }
}

/// What [`Program::compile`] compiles.
#[derive(Debug, Clone)]
pub struct Source {
    /// Values of the request that is decided on: symbols from 0.
    pub parameters: Vec<Parameter>,
    /// How many symbols there are, parameters included.
    pub symbols: u16,
    /// The condition. Nothing but parameters is free in it.
    pub formula: Formula,
}

/// The names of some programs, in order: one pointer, however often they are held.
#[derive(Debug, Clone)]
pub struct ProgramNames(Arc<Named>);

#[derive(Debug)]
struct Named {
    names: Vec<ProgramName>,
    /// Over all of them.
    digest: [u8; 16],
}

impl ProgramNames {
    /// A digest over them.
    pub fn digest(&self) -> [u8; 16] {
        self.0.digest
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ProgramName> {
        self.0.names.iter()
    }

    /// Those that are in a set.
    #[must_use]
    pub fn among(&self, programs: &ProgramSet) -> Self {
        let both: Self =
            self.iter().filter(|name| programs.program(**name).is_some()).copied().collect();
        match both.digest() == programs.digest() {
            true => programs.names().clone(),
            false => both,
        }
    }
}

impl FromIterator<ProgramName> for ProgramNames {
    /// Names in their order.
    fn from_iter<T: IntoIterator<Item = ProgramName>>(names: T) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        let mut hash = Sha256::new();
        names.iter().for_each(|name| hash.update(name.0));
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            <[u8; 32]>::from(hash.finalize());
        Self(Arc::new(Named { names, digest }))
    }
}

impl Default for ProgramNames {
    fn default() -> Self {
        std::iter::empty().collect()
    }
}

/// The programs that listen to events of one kind, by action.
#[derive(Debug, Clone, Default)]
struct ByAction(BTreeMap<Arc<str>, Vec<Arc<Program>>>);

/// The programs of a policy set that live in one place: a session, or an identity.
#[derive(Debug, Clone, Default)]
pub struct ProgramSet {
    programs: BTreeMap<ProgramName, Arc<Program>>,
    by_event: BTreeMap<Arc<str>, ByAction>,
    to_all: Vec<Arc<Program>>,
    names_of_all: ProgramNames,
    /// How long ago something can be that any of them depends on, in milliseconds.
    pub(super) lookback_ms: i64,
    /// What policies call an action that is asked about by another name.
    names: BTreeMap<ActionName, Arc<str>>,
}

impl ProgramSet {
    /// A set of programs, with what policies call the actions that have other names.
    pub fn new(
        programs: impl IntoIterator<Item = Arc<Program>>,
        names: BTreeMap<ActionName, Arc<str>>,
    ) -> Self {
        let mut set = Self { names, ..Self::default() };
        for program in programs {
            if set.programs.insert(program.name, Arc::clone(&program)).is_some() {
                continue;
            }
            match &program.listens {
                Listens::ToAll => set.to_all.push(program),
                Listens::To(events) => {
                    for event in events {
                        let actions = set.by_event.entry(Arc::clone(&event.kind)).or_default();
                        let programs = actions.0.entry(Arc::clone(&event.action)).or_default();
                        programs.push(Arc::clone(&program));
                    }
                }
            }
        }
        set.names_of_all = set.programs.keys().copied().collect();
        set.lookback_ms = set.programs.values().map(|one| one.lookback_ms).max().unwrap_or(0);
        set
    }

    /// A digest over the names of all: equal sets have equal ones.
    pub fn digest(&self) -> [u8; 16] {
        self.names_of_all.digest()
    }

    /// The names of all.
    pub const fn names(&self) -> &ProgramNames {
        &self.names_of_all
    }

    /// Whether there are none: then no event needs to be taken in.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// The program of that name.
    pub fn program(&self, name: ProgramName) -> Option<&Arc<Program>> {
        self.programs.get(&name)
    }

    /// All programs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.programs.values()
    }

    /// Whether an event of that kind and action changes any program.
    pub fn listens(&self, kind: &str, action: &ActionName) -> bool {
        self.concerned(kind, self.name_of(action)).next().is_some()
    }

    /// The fields of such events that any program reads: what must be kept of them to fold them
    /// again.
    pub fn reads<'s>(
        &'s self,
        kind: &'s str,
        action: &'s ActionName,
    ) -> impl Iterator<Item = &'s Field> {
        let action = self.name_of(action);
        let reads = self.concerned(kind, action).flat_map(|program| &program.reads);
        let of_it =
            reads.filter(move |(event, _)| *event.kind == *kind && *event.action == *action);
        of_it.map(|(_, field)| field)
    }

    /// The programs for which it matters what stands in those parts of such an event; where no
    /// parts are named, those for which it matters whether it happened.
    pub(super) fn in_doubt(
        &self,
        kind: &str,
        action: &str,
        parts: Option<&[Part]>,
    ) -> impl Iterator<Item = &Arc<Program>> {
        self.concerned(kind, action).filter(move |program| {
            let read = |(event, field): &(EventName, Field)| {
                let asked = parts.is_none_or(|parts| parts.contains(&field.of));
                asked && *event.kind == *kind && *event.action == *action
            };
            parts.is_none() || program.reads.iter().any(read)
        })
    }

    /// What policies call an action.
    pub(super) fn name_of<'s>(&'s self, action: &'s ActionName) -> &'s str {
        self.names.get(action).map_or(action.as_str(), |name| name)
    }

    /// The programs that an event changes.
    pub(super) fn concerned(
        &self,
        kind: &str,
        action: &str,
    ) -> impl Iterator<Item = &Arc<Program>> {
        let named = self.by_event.get(kind).and_then(|actions| actions.0.get(action));
        named.into_iter().flatten().chain(&self.to_all)
    }
}

impl Matches {
    pub(super) fn name(&self) -> EventName {
        EventName { kind: Arc::clone(&self.kind), action: Arc::clone(&self.action) }
    }
}
