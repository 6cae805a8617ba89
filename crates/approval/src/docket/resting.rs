//! On whom live requests rest, so that the end of one of them costs what it ends and no more.

use safeconduct_model::{IdentityId, RecordId};

use super::{Docket, parties};
use crate::{AccessRequest, Answered};

impl AccessRequest {
    /// On whom it rests: who acts in it, for whom they do, who has answered it, and in whose place.
    /// Once one of them may not act any more, nothing may come of it. Some may be named twice.
    pub fn rests_on(&self) -> impl Iterator<Item = &IdentityId> {
        parties(&self.opened().binding).chain(self.answers().iter().flat_map(said))
    }
}

/// Who gave an answer, and in whose place.
fn said(answered: &Answered) -> impl Iterator<Item = &IdentityId> {
    [&answered.by].into_iter().chain(&answered.standing_in_for)
}

impl Docket {
    /// The requests that wait or may be used and rest on somebody.
    pub fn resting_on(&self, who: &IdentityId) -> impl Iterator<Item = &AccessRequest> {
        let ids = self.resting.get(who);
        ids.into_iter().flatten().filter_map(|id| self.requests.get(id))
    }

    /// Takes note of on whom a live request rests by now.
    pub(super) fn rest(&mut self, id: &RecordId) {
        let Some(request) = self.requests.get(id) else { return };
        for who in request.rests_on() {
            match self.resting.get_mut(who) {
                Some(ids) => {
                    ids.insert(id.clone());
                }
                None => {
                    self.resting.insert(who.clone(), [id.clone()].into());
                }
            }
        }
    }

    /// Forgets on whom one rested that has ended.
    pub(super) fn rest_no_more(&mut self, id: &RecordId) {
        let Some(request) = self.requests.get(id) else { return };
        for who in request.rests_on() {
            let Some(ids) = self.resting.get_mut(who) else { continue };
            ids.remove(id);
            if ids.is_empty() {
                self.resting.remove(who);
            }
        }
    }
}
