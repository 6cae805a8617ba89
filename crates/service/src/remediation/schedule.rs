//! What is planned: with notice.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Timestamp};
use safeconduct_review::{Case, Effect, Remediation, RemediationPlan, RemediationStep, RightTaken};
use sha2::{Digest as _, Sha256};

use super::{ATTEMPTS, RemediateError, change_of};
use crate::{EstateError, Held, REVIEW_STEPS_MAX, RecordReviewsError, ReviewsSeen, Service};

/// Most remediations of which something is still to be done. More are refused.
pub const REMEDIATIONS_MAX: usize = 100_000;

/// A remediation that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRemediation {
    /// Whose right.
    pub holder: IdentityId,
    /// Which: [`safeconduct_review::Grant::id`]; without one everything that they may do.
    pub grant: Option<Digest>,
    /// What is to become of it: never `keep`.
    pub effect: Effect,
    /// Not before that.
    pub not_before: Timestamp,
    /// What led to it: a campaign, a finding.
    pub cause: Option<Arc<str>>,
    /// Why, in words.
    pub reason: Arc<str>,
}

impl Service {
    /// Plans remediations, all of them or none. Each becomes a quarantine when its time comes, save
    /// what is to shrink: that waits for the smaller text.
    ///
    /// # Errors
    /// [`RemediateError`] says which right cannot be taken away, and why.
    pub async fn schedule_remediations(
        &self,
        wanted: Vec<NewRemediation>,
        by: Option<&IdentityId>,
    ) -> Result<Vec<RecordId>, RemediateError> {
        self.schedule_since(self.reviews_seen(), wanted, by).await
    }

    async fn schedule_since(
        &self,
        seen: ReviewsSeen,
        wanted: Vec<NewRemediation>,
        by: Option<&IdentityId>,
    ) -> Result<Vec<RecordId>, RemediateError> {
        let (mut entries, mut ids) = (Vec::new(), Vec::new());
        let now = self.now();
        if self.reviews.lock().remediations.open + wanted.len() > REMEDIATIONS_MAX {
            let (what, limit) = ("remediations", REMEDIATIONS_MAX);
            return Err(RemediateError::OverLimit { what, limit });
        }
        for one in wanted {
            let plan = self.plan_of(one)?;
            plan.check(now)?;
            let id = self.ids.record("rem");
            let step = RemediationStep::Scheduled { plan: Box::new(plan.clone()) };
            let one = Remediation::scheduled(id.clone(), plan, by.cloned(), now);
            entries.push(change_of(&one, &step, 0, by)?);
            ids.push(id);
        }
        self.record_reviews(seen, entries, Vec::new()).await?;
        Ok(ids)
    }

    /// Plans what a campaign that was signed off decided, where its definition says so. What was
    /// planned from it before, and rights that are gone, are left out. What is more than is recorded
    /// at once is planned in parts: called again, it goes on where it stopped.
    ///
    /// # Errors
    /// [`RemediateError`] says what cannot be planned, and why; nothing more is then.
    pub async fn schedule_campaign(
        &self,
        campaign: &RecordId,
        not_before: Timestamp,
        by: Option<&IdentityId>,
    ) -> Result<Vec<RecordId>, RemediateError> {
        self.schedule_those(campaign, not_before, by, |_| true).await
    }

    /// The same for those holders alone.
    async fn schedule_those(
        &self,
        campaign: &RecordId,
        not_before: Timestamp,
        by: Option<&IdentityId>,
        of: impl Fn(&IdentityId) -> bool,
    ) -> Result<Vec<RecordId>, RemediateError> {
        let mut effects = self.campaign_effects(campaign)?;
        effects.retain(|(case, _)| of(&case.holder));
        let (mut ids, mut at, mut tried) = (Vec::new(), 0, 0);
        while at < effects.len() {
            let rest = effects.get(at..).unwrap_or_default();
            // Before what was planned is read, so that two at once do not plan the same twice.
            let seen = self.reviews_seen();
            let (wanted, looked_at) = self.unplanned(campaign, rest, not_before);
            match self.schedule_since(seen, wanted, by).await {
                Ok(planned) => {
                    ids.extend(planned);
                    (at, tried) = (at + looked_at, 0);
                }
                Err(RemediateError::Record(RecordReviewsError::Stale)) if tried < ATTEMPTS => {
                    tried += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ids)
    }

    /// What is to be planned of the first of these effects: as many as are recorded at once; with
    /// how many effects that are.
    fn unplanned(
        &self,
        campaign: &RecordId,
        effects: &[(Case, Effect)],
        not_before: Timestamp,
    ) -> (Vec<NewRemediation>, usize) {
        let cause: Option<Arc<str>> = Some(campaign.shared());
        let planned: BTreeSet<(IdentityId, Digest)> = {
            let state = self.reviews.lock();
            let all = state.remediations.by_id.values().filter(|one| one.plan.cause == cause);
            all.map(|one| (one.plan.holder.clone(), one.plan.grant)).collect()
        };
        // Cases of one holder come one after another.
        let mut last: Option<(IdentityId, Option<Held>)> = None;
        let (mut wanted, mut looked_at) = (Vec::new(), 0);
        for (case, effect) in effects {
            if wanted.len() == REVIEW_STEPS_MAX {
                break;
            }
            looked_at += 1;
            if planned.contains(&(case.holder.clone(), case.grant)) {
                continue;
            }
            if last.as_ref().is_none_or(|(holder, _)| *holder != case.holder) {
                last = Some((case.holder.clone(), self.can(&case.holder).ok()));
            }
            let held = last.as_ref().and_then(|(_, held)| held.as_ref());
            if !held.is_some_and(|held| held.grants.iter().any(|one| one.id == case.grant)) {
                continue;
            }
            wanted.push(NewRemediation {
                holder: case.holder.clone(),
                grant: Some(case.grant),
                effect: *effect,
                not_before,
                cause: cause.clone(),
                reason: format!("campaign {campaign} decided to {}", effect.as_str()).into(),
            });
        }
        (wanted, looked_at)
    }

    /// Plans what was decided by campaigns that are signed off, where their definitions give a
    /// notice: it runs from the signature. Done once for each; to be called from time to time, where
    /// nobody waits for the thread. Rights of those who hold a role are left to a person who may
    /// take them. Returns how many were planned.
    pub async fn schedule_signed_off(&self) -> usize {
        let mut planned = 0;
        let signed = self.reviews.lock().remediations.signed.clone();
        for (campaign, at) in signed {
            let notice =
                self.with_campaign(&campaign, |running| running.campaign.definition().notice_ms);
            let not_before = match notice {
                Ok(Some(notice)) => at.plus_ms(notice),
                Ok(None) => {
                    self.reviews.lock().remediations.signed.remove(&campaign);
                    continue;
                }
                Err(error) => {
                    tracing::error!(%campaign, %error, "what a campaign decided cannot be read");
                    continue;
                }
            };
            let world = self.world();
            let roleless = |id: &IdentityId| {
                world.identity(id).is_some_and(|identity| identity.roles.is_empty())
            };
            match self.schedule_those(&campaign, not_before, None, roleless).await {
                Ok(ids) => planned += ids.len(),
                Err(error) => {
                    tracing::error!(%campaign, %error, "what a campaign decided could not be planned");
                    continue;
                }
            }
            self.reviews.lock().remediations.signed.remove(&campaign);
        }
        planned
    }

    fn plan_of(&self, wanted: NewRemediation) -> Result<RemediationPlan, RemediateError> {
        let NewRemediation { holder, grant, effect, not_before, cause, reason } = wanted;
        let (grant, right) = match grant {
            None => {
                if self.world().identity(&holder).is_none() {
                    return Err(EstateError::UnknownIdentity(holder).into());
                }
                let name = Sha256::digest(holder.as_str());
                (Digest::from_bytes(name.into()), RightTaken::Identity)
            }
            Some(grant) => {
                let held = self.can(&holder)?;
                let found = held.grants.iter().find(|one| one.id == grant);
                let unknown = || RemediateError::UnknownGrant {
                    holder: holder.clone(),
                    grant: grant.to_string(),
                };
                (grant, RightTaken::of(found.ok_or_else(unknown)?))
            }
        };
        Ok(RemediationPlan { holder, grant, right, effect, not_before, cause, reason })
    }
}
