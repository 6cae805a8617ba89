//! What the author of an intent says must stand in an argument: as good as if the task had named it.

use safeconduct_model::{
    ActionEntry, Constraint, EntityType, Integrity, Request, Term, Value, same,
};

use crate::TaskFacts;
use crate::envelope::names;

/// What an intent pins of the arguments of one call.
///
/// Only what the intent's file says counts, and of it only what is put together from parameters
/// that a person or an orchestrator gave: what an agent pins when it narrows a child, or says when
/// it begins a task itself, is its own word.
pub(crate) struct Pins<'a> {
    known: &'a TaskFacts<'a>,
    input: &'a Value,
    /// Where it stands (JSON Pointer, `*` for any index), and what must stand there.
    rules: Vec<(&'a str, &'a Constraint<Term>)>,
}

impl<'a> Pins<'a> {
    /// Of this call.
    pub(crate) fn of(
        known: &'a TaskFacts<'a>,
        request: &'a Request,
        entry: &'a ActionEntry,
    ) -> Self {
        let envelope = known.intent.map(|intent| intent.envelope.as_slice()).unwrap_or_default();
        let mut rules = Vec::new();
        for allowance in envelope.iter().filter(|of| of.action == request.action) {
            let arguments = allowance.arguments.iter();
            rules.extend(arguments.map(|rule| (&*rule.pointer, &rule.constraint)));
            for rule in &allowance.resources {
                let ids = rule.id.iter();
                rules.extend(ids.flat_map(|id| naming(entry, &rule.ty).map(move |at| (at, id))));
            }
        }
        rules.retain(|(_, of)| matches!(of, Constraint::Equals(_) | Constraint::OneOf(_)));
        Self { known, input: &request.input, rules }
    }

    /// Whether it pins nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether what stands at a place is what must stand there.
    pub(crate) fn name(&self, at: &str) -> bool {
        self.rules.iter().any(|(pattern, constraint)| {
            let place = upto(at, pattern);
            names(pattern, place)
                && self.input.pointer(place).is_some_and(|value| self.is_one(value, constraint))
        })
    }

    fn is_one(&self, value: &Value, constraint: &Constraint<Term>) -> bool {
        match constraint {
            Constraint::Equals(to) => self.is(value, to),
            Constraint::OneOf(choices) => choices.iter().any(|choice| self.is(value, choice)),
            _ => false,
        }
    }

    fn is(&self, value: &Value, term: &Term) -> bool {
        let of_author = match term {
            Term::Literal(literal) => return same(value, literal),
            Term::Parameter(_) | Term::Text(_) => self.known.task.integrity() == Integrity::Trusted,
        };
        let parameters = &self.known.mandate.parameters;
        of_author && term.value(parameters).is_ok_and(|pinned| same(value, &pinned))
    }
}

/// Which arguments name resources of a type.
fn naming<'a>(entry: &'a ActionEntry, ty: &EntityType) -> impl Iterator<Item = &'a str> {
    entry.resources.iter().filter(move |of| of.ty == *ty).map(|of| &*of.argument)
}

/// As much of a place as a pattern is deep: what is pinned as a whole is pinned in all its parts.
fn upto<'p>(at: &'p str, pattern: &str) -> &'p str {
    let tokens = pattern.bytes().filter(|b| *b == b'/').count();
    let end = at.bytes().enumerate().filter(|(_, b)| *b == b'/').nth(tokens).map(|(end, _)| end);
    end.and_then(|end| at.get(..end)).unwrap_or(at)
}
