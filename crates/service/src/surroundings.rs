//! What surrounds recorded decisions, so that they can be replayed and rights be right-sized: who
//! the identities were, and what the catalogue says of resources and actions.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_engine::{Vocabulary, placed};
use safeconduct_model::{
    ActionEntry, ActionName, Catalogue, Digest, Entity, EntityRef, Identity, IdentityId, NameError,
    Tier,
};
use safeconduct_policy::{ActionSituation, Surroundings};

use crate::{World, entity_of};

/// Identities as they are known so far, and the catalogue that is in force.
#[derive(Debug, Clone)]
pub struct Surrounded {
    catalogue: Arc<Catalogue>,
    catalogue_digest: Digest,
    vocabulary: Arc<Vocabulary>,
    entities: BTreeMap<EntityRef, Entity>,
    names: BTreeMap<IdentityId, EntityRef>,
}

impl Surrounded {
    /// With nobody in it. Whoever reads the ledger from its beginning tells it of each identity
    /// that changes, so that every decision is looked at with those of its time.
    pub fn new(
        catalogue: Arc<Catalogue>,
        catalogue_digest: Digest,
        vocabulary: Arc<Vocabulary>,
    ) -> Self {
        let (entities, names) = (BTreeMap::new(), BTreeMap::new());
        Self { catalogue, catalogue_digest, vocabulary, entities, names }
    }

    /// With everyone as they are now: right for decisions that are not older than the last change.
    ///
    /// # Errors
    /// [`NameError`] where an identity is no name that policies can hold, which the world refuses.
    pub fn now(
        world: &World,
        catalogue: Arc<Catalogue>,
        catalogue_digest: Digest,
        vocabulary: Arc<Vocabulary>,
    ) -> Result<Self, NameError> {
        let mut surrounded = Self::new(catalogue, catalogue_digest, vocabulary);
        for identity in world.identities() {
            surrounded.know(identity)?;
        }
        Ok(surrounded)
    }

    /// Takes an identity in as it is from now on.
    ///
    /// # Errors
    /// [`NameError`] where its id or a group is no name that policies can hold.
    pub fn know(&mut self, identity: &Identity) -> Result<(), NameError> {
        let entity = entity_of(identity, &self.vocabulary)?;
        if let Some(before) = self.names.insert(identity.id.clone(), entity.uid.clone()) {
            self.entities.remove(&before);
        }
        self.entities.insert(entity.uid.clone(), entity);
        Ok(())
    }

    /// From now on another catalogue says what actions are and what they touch.
    pub fn enter_catalogue(&mut self, catalogue: Arc<Catalogue>, digest: Digest) {
        (self.catalogue, self.catalogue_digest) = (catalogue, digest);
    }

    /// The digest of the catalogue that speaks.
    pub const fn catalogue(&self) -> Digest {
        self.catalogue_digest
    }

    /// What the catalogue of that digest says of an action, as a whole.
    pub(crate) fn entry(&self, action: &ActionName, catalogue: Digest) -> Option<&ActionEntry> {
        self.catalogue.entry(action).filter(|_| catalogue == self.catalogue_digest)
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What policies see of an identity.
    pub fn identity(&self, id: &IdentityId) -> Option<&Entity> {
        self.entities.get(self.names.get(id)?)
    }
}

impl Surroundings for Surrounded {
    fn principal(&self, uid: &EntityRef) -> Option<Entity> {
        self.entities.get(uid).cloned()
    }

    fn user(&self, id: &IdentityId) -> Option<Entity> {
        self.identity(id).cloned()
    }

    fn resource(&self, action: &ActionName, uid: &EntityRef) -> Option<Entity> {
        placed(self.catalogue.entry(action)?, uid, &self.vocabulary)
    }

    fn action(&self, action: &ActionName, catalogue: Digest) -> Option<ActionSituation> {
        // What arguments make of a tier is not recorded.
        let entry = self.entry(action, catalogue).filter(|entry| entry.raises.is_empty())?;
        Some(situation(entry, entry.tier))
    }
}

/// What a catalogue's entry says to policies.
pub(crate) const fn situation(entry: &ActionEntry, tier: Tier) -> ActionSituation {
    ActionSituation {
        tier,
        effect: entry.effect,
        trust: entry.returns.default.integrity,
        guessed: entry.guessed,
        accepts: entry.accepts,
    }
}
