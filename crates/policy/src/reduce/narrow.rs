//! The least that a statement's scope has to name.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, PrincipalOrResourceConstraint,
};
use safeconduct_model::{ActionName, EntityRef, EntityType};

use super::edit::Actions;
use super::used::{StatementUse, Touched};
use crate::policies::{Policies, Statement};
use crate::replay::Surroundings;

/// What the parts of a scope shall ask; `None` where one stays.
pub(super) struct Wanted {
    pub(super) principal: Option<String>,
    pub(super) actions: Option<Actions>,
    pub(super) resource: Option<String>,
}

impl Wanted {
    pub(super) fn of(
        policies: &Policies,
        statement: &Statement,
        used: &StatementUse,
        around: &dyn Surroundings,
    ) -> Self {
        if used.is_cut() {
            return Self { principal: None, actions: None, resource: None };
        }
        Self {
            principal: principal(policies, &statement.principal, &used.principals),
            actions: actions(policies, &statement.actions, &used.actions),
            resource: resource(policies, &statement.resource, used, around),
        }
    }
}

/// An entity as Cedar writes it, its type by its full name.
pub(super) fn uid(policies: &Policies, of: &EntityRef) -> Option<String> {
    let ty = full(policies, &of.ty)?;
    let ty = ty.as_str().parse().ok()?;
    let eid = cedar_policy_core::ast::Eid::new(of.id.as_str());
    Some(EntityUID::from_components(ty, eid, None).to_string())
}

fn full(policies: &Policies, ty: &EntityType) -> Option<EntityType> {
    policies.resolve_type(ty.as_str())
}

/// One who used it, or one type; what a group's members may is for those to say who keep the
/// group.
fn principal(
    policies: &Policies,
    now: &PrincipalOrResourceConstraint,
    used: &Touched,
) -> Option<String> {
    use PrincipalOrResourceConstraint::{Any, Is};
    match (now, used.only()) {
        (Any | Is(_), Some(only)) => Some(format!("== {}", uid(policies, only)?)),
        (Any, None) => one_type(policies, used).map(|ty| format!("is {ty}")),
        _ => None,
    }
}

fn one_type(policies: &Policies, used: &Touched) -> Option<EntityType> {
    let mut types = used.types.iter();
    let first = types.next()?;
    if types.next().is_some() { None } else { full(policies, first) }
}

fn actions(
    policies: &Policies,
    now: &ActionConstraint,
    used: &BTreeSet<ActionName>,
) -> Option<Actions> {
    let known = |name: &ActionName| policies.schema.actions.get(name.as_str());
    let uids: Option<BTreeSet<&EntityUID>> =
        used.iter().map(|name| known(name).map(|action| &action.uid)).collect();
    let uids = uids.filter(|uids| !uids.is_empty())?;
    let wanted: Vec<String> = uids.iter().map(ToString::to_string).collect();
    match now {
        ActionConstraint::Eq(_) => None,
        ActionConstraint::Any => Some(Actions { wanted, stays: None }),
        ActionConstraint::In(list) => {
            let listed: Vec<&EntityUID> = list.iter().map(AsRef::as_ref).collect();
            let stays: Vec<bool> = listed.iter().map(|uid| uids.contains(uid)).collect();
            if stays.iter().all(|stays| *stays) {
                return None;
            }
            // What was used through a group has to be named by itself.
            let by_name = uids.iter().all(|uid| listed.contains(uid));
            Some(Actions { wanted, stays: by_name.then_some(stays) })
        }
    }
}

/// The only resource, or the deepest that all are in, or their type.
fn resource(
    policies: &Policies,
    now: &PrincipalOrResourceConstraint,
    used: &StatementUse,
    around: &dyn Surroundings,
) -> Option<String> {
    use PrincipalOrResourceConstraint::{Any, Eq, In, Is, IsIn};
    let named = |of: &EntityRef| uid(policies, of);
    let inside = match now {
        Eq(_) => return None,
        Any | Is(_) => None,
        In(EntityReference::EUID(uid)) | IsIn(_, EntityReference::EUID(uid)) => Some(&**uid),
        In(_) | IsIn(..) => return None,
    };
    // Whether something is in what the scope names must follow from its name.
    let stays_inside = |of: &EntityRef| match inside {
        None => true,
        Some(outer) => is_in(policies, of, outer, used, around),
    };
    if let Some(only) = used.resources.only() {
        return stays_inside(only).then(|| Some(format!("== {}", named(only)?))).flatten();
    }
    let deepest = deepest(used, around).filter(stays_inside);
    let ty = match now {
        Is(ty) | IsIn(ty, _) => Some(ty.to_string()),
        _ => None,
    };
    match (deepest, ty) {
        (Some(deepest), ty) => {
            let deepest = named(&deepest)?;
            if inside.is_some_and(|outer| outer.to_string() == deepest) {
                return None;
            }
            Some(ty.map_or_else(|| format!("in {deepest}"), |ty| format!("is {ty} in {deepest}")))
        }
        (None, None) if matches!(now, Any) => {
            one_type(policies, &used.resources).map(|ty| format!("is {ty}"))
        }
        _ => None,
    }
}

/// The least that a new scope has to ask of the resource.
pub(super) fn resource_of(
    policies: &Policies,
    used: &StatementUse,
    around: &dyn Surroundings,
) -> Option<String> {
    resource(policies, &PrincipalOrResourceConstraint::Any, used, around)
}

/// Whether an entity is, or is by its name in, that one.
fn is_in(
    policies: &Policies,
    of: &EntityRef,
    outer: &EntityUID,
    used: &StatementUse,
    around: &dyn Surroundings,
) -> bool {
    let outer = outer.to_string();
    let is_outer = |of: &EntityRef| uid(policies, of).is_some_and(|uid| uid == outer);
    is_outer(of) || known(of, used, around).iter().any(is_outer)
}

/// What an entity belongs to by its name.
fn known(of: &EntityRef, used: &StatementUse, around: &dyn Surroundings) -> Vec<EntityRef> {
    let mut found = used.actions.iter().filter_map(|action| around.resource(action, of));
    found.next().map(|entity| entity.ancestors).unwrap_or_default()
}

/// The deepest entity that all resources are in, which itself is in something: what everything is
/// in narrows nothing.
fn deepest(used: &StatementUse, around: &dyn Surroundings) -> Option<EntityRef> {
    let common: BTreeSet<&EntityRef> = used.resources.common().collect();
    let deepest = common.iter().map(|of| (known(of, used, around), *of));
    let (above, of) = deepest.max_by_key(|(above, _)| above.len())?;
    let is_last = common.iter().all(|other| *other == of || above.contains(other));
    (is_last && !above.is_empty()).then(|| of.clone())
}
