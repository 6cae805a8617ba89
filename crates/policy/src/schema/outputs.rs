//! What tools say of their results, as far as temporal clauses can speak of it: members that are
//! texts, numbers and truth values, and objects of these.

use std::collections::BTreeMap;

use cedar_policy_core::est::Annotations;
use cedar_policy_core::validator::{
    RawName,
    json_schema::{RecordType, Type, TypeOfAttribute, TypeVariant},
};
use safeconduct_model::Value;
use smol_str::SmolStr;

use crate::source::{DEFINITION_DEPTH_MAX, Sources};

/// The types of results, by the id of the action.
pub(super) fn of(sources: &Sources) -> BTreeMap<String, Type<RawName>> {
    let tools = sources.definitions.iter().filter_map(|tool| {
        let output = tool.definition.member("outputSchema")?;
        let id = sources.naming.tool_action(&tool.server, &tool.tool);
        Some((id, record(output, DEFINITION_DEPTH_MAX)?))
    });
    tools.collect()
}

fn record(schema: &Value, depth: usize) -> Option<Type<RawName>> {
    let properties = schema.member("properties")?.as_object()?;
    let depth = depth.checked_sub(1)?;
    let attributes: BTreeMap<SmolStr, TypeOfAttribute<RawName>> = properties
        .iter()
        .filter_map(|(name, schema)| {
            let ty = plain(schema, depth)?;
            let attribute =
                TypeOfAttribute { ty, annotations: Annotations::new(), required: false };
            Some((SmolStr::from(&**name), attribute))
        })
        .collect();
    let record = RecordType { attributes, additional_attributes: false };
    Some(Type::Type { ty: TypeVariant::Record(record), loc: None })
}

fn plain(schema: &Value, depth: usize) -> Option<Type<RawName>> {
    let name = match schema.member("type")?.as_str()? {
        "string" => "__cedar::String",
        "integer" => "__cedar::Long",
        "number" => "__cedar::decimal",
        "boolean" => "__cedar::Bool",
        "object" => return record(schema, depth),
        _ => return None,
    };
    let type_name = RawName::from_normalized_str(name).ok()?;
    Some(Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, loc: None })
}
