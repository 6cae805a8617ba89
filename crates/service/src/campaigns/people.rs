//! Who reviews what, as the world is now.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Identity, IdentityId, IdentityKind};
use safeconduct_review::{Case, Reviewer};

use super::expressions::Named;
use crate::World;

/// The people whom terms can name.
pub(super) struct People<'w> {
    world: &'w World,
    /// The members of the groups that are asked about.
    groups: BTreeMap<String, Vec<IdentityId>>,
    /// Whom expressions name; what they answered is remembered.
    by_expression: RefCell<Named>,
}

impl<'w> People<'w> {
    /// Those whom these terms can name. Everyone is looked at once, and only where a group or an
    /// expression is among them.
    pub(super) fn of<'t>(world: &'w World, terms: impl IntoIterator<Item = &'t Reviewer>) -> Self {
        let mut groups: BTreeMap<String, Vec<IdentityId>> = BTreeMap::new();
        let mut expressions = Vec::new();
        for term in terms {
            match term {
                Reviewer::Group(name) => {
                    groups.insert(name.to_string(), Vec::new());
                }
                Reviewer::Expression(expression) => expressions.push(expression),
                _ => {}
            }
        }
        if !groups.is_empty() {
            for identity in world.identities().filter(|identity| may_review(world, &identity.id)) {
                for name in &identity.groups {
                    if let Some(members) = groups.get_mut(name) {
                        members.push(identity.id.clone());
                    }
                }
            }
            groups.values_mut().for_each(|members| members.sort_unstable());
        }
        let people: Vec<&Identity> = match expressions.is_empty() {
            true => Vec::new(),
            false => world.identities().filter(|who| may_review(world, &who.id)).collect(),
        };
        let by_expression = RefCell::new(Named::among(expressions, &people));
        Self { world, groups, by_expression }
    }

    /// What no expression could answer of the cases that were asked about so far, in sentences:
    /// nobody was named by it there.
    pub(super) fn unanswered(&self) -> Vec<Arc<str>> {
        self.by_expression.borrow().unanswered()
    }

    /// Those whom the terms name for a case, as far as they are people who may act now.
    pub(super) fn named(&self, terms: &[Reviewer], case: &Case) -> Vec<IdentityId> {
        let holder = self.world.identity(&case.holder);
        let mut named = BTreeSet::new();
        for term in terms {
            match term {
                Reviewer::Owner => named.extend(holder.and_then(|holder| holder.owner.clone())),
                Reviewer::FallbackOwner => {
                    named.extend(holder.and_then(|holder| holder.fallback_owner.clone()));
                }
                Reviewer::Manager => {
                    let owner = holder.and_then(|holder| holder.owner.as_ref());
                    let owner = owner.and_then(|owner| self.world.identity(owner));
                    named.extend(owner.and_then(|owner| owner.owner.clone()));
                }
                Reviewer::Group(name) => {
                    named.extend(self.groups.get(&**name).into_iter().flatten().cloned());
                }
                Reviewer::Identity(id) => {
                    named.insert(id.clone());
                }
                Reviewer::Expression(expression) => {
                    let mut by_expression = self.by_expression.borrow_mut();
                    let of = |holder| by_expression.of(expression, holder, case);
                    named.extend(holder.map(of).into_iter().flat_map(|all| all.to_vec()));
                }
            }
        }
        named.retain(|who| may_review(self.world, who));
        named.into_iter().collect()
    }

    /// Who takes the place of somebody who is gone: their deputy.
    pub(super) fn deputy_of(&self, gone: &IdentityId) -> Option<IdentityId> {
        let deputy = self.world.identity(gone)?.fallback_owner.clone()?;
        may_review(self.world, &deputy).then_some(deputy)
    }
}

/// Whether somebody is a person who may act now.
pub(super) fn may_review(world: &World, id: &IdentityId) -> bool {
    let person = |identity: &Identity| identity.kind == IdentityKind::User;
    world.identity(id).is_some_and(person) && world.is_active(id)
}

/// Whether somebody is the deputy of another: the fallback owner of a person.
pub(super) fn is_deputy(world: &World, deputy: &IdentityId, of: &IdentityId) -> bool {
    let person = world.identity(of).filter(|identity| identity.kind == IdentityKind::User);
    person.is_some_and(|person| person.fallback_owner.as_ref() == Some(deputy))
        && may_review(world, deputy)
}
