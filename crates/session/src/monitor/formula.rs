//! A condition over events, as plain data: what a temporal clause says once its macros are
//! expanded and its names resolved.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::datum::{Datum, Sort};

/// A variable or a parameter of a [`Formula`]. Parameters come first, then variables; no two
/// binders share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub u16);

/// A value of the request that is decided on: `context.input.user`, `principal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parameter {
    /// Where it starts.
    pub root: Root,
    /// The members that lead to it; none is the entity itself.
    pub path: Vec<Arc<str>>,
    /// What it is.
    pub sort: Sort,
}

/// Where a [`Parameter`] starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The request's context.
    Context,
    /// Its principal.
    Principal,
    /// Its resource.
    Resource,
}

/// A condition, which holds or not at each event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Formula {
    /// All hold.
    All(Vec<Formula>),
    /// It does not hold.
    Not(Box<Formula>),
    /// It held at some event within the window, this one included.
    Formerly {
        /// In milliseconds, both ends included.
        window_ms: i64,
        /// What held.
        body: Box<Formula>,
    },
    /// It held at the event before this one, within the window.
    Previous {
        /// In milliseconds.
        window_ms: i64,
        /// What held.
        body: Box<Formula>,
    },
    /// The anchor held within the window, and `left` at every event since.
    Since {
        /// What held since.
        left: Box<Formula>,
        /// In milliseconds.
        window_ms: i64,
        /// Since when.
        anchor: Box<Formula>,
    },
    /// This event is such a one.
    Matches(Matches),
    /// Two values compare so; what is absent never does.
    Compare(Comparison, Term, Term),
    /// There is a value with which it holds.
    Exists(Symbol, Box<Formula>),
    /// The variable is the number of this event in its history.
    Instant(Symbol),
}

/// What an event must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matches {
    /// `request`, `response`, `error`.
    pub kind: Arc<str>,
    /// The action, as policies name it.
    pub action: Arc<str>,
    /// Fields that it must have, and what they are.
    pub fields: Vec<(Field, Term)>,
}

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// What it is a part of.
    pub of: Part,
    /// The members that lead to it.
    pub path: Vec<Arc<str>>,
    /// What it is.
    pub sort: Sort,
}

/// What an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The arguments.
    Input,
    /// The result.
    Output,
    /// Who acts.
    Principal,
    /// What is touched: any of several.
    Resource,
    /// What was decided: `permit`, `deny`.
    Decision,
    /// What is given beside these.
    Beside,
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Both there and not equal.
    Unequal,
    /// Integers, the first less.
    Less,
    /// Integers, the first less or equal.
    AtMost,
    /// Integers, the first greater.
    Greater,
    /// Integers, the first greater or equal.
    AtLeast,
}

/// A value in a condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// This one.
    Is(Datum),
    /// That of a variable or parameter.
    Of(Symbol),
    /// Any, where an event must only have the field.
    Any,
    /// A count or sum.
    Aggregate(Box<Aggregate>),
}

/// A count, or a sum, of the different values with which something holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// What is summed up; `None` counts.
    pub sum: Option<Symbol>,
    /// Whose values are told apart.
    pub over: Vec<Symbol>,
    /// What holds.
    pub body: Formula,
}

impl Comparison {
    /// Whether it holds of two values.
    pub fn holds(self, left: &Datum, right: &Datum) -> bool {
        let ordered = || left.as_long().zip(right.as_long());
        match self {
            Self::Equal => left.same(right),
            Self::Unequal => {
                !matches!((left, right), (Datum::Absent, _) | (_, Datum::Absent)) && left != right
            }
            Self::Less => ordered().is_some_and(|(a, b)| a < b),
            Self::AtMost => ordered().is_some_and(|(a, b)| a <= b),
            Self::Greater => ordered().is_some_and(|(a, b)| a > b),
            Self::AtLeast => ordered().is_some_and(|(a, b)| a >= b),
        }
    }
}

impl Formula {
    /// The symbols that nothing in it binds.
    pub(super) fn free(&self) -> BTreeSet<Symbol> {
        let mut found = BTreeSet::new();
        self.collect(&mut found);
        found
    }

    fn collect(&self, found: &mut BTreeSet<Symbol>) {
        match self {
            Self::All(parts) => parts.iter().for_each(|part| part.collect(found)),
            Self::Not(body) | Self::Formerly { body, .. } | Self::Previous { body, .. } => {
                body.collect(found);
            }
            Self::Since { left, anchor, .. } => {
                left.collect(found);
                anchor.collect(found);
            }
            Self::Matches(matches) => {
                matches.fields.iter().for_each(|(_, term)| term.collect(found));
            }
            Self::Compare(_, left, right) => {
                left.collect(found);
                right.collect(found);
            }
            // No two binders share a symbol, so that nothing outside is taken away.
            Self::Exists(bound, body) => {
                body.collect(found);
                found.remove(bound);
            }
            Self::Instant(symbol) => {
                found.insert(*symbol);
            }
        }
    }

    /// Whether it depends on more than the event itself.
    pub(super) fn remembers(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(Self::remembers),
            Self::Not(body) | Self::Exists(_, body) => body.remembers(),
            Self::Formerly { .. } | Self::Previous { .. } | Self::Since { .. } => true,
            Self::Compare(_, left, right) => {
                [left, right].into_iter().any(|term| matches!(term, Term::Aggregate(_)))
            }
            Self::Matches(_) | Self::Instant(_) => false,
        }
    }

    /// How long ago something can be that it depends on, in milliseconds.
    pub(super) fn lookback_ms(&self) -> i64 {
        match self {
            Self::All(parts) => parts.iter().map(Self::lookback_ms).max().unwrap_or(0),
            Self::Not(body) | Self::Exists(_, body) => body.lookback_ms(),
            Self::Formerly { window_ms, body } | Self::Previous { window_ms, body } => {
                window_ms.saturating_add(body.lookback_ms())
            }
            Self::Since { left, window_ms, anchor } => {
                window_ms.saturating_add(left.lookback_ms().max(anchor.lookback_ms()))
            }
            Self::Compare(_, left, right) => left.lookback_ms().max(right.lookback_ms()),
            Self::Matches(_) | Self::Instant(_) => 0,
        }
    }

    /// The events that it speaks of.
    pub fn matches<'f>(&'f self, each: &mut dyn FnMut(&'f Matches)) {
        match self {
            Self::All(parts) => parts.iter().for_each(|part| part.matches(each)),
            Self::Not(body)
            | Self::Exists(_, body)
            | Self::Formerly { body, .. }
            | Self::Previous { body, .. } => body.matches(each),
            Self::Since { left, anchor, .. } => {
                left.matches(each);
                anchor.matches(each);
            }
            Self::Matches(matches) => each(matches),
            Self::Compare(_, left, right) => {
                for term in [left, right] {
                    if let Term::Aggregate(aggregate) = term {
                        aggregate.body.matches(each);
                    }
                }
            }
            Self::Instant(_) => {}
        }
    }
}

impl Term {
    pub(super) fn collect(&self, found: &mut BTreeSet<Symbol>) {
        match self {
            Self::Is(_) | Self::Any => {}
            Self::Of(symbol) => {
                found.insert(*symbol);
            }
            Self::Aggregate(aggregate) => {
                let mut free = aggregate.body.free();
                aggregate.over.iter().for_each(|bound| {
                    free.remove(bound);
                });
                found.extend(free);
            }
        }
    }

    fn lookback_ms(&self) -> i64 {
        match self {
            Self::Aggregate(aggregate) => aggregate.body.lookback_ms(),
            _ => 0,
        }
    }
}
