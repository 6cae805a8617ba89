//! What was taken away and is asked for again: after some denials it is said that it was needed.

use safeconduct_model::{Body, Decided, Decision, Record, RecordId, Timestamp};
use safeconduct_review::{
    NEEDED_AFTER, Remediation, RemediationState, RemediationStep, RightTaken,
};

use super::{RemediateError, entry};
use crate::{Service, UNDERTAKE};

/// Most remediations that one step of time moves on.
const MOVED_AT_ONCE: usize = 256;

impl Service {
    /// Counts a denial of something that was taken away. Where nothing is watched a decision looks
    /// at one flag.
    pub(crate) fn watch_denial(&self, record: &Record) {
        if !self.reviews.is_watching() {
            return;
        }
        let Body::Decided(decided) = &record.body else { return };
        if decided.decision != Decision::Deny {
            return;
        }
        let mut state = self.reviews.lock();
        let hit: Vec<RecordId> = {
            let all = &state.remediations;
            let watched = all.watched.iter().filter_map(|id| all.by_id.get(id));
            let watched = watched.filter(|one| one.is_watched(record.at));
            watched.filter(|one| is_of(one, decided)).map(|one| one.id.clone()).collect()
        };
        for id in hit {
            *state.remediations.denials.entry(id).or_default() += 1;
        }
    }

    /// Moves on what is due: sets aside what its people had notice of, and says of what was denied
    /// often enough that it was needed. To be called from time to time. Returns how many moved.
    pub async fn sweep_remediations(&self) -> usize {
        let now = self.now();
        let (due, needed) = self.due_remediations(now);
        let mut moved = 0;
        for id in due {
            match self.quarantine(&id, None).await {
                Ok(_) => moved += 1,
                Err(error) => {
                    tracing::error!(%error, review = %id, "a right that is due could not be set aside");
                }
            }
        }
        for id in needed {
            match self.say_needed(&id).await {
                Ok(()) => moved += 1,
                Err(error) => {
                    tracing::error!(%error, review = %id, "denials could not be recorded")
                }
            }
        }
        moved
    }

    fn due_remediations(&self, now: Timestamp) -> (Vec<RecordId>, Vec<RecordId>) {
        let state = self.reviews.lock();
        let all = state.remediations.by_id.values();
        let due = all.filter(|one| one.is_due(now)).map(|one| one.id.clone());
        let often = |one: &&Remediation| {
            let denials = state.remediations.denials.get(&one.id);
            one.is_watched(now) && denials.is_some_and(|denials| *denials >= NEEDED_AFTER)
        };
        let watched = state.remediations.denials.keys();
        let watched = watched.filter_map(|id| state.remediations.by_id.get(id));
        let needed = watched.filter(often).map(|one| one.id.clone());
        (due.take(MOVED_AT_ONCE).collect(), needed.take(MOVED_AT_ONCE).collect())
    }

    async fn say_needed(&self, id: &RecordId) -> Result<(), RemediateError> {
        let seen = self.reviews_seen();
        let entry = {
            let state = self.reviews.lock();
            let denials = state.remediations.denials.get(id).copied().unwrap_or_default();
            let one = super::found(&state, id)?;
            entry(one, &RemediationStep::Needed { denials }, self.now(), None)?
        };
        self.record_reviews(seen, vec![entry], Vec::new()).await?;
        tracing::warn!(review = %id, "a right that was taken away is asked for again and again");
        Ok(())
    }
}

/// Whether a denial is one of the right that a remediation took away, and for nothing else.
fn is_of(one: &Remediation, decided: &Decided) -> bool {
    let named = |code: &str, text: &str| {
        decided.reasons.iter().any(|reason| &*reason.code == code && reason.message.contains(text))
    };
    if named("set_aside", one.id.as_str()) {
        return true;
    }
    if one.state == RemediationState::Quarantined
        || decided.principal.id.as_str() != one.plan.holder.as_str()
    {
        return false;
    }
    let unpermitted = decided.reasons.iter().all(|reason| &*reason.code == "no_permit");
    match &one.plan.right {
        RightTaken::Identity => true,
        RightTaken::Statement { actions, .. } => unpermitted && actions.contains(&decided.action),
        RightTaken::Intent { intent, .. } => {
            decided.action.as_str() == UNDERTAKE
                && decided.resources.iter().any(|uid| uid.id.as_str() == intent.as_str())
        }
        RightTaken::Delegation { .. } | RightTaken::Lease { .. } => false,
    }
}
