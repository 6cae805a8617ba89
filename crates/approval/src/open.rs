//! Making a request.

use safeconduct_model::{DEPTH_MAX, RESOURCES_MAX};
use thiserror::Error;

use crate::{AccessRequest, Change, Event, Opened, TermsError};

/// Longest chain of actors.
pub const ACTORS_MAX: usize = DEPTH_MAX as usize + 1;

/// Most people with a part in one request.
pub const INTERESTED_MAX: usize = 64;

/// Most people who are told of one request.
pub const ASKED_MAX: usize = 256;

/// Longest time that a request waits for answers, in milliseconds: seven days.
pub const WAIT_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// Why no request can be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The policy author's fault.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Our fault: nobody acts.
    #[error("the request names nobody who acts")]
    NoActor,
    /// The caller's fault: more than a request may hold.
    #[error("the request has more than {limit} {what}")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The caller's fault: no time is left, or too much.
    #[error("the request must wait between 1 ms and 7 days, and end before its task does")]
    Wait,
    /// The fault of the policy's author or of who keeps the directory: too few people are left
    /// who could answer, once those are taken away who ask or act.
    #[error("the policy wants {quorum} to approve, and {found} could: name more approvers")]
    NobodyToAsk {
        /// How many must.
        quorum: u32,
        /// How many could.
        found: usize,
    },
}

impl AccessRequest {
    /// Makes a request. Those who ask or act are not told of it, whoever names them.
    ///
    /// # Errors
    /// [`OpenError`] says who must change what.
    pub fn open(mut opened: Opened) -> Result<Change, OpenError> {
        opened.terms.check()?;
        let binding = &opened.binding;
        if binding.actors.is_empty() {
            return Err(OpenError::NoActor);
        }
        for (what, count, limit) in [
            ("actors", binding.actors.len(), ACTORS_MAX),
            ("resources", binding.resources.len(), RESOURCES_MAX),
            ("people with a part in it", opened.interested.len(), INTERESTED_MAX),
            ("people to ask", opened.asked.len(), ASKED_MAX),
        ] {
            if count > limit {
                return Err(OpenError::OverLimit { what, limit });
            }
        }
        let waits = opened.answer_by.as_millis().saturating_sub(opened.at.as_millis());
        let ended = opened.ends_at.is_some_and(|ends_at| ends_at < opened.answer_by);
        if !(1..=WAIT_MS_MAX).contains(&waits) || ended {
            return Err(OpenError::Wait);
        }
        let asks = opened.asked_by.clone();
        opened.asked.retain(|person| *person != asks && !binding.actors.contains(person));
        let (quorum, found) = (opened.terms.quorum, opened.asked.len());
        if found < quorum as usize {
            return Err(OpenError::NobodyToAsk { quorum, found });
        }
        let (request, at) = (opened.id.clone(), opened.at);
        Ok(Change { request, sequence: 0, at, event: Event::Requested(Box::new(opened)) })
    }
}
