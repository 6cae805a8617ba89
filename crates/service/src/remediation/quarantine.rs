//! Rights are set aside, and brought back by one command.

use std::sync::Arc;

use safeconduct_model::{
    Body, Identity, IdentityId, IdentityStatus, KillScope, LeaseState, RecordId, TaskState,
};
use safeconduct_review::{Ended, Remediation, RemediationStep, RightTaken, Word};

use super::state::aside_of;
use super::{RemediateError, entry, found};
use crate::reviews::Reviewed;
use crate::{Ending, LeaseView, Service, World};

impl Service {
    /// Sets a right aside, before its time where somebody asks. From this moment it counts for
    /// nothing; a delegation or a lease is ended.
    ///
    /// # Errors
    /// [`RemediateError`] says why not.
    pub async fn quarantine(
        &self,
        id: &RecordId,
        by: Option<&IdentityId>,
    ) -> Result<Remediation, RemediateError> {
        let asked = by.is_some();
        let word = self.remediation(id).and_then(|one| self.unsaid_word(&one));
        self.step(|world, state| {
            let one = found(state, id)?;
            let before = status_before(world, state, one);
            let step = RemediationStep::Quarantined { asked, before };
            let entry = entry(one, &step, self.now(), by)?;
            let mut bodies = Vec::new();
            if let Some(aside) = aside_of(one) {
                world.with_aside(id, Some(aside));
            }
            match &one.plan.right {
                RightTaken::Identity => {
                    let status = IdentityStatus::Quarantined;
                    bodies.extend(with_status(world, one, by, status)?);
                }
                RightTaken::Delegation { id: delegation, .. } => {
                    let gone = Arc::make_mut(&mut world.delegations).remove(delegation);
                    let by = in_charge(one, by);
                    bodies
                        .extend(gone.map(|gone| Body::DelegationEnded { delegation: gone.id, by }));
                }
                RightTaken::Statement { .. }
                | RightTaken::Intent { .. }
                | RightTaken::Lease { .. } => {}
            }
            Ok((bodies, vec![entry]))
        })
        .await?;
        let one = self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))?;
        if let Some(word) = &word {
            self.end_on_word(&one, word, by).await?;
        }
        self.end_what_rests_on(&one, by).await?;
        tracing::warn!(review = %id, holder = %one.plan.holder, right = one.plan.right.as_str(), "a right is set aside");
        Ok(one)
    }

    /// The standing word that a remediation ends, where its plan does not say what word that is:
    /// plans of versions before this one.
    fn unsaid_word(&self, one: &Remediation) -> Option<Word> {
        let RightTaken::Delegation { id, word: None } = &one.plan.right else { return None };
        let world = self.world();
        let given = world.delegations.get(id)?;
        Some(Word { user: given.user.clone(), intent: given.intent.clone() })
    }

    async fn end_on_word(
        &self,
        one: &Remediation,
        word: &Word,
        by: Option<&IdentityId>,
    ) -> Result<(), RemediateError> {
        let tasks = self.end_delegated(one, word, by).await?;
        self.record_ended(&one.id, Ended { tasks, ..Ended::default() }).await
    }

    /// Ends what a right was used for that is not looked at again by decisions: leases, and all
    /// that somebody does who may do nothing; for good, their tokens too. What ended is said with
    /// the remediation. It can be done again: what has ended stays so.
    pub(super) async fn end_what_rests_on(
        &self,
        one: &Remediation,
        by: Option<&IdentityId>,
    ) -> Result<(), RemediateError> {
        let holder = &one.plan.holder;
        let mut ended = Ended::default();
        match &one.plan.right {
            RightTaken::Identity => {
                let scope = KillScope::Identity(holder.clone());
                self.end_access_of(&scope, "identity_not_active");
                let ending = Ending {
                    state: TaskState::Revoked,
                    by: by.cloned(),
                    reason: format!("{holder} is quarantined by review {}", one.id).into(),
                };
                let tasks = self.end_all(&scope, &ending).await?;
                ended.tasks = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
                if !one.set_aside && one.applied_at.is_some() {
                    ended.tokens = self.revoke_tokens_of(one, &in_charge(one, by)).await?;
                }
            }
            RightTaken::Intent { intent, schedule } => {
                for view in self.leases(None) {
                    let task = self.task(&view.lease.task);
                    let of_right = task.is_some_and(|known| {
                        known.task.agent == *holder
                            && known.task.intent == *intent
                            && known.task.run_of == *schedule
                    });
                    if of_right {
                        self.end_lease(&view.lease.id, "the right was set aside");
                        ended.leases += u64::from(view.state == LeaseState::Issued);
                    }
                }
            }
            RightTaken::Lease { lease, .. } => {
                let is_it =
                    |of: &LeaseView| of.lease.id == *lease && of.state == LeaseState::Issued;
                ended.leases = u64::from(self.leases(None).iter().any(is_it));
                self.end_lease(lease, "taken back by a review");
            }
            RightTaken::Delegation { word: Some(word), .. } => {
                return self.end_on_word(one, word, by).await;
            }
            RightTaken::Statement { .. } | RightTaken::Delegation { word: None, .. } => {}
        }
        self.record_ended(&one.id, ended).await
    }

    /// Ends once more what rests on rights that were set aside or taken away, where the process
    /// before may have ended in between. To be called once, before requests.
    pub async fn resume_remediations(&self) {
        let due: Vec<Remediation> = {
            let state = self.reviews.lock();
            let all = state.remediations.by_id.values();
            // What is ended is never set aside: from its quarantine on it is gone.
            let taken = all.filter(|one| {
                let ended = one.plan.right.is_ended() && one.quarantined_at.is_some();
                one.set_aside || ((ended || one.applied_at.is_some()) && !one.state.is_final())
            });
            taken
                .filter(|one| !matches!(one.plan.right, RightTaken::Statement { .. }))
                .cloned()
                .collect()
        };
        for one in due {
            // An intent that was taken away by the policies is denied by them; and who was given
            // back by a hand since then works on.
            let by_policies = one.plan.right.is_of_policies() && !one.set_aside;
            let whole = one.plan.right == RightTaken::Identity;
            if by_policies || (whole && self.world().is_active(&one.plan.holder)) {
                continue;
            }
            if let Err(error) = self.end_what_rests_on(&one, None).await {
                tracing::error!(%error, review = %one.id, "what rests on a right could not be ended");
            }
        }
    }

    /// Brings back what was set aside, or lets a plan go. A change of the policies that waits to
    /// take it is rejected with that.
    ///
    /// # Errors
    /// [`RemediateError`] says why not.
    pub async fn restore_right(
        &self,
        id: &RecordId,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<Remediation, RemediateError> {
        self.step(|world, state| {
            let one = found(state, id)?;
            let step = RemediationStep::Restored { reason: Arc::clone(&reason) };
            let entry = entry(one, &step, self.now(), Some(by))?;
            let mut bodies = Vec::new();
            if one.set_aside {
                world.with_aside(id, None);
                bodies.extend(lifted(world, one, by)?);
            }
            let mut entries = vec![entry];
            entries.extend(self.take_back_proposals(state, one, by)?);
            Ok((bodies, entries))
        })
        .await?;
        self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))
    }
}

/// What a person, or another rule, has made of the status of an identity that is set aside whole,
/// since it was: that is what it is again where the right comes back.
pub(super) fn status_since(world: &World, one: &Remediation) -> Option<IdentityStatus> {
    if one.plan.right != RightTaken::Identity || !one.set_aside {
        return None;
    }
    let status = world.identity(&one.plan.holder)?.status;
    (status != IdentityStatus::Quarantined).then_some(status)
}

/// Who is named in a record of something that time did.
pub(super) fn in_charge(one: &Remediation, by: Option<&IdentityId>) -> IdentityId {
    by.or(one.scheduled_by.as_ref()).unwrap_or(&one.plan.holder).clone()
}

/// An identity with another status; nothing where it has that already.
pub(super) fn with_status(
    world: &mut World,
    one: &Remediation,
    by: Option<&IdentityId>,
    status: IdentityStatus,
) -> Result<Option<Body>, RemediateError> {
    let Some(known) = world.identity(&one.plan.holder) else { return Ok(None) };
    if known.status == status {
        return Ok(None);
    }
    let identity = Identity { status, ..known.clone() };
    world.with_identity(identity.clone())?;
    Ok(Some(Body::IdentityChanged { identity, by: in_charge(one, by) }))
}

/// What an identity goes back to once a remediation of all of it is lifted. Where others hold it
/// already, that is what it was before them.
fn status_before(world: &World, state: &Reviewed, one: &Remediation) -> Option<IdentityStatus> {
    if one.plan.right != RightTaken::Identity {
        return None;
    }
    let status = world.identity(&one.plan.holder)?.status;
    if status != IdentityStatus::Quarantined {
        return Some(status);
    }
    let others = state.remediations.by_id.values().filter(|other| {
        other.set_aside
            && other.plan.right == RightTaken::Identity
            && other.plan.holder == one.plan.holder
    });
    let mut before = others.filter_map(|other| other.status_before).peekable();
    let any = before.peek().copied();
    let stopped = before.find(|status| *status != IdentityStatus::Active);
    stopped.or(any).or(Some(status))
}

/// An identity that this remediation stopped is again what it was before; what a person stopped
/// since stays stopped, and so does what was stopped meanwhile where it came from.
pub(super) fn lifted(
    world: &mut World,
    one: &Remediation,
    by: &IdentityId,
) -> Result<Option<Body>, RemediateError> {
    let holder = &one.plan.holder;
    let Some(known) = world.identity(holder) else { return Ok(None) };
    let made = match one.set_aside {
        true => IdentityStatus::Quarantined,
        false => IdentityStatus::Retired,
    };
    if one.plan.right != RightTaken::Identity || known.status != made {
        return Ok(None);
    }
    let stopped_there = known.imported.as_ref().is_some_and(|imported| imported.suspended);
    let status = match one.status_before {
        // Another remediation holds it still, and gives it back when that is lifted.
        Some(IdentityStatus::Active) if world.is_set_aside_whole(holder) => {
            IdentityStatus::Quarantined
        }
        Some(IdentityStatus::Active) if stopped_there => IdentityStatus::Suspended,
        Some(before) => before,
        None => return Ok(None),
    };
    with_status(world, one, Some(by), status)
}
