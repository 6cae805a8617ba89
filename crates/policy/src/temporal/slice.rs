//! The part of a schema that some actions need.
//!
//! Dogwood checks each policy for every action of the schema that it is given, as Cedar's own
//! validator does. Given only the actions that policies name, the check costs what they are.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::validator::{
    RawName,
    json_schema::{ActionType, EntityTypeKind, Fragment, NamespaceDefinition, Type, TypeVariant},
};
use dogwood_language::PolicySchema;

/// A schema as Dogwood wants it, in parts.
#[derive(Debug)]
pub(crate) struct LoweringSchema {
    fragment: Fragment<RawName>,
    /// What results of actions hold, by the id of the action.
    outputs: BTreeMap<String, Type<RawName>>,
    /// What the types of a name name themselves, by the last parts of names alone.
    mentions: BTreeMap<String, BTreeSet<String>>,
}

impl LoweringSchema {
    /// Of a schema that Cedar found to be right.
    pub(crate) fn of(
        fragment: Fragment<RawName>,
        outputs: BTreeMap<String, Type<RawName>>,
    ) -> Self {
        let mut mentions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for definition in fragment.0.values() {
            for (id, common) in &definition.common_types {
                names(&common.ty, mentions.entry(id.to_string()).or_default());
            }
            for (id, entity) in &definition.entity_types {
                let mentioned = mentions.entry(id.to_string()).or_default();
                if let EntityTypeKind::Standard(standard) = &entity.kind {
                    mentioned.extend(standard.member_of_types.iter().map(base));
                    names(&standard.shape.0, mentioned);
                    standard.tags.iter().for_each(|tags| names(tags, mentioned));
                }
            }
        }
        Self { fragment, outputs, mentions }
    }

    /// The schema that it was made of.
    pub(crate) const fn fragment(&self) -> &Fragment<RawName> {
        &self.fragment
    }

    /// The part that has these actions, or all of it.
    pub(super) fn part(&self, actions: Option<&BTreeSet<String>>) -> Result<PolicySchema, String> {
        let mut part = match actions {
            Some(actions) => self.only(actions),
            None => self.fragment.clone(),
        };
        for definition in part.0.values_mut() {
            for (id, action) in &mut definition.actions {
                let output = self.outputs.get(id.as_str());
                let context = action.applies_to.as_mut().map(|applies| &mut applies.context.0);
                if let (Some(output), Some(Type::Type { ty: TypeVariant::Record(record), .. })) =
                    (output, context)
                {
                    let attribute = cedar_policy_core::validator::json_schema::TypeOfAttribute {
                        ty: output.clone(),
                        annotations: cedar_policy_core::est::Annotations::new(),
                        required: false,
                    };
                    record.attributes.entry("output".into()).or_insert(attribute);
                }
            }
        }
        let text = part.to_cedarschema().map_err(|error| error.to_string())?;
        PolicySchema::from_cedarschema_str(&text).map_err(|error| error.to_string())
    }

    fn only(&self, actions: &BTreeSet<String>) -> Fragment<RawName> {
        let kept = |id: &str, action: &ActionType<RawName>| {
            action.applies_to.is_none() || actions.contains(id)
        };
        let mut needed = BTreeSet::new();
        for definition in self.fragment.0.values() {
            for (_, action) in definition.actions.iter().filter(|(id, action)| kept(id, action)) {
                if let Some(applies) = &action.applies_to {
                    let types = applies.principal_types.iter().chain(&applies.resource_types);
                    needed.extend(types.map(base));
                    names(&applies.context.0, &mut needed);
                }
            }
        }
        // By their last part alone: what has the same in another namespace is kept too.
        let mut next: Vec<String> = needed.iter().cloned().collect();
        while let Some(name) = next.pop() {
            for mentioned in self.mentions.get(&name).into_iter().flatten() {
                if needed.insert(mentioned.clone()) {
                    next.push(mentioned.clone());
                }
            }
        }
        let parts = self.fragment.0.iter().map(|(namespace, definition)| {
            let commons = definition.common_types.iter();
            let commons = commons.filter(|(id, _)| needed.contains::<str>(id.as_ref().as_ref()));
            let entities = definition.entity_types.iter();
            let entities = entities.filter(|(id, _)| needed.contains::<str>(id.as_ref()));
            let actions = definition.actions.iter().filter(|(id, action)| kept(id, action));
            let part = NamespaceDefinition {
                common_types: commons.map(|(id, ty)| (id.clone(), ty.clone())).collect(),
                entity_types: entities.map(|(id, ty)| (id.clone(), ty.clone())).collect(),
                actions: actions.map(|(id, action)| (id.clone(), action.clone())).collect(),
                annotations: definition.annotations.clone(),
            };
            (namespace.clone(), part)
        });
        let has_any = |part: &NamespaceDefinition<RawName>| {
            !(part.common_types.is_empty()
                && part.entity_types.is_empty()
                && part.actions.is_empty())
        };
        Fragment(parts.filter(|(_, part)| has_any(part)).collect())
    }
}

fn base(name: &RawName) -> String {
    let full = name.to_string();
    full.rsplit("::").next().unwrap_or(&full).to_owned()
}

fn names(ty: &Type<RawName>, into: &mut BTreeSet<String>) {
    match ty {
        Type::CommonTypeRef { type_name, .. } => {
            into.insert(base(type_name));
        }
        Type::Type { ty, .. } => match ty {
            TypeVariant::Set { element } => names(element, into),
            TypeVariant::Record(record) => {
                record.attributes.values().for_each(|attribute| names(&attribute.ty, into));
            }
            TypeVariant::Entity { name } | TypeVariant::EntityOrCommon { type_name: name } => {
                into.insert(base(name));
            }
            _ => {}
        },
    }
}
