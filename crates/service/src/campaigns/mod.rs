//! Campaigns of access reviews: frozen populations, reviewers, answers, signatures.
//!
//! A campaign is a fold of its records. What is large of a record, the population and who reviews
//! which case, lies beside it; it is read back the first time that somebody asks for the campaign,
//! by the same way in a process that has just recorded it and in one that was started since. What
//! lies there is held against its recorded digest: where it differs, nothing more is done in that
//! campaign.
//!
//! A step is computed by the pure campaign, and recorded if nothing of the reviews has changed
//! since; otherwise it is computed again.
//!
//! Locks: that of one campaign comes before the one of all reviews, never after it.

mod beside;
mod decide;
mod expressions;
mod fold;
mod gather;
mod kept;
mod people;
mod start;
mod steps;
mod tend;
mod triggers;
mod view;

use std::sync::Arc;

use safeconduct_model::{IdentityId, RecordId};
use safeconduct_review::{
    CampaignError, CampaignState, Case, DecideError, Effect, RemediationStyle,
};
use thiserror::Error;

pub(crate) use fold::Campaigns;

pub use decide::*;
pub use expressions::expression_problems;
pub use kept::{CampaignBegun, RunningCampaign};
pub use start::*;
pub use view::*;

use crate::{ReadError, RecordReviewsError, Service};

/// Most campaigns that are not over at one time.
pub const CAMPAIGNS_OPEN_MAX: usize = 500;

/// Most definitions that are kept.
pub const STANDING_MAX: usize = 200;

/// How often a step is computed again where others record reviews meanwhile.
const ATTEMPTS: u32 = 8;

/// Why a step of a campaign was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CampaignStepError {
    /// The caller's fault: no such campaign.
    #[error("no campaign `{0}` is known")]
    Unknown(RecordId),
    /// The caller's fault: not now, or not so.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// The caller's fault: the answer does not count.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The caller's fault: they cannot review.
    #[error("`{0}` is no person who may act now")]
    NotAPerson(IdentityId),
    /// The caller's fault: they are nobody's deputy here.
    #[error("`{deputy}` is not the deputy of `{of}`: a deputy is the fallback owner of a person")]
    NotDeputy {
        /// Who would stand in.
        deputy: IdentityId,
        /// For whom.
        of: IdentityId,
    },
    /// The caller's fault: they answer what they have not looked at.
    #[error("case {0} was not shown to you yet: look at it before you answer")]
    NotShown(u32),
    /// The caller's fault: one answer for each case.
    #[error("case {0} is answered twice at once")]
    Twice(u32),
    /// Our fault: what lies beside its records is not what was recorded.
    #[error("the campaign cannot be used: {0}")]
    Damaged(Arc<str>),
    /// Our fault: it could not be read, or not be recorded.
    #[error("the campaign could not be read or recorded: {0}")]
    NotRecorded(Arc<str>),
}

impl From<RecordReviewsError> for CampaignStepError {
    fn from(error: RecordReviewsError) -> Self {
        Self::NotRecorded(error.to_string().into())
    }
}

impl From<ReadError> for CampaignStepError {
    fn from(error: ReadError) -> Self {
        Self::NotRecorded(error.0)
    }
}

impl Service {
    /// What a campaign that is signed off decided to change, case by case: nothing of a campaign
    /// that only reports, and nothing of a right that stays as it is.
    ///
    /// # Errors
    /// [`CampaignStepError`]: it is not known, or cannot be read.
    pub fn campaign_effects(
        &self,
        id: &RecordId,
    ) -> Result<Vec<(Case, Effect)>, CampaignStepError> {
        self.with_campaign(id, |running| {
            let campaign = running.campaign;
            let signed = matches!(campaign.state(), CampaignState::SignedOff { .. });
            if !signed || campaign.definition().remediation != RemediationStyle::Automatic {
                return Vec::new();
            }
            let effects =
                campaign.cases().map(|(_, case, item)| (case, campaign.effect(case, item)));
            let changes = effects.filter(|(_, effect)| *effect != Effect::Keep);
            changes.map(|(case, effect)| (case.clone(), effect)).collect()
        })
    }

    /// The campaigns that were signed off, by id.
    ///
    /// # Errors
    /// [`CampaignStepError`]: one cannot be read.
    pub fn campaigns_signed_off(&self) -> Result<Vec<RecordId>, CampaignStepError> {
        let mut signed = Vec::new();
        for id in self.campaign_ids() {
            let is = self.with_campaign(&id, |running| {
                matches!(running.campaign.state(), CampaignState::SignedOff { .. })
            });
            if is? {
                signed.push(id);
            }
        }
        Ok(signed)
    }
}
