//! What is planned: with notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Timestamp};
use safeconduct_review::{
    Case, Effect, Grant, Remediation, RemediationPlan, RemediationStep, RightTaken,
};
use sha2::{Digest as _, Sha256};

use super::{ATTEMPTS, RemediateError, change_of};
use crate::{EstateError, REVIEW_STEPS_MAX, RecordReviewsError, ReviewsSeen, Service};

/// Most remediations of which something is still to be done. More are refused.
pub const REMEDIATIONS_MAX: usize = 100_000;

/// Most rights that are not planned of which the log of the process says why.
const LEFT_OUT_LOGGED: usize = 16;

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

/// What came of planning what a campaign decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedRights {
    /// The remediations, in the order of the cases.
    pub ids: Vec<RecordId>,
    /// What was decided and is not planned, in that order.
    pub left_out: Vec<LeftOut>,
}

/// A right of which a campaign decided something that is not planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Whose.
    pub holder: IdentityId,
    /// Which.
    pub grant: Digest,
    /// Why not.
    pub why: NotPlanned,
}

/// Why something that was decided is not planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPlanned {
    /// They do not have that right any more, or what gives it says something else by now.
    Gone,
    /// What they can do could not be found out: it is tried again.
    NotKnown(Arc<str>),
    /// They hold a role of the server: nothing is taken from them by time alone, so that a person
    /// has to plan it.
    HoldsRole,
}

impl fmt::Display for NotPlanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str(
                "they do not have it any more, or what gives it says something else by now",
            ),
            Self::NotKnown(problem) => write!(f, "what they can do is not known: {problem}"),
            Self::HoldsRole => f.write_str("they hold a role of the server: a person plans it"),
        }
    }
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
        let seen = self.reviews_seen();
        let plans = wanted.into_iter().map(|one| self.plan_of(one));
        self.schedule_since(seen, plans.collect::<Result<_, _>>()?, by).await
    }

    async fn schedule_since(
        &self,
        seen: ReviewsSeen,
        plans: Vec<RemediationPlan>,
        by: Option<&IdentityId>,
    ) -> Result<Vec<RecordId>, RemediateError> {
        let (mut entries, mut ids) = (Vec::new(), Vec::new());
        let now = self.now();
        if self.reviews.lock().remediations.open + plans.len() > REMEDIATIONS_MAX {
            let (what, limit) = ("remediations", REMEDIATIONS_MAX);
            return Err(RemediateError::OverLimit { what, limit });
        }
        for plan in plans {
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
    /// planned from it before is left out; what cannot be planned is said, and keeps nothing else
    /// from it. What is more than is recorded at once is planned in parts: called again, it goes on
    /// where it stopped.
    ///
    /// # Errors
    /// [`RemediateError`] says what cannot be planned, and why; nothing more is then.
    pub async fn schedule_campaign(
        &self,
        campaign: &RecordId,
        not_before: Timestamp,
        by: Option<&IdentityId>,
    ) -> Result<PlannedRights, RemediateError> {
        self.schedule_those(campaign, not_before, by, |_| true).await
    }

    /// The same for those holders alone; the others are left out for holding a role.
    async fn schedule_those(
        &self,
        campaign: &RecordId,
        not_before: Timestamp,
        by: Option<&IdentityId>,
        of: impl Fn(&IdentityId) -> bool,
    ) -> Result<PlannedRights, RemediateError> {
        let (effects, others): (Vec<_>, Vec<_>) =
            self.campaign_effects(campaign)?.into_iter().partition(|(case, _)| of(&case.holder));
        let (mut done, mut at, mut tried) = (PlannedRights::default(), 0, 0);
        done.left_out.extend(others.into_iter().map(|(Case { holder, grant, .. }, _)| LeftOut {
            holder,
            grant,
            why: NotPlanned::HoldsRole,
        }));
        while at < effects.len() {
            let rest = effects.get(at..).unwrap_or_default();
            // Before what was planned is read, so that two at once do not plan the same twice.
            let seen = self.reviews_seen();
            let part = self.unplanned(campaign, rest, not_before);
            match self.schedule_since(seen, part.plans, by).await {
                Ok(planned) => {
                    done.ids.extend(planned);
                    done.left_out.extend(part.left_out);
                    (at, tried) = (at + part.looked_at, 0);
                }
                Err(RemediateError::Record(RecordReviewsError::Stale)) if tried < ATTEMPTS => {
                    tried += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// What is to be planned of the first of these effects: as many as are recorded at once.
    fn unplanned(
        &self,
        campaign: &RecordId,
        effects: &[(Case, Effect)],
        not_before: Timestamp,
    ) -> Part {
        let cause: Option<Arc<str>> = Some(campaign.shared());
        let planned: BTreeSet<(IdentityId, Digest)> = {
            let state = self.reviews.lock();
            let all = state.remediations.by_id.values().filter(|one| one.plan.cause == cause);
            all.map(|one| (one.plan.holder.clone(), one.plan.grant)).collect()
        };
        let mut part = Part::default();
        // Cases of one holder come one after another.
        for of_one in effects.chunk_by(|(a, _), (b, _)| a.holder == b.holder) {
            let Some((Case { holder, .. }, _)) = of_one.first() else { continue };
            let decided = of_one.iter().map(|(case, effect)| (case.grant, *effect));
            let open: Vec<_> =
                decided.filter(|(grant, _)| !planned.contains(&(holder.clone(), *grant))).collect();
            let held = self.rights_among(holder, &open.iter().map(|(grant, _)| *grant).collect());
            let before = part.left_out.len();
            for (grant, effect) in open {
                if part.plans.len() == REVIEW_STEPS_MAX {
                    // They are looked at again, and then the first of theirs are planned.
                    part.left_out.truncate(before);
                    return part;
                }
                match planned_of(campaign, holder, &held, (grant, effect), not_before) {
                    Ok(plan) => part.plans.push(plan),
                    Err(why) => {
                        part.left_out.push(LeftOut { holder: holder.clone(), grant, why });
                    }
                }
            }
            part.looked_at += of_one.len();
        }
        part
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
                Ok(done) => {
                    planned += done.ids.len();
                    say_left_out(&campaign, &done.left_out);
                    let again = |one: &LeftOut| matches!(one.why, NotPlanned::NotKnown(_));
                    if done.left_out.iter().any(again) {
                        continue;
                    }
                }
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
                let held = self.rights_among(&holder, &BTreeSet::from([grant]))?;
                let found = held.get(&grant);
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

/// What is planned at once of what a campaign decided.
#[derive(Default)]
struct Part {
    plans: Vec<RemediationPlan>,
    left_out: Vec<LeftOut>,
    /// How many effects that is all of.
    looked_at: usize,
}

/// The plan by which a decision about a right is carried out.
///
/// INVARIANT: what was signed takes effect. A kind of right for which that is not possible as it was
/// said loses more, and keeps no other from being planned.
fn planned_of(
    campaign: &RecordId,
    holder: &IdentityId,
    held: &Result<BTreeMap<Digest, Grant>, EstateError>,
    (grant, decided): (Digest, Effect),
    not_before: Timestamp,
) -> Result<RemediationPlan, NotPlanned> {
    let held = match held {
        Ok(held) => held,
        // Nobody is registered by that name any more, so nothing is left to take.
        Err(EstateError::UnknownIdentity(_)) => return Err(NotPlanned::Gone),
        Err(error) => return Err(NotPlanned::NotKnown(error.to_string().into())),
    };
    let right = held.get(&grant).map(RightTaken::of).ok_or(NotPlanned::Gone)?;
    let effect = right.carried_out(decided);
    let reason = format!("campaign {campaign} decided to {}", decided.as_str());
    let (kind, what) = (right.as_str(), effect.as_str());
    let reason = match effect == decided {
        true => reason,
        false => format!("{reason}, which of a right of kind {kind} means to {what} it"),
    };
    Ok(RemediationPlan {
        holder: holder.clone(),
        grant,
        right,
        effect,
        not_before,
        cause: Some(campaign.shared()),
        reason: reason.into(),
    })
}

fn say_left_out(campaign: &RecordId, left_out: &[LeftOut]) {
    for LeftOut { holder, grant, why } in left_out.iter().take(LEFT_OUT_LOGGED) {
        tracing::warn!(%campaign, %holder, %grant, %why, "what a campaign decided of a right is not planned");
    }
    if left_out.len() > LEFT_OUT_LOGGED {
        tracing::warn!(%campaign, rights = left_out.len(), "what a campaign decided of more rights is not planned");
    }
}
