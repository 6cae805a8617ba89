//! Who reviews what, as the world is now.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{Identity, IdentityId, IdentityKind};
use safeconduct_review::{Case, Reviewer};

use crate::World;

/// The people whom terms can name.
pub(super) struct People<'w> {
    world: &'w World,
    /// The members of the groups that are asked about.
    groups: BTreeMap<String, Vec<IdentityId>>,
}

impl<'w> People<'w> {
    /// Those whom these terms can name. Everyone is looked at once, and only where a group is
    /// among them.
    pub(super) fn of<'t>(world: &'w World, terms: impl IntoIterator<Item = &'t Reviewer>) -> Self {
        let named = terms.into_iter().filter_map(|term| match term {
            Reviewer::Group(name) => Some((name.to_string(), Vec::new())),
            _ => None,
        });
        let mut groups: BTreeMap<String, Vec<IdentityId>> = named.collect();
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
        Self { world, groups }
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
