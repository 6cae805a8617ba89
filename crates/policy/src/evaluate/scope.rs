//! The scope of a policy, `(principal …, action …, resource …)`, compiled to numbers.

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, PrincipalOrResourceConstraint,
};
use foldhash::quality::FixedState;
use hashbrown::{Equivalent, HashMap};
use safeconduct_model::Entity;
use smol_str::SmolStr;

use super::QuestionError;
use crate::schema::{Action, EntityKind, TypeId, Types};

/// An entity that some scope names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Named(pub(crate) u32);

/// What a scope asks of the principal or the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Constraint {
    Any,
    Eq(Named),
    In(Named),
    Is(TypeId),
    IsIn(TypeId, Named),
}

/// What a scope asks of the action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Actions {
    Any,
    Eq(Named),
    In(Box<[Named]>),
}

/// The scope of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) principal: Constraint,
    pub(crate) actions: Actions,
    pub(crate) resource: Constraint,
}

/// One side of a question, as far as scopes can tell it from others.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) ty: Option<TypeId>,
    /// Itself, where some scope names it.
    pub(crate) itself: Option<Named>,
    /// Itself and what it belongs to, where some scope names it.
    pub(crate) within: Vec<Named>,
}

/// A question, as far as scopes can tell it from others.
#[derive(Debug)]
pub(crate) struct Asked<'p> {
    pub(crate) principal: Side,
    pub(crate) action: &'p Side,
    pub(crate) resource: Side,
}

impl Scope {
    /// Whether the question is in scope: exactly what Cedar's evaluator says of the scope's
    /// expression, which cannot fail.
    pub(crate) fn matches(&self, asked: &Asked<'_>) -> bool {
        self.actions.matches(asked.action)
            && self.principal.matches(&asked.principal)
            && self.resource.matches(&asked.resource)
    }

    /// Whether it could match, whatever the resource is.
    pub(crate) fn matches_for_some_resource(&self, principal: &Side, action: &Side) -> bool {
        self.actions.matches(action) && self.principal.matches(principal)
    }
}

impl Constraint {
    pub(crate) fn matches(self, side: &Side) -> bool {
        match self {
            Self::Any => true,
            Self::Eq(named) => side.itself == Some(named),
            Self::In(named) => side.within.contains(&named),
            Self::Is(ty) => side.ty == Some(ty),
            Self::IsIn(ty, named) => side.ty == Some(ty) && side.within.contains(&named),
        }
    }
}

impl Actions {
    pub(crate) fn matches(&self, side: &Side) -> bool {
        match self {
            Self::Any => true,
            Self::Eq(named) => side.itself == Some(*named),
            Self::In(list) => list.iter().any(|named| side.within.contains(named)),
        }
    }
}

/// Numbers for the entities and types that scopes name.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// Entities by the number of their type and their id.
    entities: HashMap<Key, Named, FixedState>,
    actions: HashMap<EntityUID, Named, FixedState>,
    /// Numbers for types that the schema does not have: no question is of such a type.
    foreign: HashMap<SmolStr, TypeId, FixedState>,
    count: u32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    ty: TypeId,
    id: SmolStr,
}

struct Lookup<'a> {
    ty: TypeId,
    id: &'a str,
}

impl std::hash::Hash for Lookup<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        self.id.hash(state);
    }
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.ty == key.ty && self.id == key.id
    }
}

impl Interner {
    /// Compiles the scope of a policy, with the entities that fill its slots, if it has slots.
    pub(crate) fn scope(
        &mut self,
        principal: &PrincipalOrResourceConstraint,
        actions: &ActionConstraint,
        resource: &PrincipalOrResourceConstraint,
        types: &Types,
    ) -> Option<Scope> {
        let actions = match actions {
            ActionConstraint::Any => Actions::Any,
            ActionConstraint::Eq(uid) => Actions::Eq(self.name_action(uid)),
            ActionConstraint::In(list) => {
                Actions::In(list.iter().map(|uid| self.name_action(uid)).collect())
            }
        };
        Some(Scope {
            principal: self.constraint(principal, types)?,
            actions,
            resource: self.constraint(resource, types)?,
        })
    }

    fn constraint(
        &mut self,
        constraint: &PrincipalOrResourceConstraint,
        types: &Types,
    ) -> Option<Constraint> {
        let reference = |reference: &EntityReference| match reference {
            EntityReference::EUID(uid) => Some(std::sync::Arc::clone(uid)),
            EntityReference::Slot(_) => None,
        };
        Some(match constraint {
            PrincipalOrResourceConstraint::Any => Constraint::Any,
            PrincipalOrResourceConstraint::Eq(uid) => {
                Constraint::Eq(self.name(&*reference(uid)?, types))
            }
            PrincipalOrResourceConstraint::In(uid) => {
                Constraint::In(self.name(&*reference(uid)?, types))
            }
            PrincipalOrResourceConstraint::Is(ty) => Constraint::Is(self.ty(ty, types)),
            PrincipalOrResourceConstraint::IsIn(ty, uid) => {
                Constraint::IsIn(self.ty(ty, types), self.name(&*reference(uid)?, types))
            }
        })
    }

    fn ty(&mut self, ty: &cedar_policy_core::ast::EntityType, types: &Types) -> TypeId {
        if let Some(id) = types.id(ty) {
            return id;
        }
        let next = TypeId(u32::MAX - u32::try_from(self.foreign.len()).unwrap_or(0));
        *self.foreign.entry(SmolStr::from(ty.to_string())).or_insert(next)
    }

    fn name(&mut self, uid: &EntityUID, types: &Types) -> Named {
        let key = Key {
            ty: self.ty(uid.entity_type(), types),
            id: SmolStr::from(AsRef::<str>::as_ref(uid.eid())),
        };
        *self.entities.entry(key).or_insert_with(|| {
            self.count += 1;
            Named(self.count)
        })
    }

    fn name_action(&mut self, uid: &EntityUID) -> Named {
        *self.actions.entry(uid.clone()).or_insert_with(|| {
            self.count += 1;
            Named(self.count)
        })
    }

    /// One side of a question.
    pub(crate) fn asked(
        &self,
        entity: &Entity,
        kind: &EntityKind,
        types: &Types,
    ) -> Result<Side, QuestionError> {
        let find = |ty, id: &str| self.entities.get(&Lookup { ty, id }).copied();
        let itself = find(kind.id, entity.uid.id.as_str());
        let mut within: Vec<Named> = Vec::with_capacity(4);
        within.extend(itself);
        // Most ancestors are of one type: its name is resolved once.
        let mut last: Option<(&str, TypeId)> = None;
        for ancestor in &entity.ancestors {
            let name = ancestor.ty.as_str();
            let ty = match last {
                Some((seen, ty)) if seen == name => ty,
                _ => {
                    let kind = types
                        .resolve(name)
                        .ok_or_else(|| QuestionError::UnknownType { ty: ancestor.ty.shared() })?;
                    kind.id
                }
            };
            last = Some((name, ty));
            within.extend(find(ty, ancestor.id.as_str()));
        }
        Ok(Side { ty: Some(kind.id), itself, within })
    }

    /// The action of a question.
    pub(crate) fn action(&self, action: &Action) -> Side {
        let itself = self.actions.get(&action.uid).copied();
        let above = action.ancestors.iter().filter_map(|uid| self.actions.get(uid).copied());
        Side { ty: None, itself, within: itself.into_iter().chain(above).collect() }
    }
}

impl Scope {
    /// Whether it asks nothing of the resource.
    pub(crate) fn is_for_any_resource(&self) -> bool {
        self.resource == Constraint::Any
    }
}
