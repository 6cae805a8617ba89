//! Who obliges to what: a permit's obligations count together with those of all others that hold,
//! so that what one asks for is lost where it goes and another still permits the same.

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, PrincipalOrResourceConstraint,
};
use safeconduct_model::{EntityRef, PolicyEffect};

use crate::annotations::PolicyMode;
use crate::policies::Statement;
use crate::schema::Schema;

/// For whom a permit goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum For<'a> {
    /// For all in its scope.
    Everyone,
    /// For one, by the full name of their type.
    Holder(&'a EntityRef),
}

/// The first of other permits that may permit what this one does, by the form of their scopes, and
/// does not oblige to all that this one obliges to. `None` is a proof that nothing is lost where
/// this one goes and those others stay.
pub(crate) fn lost_to<'s>(
    schema: &Schema,
    going: &Statement,
    of: For<'_>,
    others: impl IntoIterator<Item = &'s Statement>,
) -> Option<&'s Statement> {
    if !is_enforced_permit(going) || going.info.obligations.is_empty() {
        return None;
    }
    let principal = match of {
        For::Everyone => Side::of(&going.principal),
        For::Holder(uid) => Side { ty: Some(uid.ty.to_string()), id: Some(uid.id.as_str()) },
    };
    let resource = Side::of(&going.resource);
    others.into_iter().find(|other| {
        is_enforced_permit(other)
            && !going.info.obligations.iter().all(|one| other.info.obligations.contains(one))
            && principal.may_be(&Side::of(&other.principal))
            && resource.may_be(&Side::of(&other.resource))
            && share_an_action(schema, going, other)
    })
}

/// Whether both scopes may have a request in common, by their form.
pub(super) fn may_meet(schema: &Schema, one: &Statement, other: &Statement) -> bool {
    Side::of(&one.principal).may_be(&Side::of(&other.principal))
        && Side::of(&one.resource).may_be(&Side::of(&other.resource))
        && share_an_action(schema, one, other)
}

fn share_an_action(schema: &Schema, one: &Statement, other: &Statement) -> bool {
    schema.actions.values().any(|action| {
        matches(&one.actions, &action.uid, &action.ancestors)
            && matches(&other.actions, &action.uid, &action.ancestors)
    })
}

pub(super) fn is_enforced_permit(of: &Statement) -> bool {
    of.info.mode == PolicyMode::Enforce && of.info.reference.effect == PolicyEffect::Permit
}

/// Whether an action with these groups above it is one that a scope names.
pub(crate) fn matches(of: &ActionConstraint, uid: &EntityUID, above: &[EntityUID]) -> bool {
    match of {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => **named == *uid,
        ActionConstraint::In(list) => {
            list.iter().any(|named| **named == *uid || above.contains(named))
        }
    }
}

/// What the form of a scope tells of the principal or the resource: nothing of what it belongs to.
struct Side<'a> {
    ty: Option<String>,
    id: Option<&'a str>,
}

impl<'a> Side<'a> {
    fn of(constraint: &'a PrincipalOrResourceConstraint) -> Self {
        use PrincipalOrResourceConstraint::{Any, Eq, In, Is, IsIn};
        match constraint {
            Eq(EntityReference::EUID(uid)) => {
                Self { ty: Some(uid.entity_type().to_string()), id: Some(uid.eid().as_ref()) }
            }
            Is(ty) | IsIn(ty, _) => Self { ty: Some(ty.to_string()), id: None },
            Any | In(_) | Eq(_) => Self { ty: None, id: None },
        }
    }

    /// Whether one entity may be both.
    fn may_be(&self, other: &Self) -> bool {
        let differ = |one: Option<&str>, other: Option<&str>| {
            one.zip(other).is_some_and(|(one, other)| one != other)
        };
        !differ(self.ty.as_deref(), other.ty.as_deref()) && !differ(self.id, other.id)
    }
}
