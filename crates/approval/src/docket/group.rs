//! One answer for several requests.

use std::sync::Arc;

use safeconduct_model::{RecordId, Timestamp};
use thiserror::Error;

use super::{Docket, alike};
use crate::{AccessRequest, AnswerError, Answerer, Attempt, Change, Holders, Scope, State};

impl Docket {
    /// The requests that one answer can settle together with this one: those of the same actors
    /// in the same task that wait for the same people, for the same action on resources of the
    /// same types. This one is among them; no task, no group.
    pub fn group(&self, id: &RecordId, at: Timestamp) -> Vec<&AccessRequest> {
        let Some(of) = self.requests.get(id) else { return Vec::new() };
        let opened = of.opened();
        let Some(agent) = opened.binding.actors.first() else { return Vec::new() };
        let together = |request: &&AccessRequest| {
            request.standing(at) == State::Pending
                && (request.opened().id == *id || alike(request.opened(), opened))
        };
        self.live(agent, opened.binding.task.as_ref()).filter(together).collect()
    }

    /// Answers each of these requests, which the approver was shown one by one. All must be of
    /// the first one's [`Docket::group`]; what joined it since is not answered.
    ///
    /// Each has its own result: one that somebody else has answered meanwhile does not hold up
    /// the others.
    pub fn answer_all<'a>(
        &self,
        shown: &[(&'a RecordId, &Attempt<'_>)],
        by: &Answerer,
        holders: impl Fn(&AccessRequest) -> Holders,
        word: &Word,
        at: Timestamp,
    ) -> Vec<(&'a RecordId, Result<Change, GroupError>)> {
        let group = shown.first().map(|(first, _)| self.group(first, at)).unwrap_or_default();
        let answer = |id: &RecordId, attempt: &Attempt<'_>| {
            let of = group.iter().find(|request| request.opened().id == *id);
            let request = *of.ok_or(GroupError::NotOfGroup)?;
            let holders = holders(request);
            Ok(match word {
                Word::Approve => request.approve(by, &holders, Scope::Once, attempt, at)?,
                Word::Refuse { reason } => request.refuse(by, &holders, Arc::clone(reason), at)?,
            })
        };
        shown.iter().map(|(id, attempt)| (*id, answer(id, attempt))).collect()
    }
}

/// What is said to a group: each is approved once, exactly as it was shown, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Yes.
    Approve,
    /// No.
    Refuse {
        /// Why.
        reason: Arc<str>,
    },
}

/// Why one of a group is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GroupError {
    /// The answerer's fault, or nobody's where it has ended: it is not one of the group.
    #[error("the request is not, or no more, one of those that are answered together")]
    NotOfGroup,
    /// [`AnswerError`] says whose fault it is.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}
