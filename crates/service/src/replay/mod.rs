//! What can be recalled of recorded decisions when they are replayed: arguments that lie sealed
//! beside them, and what follows from the records before. Nothing here changes anything, and what
//! cannot be opened, or does not follow, is said to be unknown.

mod flow;
mod recollection;
mod stood;

pub use recollection::{Attached, LaidBeside, Recollection};

use safeconduct_model::{ActionName, Digest, Entity, EntityRef, IdentityId};
use safeconduct_policy::{ActionSituation, Policies, Recalled, RecordedDecision, Surroundings};

use crate::Surrounded;

/// Those who surround decisions, together with what is recalled of their moments.
pub struct Recalling<'a> {
    /// Identities and catalogue of the time.
    pub around: &'a Surrounded,
    /// What the records before tell, and what opens what lies beside the decision.
    pub recollection: &'a Recollection,
}

impl Surroundings for Recalling<'_> {
    fn principal(&self, uid: &EntityRef) -> Option<Entity> {
        self.around.principal(uid)
    }

    fn user(&self, id: &IdentityId) -> Option<Entity> {
        self.around.user(id)
    }

    fn resource(&self, action: &ActionName, uid: &EntityRef) -> Option<Entity> {
        self.around.resource(action, uid)
    }

    fn action(&self, action: &ActionName, catalogue: Digest) -> Option<ActionSituation> {
        self.around.action(action, catalogue)
    }

    fn recalls(&self) -> bool {
        true
    }

    fn recall(&self, recorded: &RecordedDecision<'_>, then: &Policies) -> Recalled {
        self.recollection.recall(recorded, then, self.around)
    }
}
