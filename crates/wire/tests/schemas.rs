//! The published schemas are the ones that the forms give. `UPDATE=1` writes them anew.

use std::path::Path;

use safeconduct_wire::schemas;
use serde_json::Value as Json;

#[test]
fn the_published_schemas_are_those_of_the_forms() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    #[expect(clippy::disallowed_methods, reason = "a test of files")]
    for (name, schema) in schemas::all() {
        let path = folder.join(name);
        let text = format!("{schema:#}\n");
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(&path, &text).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(published, text, "{name} differs; UPDATE=1 writes it anew");
    }
}

/// What the check of documents understands; a form that uses more would not be held.
#[test]
fn the_forms_use_no_more_of_json_schema_than_is_checked() {
    const KNOWN: &[&str] = &[
        "$defs",
        "$id",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "oneOf",
        "properties",
        "propertyNames",
        "required",
        "title",
        "type",
        "uniqueItems",
    ];
    fn walk(schema: &Json, at: &str) {
        let Json::Object(schema) = schema else { return };
        for (keyword, value) in schema {
            assert!(KNOWN.contains(&keyword.as_str()), "{at} uses `{keyword}`");
            match keyword.as_str() {
                "properties" | "$defs" => {
                    for (name, schema) in value.as_object().unwrap() {
                        walk(schema, &format!("{at}/{name}"));
                    }
                }
                "anyOf" | "oneOf" => {
                    value.as_array().unwrap().iter().for_each(|schema| walk(schema, at));
                }
                "items" | "additionalProperties" | "propertyNames" => walk(value, at),
                _ => {}
            }
        }
    }
    for (name, schema) in schemas::all() {
        walk(&schema, name);
        // An optional key may be absent, never empty.
        assert!(!schema.to_string().contains("\"null\""), "{name} allows null");
    }
}
