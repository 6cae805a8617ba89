//! Principals as Cedar has them, kept from one question to the next: most questions are of few.
//!
//! What is kept was made of an entity that is kept beside it, and counts only for an entity that
//! is equal to that one: whoever is changed is made again.

use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy_core::entities::Entities;
use foldhash::quality::FixedState;
use safeconduct_model::{Entity, Value};
use std::hash::BuildHasher as _;

/// How many principals are kept.
const PLACES: usize = 4096;

/// Most bytes of names and texts of an entity that is kept.
const BYTES_MAX: usize = 4096;

/// Most attributes and ancestors of an entity that is kept.
const PARTS_MAX: usize = 64;

/// Each entity has one place, which it takes from another.
#[derive(Debug)]
pub(crate) struct Remembered {
    places: Box<[Mutex<Option<Known>>]>,
    hasher: FixedState,
}

/// An entity, and the store that holds it alone.
#[derive(Debug)]
struct Known {
    of: Entity,
    store: Arc<Entities>,
}

impl Default for Remembered {
    fn default() -> Self {
        let places = std::iter::repeat_with(Mutex::default).take(PLACES).collect();
        Self { places, hasher: FixedState::default() }
    }
}

impl Remembered {
    /// The store that holds that entity alone.
    ///
    /// # Errors
    /// Those of `make`, which is asked where none is kept.
    pub(crate) fn store<E>(
        &self,
        entity: &Entity,
        make: impl FnOnce() -> Result<Entities, E>,
    ) -> Result<Arc<Entities>, E> {
        let hash = self.hasher.hash_one(&entity.uid);
        let place = usize::try_from(hash % PLACES as u64).ok().and_then(|at| self.places.get(at));
        let lock = || place.map(|place| place.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(Some(known)) = lock().as_deref()
            && known.of == *entity
        {
            return Ok(Arc::clone(&known.store));
        }
        let store = Arc::new(make()?);
        if is_small(entity)
            && let Some(mut place) = lock()
        {
            *place = Some(Known { of: entity.clone(), store: Arc::clone(&store) });
        }
        Ok(store)
    }
}

/// Whether an entity is small enough to be kept.
fn is_small(entity: &Entity) -> bool {
    if entity.attributes.len() + entity.ancestors.len() > PARTS_MAX {
        return false;
    }
    let name = |of: &safeconduct_model::EntityRef| of.ty.as_str().len() + of.id.as_str().len();
    let ancestors: usize = entity.ancestors.iter().map(name).sum();
    let attributes = entity.attributes.iter().try_fold(0, |sum, (name, value)| {
        let value = match value {
            Value::Array(_) | Value::Object(_) => return None,
            Value::String(text) => text.len(),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) => 64,
        };
        Some(sum + name.len() + value)
    });
    attributes.is_some_and(|bytes| name(&entity.uid) + ancestors + bytes <= BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::EntityRef;

    fn entity(environment: &str) -> Entity {
        let uid = EntityRef::new("Agent", "a").unwrap();
        let attributes = [("environment".into(), Value::from(environment))].into();
        Entity { uid, attributes, ancestors: Vec::new() }
    }

    #[test]
    fn what_has_changed_is_made_again() {
        let remembered = Remembered::default();
        let made = std::cell::Cell::new(0);
        let ask = |entity: &Entity| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, ()>(Entities::new())
            };
            remembered.store(entity, make).unwrap();
            made.get()
        };
        assert_eq!(ask(&entity("test")), 1);
        assert_eq!(ask(&entity("test")), 1, "an equal one is the same");
        assert_eq!(ask(&entity("production")), 2);
        assert_eq!(ask(&entity("test")), 3, "each has one place");
        let large = entity(&"x".repeat(BYTES_MAX));
        assert_eq!((ask(&large), ask(&large)), (4, 5), "what is large is not kept");
    }

    #[test]
    fn what_failed_is_not_kept() {
        let remembered = Remembered::default();
        assert_eq!(remembered.store(&entity("x"), || Err("no")).unwrap_err(), "no");
        assert!(remembered.store(&entity("x"), || Ok::<_, ()>(Entities::new())).is_ok());
    }
}
