//! Port: what administration reads of the ledger. Crate `store` answers from its read model,
//! which is folded from the ledger right behind it; nothing on the way of a decision uses it.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use safeconduct_model::{
    ActionName, Decision, EntityId, EntityRef, EntityType, IdentityId, PolicyId, RecordId,
    SessionKey, Timestamp,
};
use safeconduct_review::{TaskKind, Use, UseKey};
use thiserror::Error;

/// Most records that one answer holds. A larger limit is taken for this one.
pub const PAGE_RECORDS_MAX: usize = 1000;

/// Which records are wanted: all that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordQuery {
    /// Of that kind: [`safeconduct_model::Body::kind`].
    pub kind: Option<String>,
    /// Decisions of that answer.
    pub decision: Option<Decision>,
    /// In sessions of that identity.
    pub identity: Option<IdentityId>,
    /// Of that session.
    pub session: Option<SessionKey>,
    /// Decisions about that action.
    pub action: Option<ActionName>,
    /// Decisions in which that policy was a reason.
    pub policy: Option<PolicyId>,
    /// Caused by that record: outcomes of a decision.
    pub parent: Option<RecordId>,
    /// Made at that moment or later.
    pub since: Option<Timestamp>,
    /// Made before that moment.
    pub until: Option<Timestamp>,
    /// Of lower sequence numbers than that one: the next page of a listing, newest first.
    pub before: Option<u64>,
    /// At most so many, and at most [`PAGE_RECORDS_MAX`].
    pub limit: usize,
}

/// A record as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its place in the ledger, from 0.
    pub sequence: u64,
    /// The leaf: the record's canonical JSON, as it was appended.
    pub leaf: Arc<str>,
}

/// Records, and how far the read model had come when it gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<ReadRecord>,
    /// How many records of the ledger the read model has read: all of sequence numbers below.
    pub read_up_to: u64,
}

/// Most rows of use that one answer holds.
pub const USES_MAX: usize = 10_000;

/// Whose use of rights is wanted, of what and when: all that fits every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UseQuery {
    /// Of that principal.
    pub principal: Option<EntityRef>,
    /// Of that policy.
    pub policy: Option<PolicyId>,
    /// On that day or later: days since 1970-01-01, in UTC.
    pub since_day: Option<i64>,
    /// On that day or before.
    pub until_day: Option<i64>,
}

/// Use of rights, and how far the read model had come when it gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsesPage {
    /// Row by row, the latest days first.
    pub uses: Vec<(UseKey, Use)>,
    /// Whether there is more than [`USES_MAX`] rows.
    pub more: bool,
    /// How many records of the ledger the read model has read.
    pub read_up_to: u64,
}

/// Which rights somebody used: the policies that permitted, and the intents under which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsedRights {
    /// The policies, by name.
    pub policies: BTreeSet<Arc<str>>,
    /// The intents, by name.
    pub intents: BTreeSet<Arc<str>>,
}

impl UsedRights {
    /// Takes in the use of a right, where it was used: what an enforcement point only observed
    /// was done too.
    pub fn take(&mut self, key: &UseKey, used: &Use) {
        if used.permitted + used.observed > 0 {
            self.policies.extend(key.policy.clone());
            // An intent is the agent's: of the user it used a policy.
            let intent = key.intent.as_ref().filter(|_| key.task != TaskKind::ThroughAgent);
            self.intents.extend(intent.map(|intent| intent.shared()));
        }
    }
}

/// As what an entity was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenAs {
    /// As who acted.
    Principal,
    /// As what something was done to, or was to be.
    Resource,
}

impl SeenAs {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Resource => "resource",
        }
    }
}

/// Why nothing could be read: our fault. The ledger itself is not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the read model could not be read: {0}")]
pub struct ReadError(pub Arc<str>);

/// The wait for records beyond those that were read; resolves once there are some, or once
/// there never will be.
pub struct Grown<'a>(pub Pin<Box<dyn Future<Output = ()> + Send + 'a>>);

impl Future for Grown<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// Reads the records of the ledger. Its methods may block on a disk: an asynchronous caller
/// calls them where that hurts nobody.
pub trait ReadModel: Send + Sync + 'static {
    /// The records that fit, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError>;

    /// The record of that id; a page of one or none.
    ///
    /// # Errors
    /// [`ReadError`].
    fn record(&self, id: &RecordId) -> Result<Page, ReadError>;

    /// At most `limit` records from that sequence number on, oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError>;

    /// How rights were used, as far as the records have been read.
    ///
    /// # Errors
    /// [`ReadError`].
    fn uses(&self, query: &UseQuery) -> Result<UsesPage, ReadError>;

    /// Which rights were used, of all rows however many: nothing of it is a list of rows.
    ///
    /// # Errors
    /// [`ReadError`]. A read model that cannot tell without a list refuses more than
    /// [`USES_MAX`] rows.
    fn used_rights(&self, query: &UseQuery) -> Result<UsedRights, ReadError> {
        let page = self.uses(query)?;
        if page.more {
            return Err(ReadError(format!("there are more than {USES_MAX} rows of use").into()));
        }
        let mut used = UsedRights::default();
        page.uses.iter().for_each(|(key, row)| used.take(key, row));
        Ok(used)
    }

    /// The ids of entities of that type that decisions were about, in order, those after the
    /// given one; at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`].
    fn entities(
        &self,
        seen: SeenAs,
        ty: &EntityType,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<EntityId>, ReadError>;

    /// How many records have been read. Never blocks.
    fn read_up_to(&self) -> u64;

    /// Waits until more than so many records have been read.
    fn grown_beyond(&self, records: u64) -> Grown<'_>;

    /// The newest signed checkpoint, as the text of a signed note (C2SP `tlog-checkpoint`);
    /// `None` while there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    fn checkpoint(&self) -> Result<Option<String>, ReadError>;
}
