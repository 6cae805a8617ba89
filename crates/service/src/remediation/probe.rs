//! The proof: what was taken away is asked for again, and is denied; what is used is not.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Assurance, Authentication, Decision, Entity, EntityRef, IdentityId, Method, Reason,
    RecordId, Subject, TokenId, Value,
};
use safeconduct_review::{Probe, Remediation, RemediationStep};

use super::{RemediateError, entry, found};
use crate::{Service, Weighing};

/// Most bytes of a probe's arguments in canonical form.
pub const PROBE_INPUT_BYTES_MAX: usize = 64 * 1024;

/// One question of a verification.
#[derive(Debug, Clone, PartialEq)]
pub struct Probing {
    /// What is asked about.
    pub action: ActionName,
    /// What it would be done to.
    pub resource: EntityRef,
    /// The arguments.
    pub input: Value,
    /// What the answer has to be.
    pub wanted: Decision,
}

/// Reasons by which a question was not put to the policies at all: a Deny for one of them says
/// nothing of any right.
const SAYS_NOTHING: [&str; 9] = [
    "unknown_action",
    "input_not_representable",
    "not_declared",
    "property_not_representable",
    "resource_not_mapped",
    "over_limit",
    "policy_error",
    "quarantined",
    "killed",
];

/// Reasons by which a Deny shows that a right is gone.
const PROVES: [&str; 3] = ["set_aside", "no_permit", "identity_not_active"];

impl Service {
    /// Asks the decision point what was taken away, in the holder's name: the same stages as every
    /// decision, without recording one, so that no session of theirs is touched and no use is
    /// counted. The answers are recorded with the remediation.
    ///
    /// # Errors
    /// [`RemediateError::Inconclusive`] where a question cannot be put to the policies; nothing is
    /// recorded then.
    pub async fn verify_remediation(
        &self,
        id: &RecordId,
        by: &IdentityId,
        probings: Vec<Probing>,
    ) -> Result<Remediation, RemediateError> {
        let one = self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))?;
        let probes = probings.into_iter().map(|probing| self.probe(&one, probing));
        let step = RemediationStep::Verified { probes: probes.collect::<Result<_, _>>()? };
        let seen = self.reviews_seen();
        let entry = {
            let state = self.reviews.lock();
            entry(found(&state, id)?, &step, self.now(), Some(by))?
        };
        self.record_reviews(seen, vec![entry], Vec::new()).await?;
        self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))
    }

    fn probe(&self, one: &Remediation, probing: Probing) -> Result<Probe, RemediateError> {
        let Probing { action, resource, input, wanted } = probing;
        if safeconduct_ledger::canonical(&input).len() > PROBE_INPUT_BYTES_MAX {
            let why = format!("its arguments have more than {PROBE_INPUT_BYTES_MAX} bytes");
            return Err(RemediateError::Inconclusive { action: action.to_string(), why });
        }
        let world = self.world();
        let ty = world.policies().resolve_type(resource.ty.as_str()).unwrap_or(resource.ty);
        let resource = EntityRef { ty, id: resource.id };
        let proof = Authentication {
            identity: one.plan.holder.clone(),
            token: TokenId::new(format!("probe-{}", one.id))?,
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: self.now(),
            expires_at: None,
            task: None,
        };
        let outcome = self.weigh(Weighing {
            subject: Subject::Caller(proof),
            action: action.clone(),
            resource: Entity::bare(resource.clone()),
            input,
            asserted: None,
        });
        let silent = outcome.reasons.iter().find(|reason| SAYS_NOTHING.contains(&reason.code()));
        if let Some(reason) = silent {
            let why = reason.message();
            return Err(RemediateError::Inconclusive { action: action.to_string(), why });
        }
        let denied = wanted == Decision::Deny && outcome.decision == Decision::Deny;
        if denied && !outcome.reasons.iter().any(|reason| self.proves(one, reason)) {
            let codes: Vec<_> = outcome.reasons.iter().map(Reason::code).collect();
            let why = format!("the Deny is not of the right ({})", codes.join(", "));
            return Err(RemediateError::Inconclusive { action: action.to_string(), why });
        }
        Ok(Probe {
            action,
            resource,
            wanted,
            answer: outcome.decision,
            reasons: outcome.reasons.iter().map(|reason| Arc::from(reason.code())).collect(),
            evidence: None,
        })
    }

    /// Whether a reason of a Deny comes of the right being gone: nothing gives it, or the change
    /// that took it away brought a forbid. Another forbid, or a budget, says nothing of it.
    fn proves(&self, one: &Remediation, reason: &Reason) -> bool {
        if PROVES.contains(&reason.code()) {
            return true;
        }
        let Reason::Policy(forbid) = reason else { return false };
        let texts = one.proposal.as_ref().and_then(|id| self.proposed_texts(id).ok());
        let file = texts.as_ref().and_then(|texts| texts.files.get(&*forbid.span.file));
        file.is_some_and(|file| {
            let named = format!("@id(\"{}\")", forbid.id);
            let names = |text: &Option<String>| text.as_ref().is_some_and(|t| t.contains(&named));
            names(&file.after) && !names(&file.before)
        })
    }
}
