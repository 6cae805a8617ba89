//! Who owns what, who is in which group, and whom to ask: as it is at one moment.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_approval::{
    ASKED_MAX, Answered, Answerer, Approver, Binding, Holders, INTERESTED_MAX, Person,
};
use safeconduct_model::{Assurance, EntityRef, Identity, IdentityId, IdentityKind};

use crate::World;

/// Who owns what a request touches and who acts in it.
pub(super) fn holders(
    world: &World,
    binding: &Binding,
    stated: &BTreeMap<EntityRef, IdentityId>,
) -> Holders {
    let owner = |resource: &EntityRef| {
        let known = world.identities.get(resource.id.as_str());
        let registered = known.filter(|known| known.entity.uid == *resource);
        match registered {
            Some(known) => accountable(world, &known.identity).cloned(),
            None => stated.get(resource).cloned(),
        }
    };
    let mut owners = binding.resources.iter().map(owner);
    // Whoever owns one of several cannot speak for the others.
    let first = owners.next().flatten();
    let all = first.filter(|first| owners.all(|owner| owner.as_ref() == Some(first)));
    let agent = binding.actors.first().and_then(|agent| world.identity(agent));
    Holders {
        resource_owners: all.into_iter().collect(),
        principal_owner: agent.and_then(|agent| accountable(world, agent)).cloned(),
        interested: interested(world, binding),
    }
}

/// The owner of an identity, or who stands in for one that is gone.
fn accountable<'w>(world: &'w World, identity: &'w Identity) -> Option<&'w IdentityId> {
    let named = [identity.owner.as_ref(), identity.fallback_owner.as_ref()];
    named.into_iter().flatten().find(|owner| world.is_active(owner))
}

/// The owners and sponsors of all who act.
pub(super) fn interested(world: &World, binding: &Binding) -> BTreeSet<IdentityId> {
    let actors = binding.actors.iter().filter_map(|actor| world.identity(actor));
    let owners = actors
        .flat_map(|actor| actor.owner.iter().chain(&actor.fallback_owner).chain(&actor.sponsor));
    owners.take(INTERESTED_MAX).cloned().collect()
}

/// Those who may answer by one of these terms, where they are people who may act at all; at most
/// [`ASKED_MAX`]. Who has a part in it is among them only where a term names that part.
pub(super) fn named<'t>(
    world: &World,
    terms: impl IntoIterator<Item = &'t Approver>,
    binding: &Binding,
    holders: &Holders,
    parts: &BTreeSet<IdentityId>,
) -> BTreeSet<IdentityId> {
    let (mut by_part, mut others) = (BTreeSet::new(), BTreeSet::new());
    let mut groups = BTreeSet::new();
    for term in terms {
        match term {
            Approver::OnBehalfOf => by_part.extend(binding.on_behalf_of.clone()),
            Approver::PrincipalOwner => by_part.extend(holders.principal_owner.clone()),
            Approver::ResourceOwner => others.extend(holders.resource_owners.iter().cloned()),
            Approver::Identity(id) => {
                others.insert(id.clone());
            }
            Approver::Group(name) => {
                groups.insert(&**name);
            }
        }
    }
    others.extend(groups.into_iter().flat_map(|group| world.people_in(group)).cloned());
    others.retain(|id| {
        !parts.contains(id)
            && !holders.interested.contains(id)
            && binding.on_behalf_of.as_ref() != Some(id)
    });
    let asked = by_part.into_iter().chain(others);
    let asked = asked.filter(|id| person(world, id).is_some() && !binding.actors.contains(id));
    asked.take(ASKED_MAX).collect()
}

/// A person who may act at all, with their groups.
pub(super) fn person(world: &World, id: &IdentityId) -> Option<Person> {
    let identity = world.identity(id).filter(|_| world.is_active(id))?;
    (identity.kind == IdentityKind::User)
        .then(|| Person { identity: identity.id.clone(), groups: identity.groups.clone() })
}

/// Who answered, as they are now: `None` where they may not act any more, or are no deputy of
/// whom they stood in for.
pub(super) fn answered_by(world: &World, answer: &Answered) -> Option<Answerer> {
    let mut by = Answerer::in_person(person(world, &answer.by)?, Assurance::High);
    if let Some(of) = &answer.standing_in_for {
        let known = world.identity(of);
        let of = known.filter(|of| of.fallback_owner.as_ref() == Some(&answer.by))?;
        by.standing_in_for = Some(Person { identity: of.id.clone(), groups: of.groups.clone() });
    }
    Some(by)
}

/// Most people whom one person is asked to stand in for.
const STOOD_IN_FOR_MAX: usize = 64;

/// The people whose fallback owner somebody is, with their groups.
pub(super) fn stood_in_for(world: &World, deputy: &IdentityId) -> Vec<Person> {
    let of = world.identities().filter(|identity| {
        identity.kind == IdentityKind::User && identity.fallback_owner.as_ref() == Some(deputy)
    });
    of.take(STOOD_IN_FOR_MAX)
        .map(|of| Person { identity: of.id.clone(), groups: of.groups.clone() })
        .collect()
}
