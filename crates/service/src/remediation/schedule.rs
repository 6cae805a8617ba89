//! What is planned: with notice.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Timestamp};
use safeconduct_review::{Effect, Remediation, RemediationPlan, RemediationStep, RightTaken};
use sha2::{Digest as _, Sha256};

use super::{RemediateError, change_of};
use crate::{EstateError, ReviewsSeen, Service};

/// Most remediations that are kept. More are refused.
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
        if self.reviews.lock().remediations.by_id.len() + wanted.len() > REMEDIATIONS_MAX {
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
    /// planned from it before, and rights that are gone, are left out.
    ///
    /// # Errors
    /// [`RemediateError`] says what cannot be planned, and why; nothing is then.
    pub async fn schedule_campaign(
        &self,
        campaign: &RecordId,
        not_before: Timestamp,
        by: Option<&IdentityId>,
    ) -> Result<Vec<RecordId>, RemediateError> {
        let effects = self.campaign_effects(campaign)?;
        // Before what was planned is read, so that two at once do not plan the same twice.
        let seen = self.reviews_seen();
        let mut planned = BTreeSet::new();
        for one in self.remediations() {
            planned.insert((one.plan.cause, one.plan.holder, one.plan.grant));
        }
        let mut wanted = Vec::new();
        for (case, effect) in effects {
            let cause: Option<Arc<str>> = Some(campaign.shared());
            if planned.contains(&(cause.clone(), case.holder.clone(), case.grant)) {
                continue;
            }
            let held = self.can(&case.holder);
            if !held.is_ok_and(|held| held.grants.iter().any(|one| one.id == case.grant)) {
                continue;
            }
            wanted.push(NewRemediation {
                holder: case.holder,
                grant: Some(case.grant),
                effect,
                not_before,
                cause,
                reason: format!("campaign {campaign} decided to {}", effect.as_str()).into(),
            });
        }
        self.schedule_since(seen, wanted, by).await
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
