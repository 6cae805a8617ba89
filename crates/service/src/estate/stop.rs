//! What the kill switch would stop of somebody.

use std::sync::Arc;

use safeconduct_model::{IdentityId, KillScope, SessionKey, Task, TokenId};

use super::EstateError;
use super::can::TASKS_MAX;
use crate::{LeaseView, Service};

/// What would be stopped.
#[derive(Debug, Clone, Default)]
pub struct Stopping {
    /// The tasks that would end, with everything under them: those that they act in, and those
    /// that are done for them.
    pub tasks: Vec<Arc<Task>>,
    /// How many more.
    pub more_tasks: usize,
    /// The leases that would be taken back.
    pub leases: Vec<LeaseView>,
    /// The registered tokens that would prove nothing while they are suspended.
    pub tokens: Vec<TokenId>,
    /// The access tokens that would be worth nothing.
    pub access_tokens: usize,
    /// The sessions in memory in which nothing more would be permitted.
    pub sessions: Vec<SessionKey>,
}

impl Service {
    /// What the kill switch would stop of that identity now.
    ///
    /// # Errors
    /// [`EstateError::UnknownIdentity`].
    pub fn would_stop(&self, id: &IdentityId) -> Result<Stopping, EstateError> {
        let (world, now) = (self.world(), self.clock.now());
        if world.identity(id).is_none() {
            return Err(EstateError::UnknownIdentity(id.clone()));
        }
        let hit = self.tasks.hit_by(&KillScope::Identity(id.clone()));
        let (mut tasks, total) = (Vec::new(), hit.len());
        tasks.extend(hit.iter().take(TASKS_MAX).map(|slot| Arc::clone(&slot.task)));
        let of_tasks = |view: &LeaseView| {
            let task = self.task(&view.lease.task);
            task.is_some_and(|view| KillScope::Identity(id.clone()).hits(&view.task))
        };
        let stands = |token: &&safeconduct_model::Token| {
            token.identity == *id && !token.revoked && now < token.expires_at
        };
        let mut tokens: Vec<TokenId> =
            world.tokens().filter(stands).map(|token| token.id.clone()).collect();
        tokens.sort_unstable();
        Ok(Stopping {
            more_tasks: total.saturating_sub(TASKS_MAX),
            tasks,
            leases: self.leases(None).into_iter().filter(of_tasks).collect(),
            tokens,
            access_tokens: self.token_leases().iter().filter(|view| of_tasks(view)).count(),
            sessions: self.sessions.of_identity(id),
        })
    }
}
