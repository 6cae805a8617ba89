//! Policies put together that are lowered together.
//!
//! Dogwood reads a schema for each set that it is given and checks each policy of the set for
//! each action of that schema, so that what is lowered together should speak of the same few
//! actions.

use std::collections::BTreeSet;
use std::collections::hash_map::{Entry, HashMap};
use std::ops::Range;

use cedar_policy_core::ast::{ActionConstraint, EntityUID, Template};

use super::mask::Masked;
use super::roles::Roles;
use crate::diagnostic::Located;
use crate::schema::Schema;

/// A policy with temporal clauses.
#[derive(Debug)]
pub(super) struct Spoken {
    range: Range<usize>,
    /// The actions that it names; `None` where it may be about any.
    actions: Option<BTreeSet<String>>,
    roles: Roles,
}

/// How much is lowered together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    actions: usize,
    policies: usize,
}

/// With the least of the schema that is needed.
pub(super) const LEAST: Limits = Limits { actions: 24, policies: 64 };
/// With all that the schema says of the actions.
pub(super) const WHOLE: Limits = Limits { actions: 8, policies: 64 };

/// Some policies of a file, with its macros, as a text of their own.
#[derive(Debug, Default)]
pub(super) struct Batch<'s> {
    pub(super) text: String,
    /// Where its parts start, in it and in the file.
    parts: Vec<(usize, usize)>,
    pub(super) policies: Vec<&'s Spoken>,
    /// The actions that they name; `None` where they may be about any.
    pub(super) actions: Option<BTreeSet<String>>,
    /// Which of those who ask and of what is asked about they tell apart.
    pub(super) roles: Roles,
}

impl<'s> Batch<'s> {
    fn of(located: &Located<'_>, masked: &Masked, first: &'s Spoken) -> Self {
        let mut batch = Self { actions: first.actions.clone(), ..Self::default() };
        masked.definitions.iter().for_each(|range| batch.write(located, range));
        batch.add(located, first);
        batch
    }

    fn write(&mut self, located: &Located<'_>, range: &Range<usize>) {
        self.parts.push((self.text.len(), range.start));
        self.text.push_str(located.text.get(range.clone()).unwrap_or_default());
        self.text.push('\n');
    }

    fn add(&mut self, located: &Located<'_>, policy: &'s Spoken) {
        self.write(located, &policy.range);
        self.policies.push(policy);
        self.roles.widen(&policy.roles);
        if let (Some(known), Some(named)) = (&mut self.actions, &policy.actions) {
            known.extend(named.iter().cloned());
        }
    }

    /// Those about any action need all of them, however many they are.
    fn has_room_for(&self, policy: &Spoken, limits: Limits) -> bool {
        let few = match (&self.actions, &policy.actions) {
            (Some(known), Some(named)) => {
                named.is_subset(known) || known.union(named).count() <= limits.actions
            }
            (None, None) => return self.roles.whole == policy.roles.whole,
            _ => false,
        };
        few && self.policies.len() < limits.policies && self.roles.whole == policy.roles.whole
    }

    /// Where an offset lies in the file.
    pub(super) fn place(&self, offset: usize) -> usize {
        let before = self.parts.partition_point(|(start, _)| *start <= offset);
        let part = before.checked_sub(1).and_then(|at| self.parts.get(at));
        part.map_or(offset, |(start, from)| from + (offset - start))
    }
}

/// Puts policies together that name the same few actions.
pub(super) fn batches<'s>(
    located: &Located<'_>,
    masked: &Masked,
    policies: impl IntoIterator<Item = &'s Spoken>,
    limits: Limits,
) -> Vec<Batch<'s>> {
    // Those first that name the same, wherever they stand.
    let mut groups: Vec<Vec<&Spoken>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for policy in policies {
        let at = match known.entry((policy.roles.whole, &policy.actions)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(fresh) => {
                groups.push(Vec::new());
                *fresh.insert(groups.len() - 1)
            }
        };
        groups.get_mut(at).into_iter().for_each(|group| group.push(policy));
    }
    // Those about any action, and those that need whole entities, after all others.
    groups.sort_by_key(|group| {
        group.first().map(|policy| (policy.actions.is_none(), policy.roles.whole))
    });
    let mut batches: Vec<Batch<'s>> = Vec::new();
    for policy in groups.into_iter().flatten() {
        match batches.last_mut() {
            Some(last) if last.has_room_for(policy, limits) => last.add(located, policy),
            _ => batches.push(Batch::of(located, masked, policy)),
        }
    }
    batches
}

/// The policies of a file that have temporal clauses.
pub(super) fn spoken(
    located: &Located<'_>,
    masked: &Masked,
    templates: &[Template],
    schema: &Schema,
) -> Vec<Spoken> {
    let mut spoken = Vec::with_capacity(masked.clauses.len());
    for (range, template) in masked.statements.iter().zip(templates) {
        let first = masked.clauses.partition_point(|clause| clause.range.start < range.start);
        let clauses = masked.clauses.iter().skip(first);
        let clauses = clauses.take_while(|clause| clause.range.start < range.end);
        let clauses = clauses.map(|clause| &clause.range);
        if clauses.clone().next().is_none() {
            continue;
        }
        let actions = actions(located, masked, range, template, schema);
        let texts = clauses.chain(&masked.definitions);
        let texts = texts.map(|range| located.text.get(range.clone()).unwrap_or_default());
        let roles = Roles::of(texts, template, schema);
        spoken.push(Spoken { range: range.clone(), actions, roles });
    }
    spoken
}

/// The actions that a policy names in its scope, its clauses and the macros that are there;
/// `None` where its scope is about more than it names.
fn actions(
    located: &Located<'_>,
    masked: &Masked,
    range: &Range<usize>,
    template: &Template,
    schema: &Schema,
) -> Option<BTreeSet<String>> {
    let id = |uid: &EntityUID| {
        let id: &str = uid.eid().as_ref();
        schema.actions.contains_key(id).then(|| id.to_owned())
    };
    let mut named: BTreeSet<String> = match template.action_constraint() {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(uid) => std::iter::once(id(uid)).collect::<Option<_>>()?,
        ActionConstraint::In(list) => list.iter().map(|uid| id(uid)).collect::<Option<_>>()?,
    };
    for range in masked.definitions.iter().chain([range]) {
        let text = located.text.get(range.clone()).unwrap_or_default();
        for written in text.split("Action::\"").skip(1) {
            // What is escaped is not looked for: then all actions are there.
            let name = written.split('"').next().unwrap_or_default();
            if name.contains('\\') {
                return None;
            }
            named.insert(name.to_owned());
        }
    }
    Some(named)
}
