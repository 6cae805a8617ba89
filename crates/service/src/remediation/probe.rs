//! The proof: what was taken away is asked for again, and is denied; what is used is not. Where an
//! enforcement point of this process serves the action, the question goes its way. Beside it stands
//! what was decided by the right, decided again.

use std::sync::Arc;

use safeconduct_engine::Outcome;
use safeconduct_model::{
    ActionName, Assurance, Authentication, Body, Decision, Delegation, Entity, EntityRef,
    IdentityId, LeaseState, Method, Mode, Reason, RecordId, Subject, TokenId, Value,
};
use safeconduct_policy::Policies;
use safeconduct_review::{Probe, Remediation, RemediationStep, RightReplay, RightTaken, Verdict};

use super::ends::Beside;
use super::replayed::Brought;
use super::{PointProbe, Probed, RemediateError, entry, found};
use crate::{LEASE, LeaseView, ReadModel, RecordReviewsError, Service, UNDERTAKE, Weighing};

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

/// Reasons by which a Deny of something else is one of the policies.
const OF_POLICIES: [&str; 3] = ["set_aside", "no_permit", "identity_not_active"];

/// The reason that is given beside others where a Deny would not have been carried out.
const OBSERVED: &str = "observed_only";

impl Service {
    /// Asks for what was taken away, without a look at what was decided by it:
    /// [`Service::verify_remediation_by`] with no read model.
    ///
    /// # Errors
    /// As that.
    pub async fn verify_remediation(
        &self,
        id: &RecordId,
        by: &IdentityId,
        probings: Vec<Probing>,
    ) -> Result<Remediation, RemediateError> {
        self.verify_remediation_by(id, by, probings, None).await
    }

    /// Asks for what was taken away, in the holder's name: on the way of a call through the
    /// enforcement point that serves the action, and of the decision point where none does; by the
    /// same stages as every decision, without recording one, so that no session of theirs is
    /// touched and no use is counted. And what was decided by it is decided again under what is in
    /// force now, where there is a read model to find it by: that takes its time, and blocks. Both
    /// answers are recorded with the remediation.
    ///
    /// # Errors
    /// [`RemediateError::Inconclusive`] where a question cannot be put to the policies;
    /// [`RemediateError::Step`] where nothing shows that the right is gone. Nothing is recorded
    /// then.
    pub async fn verify_remediation_by(
        &self,
        id: &RecordId,
        by: &IdentityId,
        probings: Vec<Probing>,
        read: Option<&dyn ReadModel>,
    ) -> Result<Remediation, RemediateError> {
        let one = self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))?;
        one.check_verifiable()?;
        let replay = match read {
            None => None,
            Some(read) => {
                let gone = one.plan.right.is_of_policies() && one.applied_at.is_some();
                // Without a folder nothing is put back, and other sets may still be had.
                let before =
                    if gone { self.policies_before(&one).await.ok().flatten() } else { None };
                self.replay_right(&one, before, read)?
            }
        };
        let mut probes = Vec::with_capacity(probings.len() + 1);
        probes.extend(self.ended_or_not(&one)?);
        for probing in probings {
            let probed = self.probe(&one, probing).await;
            probes.push(probed.map_err(|error| beside_replay(error, &one, replay.as_ref()))?);
        }
        let seen = self.reviews_seen();
        if replay.as_ref().is_some_and(|one| one.policies != self.world().policies().digest()) {
            return Err(RecordReviewsError::Stale.into());
        }
        let step = RemediationStep::verified(&one.plan, probes, replay.map(Box::new));
        let entry = {
            let state = self.reviews.lock();
            entry(found(&state, id)?, &step, self.now(), Some(by))?
        };
        self.record_reviews(seen, vec![entry], Vec::new()).await?;
        self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))
    }

    async fn probe(&self, one: &Remediation, probing: Probing) -> Result<Probe, RemediateError> {
        let Probing { action, resource, input, wanted } = probing;
        let silent =
            |why: String| Err(RemediateError::Inconclusive { action: action.to_string(), why });
        if safeconduct_ledger::canonical(&input).len() > PROBE_INPUT_BYTES_MAX {
            return silent(format!("its arguments have more than {PROBE_INPUT_BYTES_MAX} bytes"));
        }
        let world = self.world();
        let ty = world.policies().resolve_type(resource.ty.as_str()).unwrap_or(resource.ty);
        let resource = EntityRef { ty, id: resource.id };
        let asked = self.asked(one, &action, &resource, input.clone())?;
        let (point, outcome) = match self.through_a_point(one, &action, &input).await? {
            Probed::Silent(why) => return silent(why),
            Probed::Weighed { point, outcome } => (Some(point), *outcome),
            Probed::NotServed => (None, self.weigh(asked.clone())),
        };
        if let Some(reason) = outcome.reasons.iter().find(|one| SAYS_NOTHING.contains(&one.code()))
        {
            return silent(reason.message());
        }
        if point.is_some()
            && let Some(touched) = other_than(&outcome, &resource)
        {
            return silent(format!("with these arguments it touches {touched}"));
        }
        let denied = wanted == Decision::Deny && outcome.decision == Decision::Deny;
        let proves = !denied
            || match one.plan.right.is_about(&action, &resource) {
                true => self.comes_of_it(one, asked, &outcome).await?,
                false => outcome.reasons.iter().any(|reason| self.is_of_policies(one, reason)),
            };
        if !proves {
            let codes: Vec<_> = outcome.reasons.iter().map(Reason::code).collect();
            return silent(format!("the Deny is not of the right ({})", codes.join(", ")));
        }
        let mut reasons: Vec<Arc<str>> =
            outcome.reasons.iter().map(|reason| Arc::from(reason.code())).collect();
        let mut answer = outcome.decision;
        if outcome.decision == Decision::Deny && outcome.mode == Mode::Observe {
            // The call goes ahead there, whatever is decided.
            answer = Decision::Permit;
            reasons.push(OBSERVED.into());
        }
        Ok(Probe { action, resource, wanted, answer, reasons, evidence: None, point })
    }

    /// The question as it is put to the decision point: an intent is undertaken, anything else is
    /// done.
    fn asked(
        &self,
        one: &Remediation,
        action: &ActionName,
        resource: &EntityRef,
        input: Value,
    ) -> Result<Weighing, RemediateError> {
        let (proof, resource) = (self.prober(one)?, Entity::bare(resource.clone()));
        let action = action.clone();
        let (RightTaken::Intent { schedule, .. }, UNDERTAKE) = (&one.plan.right, action.as_str())
        else {
            let subject = Subject::Caller(proof);
            return Ok(Weighing { subject, action, resource, input, asserted: None });
        };
        let holder = &one.plan.holder;
        let mut asserted = vec![("begun_by", Value::from(holder.as_str()))];
        asserted.extend(schedule.iter().map(|name| ("run_of", Value::from(name.as_str()))));
        let asserted = Some(Value::object(asserted));
        let subject = Subject::Undertaker { by: proof, agent: holder.clone() };
        Ok(Weighing { subject, action, resource, input, asserted })
    }

    /// What the server itself knows of a delegation or a lease: a question of whoever would use it
    /// says nothing of it.
    fn ended_or_not(&self, one: &Remediation) -> Result<Option<Probe>, RemediateError> {
        let world = self.world();
        let (ty, action, stands) = match &one.plan.right {
            RightTaken::Delegation { id, word } => {
                let same = |other: &Delegation| {
                    other.agent == one.plan.holder
                        && word.as_ref().is_some_and(|word| {
                            other.user == word.user && other.intent == word.intent
                        })
                };
                let stands = world.delegations.contains_key(id) || world.delegations().any(same);
                ("Delegation", UNDERTAKE, stands)
            }
            RightTaken::Lease { lease, .. } => {
                let issued =
                    |of: LeaseView| of.lease.id == *lease && of.state == LeaseState::Issued;
                ("Lease", LEASE, self.leases(None).into_iter().any(issued))
            }
            _ => return Ok(None),
        };
        let name = one.plan.right.name().unwrap_or_default();
        let ty = format!("{}::{ty}", world.vocabulary.namespace());
        let (answer, reason) = match stands {
            true => (Decision::Permit, "stands"),
            false => (Decision::Deny, "ended"),
        };
        Ok(Some(Probe {
            action: ActionName::new(action)?,
            resource: EntityRef::new(ty, name)?,
            wanted: Decision::Deny,
            answer,
            reasons: vec![reason.into()],
            evidence: None,
            point: None,
        }))
    }

    /// INVARIANT: a Deny proves that a right is gone only where it comes of that. Either the right is
    /// set aside and would have permitted it, or the policies of before the change did.
    async fn comes_of_it(
        &self,
        one: &Remediation,
        asked: Weighing,
        outcome: &Outcome,
    ) -> Result<bool, RemediateError> {
        let same = |review: &RecordId| {
            let by = self.remediation(review);
            by.is_some_and(|by| {
                by.plan.holder == one.plan.holder && by.plan.grant == one.plan.grant
            })
        };
        let mut reasons = outcome.reasons.iter();
        let aside = |reason: &Reason| matches!(reason, Reason::SetAside { review } if same(review));
        if one.set_aside && reasons.clone().any(aside) {
            return Ok(true);
        }
        match &one.plan.right {
            RightTaken::Identity => Ok(reasons.any(|one| one.code() == "identity_not_active")),
            right if right.is_of_policies() && one.applied_at.is_some() => {
                let Some(before) = self.policies_before(one).await? else { return Ok(false) };
                let world = self.world();
                let beside = Beside::of(&world, &before, std::slice::from_ref(&one.id));
                Ok(self.is_gone_by(&beside, asked))
            }
            _ => Ok(false),
        }
    }

    /// The policies as they would be with what a remediation took away in them; nothing where
    /// they do not load by now.
    async fn policies_before(
        &self,
        one: &Remediation,
    ) -> Result<Option<Arc<Policies>>, RemediateError> {
        let Some(proposal) = &one.proposal else { return Ok(None) };
        let texts = self.proposed_texts(proposal)?.reversed();
        let gate = self.policy_gate()?;
        let folder = gate.read().await?;
        // Others may have changed the same files since.
        let files = texts.on(&folder).unwrap_or_else(|_| texts.onto(&folder));
        Ok(gate.draft(files, Arc::clone(&self.world().policies)).await.ok())
    }

    /// Who asks: the holder, with no task and the least that a proof can be worth.
    fn prober(&self, one: &Remediation) -> Result<Authentication, RemediateError> {
        Ok(Authentication {
            identity: one.plan.holder.clone(),
            token: TokenId::new(format!("probe-{}", one.id))?,
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: self.now(),
            expires_at: None,
            task: None,
        })
    }

    async fn through_a_point(
        &self,
        one: &Remediation,
        action: &ActionName,
        input: &Value,
    ) -> Result<Probed, RemediateError> {
        let world = self.world();
        let server = world.catalogue().entry(action).and_then(|entry| entry.server.clone());
        let Some((server, points)) = server.zip(self.enforcement_points()) else {
            return Ok(Probed::NotServed);
        };
        let (action, input, proof) = (action.clone(), input.clone(), self.prober(one)?);
        Ok(points.probe(PointProbe { server, action, input, proof }).await)
    }

    /// Whether a Deny of something else is one of the policies: nothing gives it, or the change
    /// that took the right away brought a forbid. Another forbid, or a budget, says nothing.
    fn is_of_policies(&self, one: &Remediation, reason: &Reason) -> bool {
        if OF_POLICIES.contains(&reason.code()) {
            return true;
        }
        let Reason::Policy(forbid) = reason else { return false };
        Brought::by(self, one).has(&forbid.id)
    }
}

/// A question that says nothing, where recorded decisions do.
fn beside_replay(
    error: RemediateError,
    one: &Remediation,
    replay: Option<&RightReplay>,
) -> RemediateError {
    match (error, one.plan.verdict(&[], replay)) {
        (RemediateError::Inconclusive { action, why }, Verdict::Proved(_)) => {
            let why =
                format!("{why} (without it, recorded decisions prove that the right is gone)");
            RemediateError::Inconclusive { action, why }
        }
        (error, _) => error,
    }
}

/// What a call would touch where that is not what was named. The server stands for all that it
/// offers; a call that was denied before that was known touches nothing yet.
fn other_than(outcome: &Outcome, named: &EntityRef) -> Option<String> {
    let Body::Decided(decided) = &outcome.record.body else { return None };
    let is_server = named.ty.as_str().rsplit("::").next() == Some("Server");
    if is_server || decided.resources.is_empty() || decided.resources.contains(named) {
        return None;
    }
    let touched: Vec<_> = decided.resources.iter().map(ToString::to_string).collect();
    Some(touched.join(", "))
}
