//! Which types of principals and resources policies with temporal clauses tell apart.
//!
//! A clause that does not speak of who asks says the same of all who may, and Dogwood asks the
//! schema only whether the policy's scope leaves anybody. One that compares `principal` itself
//! depends on whether it leaves one type or several. Only one that looks at an attribute depends
//! on all of them.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityType, EntityUID, InternalName, Name,
    PrincipalOrResourceConstraint, Template,
};
use cedar_policy_core::validator::{RawName, ValidatorActionId, ValidatorSchema};

use crate::schema::Schema;

/// What must be there of the types that actions apply to.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    /// All of them, with their attributes.
    pub(super) whole: bool,
    /// What they are members of.
    pub(super) memberships: bool,
    pub(super) principals: Role,
    pub(super) resources: Role,
}

/// What must be there of one kind of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Role {
    /// So many, where an action has as many.
    least: usize,
    /// And these.
    named: BTreeSet<EntityType>,
}

/// How a text speaks of `principal` or `resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mentioned {
    Not,
    Itself,
    ItsAttributes,
}

impl Roles {
    /// Of a policy, from the texts of its clauses and of the macros that they may call.
    pub(super) fn of<'t>(
        texts: impl Iterator<Item = &'t str> + Clone,
        template: &Template,
        schema: &Schema,
    ) -> Self {
        let mention = |word| texts.clone().map(|text| mentioned(text, word)).max();
        let [who, what] = ["principal", "resource"].map(mention);
        if who.max(what) == Some(Mentioned::ItsAttributes) {
            return Self { whole: true, ..Self::default() };
        }
        let least = |mention| if mention == Some(Mentioned::Itself) { 2 } else { 1 };
        let mut roles = Self {
            whole: false,
            memberships: false,
            principals: Role { least: least(who), named: BTreeSet::new() },
            resources: Role { least: least(what), named: BTreeSet::new() },
        };
        let principal = template.principal_constraint().as_inner();
        let resource = template.resource_constraint().as_inner();
        let within = |of: &_| matches!(of, PrincipalOrResourceConstraint::In(_));
        roles.memberships = within(principal) || within(resource);
        for action in in_scope(template, schema) {
            let (validator, of) = (&schema.validator, action);
            roles.principals.admit(principal, || of.applies_to_principals(), validator);
            roles.resources.admit(resource, || of.applies_to_resources(), validator);
        }
        roles
    }

    /// What these need and others do.
    pub(super) fn widen(&mut self, other: &Self) {
        self.whole |= other.whole;
        self.memberships |= other.memberships;
        self.principals.widen(&other.principals);
        self.resources.widen(&other.resources);
    }
}

impl Role {
    fn widen(&mut self, other: &Self) {
        self.least = self.least.max(other.least);
        self.named.extend(other.named.iter().cloned());
    }

    /// Makes sure that a scope is left one type of an action, or several, as it is of all.
    fn admit<'a, I: Iterator<Item = &'a EntityType>>(
        &mut self,
        constraint: &PrincipalOrResourceConstraint,
        applies_to: impl Fn() -> I,
        schema: &ValidatorSchema,
    ) {
        if *constraint == PrincipalOrResourceConstraint::Any {
            return;
        }
        let admitted = || applies_to().filter(|ty| admits(constraint, ty, schema));
        let there = admitted().filter(|ty| self.named.contains(*ty)).count();
        if there < self.least {
            let mut all: Vec<&EntityType> = admitted().collect();
            all.sort_unstable();
            self.named.extend(all.into_iter().take(self.least).cloned());
        }
    }

    /// What must be there of the types that an action of a namespace applies to, of which these
    /// are all.
    pub(super) fn some_of<'a>(
        &self,
        written: &[RawName],
        all: impl Iterator<Item = &'a EntityType>,
        namespace: &str,
    ) -> Vec<RawName> {
        let mut all: Vec<&EntityType> = all.collect();
        if written.len() <= self.least || all.len() <= self.least {
            return written.to_vec();
        }
        all.sort_unstable();
        let (mut kept, rest): (Vec<&EntityType>, Vec<&EntityType>) =
            all.into_iter().partition(|ty| self.named.contains(*ty));
        let missing = self.least.saturating_sub(kept.len());
        kept.extend(rest.into_iter().take(missing));
        kept.into_iter().map(|ty| RawName::from_name(within(ty.name(), namespace).into())).collect()
    }
}

/// A name as it may be written in a namespace: Cedar's parser takes its time for each part of one.
fn within(name: &Name, namespace: &str) -> Name {
    let full: &InternalName = name.as_ref();
    match full.namespace() == namespace {
        true => Name::unqualified_name(name.basename()),
        false => name.clone(),
    }
}

/// The actions that a policy is about.
fn in_scope<'s>(
    template: &Template,
    schema: &'s Schema,
) -> impl Iterator<Item = &'s ValidatorActionId> {
    let named: Option<Vec<&EntityUID>> = match template.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(vec![uid]),
        ActionConstraint::In(list) => Some(list.iter().map(|uid| &**uid).collect()),
    };
    // A group stands for all that is in it: then any action may be.
    let one = |uid: &EntityUID| {
        let action = schema.validator.get_action_id(uid)?;
        action.descendants().next().is_none().then_some(action)
    };
    let named: Option<Vec<_>> = named.and_then(|named| named.into_iter().map(one).collect());
    let all = named.is_none().then(|| schema.validator.action_ids());
    named.into_iter().flatten().chain(all.into_iter().flatten())
}

/// Whether a scope leaves a type, as Dogwood sees it.
fn admits(
    constraint: &PrincipalOrResourceConstraint,
    ty: &EntityType,
    schema: &ValidatorSchema,
) -> bool {
    let of = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => Some(uid.entity_type().clone()),
        EntityReference::Slot(_) => None,
    };
    match constraint {
        PrincipalOrResourceConstraint::Any => true,
        PrincipalOrResourceConstraint::Is(wanted)
        | PrincipalOrResourceConstraint::IsIn(wanted, _) => **wanted == *ty,
        PrincipalOrResourceConstraint::Eq(reference) => of(reference).is_none_or(|of| of == *ty),
        PrincipalOrResourceConstraint::In(reference) => of(reference).is_none_or(|above| {
            let declared = schema.get_entity_type(&above);
            above == *ty || declared.is_some_and(|above| above.has_descendant_entity_type(ty))
        }),
    }
}

fn mentioned(text: &str, word: &str) -> Mentioned {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = text.match_indices(word).filter_map(|(at, _)| {
        let before = text.get(..at)?;
        let after = text.get(at + word.len()..)?;
        if before.ends_with(in_name) || after.starts_with(in_name) {
            return None;
        }
        // A comment may stand before the dot.
        let of_it = after.trim_start().starts_with(['.', '[', '/']);
        Some(if of_it { Mentioned::ItsAttributes } else { Mentioned::Itself })
    });
    found.max().unwrap_or(Mentioned::Not)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_parts_of_names() {
        let principal = |text| mentioned(text, "principal");
        assert_eq!(principal("callerPrincipal: \"x\", my_principal: 1"), Mentioned::Not);
        assert_eq!(principal("callerPrincipal: principal }"), Mentioned::Itself);
        assert_eq!(principal("a: principal, b: principal\n  .owner"), Mentioned::ItsAttributes);
        assert_eq!(principal("b: principal // its\n .owner"), Mentioned::ItsAttributes);
    }
}
