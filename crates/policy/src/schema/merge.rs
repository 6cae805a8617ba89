//! Reads schema files and puts them together with the shipped one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy_core::ast::Name;
use cedar_policy_core::est::Annotations;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::{
    RawName, SchemaError,
    json_schema::{
        AttributesOrContext, CommonType, CommonTypeId, Fragment, NamespaceDefinition, RecordType,
        Type, TypeOfAttribute, TypeVariant,
    },
};
use smol_str::SmolStr;

use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::nesting::{self, Language};
use crate::source::{FILE_BYTES_MAX, FILES_MAX, Sources};

/// Parses one schema file.
pub(super) fn parse(
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Fragment<RawName>> {
    if located.text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, more than the limit of {FILE_BYTES_MAX}",
            located.text.len()
        );
        problems.push(Diagnostic::in_file(Severity::Error, located.file, message));
        return None;
    }
    if let Err(deep) = nesting::check(located.text, Language::Schema) {
        problems.push(located.problem(Severity::Error, (deep.offset, 1), deep.message));
        return None;
    }
    match Fragment::from_cedarschema_str(located.text, Extensions::all_available()) {
        Ok((fragment, warnings)) => {
            problems.extend(warnings.map(|w| located.cedar(Severity::Warning, &w, (0, 0))));
            Some(fragment)
        }
        Err(error) => {
            problems.push(located.cedar(Severity::Error, &error, (0, 0)));
            let related = miette::Diagnostic::related(&error).into_iter().flatten();
            problems.extend(related.map(|e| located.cedar(Severity::Error, e, (0, 0))));
            None
        }
    }
}

/// Adds the deployment's own schema files.
pub(super) fn files(
    fragment: &mut Fragment<RawName>,
    namespace: &Name,
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    if sources.schemas.len() > FILES_MAX {
        problems.push(Diagnostic::general(
            Severity::Error,
            format!("there are more than the limit of {FILES_MAX} schema files"),
        ));
        return;
    }
    for file in &sources.schemas {
        let located = Located::new(&file.name, &file.text);
        let Some(read) = parse(&located, problems) else {
            continue;
        };
        for (name, definition) in read.0 {
            let shipped = name.as_ref() == Some(namespace);
            let into = fragment.0.entry(name).or_insert_with(empty);
            for twice in add(into, definition, shipped) {
                problems.push(
                    Diagnostic::in_file(
                        Severity::Error,
                        &file.name,
                        format!("{twice} is declared twice"),
                    )
                    .with_help("rename it, or leave out one declaration"),
                );
            }
        }
    }
}

/// A namespace without anything in it.
pub(super) fn empty() -> NamespaceDefinition<RawName> {
    NamespaceDefinition {
        common_types: [].into(),
        entity_types: [].into(),
        actions: [].into(),
        annotations: Annotations::new(),
    }
}

/// Adds declarations, and says which were there already.
fn add(
    into: &mut NamespaceDefinition<RawName>,
    from: NamespaceDefinition<RawName>,
    shipped: bool,
) -> Vec<String> {
    let mut twice = Vec::new();
    for (name, ty) in from.common_types {
        // The shipped `Request` is empty, to be declared by whoever knows what is in it.
        let replaces = shipped && name.to_string() == "Request";
        let text = format!("type `{name}`");
        if into.common_types.insert(name, ty).is_some() && !replaces {
            twice.push(text);
        }
    }
    for (name, ty) in from.entity_types {
        let text = format!("entity type `{name}`");
        if into.entity_types.insert(name, ty).is_some() {
            twice.push(text);
        }
    }
    for (name, action) in from.actions {
        let text = format!("action `{name}`");
        if into.actions.insert(name, action).is_some() {
            twice.push(text);
        }
    }
    twice
}

/// What generated actions apply to.
pub(super) struct Declared {
    pub(super) principals: Vec<RawName>,
    pub(super) resources: Vec<RawName>,
    /// Names in the empty namespace: no name in another may shadow them (Cedar RFC 70).
    pub(super) unqualified: BTreeSet<String>,
}

impl Declared {
    /// The four kinds of identity act, the shipped kinds of resource are touched, and entity
    /// types of the deployment's own may do both.
    pub(super) fn of(fragment: &Fragment<RawName>, namespace: &Name) -> Self {
        const WHO: [&str; 4] = ["Agent", "Workload", "ServiceAccount", "User"];
        const WHAT: [&str; 7] =
            ["Server", "Path", "Host", "Url", "McpResource", "Prompt", "Resource"];
        let mut declared =
            Self { principals: Vec::new(), resources: Vec::new(), unqualified: BTreeSet::new() };
        for (space, definition) in &fragment.0 {
            for base in definition.entity_types.keys() {
                let text: &str = base.as_ref();
                let full = match space {
                    Some(space) => format!("{space}::{text}"),
                    None => text.to_owned(),
                };
                let Ok(name) = RawName::from_normalized_str(&full) else {
                    continue;
                };
                let shipped = space.as_ref() == Some(namespace);
                let own = !(shipped && ["Group", "Intent", "TaskParameters"].contains(&text));
                let (who, what) = (shipped && WHO.contains(&text), shipped && WHAT.contains(&text));
                if who || (own && !what) {
                    declared.principals.push(name.clone());
                }
                if what || (own && !who) {
                    declared.resources.push(name);
                }
            }
            if space.is_none() {
                let types = definition.common_types.keys().map(ToString::to_string);
                let entities = definition.entity_types.keys().map(ToString::to_string);
                declared.unqualified.extend(types.chain(entities));
            }
        }
        declared
    }
}

/// The members of the shipped context, with full names for their types.
pub(super) fn shipped_context(
    fragment: &Fragment<RawName>,
    namespace: &Name,
) -> Vec<(SmolStr, TypeOfAttribute<RawName>)> {
    let context = fragment.0.get(&Some(namespace.clone())).and_then(|definition| {
        let named = definition.common_types.iter();
        named.filter(|(id, _)| id.to_string() == "Context").map(|(_, ty)| &ty.ty).next()
    });
    let Some(Type::Type { ty: TypeVariant::Record(record), .. }) = context else {
        return Vec::new();
    };
    let members = record.attributes.iter().filter_map(|(name, attribute)| {
        let (Type::CommonTypeRef { type_name, .. }
        | Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, .. }) = &attribute.ty
        else {
            return None;
        };
        let full = RawName::from_name(type_name.qualify_with_name(Some(namespace)));
        Some((
            name.clone(),
            TypeOfAttribute {
                ty: Type::Type { ty: TypeVariant::EntityOrCommon { type_name: full }, loc: None },
                annotations: Annotations::new(),
                required: attribute.required,
            },
        ))
    });
    members.collect()
}

/// Gives every declared action the members of the shipped context beside its own, so that a
/// policy for all actions may rely on them.
pub(super) fn widen_contexts(
    fragment: &mut Fragment<RawName>,
    namespace: &Name,
    problems: &mut Vec<Diagnostic>,
) {
    let shipped = shipped_context(fragment, namespace);
    for (space, definition) in &mut fragment.0 {
        let common = definition.common_types.clone();
        for (id, action) in &mut definition.actions {
            let Some(applies) = &mut action.applies_to else {
                continue;
            };
            let Some(mut record) = record_of(&applies.context.0, &common) else {
                continue;
            };
            for (name, attribute) in &shipped {
                // What a request says is for each action to declare.
                if name == "request" && record.attributes.contains_key(name) {
                    continue;
                }
                let own = record.attributes.insert(name.clone(), attribute.clone());
                let same = own.is_none_or(|own| {
                    type_name(&own.ty, space.as_ref()) == type_name(&attribute.ty, None)
                });
                if !same {
                    let message =
                        format!("the context of action `{id}` declares `{name}`, which is taken");
                    problems.push(Diagnostic::general(Severity::Error, message).with_help(
                        "leave it out: every action has the shipped members, or rename yours",
                    ));
                }
            }
            applies.context =
                AttributesOrContext(Type::Type { ty: TypeVariant::Record(record), loc: None });
        }
    }
}

/// The full name of a type that is one, as it is written in that namespace.
fn type_name(ty: &Type<RawName>, space: Option<&Name>) -> Option<String> {
    match ty {
        Type::CommonTypeRef { type_name, .. }
        | Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, .. } => {
            Some(type_name.qualify_with_name(space).to_string())
        }
        Type::Type { .. } => None,
    }
}

/// The record that a context type is: written there, or declared in the same namespace.
fn record_of(
    ty: &Type<RawName>,
    common: &BTreeMap<CommonTypeId, CommonType<RawName>>,
) -> Option<RecordType<RawName>> {
    let name = match ty {
        Type::Type { ty: TypeVariant::Record(record), .. } => return Some(record.clone()),
        Type::CommonTypeRef { type_name, .. }
        | Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, .. } => type_name.to_string(),
        Type::Type { .. } => return None,
    };
    let found = common.iter().find(|(id, _)| id.to_string() == name)?;
    match &found.1.ty {
        Type::Type { ty: TypeVariant::Record(record), .. } => Some(record.clone()),
        _ => None,
    }
}

/// What does not resolve, in the file that says it, as far as that can be found.
pub(super) fn resolution_problem(error: &SchemaError, sources: &Sources) -> Diagnostic {
    let message = error.to_string();
    let help = miette::Diagnostic::help(error).map(|help| help.to_string());
    // The names that Cedar speaks of, in backticks or at the end.
    let told = [Some(&message), help.as_ref()];
    let named = told.into_iter().flatten().flat_map(|text| text.split('`').skip(1).step_by(2));
    let named = named.chain(message.rsplit([' ', '`']).take(1));
    for name in named {
        let base = name.rsplit("::").next().unwrap_or(name).trim_matches('"');
        for file in &sources.schemas {
            if let Some(offset) = file.text.find(base).filter(|_| !base.is_empty()) {
                let located = Located::new(&file.name, &file.text);
                return located.cedar(Severity::Error, error, (offset, base.len()));
            }
        }
    }
    let file = sources.schemas.first().map_or_else(|| Arc::from(""), |f| Arc::clone(&f.name));
    let help = miette::Diagnostic::help(error).map(|help| help.to_string());
    Diagnostic { help, ..Diagnostic::in_file(Severity::Error, &file, message) }
}
