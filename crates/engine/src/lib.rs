//! The decision: five pure stages from a request and its facts to an outcome.
//!
//! The same input gives the same outcome on every machine, so that every recorded decision can
//! be replayed. A stage that finds an obstacle ends the way with a Deny and its reasons.
//!
//! What this crate deliberately does not do: it gathers no facts, reads no clock, keeps no state
//! and writes no record; crate `service` does all that around it.

mod answers;
mod aside;
mod conclude;
mod envelope;
mod evaluate;
mod explain;
mod facts;
mod flow;
mod identify;
mod oblige;
mod pins;
mod resource;
mod situate;
mod task;
mod tier;

use safeconduct_model::{EntityRef, Now, Reason, Request};
use safeconduct_policy::Policies;

pub use aside::{AsideRight, SetAside};
pub use conclude::Outcome;
pub use explain::{Explained, explain, origins};
pub use facts::{ApprovalFacts, Facts, Known, LastWord, MonitorFacts, Understood, Vocabulary};
pub use flow::{given_back, gives_own_state_back};
pub use resource::placed;
pub use situate::task_parameters;
pub use task::TaskFacts;

/// Decides one request.
///
/// `facts` must hold what is true at `now.at`; a stale fact is the caller's fault and is caught
/// where the record is appended.
pub fn decide(request: &Request, facts: &Facts<'_>, policies: &Policies, now: &Now) -> Outcome {
    let mut way = Way::default();
    let concluded = stages(request, facts, policies, now, &mut way);
    conclude::conclude(request, facts, policies, now, way, concluded)
}

/// The outcome of a request that the service refuses before it can be decided.
pub fn refuse(
    request: &Request,
    facts: &Facts<'_>,
    policies: &Policies,
    now: &Now,
    reasons: Vec<Reason>,
) -> Outcome {
    conclude::conclude(request, facts, policies, now, Way::default(), Err(reasons))
}

/// Whether a call lies within an authority, its budget aside: what the envelope's check says.
pub fn allows(
    authority: &safeconduct_model::Authority,
    action: &safeconduct_model::ActionName,
    resources: &[safeconduct_model::Entity],
    input: &safeconduct_model::Value,
) -> bool {
    envelope::within(authority, action, resources, input, None).is_ok()
}

/// What a request touches, with all that is known of each.
///
/// # Errors
/// What stands in the way before that is known.
pub fn touched(
    request: &Request,
    facts: &Facts<'_>,
    now: &Now,
) -> Result<Vec<safeconduct_model::Entity>, Vec<Reason>> {
    situate::situate(request, facts, now).map(|situated| situated.resources)
}

fn stages(
    request: &Request,
    facts: &Facts<'_>,
    policies: &Policies,
    now: &Now,
    way: &mut Way,
) -> Result<(), Vec<Reason>> {
    let principal = identify::identify(request, facts, policies)?;
    way.principal = Some(principal.uid.clone());
    let task = task::standing(request, identify::actor(request, facts), facts)?;
    aside::undertaking(request, facts)?;
    let user = task.map(|task| identify::user(task, facts)).transpose()?.flatten();
    let mut situated = situate::situate(request, facts, now)?;
    if policies.looks_at_task() {
        situated.beside = situate::beside(facts, request);
    }
    way.resources = situated.resources.iter().map(|entity| entity.uid.clone()).collect();
    way.fingerprints = way.resources.iter().map(safeconduct_session::fingerprint).collect();
    let traced = flow::trace(policies, request, situated.entry, &situated.resources, task, facts);
    (situated.situation.flow, way.flow) = (traced.situation, traced.recorded);
    if let Some(task) = task.filter(|_| !task::is_lease(request)) {
        let touched = task::Touched { resources: &situated.resources, prints: &way.fingerprints };
        way.cost = task::bound(task, request, situated.entry, touched, facts)?;
    }
    let touched: Vec<&EntityRef> = way.resources.iter().collect();
    let event = evaluate::event(request, &principal.uid, &touched, now);
    let past = evaluate::past(facts, &event);
    let past = past.as_ref();
    let asked = |principal| evaluate::Asked { principal, past, facts };
    way.evaluated = evaluate::evaluate(request, policies, &situated, &asked(&*principal))?;
    if let Some(user) = user {
        let theirs = evaluate::evaluate(request, policies, &situated, &asked(&user.entity))?;
        way.evaluated = evaluate::both(std::mem::take(&mut way.evaluated), theirs, user);
    }
    if task::is_lease(request) {
        way.evaluated = evaluate::in_mandate(std::mem::take(&mut way.evaluated));
    } else {
        let evaluated = std::mem::take(&mut way.evaluated);
        way.evaluated = tier::deepen(evaluated, request, &situated, task, facts, now);
    }
    oblige::oblige(&way.evaluated, facts)
}

/// What the stages found out, as far as they came.
#[derive(Debug, Default)]
struct Way {
    principal: Option<safeconduct_model::EntityRef>,
    resources: Vec<safeconduct_model::EntityRef>,
    /// Of the resources, in their order.
    fingerprints: Vec<u64>,
    cost: safeconduct_session::Charge,
    flow: Vec<safeconduct_model::RecordedFlow>,
    evaluated: evaluate::Evaluated,
}
