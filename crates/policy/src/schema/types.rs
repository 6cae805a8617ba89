//! Entity types by every name that they go by, with what their attributes look like.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, Name};
use cedar_policy_core::validator::types::{Attributes, EntityKind as CedarEntity, Type};
use cedar_policy_core::validator::{ValidatorEntityTypeKind, ValidatorSchema};
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use smol_str::SmolStr;

use crate::shape::{Member, Record, Shape};

/// Which entity type, within one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TypeId(pub(crate) u32);

/// What is known of one entity type.
#[derive(Debug)]
pub(crate) struct EntityKind {
    pub(crate) id: TypeId,
    /// Its full name as the model has it; `None` where the model's limits do not let it be named.
    pub(crate) name: Option<safeconduct_model::EntityType>,
    pub(crate) ty: EntityType,
    pub(crate) attributes: Record,
    pub(crate) tags: Option<Shape>,
}

impl EntityKind {
    /// Its full name.
    pub(crate) fn full_name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => Cow::Owned(self.ty.to_string()),
        }
    }
}

/// All entity types.
#[derive(Debug)]
pub(crate) struct Types {
    by_name: HashMap<Arc<str>, Arc<EntityKind>, FixedState>,
    ids: HashMap<EntityType, TypeId, FixedState>,
}

impl Types {
    pub(super) fn of(schema: &ValidatorSchema, namespace: &Name) -> Self {
        let mut sorted: BTreeMap<String, &EntityType> = BTreeMap::new();
        sorted.extend(schema.entity_type_names().map(|ty| (ty.to_string(), ty)));
        let mut types = Self { by_name: HashMap::default(), ids: HashMap::default() };
        let mut short: Vec<(Arc<str>, Arc<EntityKind>)> = Vec::new();
        let prefix = format!("{namespace}::");
        for (name, ty) in sorted {
            let Some(declared) = schema.get_entity_type(ty) else {
                continue;
            };
            let id = TypeId(u32::try_from(types.ids.len()).unwrap_or(u32::MAX));
            let kind = Arc::new(EntityKind {
                id,
                name: safeconduct_model::EntityType::new(name.as_str()).ok(),
                ty: ty.clone(),
                attributes: record(declared.attributes(), schema),
                tags: declared.tag_type().and_then(|tag| shape(tag, schema)),
            });
            types.ids.insert(ty.clone(), id);
            if let Some(base) = name.strip_prefix(&prefix) {
                short.push((base.into(), Arc::clone(&kind)));
            }
            types.by_name.insert(name.into(), kind);
        }
        // A type of that exact name goes first.
        for (base, kind) in short {
            types.by_name.entry(base).or_insert(kind);
        }
        types
    }

    /// The type of that name: exactly it, or in the shipped namespace.
    pub(crate) fn resolve(&self, name: &str) -> Option<&Arc<EntityKind>> {
        self.by_name.get(name)
    }

    pub(crate) fn id(&self, ty: &EntityType) -> Option<TypeId> {
        self.ids.get(ty).copied()
    }
}

fn choices(kind: &ValidatorEntityTypeKind) -> Option<Arc<HashSet<SmolStr>>> {
    match kind {
        ValidatorEntityTypeKind::Enum(choices) => Some(Arc::new(
            choices.iter().map(|eid| SmolStr::from(AsRef::<str>::as_ref(eid))).collect(),
        )),
        ValidatorEntityTypeKind::Standard(_) => None,
    }
}

/// The shape of values of that type, where values of it can come from outside.
pub(super) fn shape(ty: &Type, schema: &ValidatorSchema) -> Option<Shape> {
    Some(match ty {
        Type::Bool(_) => Shape::Bool,
        Type::Long => Shape::Long,
        Type::String => Shape::String,
        Type::Set { element_type } => Shape::Set(Arc::new(shape(element_type.as_ref()?, schema)?)),
        Type::Record { attrs, .. } => Shape::Record(Arc::new(record(attrs, schema))),
        Type::ExtensionType { name } => match name.to_string().as_str() {
            "decimal" => Shape::Decimal,
            "datetime" => Shape::Datetime,
            "duration" => Shape::Duration,
            "ipaddr" => Shape::Ip,
            _ => return None,
        },
        Type::Entity(_) => {
            let ty = entity_type(ty)?;
            match choices(&schema.get_entity_type(ty)?.kind) {
                Some(choices) => Shape::Choice(ty.clone(), choices),
                None => Shape::Reference(ty.clone()),
            }
        }
        Type::Never => return None,
    })
}

/// The members of a record; one whose values cannot come from outside is left out.
pub(super) fn record(attributes: &Attributes, schema: &ValidatorSchema) -> Record {
    let members = attributes.iter().filter_map(|(name, attribute)| {
        let shape = shape(&attribute.attr_type, schema)?;
        Some((name.clone(), Member { shape, required: attribute.is_required() }))
    });
    Record { members: members.collect() }
}

/// The entity type that a type is.
pub(crate) fn entity_type(ty: &Type) -> Option<&EntityType> {
    match ty {
        Type::Entity(CedarEntity::Entity(types)) => types.get_single_entity(),
        _ => None,
    }
}
