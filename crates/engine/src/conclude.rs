//! Stage 5: Permit or Deny, what it changes in the session, and its record.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Body, Decided, Decision, EntityRef, Label, LabelAt, Mode, Now, Obligation, Reason,
    Record, RecordedPolicy, RecordedReason, Request, Requestable, Subject,
};
use safeconduct_policy::Policies;
use safeconduct_session::Step;

use crate::evaluate::Sides;
use crate::{Facts, Way, task};

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer.
    pub decision: Decision,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What shadow policies would have said.
    pub shadow: Vec<Reason>,
    /// What the enforcement point must do for a Permit to hold.
    pub obligations: Vec<Obligation>,
    /// Whether and how a Deny may be asked for.
    pub requestable: Option<Requestable>,
    /// What it changes in the session.
    pub step: Step,
    /// What may be handed on of the result before anybody reports it; `None` where whoever asked
    /// reports it first, or nothing comes of it.
    pub hands_on: Option<Label>,
    /// What is recorded.
    pub record: Record,
}

impl Outcome {
    /// By what the session's label rises with the permit itself; `None` where nothing does.
    pub fn label_at_permit(&self) -> Option<&Label> {
        match &self.record.body {
            Body::Decided(decided) => decided.label.as_ref(),
            _ => None,
        }
    }

    /// What the enforcement point must do for a permit to hold. What the decision point sees to
    /// itself is not among it.
    pub fn for_enforcement(&self) -> impl Iterator<Item = &Obligation> {
        self.obligations.iter().filter(|obligation| obligation.declassifier().is_none())
    }
}

/// Puts the outcome together.
pub(crate) fn conclude(
    request: &Request,
    facts: &Facts<'_>,
    policies: &Policies,
    now: &Now,
    way: Way,
    stages: Result<(), Vec<Reason>>,
) -> Outcome {
    let Way { principal, resources, fingerprints, cost, flow, evaluated } = way;
    let (decision, reasons, obligations, requestable) = match stages {
        Ok(()) if evaluated.permitted => {
            (Decision::Permit, evaluated.reasons, evaluated.obligations, None)
        }
        Ok(()) => (Decision::Deny, evaluated.reasons, Vec::new(), evaluated.requestable),
        Err(obstacles) => (Decision::Deny, obstacles, Vec::new(), None),
    };
    let hands_on = handed_on(request, facts, decision);
    let decided = Decided {
        session: request.session.key.clone(),
        session_name: request.session.name.clone(),
        sequence: facts.sequence + 1,
        pep: request.pep.clone(),
        method: request.subject.authentication().method,
        principal: principal.unwrap_or_else(|| named(request, facts)),
        action: request.action.clone(),
        resources,
        input_digest: request.input_digest,
        decision,
        mode: request.mode,
        reasons: reasons.iter().map(|of| recorded(of, evaluated.sides.as_ref())).collect(),
        shadow: evaluated.shadow.iter().map(|of| recorded(of, None)).collect(),
        obligations: obligations.clone(),
        requestable: requestable.clone(),
        policies: policies.digest(),
        catalogue: facts.catalogue,
        task: facts.task.as_ref().map(|known| Box::new(task::decided(known, cost))),
        flow,
        label: hands_on.clone().filter(|label| !facts.session.label().covers(label)),
        risk: facts.risk.map_or(0, |risk| risk.score),
        network: None,
        approval: facts.approval.map(|approval| approval.id.clone()),
    };
    Outcome {
        decision,
        mode: request.mode,
        reasons,
        shadow: evaluated.shadow,
        obligations,
        requestable,
        step: Step {
            decision,
            action: known_name(request, facts).clone(),
            resources: fingerprints,
            charge: facts.task.as_ref().filter(|_| !task::is_lease(request)).map(|_| cost),
            at: now.at,
        },
        hands_on,
        record: Record {
            id: now.decision.clone(),
            at: now.at,
            trace: request.trace.clone(),
            parent: request.parent.clone(),
            body: Body::Decided(Box::new(decided)),
        },
    }
}

/// The action's name. The catalogue's own is there once, however many sessions count it.
fn known_name<'a>(request: &'a Request, facts: &Facts<'a>) -> &'a ActionName {
    let known = facts.entry.map(|entry| &entry.name);
    known.filter(|name| **name == request.action).unwrap_or(&request.action)
}

/// What a session is taken to have read with a permit for an enforcement point elsewhere: unless it
/// reports each result before it hands it on, it is taken to have handed on the worst at once. An
/// enforcement point of our own asks under a name of its own; one elsewhere is who asks.
fn handed_on(request: &Request, facts: &Facts<'_>, decision: Decision) -> Option<Label> {
    let asker = match &request.subject {
        Subject::Caller(proof) | Subject::Asserted { by: proof, .. } => &proof.identity,
        Subject::Undertaker { .. } | Subject::Lessee(_) => return None,
    };
    let goes_ahead = decision == Decision::Permit || request.mode == Mode::Observe;
    if !goes_ahead || *asker != request.pep {
        return None;
    }
    let registration = facts.caller.and_then(|known| known.identity.pep.as_ref());
    if registration.is_some_and(|pep| pep.label_at == LabelAt::Report) {
        return None;
    }
    Some(facts.entry?.returns.highest()).filter(|label| *label != Label::LEAST)
}

/// The principal of a request that did not get past its identification: as it was named.
fn named(request: &Request, facts: &Facts<'_>) -> EntityRef {
    match &request.subject {
        Subject::Asserted { entity, .. } => entity.uid.clone(),
        Subject::Undertaker { agent, .. } => facts.vocabulary.unidentified(agent),
        Subject::Caller(proof) | Subject::Lessee(proof) => {
            facts.vocabulary.unidentified(&proof.identity)
        }
    }
}

fn recorded(reason: &Reason, sides: Option<&Sides>) -> RecordedReason {
    let of = sides.zip(reason.policy()).and_then(|(sides, policy)| sides.asked_of(&policy.id));
    let policy = reason.policy().map(|policy| RecordedPolicy {
        id: policy.id.clone(),
        effect: policy.effect,
        span: policy.span.clone(),
    });
    let detail = match reason {
        Reason::PolicyError { error, .. } | Reason::NotRecorded(error) => Some(Arc::clone(error)),
        Reason::Quarantined { seen, .. } => Some(seen.to_string().into()),
        _ => None,
    };
    let (code, message) = (reason.code().into(), reason.message().into());
    RecordedReason { code, policy, message, detail, of }
}
