//! Answering a request.

use std::sync::Arc;

use safeconduct_model::{Assurance, IdentityId, Timestamp};
use thiserror::Error;

use crate::{
    AccessRequest, Answer, Answered, Answerer, Approver, Attempt, Change, Event, Holders, Mismatch,
    Scope, ScopeError, State,
};

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// It came too late, or after another: nobody's fault.
    #[error("the request is {} and takes no answer", .0.as_str())]
    Closed(State),
    /// The answerer's fault: they act, or made the request.
    #[error("`{0}` acts in this request or made it, and cannot answer it")]
    OwnRequest(IdentityId),
    /// The answerer's fault: they have a part in it, and the policy does not name that part.
    #[error(
        "`{0}` has a part in this request, and may answer only where the policy names \
         `on_behalf_of` or `principal.owner`"
    )]
    Interested(IdentityId),
    /// The answerer's fault: one voice each.
    #[error("`{0}` has answered this request already")]
    Twice(IdentityId),
    /// The answerer's fault: the policy names others, or others first.
    #[error("`{person}` is not among those who may answer stage {} of this request", stage + 1)]
    NotNamed {
        /// Who.
        person: IdentityId,
        /// Which stage is due, from 0.
        stage: u8,
    },
    /// The answerer's fault: they must prove better who they are.
    #[error(
        "this request takes a proof of assurance `{}`, not `{}`: sign in with a passkey",
        wanted.as_str(),
        found.as_str()
    )]
    Assurance {
        /// What they proved.
        found: Assurance,
        /// What it takes.
        wanted: Assurance,
    },
    /// The answerer's fault: the request must be answered in person.
    #[error("nobody can stand in for an approver of this request")]
    NoDeputies,
    /// Our fault, or an attack: what they were shown is not what the request is about.
    #[error("what was shown is not what was asked: the {} differ", .0.as_str())]
    Shown(Mismatch),
    /// The answerer's fault: all must approve the same, as [`AccessRequest::scope`] has it; a time
    /// until which it holds may be another, and the soonest counts.
    #[error("another approver has approved something else: approve the same, or refuse")]
    OtherScope,
    /// The answerer's fault: what they would approve cannot be.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The answerer's fault: too many words.
    #[error("the reason is longer than {REASON_BYTES_MAX} bytes")]
    Reason,
}

impl AccessRequest {
    /// Approves it. `shown` is what the approver saw: the arguments, for which the digest that
    /// the request is bound to is made again.
    ///
    /// # Errors
    /// [`AnswerError`] says who must do what else.
    pub fn approve(
        &self,
        by: &Answerer,
        holders: &Holders,
        scope: Scope,
        shown: &Attempt<'_>,
        at: Timestamp,
    ) -> Result<Change, AnswerError> {
        let term = self.admit(by, holders, at)?;
        self.shown(shown)?;
        scope.check(self.opened(), shown, self.moment(at))?;
        if let Some(first) = self.scope() {
            if !first.agrees_with(&scope) {
                return Err(AnswerError::OtherScope);
            }
            if let Some(until) = first.until().filter(|until| *until <= self.moment(at)) {
                return Err(ScopeError::Over(until).into());
            }
        }
        Ok(self.answered(by, term, Answer::Approve(scope), at))
    }

    /// Refuses it, for good.
    ///
    /// # Errors
    /// [`AnswerError`] says who must do what else.
    pub fn refuse(
        &self,
        by: &Answerer,
        holders: &Holders,
        reason: Arc<str>,
        at: Timestamp,
    ) -> Result<Change, AnswerError> {
        let term = self.admit(by, holders, at)?;
        if reason.len() > REASON_BYTES_MAX {
            return Err(AnswerError::Reason);
        }
        Ok(self.answered(by, term, Answer::Refuse { reason }, at))
    }

    /// Whether an answer of theirs would be looked at now, by which term. What it says comes after
    /// this: nobody else learns whether that would fit.
    ///
    /// # Errors
    /// [`AnswerError`] says why not.
    pub fn admit(
        &self,
        by: &Answerer,
        holders: &Holders,
        at: Timestamp,
    ) -> Result<Approver, AnswerError> {
        match self.standing(at) {
            State::Pending => self.eligible(by, holders),
            state => Err(AnswerError::Closed(state)),
        }
    }

    /// Whether what was shown is what is bound: every member of the binding, and the digest of
    /// the very arguments.
    pub(crate) fn shown(&self, shown: &Attempt<'_>) -> Result<(), AnswerError> {
        let bound = &self.opened().binding;
        let same = Scope::Once.admits(bound, shown);
        same.map_err(AnswerError::Shown)?;
        if (shown.digest)(shown.input) != bound.arguments {
            return Err(AnswerError::Shown(Mismatch::Arguments));
        }
        Ok(())
    }

    fn answered(&self, by: &Answerer, term: Approver, answer: Answer, at: Timestamp) -> Change {
        let answered = Answered {
            by: by.person.identity.clone(),
            standing_in_for: by.standing_in_for.as_ref().map(|person| person.identity.clone()),
            term,
            stage: self.stage(),
            answer,
        };
        self.change(at, Event::Answered(Box::new(answered)))
    }
}
