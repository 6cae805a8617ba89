//! JSON Schemas of the documents: what editors complete by, and what the check holds.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value as Json;

/// The JSON Schema (draft 2020-12) of a form.
///
/// An optional key may be absent, never empty: `null` is taken out of every type, so that a key
/// whose value was forgotten is seen.
pub fn schema_of<T: JsonSchema>() -> Json {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .with_transform(RecursiveTransform(without_null))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The JSON Schema of a form, with the address under which it is published.
pub fn published_schema<T: JsonSchema>(id: &str) -> Json {
    let mut schema = Schema::try_from(schema_of::<T>()).unwrap_or_default();
    let mut with_id = Schema::default();
    with_id.insert("$id".into(), Json::from(id));
    with_id.ensure_object().append(schema.ensure_object());
    with_id.to_value()
}

/// The JSON Schema of what is shown in that form, with every definition in its place: for
/// documents that have no room for definitions of ours.
#[cfg(feature = "openapi")]
pub(crate) fn inline_schema_of<T: JsonSchema>() -> Json {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(without_null))
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|ty| ty != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Json::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if object.get("default") == Some(&Json::Null) {
        object.remove("default");
    }
    if let Some(Json::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type") != Some(&Json::from("null")));
        if let [Json::Object(only)] = options.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
