//! Refuses entity types that belong to each other in a circle.
//!
//! Cedar 4.11 computes which types can be above which with one pass, which is wrong for some
//! cyclic declarations: the type checker then takes a possible `in` for impossible. A type in
//! itself (`Path in [Path]`) is no danger, since one pass finds all of it; longer circles are
//! refused, and what Cedar computed is compared with a closure of our own either way.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::Name;
use cedar_policy_core::validator::{
    RawName, ValidatorSchema,
    json_schema::{EntityTypeKind, Fragment},
};

use crate::diagnostic::{Diagnostic, Severity};

/// For each type the types that it can belong to, directly or through others.
pub(super) type Above = BTreeMap<String, BTreeSet<String>>;

/// Finds what can be above what; circles of more than one type are errors.
pub(super) fn check(fragment: &Fragment<RawName>, problems: &mut Vec<Diagnostic>) -> Above {
    let direct = parents(fragment);
    let mut closure = Above::new();
    for start in direct.keys() {
        let mut above = BTreeSet::new();
        let mut open: Vec<&String> = direct.get(start).into_iter().flatten().collect();
        while let Some(parent) = open.pop() {
            if above.insert(parent.clone()) {
                open.extend(direct.get(parent).into_iter().flatten());
            }
        }
        closure.insert(start.clone(), above);
    }
    let reaches = |from: &str, to: &str| closure.get(from).is_some_and(|above| above.contains(to));
    let circles: BTreeSet<Vec<&String>> = closure
        .iter()
        .map(|(ty, above)| {
            let mut circle: Vec<&String> =
                above.iter().filter(|other| *other != ty && reaches(other, ty)).collect();
            if !circle.is_empty() {
                circle.push(ty);
            }
            circle.sort();
            circle
        })
        .filter(|circle| !circle.is_empty())
        .collect();
    for circle in circles {
        let names: Vec<String> = circle.iter().map(|ty| format!("`{ty}`")).collect();
        problems.push(
            Diagnostic::general(
                Severity::Error,
                format!("entity types {} belong to each other in a circle", names.join(", ")),
            )
            .with_help("only a type in itself, such as `Path in [Path]`, is possible"),
        );
    }
    closure
}

/// Compares Cedar's closure with ours.
pub(super) fn agree(validator: &ValidatorSchema, ours: &Above, problems: &mut Vec<Diagnostic>) {
    let mut theirs = Above::new();
    for ty in validator.entity_types() {
        theirs.entry(ty.name().to_string()).or_default();
        for descendant in &ty.descendants {
            theirs.entry(descendant.to_string()).or_default().insert(ty.name().to_string());
        }
    }
    for (ty, above) in ours {
        if theirs.get(ty).is_none_or(|found| found != above) {
            problems.push(Diagnostic::general(
                Severity::Error,
                format!("the type checker does not know everything that `{ty}` can belong to"),
            ));
        }
    }
}

/// What each type is declared to belong to, by full name.
fn parents(fragment: &Fragment<RawName>) -> Above {
    let full = |namespace: Option<&Name>, base: &str| match namespace {
        Some(namespace) => format!("{namespace}::{base}"),
        None => base.to_owned(),
    };
    let declared: BTreeSet<String> = fragment
        .0
        .iter()
        .flat_map(|(namespace, definition)| {
            definition.entity_types.keys().map(move |base| full(namespace.as_ref(), base.as_ref()))
        })
        .collect();
    let mut direct = Above::new();
    for (namespace, definition) in &fragment.0 {
        for (base, ty) in &definition.entity_types {
            let EntityTypeKind::Standard(standard) = &ty.kind else {
                continue;
            };
            let parents = standard.member_of_types.iter().map(|parent| {
                let name = parent.clone().qualify_with(None).to_string();
                let here = full(namespace.as_ref(), &name);
                if parent.is_unqualified() && declared.contains(&here) { here } else { name }
            });
            direct.insert(full(namespace.as_ref(), base.as_ref()), parents.collect());
        }
    }
    direct
}
