//! One of the estate, with all that hangs on it: its work, its rights, what it proves itself
//! with, and by whom else it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{IdentityId, IntentName, Task, TaskState, Token};

use super::EstateError;
use super::can::TASKS_MAX;
use crate::{LeaseView, Service, TaskQuery};

/// Most tokens that are shown.
const TOKENS_SHOWN_MAX: usize = 1000;

/// What hangs on an identity.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The live tasks that it acts in, or that are done for it.
    pub tasks: Vec<Arc<Task>>,
    /// In how many remembered tasks it acted, by intent.
    pub intents: BTreeMap<IntentName, u64>,
    /// How many grants it has.
    pub grants: u64,
    /// The registered tokens that stand, by id.
    pub tokens: Vec<Token>,
    /// How many passkeys it has.
    pub passkeys: u64,
    /// The leases that are not over of the tasks that it acts in.
    pub leases: Vec<LeaseView>,
    /// How many sessions of it are in memory: each is of another credential or task.
    pub sessions: u64,
    /// Who else acts by it: agents that have its word, or a task for it, and those that have the
    /// same name where they came from.
    pub shared_by: BTreeSet<IdentityId>,
}

impl Service {
    /// What hangs on that identity.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn inventory(&self, id: &IdentityId) -> Result<Inventory, EstateError> {
        let (world, now) = (self.world(), self.now());
        let known = world.identity(id).ok_or_else(|| EstateError::UnknownIdentity(id.clone()))?;
        let held = self.can(id)?;
        let mut inventory = Inventory {
            grants: (held.grants.len() + held.more) as u64,
            passkeys: world.passkeys_of(id).count() as u64,
            leases: self.live_leases_of(id),
            sessions: self.sessions.of_identity(id).len() as u64,
            ..Inventory::default()
        };
        let query = TaskQuery { concerns: Some(id), ..TaskQuery::default() };
        for view in self.tasks(&query, TASKS_MAX, |_| true).tasks {
            let task = view.task;
            if task.agent == *id {
                *inventory.intents.entry(task.intent.clone()).or_default() += 1;
            } else if task.on_behalf_of.as_ref() == Some(id) {
                inventory.shared_by.insert(task.agent.clone());
            }
            if view.state == TaskState::Active {
                inventory.tasks.push(task);
            }
        }
        let stands =
            |token: &&Token| token.identity == *id && !token.revoked && now < token.expires_at;
        inventory.tokens = world.tokens().filter(stands).cloned().collect();
        inventory.tokens.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        inventory.tokens.truncate(TOKENS_SHOWN_MAX);
        let given = world.delegations().filter(|word| word.user == *id && now < word.expires_at);
        inventory.shared_by.extend(given.map(|word| word.agent.clone()));
        let name = known.imported.as_ref().and_then(|imported| imported.external_id.as_ref());
        if let Some(name) = name {
            let same = world.identities().filter(|other| {
                let theirs = other.imported.as_ref().and_then(|one| one.external_id.as_ref());
                other.id != *id && theirs == Some(name)
            });
            inventory.shared_by.extend(same.map(|other| other.id.clone()));
        }
        Ok(inventory)
    }
}
