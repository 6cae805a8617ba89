//! Several identities are changed together, if none of them has changed since it was looked at;
//! and the groups that a directory keeps here.

use std::sync::Arc;

use safeconduct_model::{Body, Identity, IdentityId, IdentityStatus, RecordId};
use safeconduct_review::{GROUP_ID_PREFIX, ImportStep};
use thiserror::Error;

use super::{KEPT_GROUPS_MAX, KeptGroup};
use crate::end::let_others;
use crate::{ChangeError, IDENTITIES_MAX, RecordReviewsError, Service};

/// Most identities that are changed together.
pub const REPLACED_MAX: usize = 10_000;

/// How many identities are gone through before others have their turn.
const ENDED_AT_ONCE: usize = 64;

/// An identity as it was when it was looked at, and as it is to be.
#[derive(Debug, Clone)]
pub struct Replacing {
    /// As it was; nothing where nobody had the name.
    pub was: Option<Identity>,
    /// As it is to be.
    pub is: Identity,
}

/// Why identities were not changed: none of them was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplaceError {
    /// One is not as it was any more: look again.
    #[error("`{0}` has changed meanwhile")]
    Moved(IdentityId),
    /// Anything else.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Service {
    /// Changes identities, all of them or none. What rests on one that may not act any more ends.
    /// A new one whose name a signal stopped before begins suspended.
    ///
    /// # Errors
    /// [`ReplaceError`].
    pub async fn replace_identities(
        &self,
        changes: Vec<Replacing>,
        by: &IdentityId,
        because: Option<&RecordId>,
    ) -> Result<(), ReplaceError> {
        if changes.len() > REPLACED_MAX {
            let (what, limit) = ("identities that are changed together", REPLACED_MAX);
            return Err(ChangeError::OverLimit { what, limit }.into());
        }
        let mut moved = None;
        let queued = self.queue_change_because(because, |world| {
            let mut bodies = Vec::with_capacity(changes.len());
            for Replacing { was, is } in &changes {
                let known = world.identity(&is.id);
                if known != was.as_ref() {
                    moved = Some(is.id.clone());
                    return Ok(Vec::new());
                }
                if known == Some(is) {
                    continue;
                }
                if known.is_none() && world.identities.len() >= IDENTITIES_MAX {
                    let (what, limit) = ("identities", IDENTITIES_MAX);
                    return Err(ChangeError::OverLimit { what, limit });
                }
                bodies.push(Body::IdentityChanged { identity: is.clone(), by: by.clone() });
            }
            for Replacing { was, is } in &changes {
                world.with_identity(is.clone())?;
                if was.is_none() {
                    bodies.extend(self.stopped_beforehand(world, &is.id)?);
                }
            }
            Ok(bodies)
        })?;
        if let Some(moved) = moved {
            return Err(ReplaceError::Moved(moved));
        }
        self.tell();
        if let Some(ticket) = queued {
            self.ledger.durable(ticket).await.map_err(ChangeError::from)?;
        }
        let acted = |was: &Option<Identity>| {
            was.as_ref().is_some_and(|was| was.status == IdentityStatus::Active)
        };
        let changed = changes.iter().filter(|change| acted(&change.was));
        for (done, Replacing { is, .. }) in changed.enumerate() {
            self.end_for_the_inactive(is, by).await?;
            if (done + 1).is_multiple_of(ENDED_AT_ONCE) {
                let_others().await;
            }
        }
        Ok(())
    }

    /// Keeps a group for a directory: a new one where no id is given. Gives its id.
    ///
    /// # Errors
    /// [`RecordReviewsError`]; there are at most [`KEPT_GROUPS_MAX`].
    pub async fn keep_group(
        &self,
        id: Option<&Arc<str>>,
        name: Arc<str>,
        external_id: Option<Arc<str>>,
        by: &IdentityId,
    ) -> Result<Arc<str>, RecordReviewsError> {
        let groups = self.kept_groups();
        if id.is_none() && groups.len() >= KEPT_GROUPS_MAX {
            return Err(RecordReviewsError::TooMany);
        }
        let steps = id.and_then(|id| groups.get(id)).map_or(0, |group: &KeptGroup| group.steps);
        let id = match id {
            Some(id) => Arc::clone(id),
            None => self.ids.record(GROUP_ID_PREFIX.trim_end_matches('_')).shared(),
        };
        self.record_import(&id, steps, &ImportStep::GroupKept { name, external_id }, by).await?;
        Ok(id)
    }

    /// Keeps a group no longer. Who belonged to it is changed before.
    ///
    /// # Errors
    /// [`RecordReviewsError`].
    pub async fn forget_group(
        &self,
        id: &Arc<str>,
        by: &IdentityId,
    ) -> Result<(), RecordReviewsError> {
        let steps = self.kept_groups().get(id).map_or(0, |group| group.steps);
        self.record_import(id, steps, &ImportStep::GroupRemoved, by).await.map(drop)
    }
}
