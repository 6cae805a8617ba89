//! Who put a statement in force: the authors and the approvers of the changes of the policies in
//! whose time it came, or came to say something else. A fold of the steps of proposals; no text is
//! read for it.
//!
//! Of what came by the folder itself nobody knows it.

use std::collections::{BTreeSet, VecDeque};

use safeconduct_model::{Digest, IdentityId, PolicyId, RecordId, Timestamp};
use safeconduct_review::{PolicyProposal, ProposalState};

use crate::Service;

/// Most changes of the policies of which it is remembered who made them: the newest.
const PUT_MAX: usize = 100_000;

/// A change: from its approval on until it was in force, or not. Only one at a time is on its way.
#[derive(Debug)]
struct Put {
    id: RecordId,
    from: Timestamp,
    until: Option<Timestamp>,
    by: BTreeSet<IdentityId>,
}

/// The changes, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct PutInForce(VecDeque<Put>);

impl PutInForce {
    /// Takes in how a proposal stands from then on.
    pub(crate) fn take_in(&mut self, one: &PolicyProposal, at: Timestamp) {
        let own = |put: &&mut Put| put.id == one.id;
        match one.state {
            ProposalState::Approved => {
                if self.0.len() >= PUT_MAX {
                    self.0.pop_front();
                }
                let by = one.answered_by.iter().chain([&one.author]).cloned().collect();
                self.0.push_back(Put { id: one.id.clone(), from: at, until: None, by });
            }
            ProposalState::Applied => {
                if let Some(put) = self.0.iter_mut().rev().find(own) {
                    put.until = Some(at);
                }
            }
            ProposalState::Conflict | ProposalState::Failed => {
                self.0.retain(|put| put.id != one.id);
            }
            ProposalState::Open | ProposalState::Rejected => {}
        }
    }

    /// Who changed the policies then.
    fn at(&self, at: Timestamp) -> impl Iterator<Item = &IdentityId> {
        let begun = self.0.partition_point(|put| put.from <= at);
        let then = self.0.range(..begun).rev();
        let then = then.take_while(move |put| put.until.is_none_or(|until| at <= until));
        then.flat_map(|put| &put.by)
    }
}

impl Service {
    /// Whether it can be told who put statements in force: nobody did by a proposal, or it has been
    /// gone over since when each is.
    pub(crate) fn knows_put_by(&self) -> bool {
        self.reviews.lock().proposals.put.0.is_empty() || self.ages_told()
    }

    /// Who put the statement of that id in force that says that, or one of that id that said
    /// something else before, by name; nobody where that did not come by a proposal, or is not
    /// known.
    pub(crate) fn put_by(&self, policy: &PolicyId, says: Digest) -> Vec<IdentityId> {
        let anew = self.said_anew(policy, says);
        let reviews = self.reviews.lock();
        let put = &reviews.proposals.put;
        let all: BTreeSet<&IdentityId> = anew.iter().flat_map(|at| put.at(*at)).collect();
        all.into_iter().cloned().collect()
    }
}
