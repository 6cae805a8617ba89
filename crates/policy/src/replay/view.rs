//! One question of a decision: one of those who must be permitted, and one resource.

use std::borrow::Cow;

use safeconduct_model::{Decided, Entity, EntityRef};

use super::classes::{Class, Sorted};
use super::{RecordedDecision, Surroundings};
use crate::evaluate::{Asked, Constraint, Side};
use crate::policies::{Entry, Policies};

/// The action of a lease, which needs no permit.
pub(super) const LEASE: &str = "lease";

/// The action of beginning a task, about which a user has no say.
pub(super) const UNDERTAKE: &str = "undertake";

/// Who must be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Actor,
    User,
}

/// What a question is about, with what is known of it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) who: Who,
    pub(super) principal: Cow<'a, Entity>,
    pub(super) resource: Cow<'a, Entity>,
    /// Whether it is known what each belongs to.
    pub(super) known: Known,
}

/// Of what it is known what it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) principal: bool,
    pub(super) resource: bool,
    /// Whether all that policies saw of them is known: an enforcement point that speaks of
    /// somebody else may have said more of them.
    pub(super) attributes: bool,
}

/// Whether the principal asked for itself: who speaks of somebody else may have said more of them
/// than is known.
pub(super) fn by_itself(decided: &Decided) -> bool {
    decided.principal.id.as_str() == decided.session.identity.as_str()
}

/// What else of a record verdicts depend on: whether it asked for itself, and under the enforcement
/// point's own name; whether it was in a task, and shown an approval.
pub(super) fn manner(decided: &Decided) -> [bool; 4] {
    let asks = decided.pep == decided.session.identity;
    [by_itself(decided), asks, decided.task.is_some(), decided.approval.is_some()]
}

/// The questions of a decision; `None` where nobody knows the user for whom it was.
pub(super) fn views(
    recorded: &RecordedDecision<'_>,
    around: &dyn Surroundings,
) -> Option<Vec<View<'static>>> {
    let Decided { principal, action, resources, task, .. } = recorded.decided;
    let bare = |uid: &EntityRef| Entity::bare(uid.clone());
    let by_itself = by_itself(recorded.decided);
    let actor = around.principal(principal);
    let mut all = vec![(Who::Actor, actor.is_some(), actor.unwrap_or_else(|| bare(principal)))];
    let user = task.as_ref().and_then(|task| task.on_behalf_of.as_ref());
    if let Some(user) = user.filter(|_| action.as_str() != UNDERTAKE) {
        all.push((Who::User, true, around.user(user)?));
    }
    let touched: Vec<_> = resources
        .iter()
        .map(|uid| {
            // Of several, one may be what an enforcement point names, with what it says of it.
            let told = by_itself || resources.len() == 1;
            let known = around.resource(action, uid).filter(|_| told);
            (known.is_some(), known.unwrap_or_else(|| bare(uid)))
        })
        .collect();
    let mut views = Vec::with_capacity(all.len() * touched.len());
    for (who, principal_known, principal) in &all {
        for (resource_known, resource) in &touched {
            views.push(View {
                who: *who,
                principal: Cow::Owned(principal.clone()),
                resource: Cow::Owned(resource.clone()),
                known: Known {
                    principal: *principal_known,
                    resource: *resource_known,
                    attributes: by_itself,
                },
            });
        }
    }
    Some(views)
}

/// A statement that is, or may be, in the scope of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'p> {
    pub(super) entry: &'p Entry,
    pub(super) class: Class,
    /// Whether it surely is.
    pub(super) surely: bool,
}

/// The statements of a set in whose scope a question is or may be; `None` where the set does not
/// know its action or a type.
pub(super) fn near<'p>(
    policies: &'p Policies,
    sorted: &Sorted,
    view: &View<'_>,
    decided: &Decided,
) -> Option<Vec<Near<'p>>> {
    let types = &policies.schema.types;
    let side = |entity: &Entity| {
        let kind = types.resolve(entity.uid.ty.as_str())?;
        policies.interner.asked(entity, kind, types).ok()
    };
    let principal = side(&view.principal)?;
    let resource = side(&view.resource)?;
    let asked = Asked { principal, action: policies.action(&decided.action)?, resource };
    let mut candidates = Vec::with_capacity(16);
    policies.index.candidates(&asked, &mut candidates);
    if !view.known.principal {
        candidates.extend_from_slice(&sorted.by_principal);
    }
    if !view.known.resource {
        candidates.extend_from_slice(&sorted.by_resource);
    }
    if !(view.known.principal && view.known.resource) {
        candidates.sort_unstable();
        candidates.dedup();
    }
    let near = candidates.into_iter().filter_map(|position| {
        let entry = policies.entry(position)?;
        let surely = scope(entry, &asked, view.known)?;
        Some(Near { entry, class: sorted.class(position)?, surely })
    });
    Some(near.collect())
}

/// Whether a question is surely in scope; `None` where it surely is not.
fn scope(entry: &Entry, asked: &Asked<'_>, known: Known) -> Option<bool> {
    let scope = &entry.scope;
    let principal = matches(scope.principal, &asked.principal, known.principal)?;
    let resource = matches(scope.resource, &asked.resource, known.resource)?;
    scope.actions.matches(asked.action).then_some(principal && resource)
}

fn matches(constraint: Constraint, side: &Side, known: bool) -> Option<bool> {
    if constraint.matches(side) {
        return Some(true);
    }
    let may = !known
        && match constraint {
            Constraint::In(_) => true,
            Constraint::IsIn(ty, _) => side.ty == Some(ty),
            Constraint::Any | Constraint::Eq(_) | Constraint::Is(_) => false,
        };
    may.then_some(false)
}
