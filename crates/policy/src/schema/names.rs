//! Stand-ins for the names of arguments that Cedar's schemas cannot hold.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::UnreservedId;
use cedar_policy_core::validator::{
    RawName,
    json_schema::{Type, TypeVariant},
};
use safeconduct_model::Value;
use smol_str::SmolStr;

/// Stand-ins for names that Cedar cannot have, or that would shadow another.
pub(super) struct Names<'a> {
    unqualified: &'a BTreeSet<String>,
    used: HashSet<Arc<str>>,
    stand_in: BTreeMap<String, String>,
    pub(super) original: BTreeMap<String, String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(unqualified: &'a BTreeSet<String>, schema: &Value) -> Self {
        let mut used = HashSet::new();
        member_names(schema, &mut used);
        Self { unqualified, used, stand_in: BTreeMap::new(), original: BTreeMap::new() }
    }

    pub(super) fn original(&self, name: &str) -> String {
        self.original.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn of(&mut self, name: &str) -> String {
        const BUILT_IN: [&str; 13] = [
            "Bool",
            "Boolean",
            "Long",
            "String",
            "Set",
            "Record",
            "Entity",
            "Extension",
            "Action",
            "decimal",
            "datetime",
            "duration",
            "ipaddr",
        ];
        let fits = name.parse::<UnreservedId>().is_ok()
            && !BUILT_IN.contains(&name)
            && !self.unqualified.contains(name);
        if fits {
            return name.to_owned();
        }
        if let Some(stand_in) = self.stand_in.get(name) {
            return stand_in.clone();
        }
        let mut count = self.stand_in.len();
        let mut stand_in = format!("arg_{count}");
        while self.used.contains(stand_in.as_str()) || self.original.contains_key(&stand_in) {
            count += 1;
            stand_in = format!("arg_{count}");
        }
        self.stand_in.insert(name.to_owned(), stand_in.clone());
        self.original.insert(stand_in.clone(), name.to_owned());
        stand_in
    }

    /// A JSON Schema with stand-ins in the places of names.
    pub(super) fn schema(&mut self, schema: &Value) -> Value {
        let members = match schema {
            Value::Object(members) => members,
            Value::Array(items) => {
                return Value::Array(items.iter().map(|item| self.schema(item)).collect());
            }
            other => return other.clone(),
        };
        let rewritten = members.iter().map(|(key, value)| {
            let value = match (&**key, value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    Value::object(named.iter().map(|(name, ty)| (self.of(name), self.schema(ty))))
                }
                ("required", Value::Array(required)) => {
                    let names = required.iter().map(|name| match name.as_str() {
                        Some(name) => Value::from(self.of(name)),
                        None => name.clone(),
                    });
                    Value::Array(names.collect())
                }
                ("$ref", Value::String(target)) => match target.strip_prefix("#/$defs/") {
                    Some(name) => Value::from(format!("#/$defs/{}", self.of(name))),
                    None => value.clone(),
                },
                // Values, not schemas.
                ("enum" | "const" | "default" | "examples", _) => value.clone(),
                // A description is for people, and may be of any kind in a careless schema.
                ("description", _) => return (Arc::from("$comment"), Value::Null),
                _ => self.schema(value),
            };
            (Arc::clone(key), value)
        });
        Value::Object(rewritten.collect())
    }

    /// Gives members their own names back.
    pub(super) fn restore(&self, ty: &mut Type<RawName>) {
        let Type::Type { ty: variant, .. } = ty else {
            return;
        };
        match variant {
            TypeVariant::Set { element } => self.restore(element),
            TypeVariant::Record(record) => {
                let members = std::mem::take(&mut record.attributes);
                record.attributes = members
                    .into_iter()
                    .map(|(name, mut attribute)| {
                        self.restore(&mut attribute.ty);
                        (SmolStr::from(self.original(&name)), attribute)
                    })
                    .collect();
            }
            _ => {}
        }
    }
}

fn member_names(value: &Value, names: &mut HashSet<Arc<str>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                names.insert(Arc::clone(name));
                member_names(member, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| member_names(item, names)),
        _ => {}
    }
}
