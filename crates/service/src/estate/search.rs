//! Who may do something, to what, and what: each of those who are known is asked about, with
//! nothing decided or recorded. What comes of it is advice: a permit takes a decision.

use std::collections::BTreeSet;

use safeconduct_model::{ActionName, Decision, EntityId, EntityType};

use super::Weighing;
use crate::{Service, World};

/// Most candidates that one page of a search asks about.
pub const SEARCH_CANDIDATES_MAX: usize = 1000;

impl Service {
    /// Whether that would be permitted now.
    pub fn would_permit(&self, weighing: Weighing) -> bool {
        self.weigh(weighing).decision == Decision::Permit
    }
}

impl World {
    /// The ids that somebody of that type could have: of those who are registered, and of those
    /// whom policies name.
    pub fn known_principals(&self, ty: &EntityType) -> BTreeSet<EntityId> {
        let registered = self.identities.values().map(|known| &known.entity.uid);
        let registered = registered.filter(|uid| uid.ty == *ty).map(|uid| uid.id.clone());
        registered.chain(self.policies.named_principals(ty)).collect()
    }

    /// The ids that something of that type could have: of the servers of the catalogue, and of
    /// what policies name.
    pub fn known_resources(&self, ty: &EntityType) -> BTreeSet<EntityId> {
        let servers = self.catalogue.actions.values().filter_map(|entry| entry.server.as_ref());
        let servers = servers.filter(|_| ty == self.vocabulary.server());
        let servers = servers.filter_map(|server| EntityId::new(server.as_str()).ok());
        servers.chain(self.policies.named_resources(ty)).collect()
    }

    /// Every action that the schema has.
    pub fn known_actions(&self) -> Vec<ActionName> {
        self.policies.action_names()
    }
}
