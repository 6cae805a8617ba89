//! What is known of remediations and proposals: folds of their steps.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{Digest, RecordId, ReviewedThing, Timestamp};
use safeconduct_review::{
    PolicyProposal, ProposalState, ProposalStep, Remediation, RemediationStep, RightTaken,
};

use super::put_by::PutInForce;
use super::{Aside, AsideOf};
use crate::reviews::ReviewStep;

/// Most remediations, and most proposals, that are kept with nothing more to do about them: the
/// oldest are forgotten first. Their records stay.
const DONE_MAX: usize = 300_000;

/// Rights that are taken away.
#[derive(Debug, Default)]
pub(crate) struct Remediations {
    pub(crate) by_id: BTreeMap<RecordId, Remediation>,
    /// Denials of what was taken away, since this process began or as the ledger holds them.
    pub(crate) denials: BTreeMap<RecordId, u64>,
    /// Those whose denials may be counted; for how long is for each of them to say.
    pub(crate) watched: BTreeSet<RecordId>,
    /// How many there are of which something is still to be done.
    pub(crate) open: usize,
    /// The others, those first whose turn to be forgotten is next.
    done: BTreeSet<(Timestamp, RecordId)>,
    /// The campaigns that were signed off lately, and when: this process has yet to see whether what
    /// they decided is planned by itself.
    pub(crate) signed: BTreeMap<RecordId, Timestamp>,
}

/// For how long after its signature it is seen to that what a campaign decided is planned, in
/// milliseconds: 30 days. A server that was down for longer leaves it to people.
const SIGNED_MS: i64 = 30 * 86_400_000;

impl Remediations {
    /// Takes note of a campaign that was signed off.
    pub(crate) fn see_signature(&mut self, step: &ReviewStep<'_>) {
        let change = step.change;
        if change.what != ReviewedThing::Campaign || &*change.event != "signed_off" {
            return;
        }
        if let Ok(id) = RecordId::new(std::sync::Arc::clone(&change.id)) {
            self.signed.retain(|_, at| step.at.ms_since(*at) < SIGNED_MS);
            self.signed.insert(id, step.at);
        }
    }

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
                self.open += 1;
            }
            other => {
                let Some(one) = self.by_id.get_mut(&id) else { return };
                let was_open = one.state.is_open();
                one.apply(&other, step.at);
                let (is_open, place) = (one.state.is_open(), (one.scheduled_at, id.clone()));
                match one.is_watched(step.at) {
                    true => self.watched.insert(id),
                    false => self.watched.remove(&id),
                };
                match (was_open, is_open) {
                    (true, false) => {
                        self.open = self.open.saturating_sub(1);
                        self.done.insert(place);
                    }
                    (false, true) => {
                        self.open += 1;
                        self.done.remove(&place);
                    }
                    _ => {}
                }
                self.forget_beyond(DONE_MAX);
            }
        }
    }

    /// Forgets the oldest of those about which nothing is to be done. What is set aside is never
    /// forgotten: it is restored by its id.
    fn forget_beyond(&mut self, most: usize) {
        while self.done.len() > most {
            let held = |(_, id): &&(Timestamp, RecordId)| {
                self.by_id.get(id).is_some_and(|one| one.set_aside)
            };
            let Some(oldest) = self.done.iter().find(|place| !held(place)).cloned() else { return };
            self.by_id.remove(&oldest.1);
            self.denials.remove(&oldest.1);
            self.watched.remove(&oldest.1);
            self.done.remove(&oldest);
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
    /// How many wait for an answer, or are being put in force.
    pub(crate) open: usize,
    /// The others, the oldest first.
    done: BTreeSet<(Timestamp, RecordId)>,
    /// When, and by whom, the policies were changed.
    pub(crate) put: PutInForce,
}

impl Proposals {
    pub(crate) fn take_in(&mut self, step: &ReviewStep<'_>) {
        let (change, step_at) = (step.change, step.at);
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
                self.open += 1;
            }
            (step, by) => {
                let Some(one) = self.by_id.get_mut(&id) else { return };
                let was_open = one.state.is_open();
                one.apply(&step, by.as_ref());
                self.put.take_in(one, step_at);
                if step == ProposalStep::Applied {
                    self.in_force = Digest::parse(&one.change.to);
                }
                if was_open && !one.state.is_open() {
                    self.open = self.open.saturating_sub(1);
                    self.done.insert((one.at, id));
                }
                while self.done.len() > DONE_MAX
                    && let Some((_, oldest)) = self.done.pop_first()
                {
                    self.by_id.remove(&oldest);
                    self.texts_at.remove(&oldest);
                }
            }
        }
    }

    /// The one that is being put in force.
    pub(crate) fn under_way(&self) -> Option<&PolicyProposal> {
        self.by_id.values().find(|one| one.state == ProposalState::Approved)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use safeconduct_model::{IdentityId, ReviewChange, ReviewDetail, Timestamp};
    use safeconduct_review::{Effect, RemediationPlan};

    use super::*;

    fn take(all: &mut Remediations, id: &str, step: &RemediationStep, at: i64) {
        let detail = ReviewDetail::new(step.detail()).unwrap();
        let change = ReviewChange {
            what: ReviewedThing::Remediation,
            id: id.into(),
            sequence: 0,
            event: step.event().into(),
            about: None,
            by: None,
            detail,
        };
        let record = RecordId::new("rec_1").unwrap();
        let at = Timestamp::from_millis(at);
        all.take_in(&ReviewStep { id: &record, at, change: &change, sequence: 0 });
    }

    #[test]
    fn only_what_is_open_counts_and_what_is_set_aside_is_never_forgotten() {
        let reason: Arc<str> = "said so".into();
        let plan = Box::new(RemediationPlan {
            holder: IdentityId::new("agent").unwrap(),
            grant: Digest::from_bytes([1; 32]),
            right: RightTaken::Identity,
            effect: Effect::Suspend,
            not_before: Timestamp::from_millis(0),
            cause: None,
            reason: Arc::clone(&reason),
        });
        let scheduled = RemediationStep::Scheduled { plan };
        let set_aside = RemediationStep::Quarantined { asked: true, before: None };
        let restored = RemediationStep::Restored { reason };
        let denied = safeconduct_review::Probe {
            action: safeconduct_model::ActionName::new("files.read").unwrap(),
            resource: safeconduct_model::EntityRef::new("Server", "files").unwrap(),
            wanted: safeconduct_model::Decision::Deny,
            answer: safeconduct_model::Decision::Deny,
            reasons: Vec::new(),
            evidence: None,
            point: None,
        };
        let RemediationStep::Scheduled { plan } = &scheduled else { panic!("it is planned") };
        let verified = RemediationStep::verified(plan, vec![denied], None);
        let mut all = Remediations::default();
        for (n, id) in ["rem_1", "rem_2", "rem_3"].into_iter().enumerate() {
            take(&mut all, id, &scheduled, n as i64);
        }
        assert_eq!(all.open, 3);
        for step in [&set_aside, &verified] {
            take(&mut all, "rem_1", step, 5);
        }
        take(&mut all, "rem_2", &restored, 6);
        assert_eq!((all.open, all.done.len(), all.by_id.len()), (1, 2, 3));
        all.forget_beyond(0);
        let left: Vec<&str> = all.by_id.keys().map(RecordId::as_str).collect();
        assert_eq!(left, ["rem_1", "rem_3"], "what is set aside is restored by its id");
    }
}
