//! Use-case: take rights away, in stages: a notice, a quarantine that one command lifts, the change
//! of the policies, and the proof at the enforcement point.

mod apply;
mod aside;
mod divergence;
mod ends;
mod gate;
mod points;
mod probe;
mod proposals;
mod put_by;
mod quarantine;
mod replayed;
mod schedule;
mod state;
mod watch;

use std::sync::Arc;

use safeconduct_model::{
    Body, IdentityId, NameError, RecordId, ReviewChange, ReviewDetail, ReviewedThing,
};
use safeconduct_policy::RevokeError;
use safeconduct_review::{ProposalError, Remediation, RemediationError, RemediationStep};
use thiserror::Error;

use crate::reviews::Reviewed;
use crate::{
    AppendError, EstateError, RecordReviewsError, ReviewEntry, Service, Ticket, Versioned, World,
};

pub use aside::{Aside, AsideOf};
pub use divergence::Divergence;
pub use gate::*;
pub use points::*;
pub use probe::{PROBE_INPUT_BYTES_MAX, Probing};
pub use proposals::*;
pub(crate) use put_by::IntentsPut;
pub use replayed::{
    VERIFY_DECISIONS_MAX, VERIFY_LOOKED_AT_MAX, VERIFY_MS_MAX, VERIFY_RECALLED_MAX,
    VERIFY_WINDOW_MS,
};
pub use schedule::{LeftOut, NewRemediation, NotPlanned, PlannedRights, REMEDIATIONS_MAX};
pub(crate) use state::{Proposals, Remediations};

/// Why a remediation, or a change of the policies, did not go on.
#[derive(Debug, Error)]
pub enum RemediateError {
    /// The caller's fault: no such remediation.
    #[error("no remediation `{0}` is known")]
    Unknown(RecordId),
    /// The caller's fault: no such proposal.
    #[error("no proposal `{0}` is known")]
    UnknownProposal(RecordId),
    /// The caller's fault: they have no such right, or have it no more.
    #[error("`{holder}` has no right `{grant}`")]
    UnknownGrant {
        /// Who.
        holder: IdentityId,
        /// The digest that was named.
        grant: String,
    },
    /// The caller's fault: no such campaign; or ours: it cannot be read.
    #[error(transparent)]
    Campaign(#[from] crate::CampaignStepError),
    /// The caller's fault: no such identity.
    #[error(transparent)]
    Estate(#[from] EstateError),
    /// The caller's fault: not now, or not so.
    #[error(transparent)]
    Step(#[from] RemediationError),
    /// The caller's fault: not now, or not by them.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// The caller's fault: nothing can be taken from that statement by a change of text.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// The caller's fault: the draft is none, or there has to be one.
    #[error("{0}")]
    Draft(String),
    /// The folder has changed since: nothing was overwritten.
    #[error("the policy folder has changed meanwhile, and nothing was overwritten: {0}")]
    Conflict(String),
    /// Nobody's fault: what was edited is not what there is any more. Nothing is merged.
    #[error(
        "the policies have changed since they were edited, and nothing is applied over that: {0}; \
             edit what there is now (`policy checkout`)"
    )]
    Diverged(Box<Divergence>),
    /// The caller's fault: whoever gains by a change does not approve it.
    #[error("`{by}` gains by the change (`{what}`): somebody else has to approve it")]
    OwnGain {
        /// Who wanted to approve it.
        by: IdentityId,
        /// The statement, or the remediation that it would undo.
        what: String,
    },
    /// Nobody's fault: a right was restored since, or taken by another change.
    #[error(
        "proposal `{proposal}` takes what remediation `{remediation}` does not take any more: \
             reject it, and propose what is still to go"
    )]
    Outlived {
        /// The change.
        proposal: RecordId,
        /// The remediation that it names.
        remediation: RecordId,
    },
    /// The author's fault: the change does not pass its checks.
    #[error("the change does not pass its checks: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The caller's fault: the probe says nothing.
    #[error("the probe of `{action}` says nothing, because {why}: give it the arguments of a use")]
    Inconclusive {
        /// What was asked about.
        action: String,
        /// Why it says nothing.
        why: String,
    },
    /// Nobody's fault: another change is being put in force.
    #[error("proposal `{0}` is being put in force; try again")]
    Busy(RecordId),
    /// The configuration's fault: this process has no policy folder.
    #[error("this server has no policy folder")]
    NoFolder,
    /// Too many of them.
    #[error("there are already {limit} {what}, the most that are kept")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Our fault: the folder could not be read or written, or what was written not loaded.
    #[error("{0}")]
    Folder(String),
    /// Others changed the same at the same moment, or our fault: it was not recorded.
    #[error(transparent)]
    Record(#[from] RecordReviewsError),
    /// Our fault: what was decided could not be read.
    #[error(transparent)]
    Read(#[from] crate::ReadError),
    /// A name does not fit.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault, or others changed the same: what hangs on it did not end.
    #[error(transparent)]
    Change(#[from] crate::ChangeError),
    /// Our fault: a task that rests on what was taken away could not be ended.
    #[error(transparent)]
    End(#[from] crate::EndError),
}

/// How often a step is tried where others change the same.
const ATTEMPTS: usize = 3;

impl Service {
    /// All remediations, the oldest first.
    pub fn remediations(&self) -> Vec<Remediation> {
        let mut all: Vec<_> = self.reviews.lock().remediations.by_id.values().cloned().collect();
        all.sort_by(|a, b| (a.scheduled_at, &a.id).cmp(&(b.scheduled_at, &b.id)));
        all
    }

    /// One of them.
    pub fn remediation(&self, id: &RecordId) -> Option<Remediation> {
        self.reviews.lock().remediations.by_id.get(id).cloned()
    }

    /// Changes the world and the reviews together, once both records are queued; tried again where
    /// others change the same.
    async fn step(
        &self,
        change: impl Fn(&mut World, &Reviewed) -> Result<(Vec<Body>, Vec<ReviewEntry>), RemediateError>,
    ) -> Result<(), RemediateError> {
        let mut tried = 0;
        let ticket = loop {
            tried += 1;
            match self.queue_step(&change) {
                Err(RemediateError::Record(RecordReviewsError::Stale)) if tried < ATTEMPTS => {}
                other => break other?,
            }
        };
        self.tell();
        if let Some(ticket) = ticket {
            self.ledger.durable(ticket).await?;
        }
        Ok(())
    }

    fn queue_step(
        &self,
        change: impl Fn(&mut World, &Reviewed) -> Result<(Vec<Body>, Vec<ReviewEntry>), RemediateError>,
    ) -> Result<Option<Ticket>, RemediateError> {
        let _changing = self.keep_changes_out();
        let mut world = World::clone(&self.world());
        let mut state = self.reviews.lock();
        let (bodies, entries) = change(&mut world, &state)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let reads = vec![(Versioned::World, world.version)];
        let also = (bodies, vec![Versioned::World]);
        let (_, ticket) = self.queue_reviews_and(&mut state, entries, reads, also)?;
        world.version += 1;
        let moved = !Arc::ptr_eq(&world.set_aside, &self.world().set_aside);
        self.world.store(Arc::new(world));
        if moved {
            // Leases end with what they rest on, of whomever that is.
            self.leases.look_at_all();
        }
        Ok(Some(ticket))
    }
}

/// One step of a remediation, checked, as it is recorded.
fn entry(
    one: &Remediation,
    step: &RemediationStep,
    at: safeconduct_model::Timestamp,
    by: Option<&IdentityId>,
) -> Result<ReviewEntry, RemediateError> {
    one.check(step, at)?;
    change_of(one, step, one.steps, by)
}

fn change_of(
    one: &Remediation,
    step: &RemediationStep,
    sequence: u64,
    by: Option<&IdentityId>,
) -> Result<ReviewEntry, RemediateError> {
    let detail = ReviewDetail::new(step.detail())
        .map_err(|error| RecordReviewsError::Record(error.to_string().into()))?;
    Ok(ReviewEntry::new(ReviewChange {
        what: ReviewedThing::Remediation,
        id: one.id.shared(),
        sequence,
        event: step.event().into(),
        about: Some(one.plan.holder.clone()),
        by: by.cloned(),
        detail,
    }))
}

/// The remediation of that id.
fn found<'a>(state: &'a Reviewed, id: &RecordId) -> Result<&'a Remediation, RemediateError> {
    state.remediations.by_id.get(id).ok_or_else(|| RemediateError::Unknown(id.clone()))
}
