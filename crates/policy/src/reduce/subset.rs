//! Whether a set permits nothing that another one does not: by the form of its statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, Expr, ExprKind, PrincipalOrResourceConstraint,
    UnaryOp,
};
use foldhash::quality::FixedState;
use safeconduct_model::{EntityRef, PolicyEffect, PolicyId};

use super::fails::failing;
use super::obliged::{For, lost_to, matches};
use crate::annotations::PolicyMode;
use crate::policies::{Policies, Statement};
use crate::rego;

/// What may make a set wider than the one before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Widened {
    /// A permit that no permit of the set before covers by its form.
    #[error("permit `{0}` is not covered by one permit of the set before")]
    Permit(PolicyId),
    /// A forbid of the set before that is not there as it was.
    #[error("forbid `{0}` is gone, or no longer what it was")]
    Forbid(PolicyId),
    /// A permit of the set before that is gone or changed asked for what another permit does not,
    /// which may still permit the same.
    #[error(
        "permit `{0}` is gone or changed, and what it obliges to may be lost where others hold"
    )]
    Obligation(PolicyId),
    /// A permit of the set before that is gone, or whose scope is smaller, denied where its
    /// condition fails, which another permit may permit now.
    #[error(
        "permit `{policy}` is gone or smaller, and denied where its condition fails ({what}), which \
         `{to}` may permit"
    )]
    MayFail {
        /// The permit.
        policy: PolicyId,
        /// What of its condition can fail.
        what: &'static str,
        /// The permit that may permit the same.
        to: PolicyId,
    },
    /// Rego files are not the same; what they say is not compared.
    #[error("the Rego files are not the same")]
    Rego,
    /// The Rego files are the same, and would permit now what they could only forbid before: there
    /// is no statement of Cedar any more.
    #[error("the Rego files would decide alone")]
    RegoAlone,
}

/// Whether the new set may permit what the old one does not. It looks at the form of statements
/// alone: each permit must be one of before with less in its scope or more in its condition, and
/// each forbid must be there; where a permit with obligations goes or changes, no other one may
/// be left to permit the same without them; and where the condition of one that goes or shrinks
/// can fail, which denies, none may be left to permit the same. `None` is a proof for requests as
/// the schema declares them, wherever `belongs` is right: it says whether an entity belongs to
/// another one for as long as both have their names.
pub fn widened(
    old: &Policies,
    new: &Policies,
    belongs: &dyn Fn(&EntityRef, &EntityRef) -> bool,
) -> Option<Widened> {
    let files = |policies: &Policies| -> BTreeMap<_, _> {
        let units = policies.units.iter().filter(|(name, _)| rego::is_rego(name));
        units.map(|(name, unit)| (Arc::clone(name), Arc::clone(&unit.text))).collect()
    };
    if files(old) != files(new) {
        return Some(Widened::Rego);
    }
    if old.would_be_left_to_rego(new) {
        return Some(Widened::RegoAlone);
    }
    let known: HashMap<*const Statement, (), FixedState> =
        old.entries().map(|entry| (Arc::as_ptr(&entry.statement), ())).collect();
    let is_known = |of: &Arc<Statement>| known.contains_key(&Arc::as_ptr(of));
    let changed: Vec<&Arc<Statement>> =
        new.entries().map(|entry| &entry.statement).filter(|of| !is_known(of)).collect();
    let still: BTreeSet<*const Statement> =
        new.entries().map(|entry| Arc::as_ptr(&entry.statement)).collect();
    let gone: Vec<&Arc<Statement>> = old
        .entries()
        .map(|entry| &entry.statement)
        .filter(|of| !still.contains(&Arc::as_ptr(of)))
        .collect();
    let enforced = |of: &Statement| of.info.mode == PolicyMode::Enforce;
    let is = |of: &Statement, effect| enforced(of) && of.info.reference.effect == effect;
    let form = Form { old, belongs };
    for forbid in gone.iter().filter(|of| is(of, PolicyEffect::Forbid)) {
        let mut same = changed.iter().filter(|of| is(of, PolicyEffect::Forbid));
        if !same.any(|of| says_the_same(of, forbid)) {
            return Some(Widened::Forbid(forbid.info.reference.id.clone()));
        }
    }
    for permit in changed.iter().filter(|of| is(of, PolicyEffect::Permit)) {
        let covers = |of: &&Arc<Statement>| is(of, PolicyEffect::Permit) && form.covers(of, permit);
        let covered = gone.iter().copied().any(|of| covers(&of))
            || old.entries().any(|entry| covers(&&entry.statement));
        if !covered {
            return Some(Widened::Permit(permit.info.reference.id.clone()));
        }
    }
    let stays = |permit: &Statement| changed.iter().any(|of| says_the_same(of, permit));
    let others = || new.entries().map(|entry| &*entry.statement);
    let lost = gone.iter().find(|permit| {
        !stays(permit) && lost_to(&old.schema, permit, For::Everyone, others()).is_some()
    });
    if let Some(permit) = lost {
        return Some(Widened::Obligation(permit.info.reference.id.clone()));
    }
    gone.iter().find_map(|permit| {
        // One with the same scope and more in its condition fails where this one did.
        let fails_on = |of: &Arc<Statement>| {
            is(of, PolicyEffect::Permit) && has_scope_of(of, permit) && fails_with(of, permit)
        };
        if changed.iter().any(|of| fails_on(of)) {
            return None;
        }
        let (to, what) = failing(&old.schema, permit, others())?;
        let id = |of: &Statement| of.info.reference.id.clone();
        Some(Widened::MayFail { policy: id(permit), what, to: id(to) })
    })
}

/// Whether a condition begins with that of another statement, so that it fails wherever that fails.
pub(super) fn fails_with(one: &Statement, other: &Statement) -> bool {
    is_stricter(one.condition.expression(), other.condition.expression())
}

/// Whether all that has effect is the same. A temporal clause's name in the condition says whose
/// history it is about.
fn says_the_same(one: &Statement, other: &Statement) -> bool {
    let (of_one, of_other) = (&one.info, &other.info);
    of_one.reference.effect == of_other.reference.effect
        && of_one.mode == of_other.mode
        && of_one.obligations == of_other.obligations
        && has_scope_of(one, other)
        && one.condition.expression() == other.condition.expression()
        && one.info.requestable == other.info.requestable
}

fn has_scope_of(one: &Statement, other: &Statement) -> bool {
    one.principal == other.principal
        && one.actions == other.actions
        && one.resource == other.resource
}

pub(super) struct Form<'a> {
    pub(super) old: &'a Policies,
    pub(super) belongs: &'a dyn Fn(&EntityRef, &EntityRef) -> bool,
}

impl Form<'_> {
    /// Whether a permit permits only what another does, under no fewer obligations.
    fn covers(&self, outer: &Statement, inner: &Statement) -> bool {
        outer.info.obligations.iter().all(|one| inner.info.obligations.contains(one))
            && is_stricter(inner.condition.expression(), outer.condition.expression())
            && self.actions_within(&inner.actions, &outer.actions)
            && self.within(&inner.principal, &outer.principal)
            && self.within(&inner.resource, &outer.resource)
    }

    fn actions_within(&self, inner: &ActionConstraint, outer: &ActionConstraint) -> bool {
        if inner == outer || *outer == ActionConstraint::Any {
            return true;
        }
        // Actions and their groups are the schema's, and no request's.
        self.old.schema.actions.values().all(|action| {
            !matches(inner, &action.uid, &action.ancestors)
                || matches(outer, &action.uid, &action.ancestors)
        })
    }

    /// Whether whatever one scope asks of principal or resource, the other one does too.
    pub(super) fn within(
        &self,
        inner: &PrincipalOrResourceConstraint,
        outer: &PrincipalOrResourceConstraint,
    ) -> bool {
        use EntityReference::EUID;
        use PrincipalOrResourceConstraint::{Any, Eq, In, Is, IsIn};
        match (inner, outer) {
            _ if inner == outer => true,
            (_, Any) => true,
            (Is(inner) | IsIn(inner, _), Is(outer)) => inner == outer,
            (Eq(EUID(uid)), Is(ty)) => uid.entity_type() == &**ty,
            (Eq(EUID(uid)), In(EUID(outer))) => self.is_in(uid, outer),
            (Eq(EUID(uid)), IsIn(ty, EUID(outer))) => {
                uid.entity_type() == &**ty && self.is_in(uid, outer)
            }
            (In(EUID(inner)) | IsIn(_, EUID(inner)), In(EUID(outer))) => self.is_in(inner, outer),
            (IsIn(one, EUID(inner)), IsIn(other, EUID(outer))) => {
                one == other && self.is_in(inner, outer)
            }
            _ => false,
        }
    }

    fn is_in(&self, inner: &EntityUID, outer: &EntityUID) -> bool {
        let named = |uid: &EntityUID| {
            let id: &str = uid.eid().as_ref();
            EntityRef::new(uid.entity_type().to_string(), id).ok()
        };
        let belongs = |(inner, outer): (EntityRef, EntityRef)| (self.belongs)(&inner, &outer);
        inner == outer || named(inner).zip(named(outer)).is_some_and(belongs)
    }
}

/// Whether a condition is another one, or that one and more after it. What is added may not fail:
/// a comparison of the principal with an entity cannot.
fn is_stricter(inner: Option<&Expr>, outer: Option<&Expr>) -> bool {
    let (mut inner_parts, mut outer_parts) = (Vec::new(), Vec::new());
    inner.into_iter().for_each(|e| conjuncts(e, &mut inner_parts));
    outer.into_iter().for_each(|e| conjuncts(e, &mut outer_parts));
    let added = inner_parts.strip_prefix(outer_parts.as_slice());
    added.is_some_and(|added| added.iter().all(|part| cannot_fail(part)))
}

/// What has to hold for a condition to hold, in the order in which it is evaluated.
pub(super) fn conjuncts<'e>(expression: &'e Expr, found: &mut Vec<&'e Expr>) {
    match expression.expr_kind() {
        ExprKind::And { left, right } => {
            conjuncts(left, found);
            conjuncts(right, found);
        }
        _ => found.push(expression),
    }
}

fn cannot_fail(expression: &Expr) -> bool {
    match expression.expr_kind() {
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } => cannot_fail(arg),
        ExprKind::BinaryApp { op: cedar_policy_core::ast::BinaryOp::Eq, arg1, arg2 } => {
            let plain = |e: &Expr| matches!(e.expr_kind(), ExprKind::Var(_) | ExprKind::Lit(_));
            plain(arg1) && plain(arg2)
        }
        _ => false,
    }
}
