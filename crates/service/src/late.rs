//! Uses of what a task was given, after its end: each is a record of its own kind, for reviews.

use safeconduct_model::{ActionName, Authentication, Body, IdentityId, Record, TaskId, TokenId};

use crate::{Entry, LEASE, Proposal, Service, UNDERTAKE};

/// What somebody wanted of a task that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// To begin another in it.
    Child,
    /// A lease, or more time for one.
    Lease,
    /// To be let in.
    Entry,
}

impl Late {
    /// The action, where there is one.
    fn action(self) -> Option<ActionName> {
        match self {
            Self::Child => ActionName::new(UNDERTAKE).ok(),
            Self::Lease => ActionName::new(LEASE).ok(),
            Self::Entry => None,
        }
    }
}

impl Service {
    /// Records that someone used the task that they name after its end, or after that of one above
    /// it. Nobody waits for it. A task that is another's, or that nobody remembers, was not theirs
    /// to use: then nothing is recorded.
    pub(crate) fn late_in_task(&self, by: &Authentication, late: Late) {
        let named = by.task.as_ref().filter(|task| task.agent == by.identity);
        let line = named.and_then(|task| self.line(&task.id));
        if line.is_some_and(|line| line.ended.is_some() && line.task.agent == by.identity)
            && let Some(task) = named
        {
            self.record_late(&task.id, &by.identity, &by.token, late);
        }
    }

    /// Records a use after the end of a task.
    pub(crate) fn record_late(
        &self,
        task: &TaskId,
        identity: &IdentityId,
        token: &TokenId,
        late: Late,
    ) {
        // The task itself, or the nearest one above it, that has ended.
        let ended = self.line(task).and_then(|line| line.ended);
        let record = Record {
            id: self.ids.record("rec"),
            at: self.clock.now(),
            trace: None,
            parent: None,
            body: Body::UsedAfterEnd {
                task: ended.map_or_else(|| task.clone(), |(ended, _)| ended),
                identity: identity.clone(),
                token: token.clone(),
                action: late.action(),
            },
        };
        let queued = safeconduct_ledger::encode(&record).map(|leaf| {
            let entries = vec![Entry { leaf, attachment: None }];
            self.ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })
        });
        match queued {
            Ok(Ok(_)) => self.risks.watching.show(&record),
            Ok(Err(error)) => tracing::error!(%error, "a late use could not be recorded"),
            Err(error) => tracing::error!(%error, "a late use could not be recorded"),
        }
    }
}
