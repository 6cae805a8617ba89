//! Entities: what policies speak of, by type and id, with attributes and what they belong to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{EntityId, EntityType, NameError, Value};

/// Most entities that one entity may belong to, directly or through others.
pub const ANCESTORS_MAX: usize = 256;

/// An entity by type and id: `Safeconduct::Path` and `/cases/4711`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityRef {
    /// Its type, as policies name it.
    pub ty: EntityType,
    /// Its id within the type.
    pub id: EntityId,
}

impl EntityRef {
    /// Makes one of two texts.
    ///
    /// # Errors
    /// [`NameError`] where one of them does not fit.
    pub fn new(ty: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Result<Self, NameError> {
        Ok(Self { ty: EntityType::new(ty)?, id: EntityId::new(id)? })
    }
}

/// As Cedar writes it: `Safeconduct::Path::"/cases/4711"`.
impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{:?}", self.ty, self.id)
    }
}

impl fmt::Debug for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entity with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Which one.
    pub uid: EntityRef,
    /// Its attributes.
    pub attributes: BTreeMap<Arc<str>, Value>,
    /// All entities that it belongs to, the indirect ones too. At most [`ANCESTORS_MAX`].
    pub ancestors: Vec<EntityRef>,
}

impl Entity {
    /// An entity of which nothing but its name is known.
    pub const fn bare(uid: EntityRef) -> Self {
        Self { uid, attributes: BTreeMap::new(), ancestors: Vec::new() }
    }
}
