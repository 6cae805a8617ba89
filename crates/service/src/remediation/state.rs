//! What is known of remediations and proposals: folds of their steps.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{Digest, RecordId};
use safeconduct_review::{
    PolicyProposal, ProposalState, ProposalStep, Remediation, RemediationStep, RightTaken,
};

use super::{Aside, AsideOf};
use crate::reviews::ReviewStep;

/// Rights that are taken away.
#[derive(Debug, Default)]
pub(crate) struct Remediations {
    pub(crate) by_id: BTreeMap<RecordId, Remediation>,
    /// Denials of what was taken away, since this process began or as the ledger holds them.
    pub(crate) denials: BTreeMap<RecordId, u64>,
    /// Those whose denials may be counted; for how long is for each of them to say.
    pub(crate) watched: BTreeSet<RecordId>,
}

impl Remediations {
    /// Takes a step in. What is no step of ours is said and left out: the ledger has checked who
    /// wrote it, and another version may know more.
    pub(crate) fn take_in(&mut self, step: &ReviewStep<'_>) {
        let change = step.change;
        let read = RemediationStep::read(&change.event, change.detail.as_str());
        let id = RecordId::new(std::sync::Arc::clone(&change.id));
        let (Ok(read), Ok(id)) = (read, id) else {
            tracing::error!(id = %change.id, event = %change.event, "a step of a remediation is not understood");
            return;
        };
        match read {
            RemediationStep::Scheduled { plan } => {
                let one = Remediation::scheduled(id.clone(), *plan, change.by.clone(), step.at);
                self.by_id.insert(id, one);
            }
            other => {
                let Some(one) = self.by_id.get_mut(&id) else { return };
                one.apply(&other, step.at);
                match one.is_watched(step.at) {
                    true => self.watched.insert(id),
                    false => self.watched.remove(&id),
                };
            }
        }
    }

    /// Whether denials of any are counted.
    pub(crate) fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// What is set aside by them.
    pub(crate) fn asides(&self) -> BTreeMap<RecordId, Aside> {
        let set_aside = self.by_id.values().filter(|one| one.set_aside);
        set_aside.filter_map(|one| Some((one.id.clone(), aside_of(one)?))).collect()
    }
}

/// What a remediation sets aside; what is ended is not set aside.
pub(crate) fn aside_of(one: &Remediation) -> Option<Aside> {
    let right = match &one.plan.right {
        RightTaken::Identity => AsideOf::Whole,
        RightTaken::Statement { policy, says, .. } => {
            AsideOf::Statement { policy: policy.clone(), says: *says }
        }
        RightTaken::Intent { intent, schedule } => {
            AsideOf::Intent { intent: intent.clone(), schedule: schedule.clone() }
        }
        RightTaken::Delegation { .. } | RightTaken::Lease { .. } => return None,
    };
    Some(Aside { holder: one.plan.holder.clone(), right })
}

/// Changes of the policies.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) by_id: BTreeMap<RecordId, PolicyProposal>,
    /// Where the texts of each lie.
    pub(crate) texts_at: BTreeMap<RecordId, u64>,
    /// Digest of the folder that is in force by a proposal, or was when proposals began to count.
    pub(crate) in_force: Option<Digest>,
}

impl Proposals {
    pub(crate) fn take_in(&mut self, step: &ReviewStep<'_>) {
        let change = step.change;
        let read = ProposalStep::read(&change.event, change.detail.as_str());
        let id = RecordId::new(std::sync::Arc::clone(&change.id));
        let (Ok(read), Ok(id)) = (read, id) else {
            tracing::error!(id = %change.id, event = %change.event, "a step of a proposal is not understood");
            return;
        };
        match (read, &change.by) {
            (ProposalStep::Imported { to }, _) => self.in_force = Some(to),
            (ProposalStep::Proposed(change), Some(by)) => {
                let one = PolicyProposal::proposed(id.clone(), *change, by.clone(), step.at);
                self.texts_at.insert(id.clone(), step.sequence);
                self.by_id.insert(id, one);
            }
            (step, by) => {
                let Some(one) = self.by_id.get_mut(&id) else { return };
                one.apply(&step, by.as_ref());
                if step == ProposalStep::Applied {
                    self.in_force = Digest::parse(&one.change.to);
                }
            }
        }
    }

    /// The one that is being put in force.
    pub(crate) fn under_way(&self) -> Option<&PolicyProposal> {
        self.by_id.values().find(|one| one.state == ProposalState::Approved)
    }
}
