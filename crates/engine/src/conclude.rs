//! Stage 5: Permit or Deny, what it changes in the session, and its record.

use std::sync::Arc;

use safeconduct_model::{
    Body, Decided, Decision, EntityRef, Mode, Now, Obligation, Reason, Record, RecordedPolicy,
    RecordedReason, Request, Requestable, Subject,
};
use safeconduct_policy::Policies;
use safeconduct_session::Step;

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
    /// What is recorded.
    pub record: Record,
}

impl Outcome {
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
        reasons: reasons.iter().map(recorded).collect(),
        shadow: evaluated.shadow.iter().map(recorded).collect(),
        obligations: obligations.clone(),
        requestable: requestable.clone(),
        policies: policies.digest(),
        catalogue: facts.catalogue,
        task: facts.task.as_ref().map(|known| Box::new(task::decided(known, cost))),
        flow,
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
            action: request.action.clone(),
            resources: fingerprints,
            charge: facts.task.as_ref().filter(|_| !task::is_lease(request)).map(|_| cost),
            at: now.at,
        },
        record: Record {
            id: now.decision.clone(),
            at: now.at,
            trace: request.trace.clone(),
            parent: request.parent.clone(),
            body: Body::Decided(Box::new(decided)),
        },
    }
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

fn recorded(reason: &Reason) -> RecordedReason {
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
    RecordedReason { code: reason.code().into(), policy, message: reason.message().into(), detail }
}
