//! What a tool says of its arguments, beside what Cedar made of it: the shapes of values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::Type as Resolved;
use mcp_tools_sdk::description::{Property, PropertyType};
use smol_str::SmolStr;

use super::types;
use crate::shape::{Member, Record, Shape, Tagged};

/// Most levels of types that refer to each other.
const SHAPE_DEPTH_MAX: usize = 64;

/// What the arguments of a generated action look like.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) uid: String,
    /// `None` where the definition could not be read.
    pub(super) properties: Option<Vec<Property>>,
    pub(super) definitions: HashMap<SmolStr, PropertyType>,
    /// The names that stand-ins stand for.
    pub(super) names: BTreeMap<String, String>,
}

impl Input {
    pub(super) fn opaque(uid: String) -> Self {
        Self { uid, properties: None, definitions: HashMap::new(), names: BTreeMap::new() }
    }

    /// Whether it is the input of that action, and not of one of the same id elsewhere.
    pub(super) fn is_for(&self, uid: &EntityUID) -> bool {
        self.uid == format!("{}::{:?}", uid.entity_type(), AsRef::<str>::as_ref(uid.eid()))
    }

    /// The shape of the arguments, and whether policies see nothing of them.
    pub(super) fn shape(&self, ty: &Resolved, schema: &ValidatorSchema) -> (Record, bool) {
        let (Some(properties), Resolved::Record { attrs, .. }) = (&self.properties, ty) else {
            return (Record::default(), true);
        };
        let attribute = |name: &SmolStr| attrs.get_attr(name).map(|a| &*a.attr_type);
        (self.record(properties, attribute, schema, 0), false)
    }

    fn record<'t>(
        &self,
        properties: &[Property],
        attribute: impl Fn(&SmolStr) -> Option<&'t Resolved>,
        schema: &ValidatorSchema,
        depth: usize,
    ) -> Record {
        let members = properties.iter().filter_map(|property| {
            let name = property.name();
            let name = SmolStr::from(self.names.get(name).map_or(name, String::as_str));
            let ty = attribute(&name)?;
            let shape = self.of(property.property_type(), ty, schema, depth + 1)?;
            Some((name, Member { shape, required: property.is_required() }))
        });
        Record { members: members.collect() }
    }

    /// The shape of a property, from what the tool says of it and what Cedar made of that.
    fn of(
        &self,
        property: &PropertyType,
        ty: &Resolved,
        schema: &ValidatorSchema,
        depth: usize,
    ) -> Option<Shape> {
        if depth > SHAPE_DEPTH_MAX {
            return None;
        }
        let numbered = |prefix: &str, parts: &[PropertyType]| -> Option<Arc<[Shape]>> {
            let Resolved::Record { attrs, .. } = ty else {
                return None;
            };
            let shapes = parts.iter().enumerate().map(|(index, part)| {
                let attribute = attrs.get_attr(&format!("{prefix}{index}"))?;
                self.of(part, &attribute.attr_type, schema, depth + 1)
            });
            shapes.collect()
        };
        Some(match (property, ty) {
            (PropertyType::Bool, _) => Shape::Bool,
            (PropertyType::Integer, _) => Shape::Long,
            (PropertyType::Number | PropertyType::Float, _) => Shape::Number,
            (PropertyType::Decimal, _) => Shape::DecimalText,
            (PropertyType::String, _) => Shape::String,
            (PropertyType::Datetime, _) => Shape::Datetime,
            (PropertyType::Duration, _) => Shape::Duration,
            (PropertyType::IpAddr, _) => Shape::Ip,
            (PropertyType::Null, _) => Shape::Null(types::entity_type(ty)?.clone()),
            (PropertyType::Unknown, _) => Shape::Opaque(types::entity_type(ty)?.clone()),
            (PropertyType::Enum { variants }, _) => Shape::Choice(
                types::entity_type(ty)?.clone(),
                Arc::new(variants.iter().cloned().collect()),
            ),
            (PropertyType::Array { element_ty }, Resolved::Set { element_type }) => {
                let element = self.of(element_ty, element_type.as_ref()?, schema, depth + 1)?;
                Shape::Set(Arc::new(element))
            }
            (PropertyType::Tuple { types }, _) => Shape::Tuple(numbered("proj", types)?),
            (PropertyType::Union { types }, _) => Shape::Union(numbered("typeChoice", types)?),
            (PropertyType::Object { properties, .. }, Resolved::Record { attrs, .. }) => {
                let attribute = |name: &SmolStr| attrs.get_attr(name).map(|a| &*a.attr_type);
                Shape::Record(Arc::new(self.record(properties, attribute, schema, depth)))
            }
            (PropertyType::Object { properties, additional_properties }, _) => {
                let ty = types::entity_type(ty)?;
                let declared = schema.get_entity_type(ty)?;
                let attribute = |name: &SmolStr| declared.attr(name).map(|a| &*a.attr_type);
                let tags = match (additional_properties, declared.tag_type()) {
                    (Some(tags), Some(ty)) => Some(self.of(tags, ty, schema, depth + 1)?),
                    _ => None,
                };
                let attributes = self.record(properties, attribute, schema, depth);
                Shape::Tagged(Arc::new(Tagged { ty: ty.clone(), attributes, tags }))
            }
            (PropertyType::Ref { name }, _) => {
                self.of(self.definitions.get(name)?, ty, schema, depth + 1)?
            }
            (PropertyType::Array { .. }, _) => return None,
        })
    }
}
