//! Stage 1: who wants to act, and may they act at all.

use std::borrow::Cow;
use std::collections::BTreeSet;

use safeconduct_model::{
    Authentication, Entity, EntityType, Identity, IdentityStatus, PepRegistration, Reason, Request,
    SessionKey, Subject,
};
use safeconduct_policy::Policies;

use crate::{Facts, Known, TaskFacts, aside};

/// Finds the principal.
///
/// # Errors
/// The caller is not registered or not active, the session is another's, or an enforcement point
/// says what its registration does not allow.
pub(crate) fn identify<'a>(
    request: &'a Request,
    facts: &Facts<'a>,
    policies: &Policies,
) -> Result<Cow<'a, Entity>, Vec<Reason>> {
    let proof = request.subject.authentication();
    if let Some(scope) = facts.killed {
        return Err(vec![Reason::Killed { scope }]);
    }
    let caller = registered(proof, facts)?;
    if request.session.key != SessionKey::of(proof) {
        return Err(vec![Reason::ForeignSession]);
    }
    match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => Ok(Cow::Borrowed(&caller.entity)),
        Subject::Asserted { entity, .. } => {
            let registration = caller.identity.pep.as_ref().ok_or_else(|| {
                vec![Reason::AssertionNotAllowed("it is no enforcement point".into())]
            })?;
            asserted(entity, registration, request, facts, policies)
        }
        Subject::Undertaker { agent, .. } => {
            let known = facts.subject.filter(|known| known.identity.id == *agent);
            let known = known.ok_or_else(|| vec![Reason::UnknownIdentity(agent.clone())])?;
            active(&known.identity, facts)?;
            Ok(Cow::Borrowed(&known.entity))
        }
    }
}

/// Who acts, as they are registered.
pub(crate) fn actor<'a>(request: &Request, facts: &Facts<'a>) -> Option<&'a Identity> {
    match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => facts.caller,
        Subject::Asserted { entity, .. } => {
            facts.subject.filter(|known| known.entity.uid == entity.uid)
        }
        Subject::Undertaker { .. } => facts.subject,
    }
    .map(|known| &known.identity)
}

/// The user for whom a task acts.
///
/// # Errors
/// They are not registered, or may not act.
pub(crate) fn user<'a>(
    task: &TaskFacts<'a>,
    facts: &Facts<'_>,
) -> Result<Option<&'a Known>, Vec<Reason>> {
    let Some(id) = &task.task.on_behalf_of else {
        return Ok(None);
    };
    let known = task.user.filter(|known| known.identity.id == *id);
    let known = known.ok_or_else(|| vec![Reason::UnknownIdentity(id.clone())])?;
    active(&known.identity, facts)?;
    Ok(Some(known))
}

fn registered<'a>(proof: &Authentication, facts: &Facts<'a>) -> Result<&'a Known, Vec<Reason>> {
    let known = facts
        .caller
        .filter(|known| known.identity.id == proof.identity)
        .ok_or_else(|| vec![Reason::UnknownIdentity(proof.identity.clone())])?;
    active(&known.identity, facts)?;
    Ok(known)
}

fn active(identity: &Identity, facts: &Facts<'_>) -> Result<(), Vec<Reason>> {
    let status = match identity.status {
        IdentityStatus::Active => None,
        status => Some(Reason::IdentityNotActive(identity.id.clone(), status)),
    };
    let obstacles: Vec<_> = status.into_iter().chain(aside::whole(facts, &identity.id)).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(obstacles) }
}

/// The subject that an enforcement point speaks of: what is registered of it wins over what is
/// said of it, and what is said counts only where the registration lets it.
fn asserted<'a>(
    entity: &'a Entity,
    registration: &PepRegistration,
    request: &Request,
    facts: &Facts<'a>,
    policies: &Policies,
) -> Result<Cow<'a, Entity>, Vec<Reason>> {
    if !names(&registration.subjects, &entity.uid.ty, policies) {
        let said = format!("a subject of type `{}`", entity.uid.ty);
        return Err(vec![Reason::AssertionNotAllowed(said.into())]);
    }
    if let Some(resource) = &request.resource {
        let types = &registration.resources;
        if !types.is_empty() && !names(types, &resource.uid.ty, policies) {
            let said = format!("a resource of type `{}`", resource.uid.ty);
            return Err(vec![Reason::AssertionNotAllowed(said.into())]);
        }
    }
    if let Some(known) = facts.subject.filter(|known| known.entity.uid == entity.uid) {
        active(&known.identity, facts)?;
        if entity.attributes.is_empty() || !registration.properties {
            return Ok(Cow::Borrowed(&known.entity));
        }
        let mut merged = known.entity.clone();
        for (name, value) in &entity.attributes {
            merged.attributes.entry(name.clone()).or_insert_with(|| value.clone());
        }
        return Ok(Cow::Owned(merged));
    }
    if registration.properties || entity.attributes.is_empty() {
        Ok(Cow::Borrowed(entity))
    } else {
        Ok(Cow::Owned(Entity::bare(entity.uid.clone())))
    }
}

/// Whether a registration names that type: in full, or as policies may name it.
fn names(types: &BTreeSet<EntityType>, ty: &EntityType, policies: &Policies) -> bool {
    types.contains(ty)
        || types.iter().any(|named| policies.resolve_type(named.as_str()).as_ref() == Some(ty))
}
