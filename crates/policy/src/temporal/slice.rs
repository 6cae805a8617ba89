//! The part of a schema that some actions need.
//!
//! Dogwood checks each policy for every action of the schema that it is given, as Cedar's own
//! validator does. Given only the actions that policies name, the check costs what they are.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::validator::{
    RawName,
    json_schema::{EntityTypeKind, Fragment, Type, TypeVariant},
};
use dogwood_language::PolicySchema;

/// A schema as Dogwood wants it, in parts.
#[derive(Debug)]
pub(crate) struct LoweringSchema {
    fragment: Fragment<RawName>,
    /// What results of actions hold, by the id of the action.
    outputs: BTreeMap<String, Type<RawName>>,
}

impl LoweringSchema {
    /// Of a schema that Cedar found to be right.
    pub(crate) const fn of(
        fragment: Fragment<RawName>,
        outputs: BTreeMap<String, Type<RawName>>,
    ) -> Self {
        Self { fragment, outputs }
    }

    /// The part that has these actions, or all of it.
    pub(super) fn part(&self, actions: Option<&BTreeSet<String>>) -> Result<PolicySchema, String> {
        let mut part = self.fragment.clone();
        if let Some(actions) = actions {
            self.keep(&mut part, actions);
        }
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

    fn keep(&self, part: &mut Fragment<RawName>, actions: &BTreeSet<String>) {
        let mut needed = BTreeSet::new();
        for definition in part.0.values_mut() {
            definition
                .actions
                .retain(|id, action| action.applies_to.is_none() || actions.contains(id.as_str()));
            for applies in definition.actions.values().filter_map(|a| a.applies_to.as_ref()) {
                let types = applies.principal_types.iter().chain(&applies.resource_types);
                needed.extend(types.map(base));
                names(&applies.context.0, &mut needed);
            }
        }
        // By their last part alone: what has the same in another namespace is kept too.
        let mut looked = BTreeSet::new();
        while looked != needed {
            let next: Vec<String> = needed.difference(&looked).cloned().collect();
            looked.extend(next.iter().cloned());
            for definition in part.0.values() {
                let commons = definition.common_types.iter();
                for (_, common) in commons.filter(|(id, _)| next.contains(&id.to_string())) {
                    names(&common.ty, &mut needed);
                }
                let entities = definition.entity_types.iter();
                for (_, entity) in entities.filter(|(id, _)| next.contains(&id.to_string())) {
                    if let EntityTypeKind::Standard(standard) = &entity.kind {
                        needed.extend(standard.member_of_types.iter().map(base));
                        names(&standard.shape.0, &mut needed);
                        standard.tags.iter().for_each(|tags| names(tags, &mut needed));
                    }
                }
            }
        }
        for definition in part.0.values_mut() {
            definition.common_types.retain(|id, _| needed.contains(&id.to_string()));
            definition.entity_types.retain(|id, _| needed.contains(&id.to_string()));
        }
        part.0.retain(|_, definition| {
            !(definition.common_types.is_empty()
                && definition.entity_types.is_empty()
                && definition.actions.is_empty())
        });
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
