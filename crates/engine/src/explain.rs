//! Why a request gets its answer: what each policy that comes near says, resource by resource.

use safeconduct_model::{Entity, EntityRef, Now, Reason, Request};
use safeconduct_policy::{Explanation, Policies, Question};
use safeconduct_session::flow::Origins;

use crate::{Facts, evaluate, flow, identify, situate, task};

/// What the policies say about one resource that a request touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The resource.
    pub resource: Entity,
    /// What each policy that comes near says, in the order of files.
    pub policies: Vec<Explanation>,
}

/// What every policy that comes near says to a request, on the same way as [`crate::decide`].
///
/// # Errors
/// What stands in the way before any policy is asked.
pub fn explain(
    request: &Request,
    facts: &Facts<'_>,
    policies: &Policies,
    now: &Now,
) -> Result<Vec<Explained>, Vec<Reason>> {
    let principal = identify::identify(request, facts, policies)?;
    let task = task::standing(request, identify::actor(request, facts), facts)?;
    let mut situated = situate::situate(request, facts, now)?;
    if policies.looks_at_task() {
        situated.beside = situate::beside(facts, request);
    }
    let traced = flow::trace(policies, request, situated.entry, &situated.resources, task, facts);
    situated.situation.flow = traced.situation;
    let touched: Vec<&EntityRef> = situated.resources.iter().map(|r| &r.uid).collect();
    let event = evaluate::event(request, &principal.uid, &touched, now);
    let past = evaluate::past(facts, &event);
    let mut explained = Vec::with_capacity(situated.resources.len());
    for resource in &situated.resources {
        let question = Question {
            principal: &principal,
            action: &request.action,
            resource,
            input: &request.input,
            additional: situated.additional,
            situation: &situated.situation,
            extra: &situated.beside,
        };
        let said = policies
            .explain_after(&question, past.as_ref())
            .map_err(|error| vec![evaluate::refused(request, error)])?;
        explained.push(Explained { resource: resource.clone(), policies: said });
    }
    Ok(explained)
}

/// Where each value of the arguments came from; nothing where the catalogue does not know the
/// action.
pub fn origins(request: &Request, facts: &Facts<'_>) -> Option<Origins> {
    let entry = facts.entry.filter(|entry| entry.name == request.action)?;
    Some(flow::origins(request, entry, facts.task.as_ref(), facts))
}
