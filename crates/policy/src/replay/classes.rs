//! Which statements of two sets say the same.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use cedar_policy_core::ast::{
    ActionConstraint, Expr, ExprKind, PrincipalOrResourceConstraint, Var,
};
use foldhash::quality::FixedState;

use crate::policies::{Entry, Policies};
use crate::rego;

/// What is known of one statement before any decision is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Equal where scope and condition are; the effect and what annotations say aside.
    pub(super) whole: u32,
    /// Equal where the obligations are, in whatever order.
    pub(super) obligations: u32,
    /// Equal where the condition is, in which a temporal clause's name says whose history it is
    /// about.
    pub(super) condition: u32,
    /// Whether the condition could say something else of another principal.
    pub(super) of_principal: bool,
    /// Whether it could say something else of another resource.
    pub(super) of_resource: bool,
}

/// The statements of two sets by what they say.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) old: Sorted,
    pub(super) new: Sorted,
    /// Whether either has Rego files, and whether both have the same.
    pub(super) rego: RegoFiles,
}

/// What both sets have of Rego.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegoFiles {
    None,
    Same,
    Different,
}

/// The statements of one set, by their places in it.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    classes: Vec<Class>,
    /// Statements whose scope asks what the principal belongs to.
    pub(super) by_principal: Vec<u32>,
    /// Statements whose scope asks what the resource belongs to.
    pub(super) by_resource: Vec<u32>,
}

impl Sorted {
    pub(super) fn class(&self, position: u32) -> Option<Class> {
        self.classes.get(usize::try_from(position).ok()?).copied()
    }
}

type Head<'p> =
    (&'p PrincipalOrResourceConstraint, &'p ActionConstraint, &'p PrincipalOrResourceConstraint);

/// Numbers for what is equal.
struct Numbers<K>(HashMap<K, u32, FixedState>);

impl<K: Eq + Hash> Numbers<K> {
    fn of(&mut self, key: K) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(key).or_insert(next)
    }
}

impl Classes {
    pub(super) fn of(old: &Policies, new: &Policies) -> Self {
        let mut conditions = Numbers(HashMap::default());
        let mut heads = Numbers(HashMap::default());
        let mut obligations = Numbers(HashMap::default());
        let sort = |policies: &Policies| {
            let mut sorted = Sorted::default();
            for (position, entry) in (0..).zip(policies.entries()) {
                sorted.take(position, entry);
            }
            sorted
        };
        let (mut sorted_old, mut sorted_new) = (sort(old), sort(new));
        for (policies, sorted) in [(old, &mut sorted_old), (new, &mut sorted_new)] {
            for (entry, class) in policies.entries().zip(&mut sorted.classes) {
                let statement = &entry.statement;
                let condition = conditions.of(statement.condition.expression());
                let head: Head<'_> =
                    (&statement.principal, &statement.actions, &statement.resource);
                (class.condition, class.whole) = (condition, heads.of((head, condition)));
                let asked: BTreeSet<_> = statement.info.obligations.iter().collect();
                class.obligations = obligations.of(asked);
            }
        }
        Self { old: sorted_old, new: sorted_new, rego: rego_files(old, new) }
    }
}

fn rego_files(old: &Policies, new: &Policies) -> RegoFiles {
    let files = |policies: &Policies| -> Vec<_> {
        let units = policies.units.iter().filter(|(name, _)| rego::is_rego(name));
        units.map(|(name, unit)| (name.clone(), unit.text.clone())).collect()
    };
    match (files(old), files(new)) {
        (old, new) if old.is_empty() && new.is_empty() => RegoFiles::None,
        (old, new) if old == new => RegoFiles::Same,
        _ => RegoFiles::Different,
    }
}

impl Sorted {
    fn take(&mut self, position: u32, entry: &Entry) {
        use PrincipalOrResourceConstraint::{In, IsIn};
        let statement = &entry.statement;
        let expression = statement.condition.expression();
        // A temporal clause may compare both with what happened before.
        let temporal = !statement.leaves.is_empty();
        let of = |var| temporal || expression.is_some_and(|e| mentions(e, var));
        self.classes.push(Class {
            whole: 0,
            obligations: 0,
            condition: 0,
            of_principal: of(Var::Principal),
            of_resource: of(Var::Resource),
        });
        if matches!(statement.principal, In(_) | IsIn(..)) {
            self.by_principal.push(position);
        }
        if matches!(statement.resource, In(_) | IsIn(..)) {
            self.by_resource.push(position);
        }
    }
}

fn mentions(expression: &Expr, var: Var) -> bool {
    expression.subexpressions().any(|part| *part.expr_kind() == ExprKind::Var(var))
}
