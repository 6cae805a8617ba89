//! The part of a schema that some actions need.
//!
//! Dogwood checks each policy for every action of the schema that it is given, and every type of
//! principal and resource of each, as Cedar's own validator does. Given only what policies name,
//! the check costs what that is.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{EntityType, Name};
use cedar_policy_core::est::Annotations;
use cedar_policy_core::validator::{
    RawName,
    json_schema::{
        ActionType, ApplySpec, AttributesOrContext, EntityType as DeclaredType, EntityTypeKind,
        Fragment, NamespaceDefinition, RecordType, StandardEntityType, Type, TypeOfAttribute,
        TypeVariant,
    },
};
use dogwood_language::PolicySchema;

use super::batch::Batch;
use super::roles::Roles;
use crate::schema::Schema;

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
                self.add_output(id, action);
            }
        }
        written(&part)
    }

    /// The least part that has these actions, or all, as far as the clauses of a text can tell:
    /// of their contexts what the text names beside arguments and results, of the types that they
    /// apply to what the policies tell apart, and no attributes that no clause looks at.
    pub(super) fn least(&self, batch: &Batch<'_>, schema: &Schema) -> Result<PolicySchema, String> {
        let has_any = |part: &NamespaceDefinition<RawName>| {
            !(part.common_types.is_empty()
                && part.entity_types.is_empty()
                && part.actions.is_empty())
        };
        let wanted = |definition| wanted(definition, batch.actions.as_ref());
        let actions = self.fragment.0.values().flat_map(&wanted);
        let known = batch.actions.is_some().then(|| self.needed(actions.map(|(_, a)| a)));
        let is_known = |id: &str| known.as_ref().is_none_or(|known| known.contains(id));
        let mut named = BTreeSet::new();
        let mut parts: BTreeMap<Option<Name>, NamespaceDefinition<RawName>> = BTreeMap::new();
        for (namespace, definition) in &self.fragment.0 {
            let space = namespace.as_ref().map(ToString::to_string).unwrap_or_default();
            let mut part = NamespaceDefinition {
                common_types: BTreeMap::new(),
                entity_types: BTreeMap::new(),
                actions: BTreeMap::new(),
                annotations: Annotations::new(),
            };
            for (id, action) in wanted(definition) {
                let mut least = least_action(action, batch, applied(id, schema), &space);
                self.add_output(id, &mut least);
                if let Some(applies) = &least.applies_to {
                    let types = applies.principal_types.iter().chain(&applies.resource_types);
                    named.extend(types.map(base));
                    names(&applies.context.0, &mut named);
                }
                part.actions.insert(id.into(), least);
            }
            parts.insert(namespace.clone(), part);
        }
        let named = self.with_mentioned(named);
        let roles = &batch.roles;
        for (namespace, definition) in &self.fragment.0 {
            let Some(part) = parts.get_mut(namespace) else { continue };
            let commons = definition.common_types.iter();
            let commons = commons.filter(|(id, _)| {
                let id = id.as_ref().as_ref();
                is_known(id) && (roles.whole || named.contains(id))
            });
            part.common_types = commons.map(|(id, ty)| (id.clone(), ty.clone())).collect();
            let entities = definition.entity_types.iter();
            let entities = entities.filter(|(id, _)| {
                let id = id.as_ref();
                let used = roles.whole || roles.memberships || named.contains(id);
                // A clause may name one of them.
                is_known(id) && (used || batch.text.contains(id))
            });
            let entities = entities.map(|(id, entity)| {
                let entity = if roles.whole { entity.clone() } else { bare(entity, roles) };
                (id.clone(), entity)
            });
            part.entity_types = entities.collect();
        }
        parts.retain(|_, part| has_any(part));
        written(&Fragment(parts))
    }

    /// How many types an action applies to: of principals, and of resources.
    pub(super) fn applied_to(&self, id: &str) -> (usize, usize) {
        let actions = self.fragment.0.values().filter_map(|definition| definition.actions.get(id));
        let applies = actions.filter_map(|action| action.applies_to.as_ref());
        let counts = applies.map(|a| (a.principal_types.len(), a.resource_types.len()));
        counts.max().unwrap_or_default()
    }

    fn add_output(&self, id: &str, action: &mut ActionType<RawName>) {
        let output = self.outputs.get(id);
        let context = action.applies_to.as_mut().map(|applies| &mut applies.context.0);
        if let (Some(output), Some(Type::Type { ty: TypeVariant::Record(record), .. })) =
            (output, context)
        {
            let attribute = TypeOfAttribute {
                ty: output.clone(),
                annotations: Annotations::new(),
                required: false,
            };
            record.attributes.entry("output".into()).or_insert(attribute);
        }
    }

    /// The names of all types that actions need, by their last parts.
    fn needed<'a>(
        &self,
        actions: impl Iterator<Item = &'a ActionType<RawName>>,
    ) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        for applies in actions.filter_map(|action| action.applies_to.as_ref()) {
            let types = applies.principal_types.iter().chain(&applies.resource_types);
            needed.extend(types.map(base));
            names(&applies.context.0, &mut needed);
        }
        self.with_mentioned(needed)
    }

    /// Names, and all that these name in turn. By their last part alone: what has the same in
    /// another namespace is among them.
    fn with_mentioned(&self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        let mut next: Vec<String> = names.iter().cloned().collect();
        while let Some(name) = next.pop() {
            for mentioned in self.mentions.get(&name).into_iter().flatten() {
                if names.insert(mentioned.clone()) {
                    next.push(mentioned.clone());
                }
            }
        }
        names
    }

    fn only(&self, actions: &BTreeSet<String>) -> Fragment<RawName> {
        let kept = |id: &str, action: &ActionType<RawName>| {
            action.applies_to.is_none() || actions.contains(id)
        };
        let definitions = self.fragment.0.values();
        let all = definitions.flat_map(|definition| &definition.actions);
        let needed = self.needed(all.filter(|(id, action)| kept(id, action)).map(|(_, a)| a));
        let parts = self.fragment.0.iter().map(|(namespace, definition)| {
            let commons = definition.common_types.iter();
            let commons = commons.filter(|(id, _)| needed.contains::<str>(id.as_ref().as_ref()));
            let entities = definition.entity_types.iter();
            let entities = entities.filter(|(id, _)| needed.contains::<str>(id.as_ref()));
            let actions = definition.actions.iter().filter(|(id, action)| kept(id, action));
            let part = NamespaceDefinition {
                common_types: commons.map(|(id, ty)| (id.clone(), ty.clone())).collect(),
                entity_types: entities.map(|(id, ty)| (id.clone(), ty.clone())).collect(),
                // No policy with which this is asked for is about a group of them.
                actions: actions.map(|(id, action)| (id.clone(), alone(action))).collect(),
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

/// The actions of a namespace of these ids, or all.
fn wanted<'d>(
    definition: &'d NamespaceDefinition<RawName>,
    ids: Option<&BTreeSet<String>>,
) -> Vec<(&'d str, &'d ActionType<RawName>)> {
    match ids {
        Some(ids) => {
            let known = ids.iter().filter_map(|id| definition.actions.get_key_value(id.as_str()));
            known.map(|(id, action)| (id.as_str(), action)).collect()
        }
        None => definition.actions.iter().map(|(id, action)| (id.as_str(), action)).collect(),
    }
}

/// An action that is in no group.
fn alone(action: &ActionType<RawName>) -> ActionType<RawName> {
    ActionType { member_of: None, ..action.clone() }
}

/// The types that an action applies to, by their full names.
fn applied<'s>(id: &str, schema: &'s Schema) -> (Vec<&'s EntityType>, Vec<&'s EntityType>) {
    let known = schema.actions.get(id).map(|action| &action.uid);
    let known = known.filter(|uid| AsRef::<str>::as_ref(uid.eid()) == id);
    known.and_then(|uid| schema.validator.get_action_id(uid)).map_or_else(
        Default::default,
        |action| {
            (action.applies_to_principals().collect(), action.applies_to_resources().collect())
        },
    )
}

/// An action with what the clauses of a batch can tell of it.
fn least_action(
    action: &ActionType<RawName>,
    batch: &Batch<'_>,
    (principals, resources): (Vec<&EntityType>, Vec<&EntityType>),
    namespace: &str,
) -> ActionType<RawName> {
    let applies_to = action.applies_to.as_ref().map(|applies| {
        let (who, what) = (&applies.principal_types, &applies.resource_types);
        let (who, what) = match &batch.roles {
            roles if roles.whole => (who.clone(), what.clone()),
            roles => (
                roles.principals.some_of(who, principals.into_iter(), namespace),
                roles.resources.some_of(what, resources.into_iter(), namespace),
            ),
        };
        let context = match &applies.context.0 {
            Type::Type { ty: TypeVariant::Record(record), .. } => {
                // Where a field of events has the name of a member, it is checked as that.
                let own = ["input", "output", "decision", "callerPrincipal", "callerResource"];
                let attributes = record.attributes.iter();
                let attributes = attributes.filter(|(name, _)| {
                    own.contains(&name.as_str()) || looks_at(&batch.text, name)
                });
                let attributes = attributes.map(|(name, ty)| (name.clone(), ty.clone())).collect();
                let additional_attributes = record.additional_attributes;
                let record = RecordType { attributes, additional_attributes };
                Type::Type { ty: TypeVariant::Record(record), loc: None }
            }
            other => other.clone(),
        };
        ApplySpec {
            principal_types: who,
            resource_types: what,
            context: AttributesOrContext(context),
        }
    });
    ActionType {
        attributes: None,
        applies_to,
        // Groups matter where the scope of a policy may name one.
        member_of: action.member_of.clone().filter(|_| batch.actions.is_none()),
        annotations: Annotations::new(),
        loc: None,
    }
}

/// Whether a text may look at a member of that name.
fn looks_at(text: &str, member: &str) -> bool {
    // A comment may stand before the name.
    let anywhere = text.contains("//");
    text.match_indices(member).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().trim_end();
        anywhere || before.ends_with(['.', '"']) || before.ends_with("has")
    })
}

/// An entity type without its attributes, and without what it is a member of where no policy asks.
fn bare(entity: &DeclaredType<RawName>, roles: &Roles) -> DeclaredType<RawName> {
    let kind = match &entity.kind {
        EntityTypeKind::Standard(standard) => EntityTypeKind::Standard(StandardEntityType {
            member_of_types: match roles.memberships {
                true => standard.member_of_types.clone(),
                false => Vec::new(),
            },
            shape: AttributesOrContext::default(),
            tags: None,
        }),
        EntityTypeKind::Enum { choices } => EntityTypeKind::Enum { choices: choices.clone() },
    };
    DeclaredType { kind, annotations: Annotations::new(), loc: None }
}

fn written(part: &Fragment<RawName>) -> Result<PolicySchema, String> {
    let text = part.to_cedarschema().map_err(|error| error.to_string())?;
    PolicySchema::from_cedarschema_str(&text).map_err(|error| error.to_string())
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
