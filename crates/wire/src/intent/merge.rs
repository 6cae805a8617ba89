//! All intents together, held against the catalogue and the schema.

use std::collections::BTreeMap;

use safeconduct_model::{Catalogue, EntityType, INTENTS_MAX, Intent, IntentName};

use super::read::IntentFile;
use crate::document::{Diagnostic, Place, closest};

/// The intents of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Every version of each; resource types as the schema names them.
    pub versions: BTreeMap<IntentName, BTreeMap<u32, Intent>>,
    /// What is odd, yet fits.
    pub warnings: Vec<Diagnostic>,
}

/// Makes one set of all files. `resolve` gives a type's name in full, where the schema has it.
///
/// # Errors
/// Every version that two files claim, every action that the catalogue does not have, every type
/// that the schema does not have; or that there are more than [`INTENTS_MAX`] versions.
pub fn merge(
    files: Vec<IntentFile>,
    catalogue: &Catalogue,
    resolve: impl Fn(&str) -> Option<EntityType>,
) -> Result<Merged, Vec<Diagnostic>> {
    let mut merger = Merger { catalogue, resolve, warnings: Vec::new(), problems: Vec::new() };
    let mut versions: BTreeMap<IntentName, BTreeMap<u32, Intent>> = BTreeMap::new();
    let mut places: BTreeMap<(IntentName, u32), (String, Place)> = BTreeMap::new();
    if files.len() > INTENTS_MAX {
        let message = format!("there are more than {INTENTS_MAX} intents");
        return Err(vec![Diagnostic::new("", Place::default(), "", message)]);
    }
    for mut file in files {
        let key = (file.intent.name.clone(), file.intent.version);
        let place = file.root.nearest("/version").place;
        if let Some((other, at)) = places.get(&key) {
            let message = format!("version {} of intent `{}` is here twice", key.1, key.0);
            let help = format!("the other is in {other}:{}:{}", at.line, at.column);
            merger
                .problems
                .push(Diagnostic::new(&file.file, place, "/version", message).with_help(help));
            continue;
        }
        places.insert(key, (file.file.clone(), place));
        merger.check(&mut file);
        merger.warnings.append(&mut file.warnings);
        versions
            .entry(file.intent.name.clone())
            .or_default()
            .insert(file.intent.version, file.intent);
    }
    match merger.problems {
        problems if problems.is_empty() => Ok(Merged { versions, warnings: merger.warnings }),
        problems => Err(problems),
    }
}

struct Merger<'a, R> {
    catalogue: &'a Catalogue,
    resolve: R,
    warnings: Vec<Diagnostic>,
    problems: Vec<Diagnostic>,
}

impl<R: Fn(&str) -> Option<EntityType>> Merger<'_, R> {
    fn check(&mut self, file: &mut IntentFile) {
        for (index, allowance) in file.intent.envelope.iter_mut().enumerate() {
            let pointer = format!("/envelope/{index}");
            let problem = |pointer: &str, message: String| {
                let place = file.root.nearest(pointer).place;
                Diagnostic::new(&file.file, place, pointer, message)
            };
            let entry = self.catalogue.entry(&allowance.action);
            if entry.is_none() {
                let message = format!("the catalogue has no action `{}`", allowance.action);
                let unknown = problem(&format!("{pointer}/action"), message);
                let names = self.catalogue.actions.keys().map(AsRef::as_ref);
                self.problems.push(match closest(allowance.action.as_str(), names) {
                    Some(meant) => unknown.with_help(format!("did you mean `{meant}`?")),
                    None => unknown.with_help("`safeconduct catalogue ls` lists them"),
                });
            }
            // What a tool touches is what its arguments are mapped to; others say it themselves.
            let touched: Vec<&EntityType> = entry
                .filter(|entry| entry.server.is_some())
                .map(|entry| entry.resources.iter().map(|mapping| &mapping.ty).collect())
                .unwrap_or_default();
            for (number, rule) in allowance.resources.iter_mut().enumerate() {
                let pointer = format!("{pointer}/resources/{number}/type");
                let Some(ty) = (self.resolve)(rule.ty.as_str()) else {
                    let message = format!("no schema declares the type `{}`", rule.ty);
                    let unknown = problem(&pointer, message);
                    let mapped = self.catalogue.actions.values().flat_map(|entry| &entry.resources);
                    let names = mapped.flat_map(|mapping| {
                        let full = mapping.ty.as_str();
                        [full, full.rsplit("::").next().unwrap_or(full)]
                    });
                    self.problems.push(match near(rule.ty.as_str(), names) {
                        Some(meant) => unknown.with_help(format!("did you mean `{meant}`?")),
                        None => unknown,
                    });
                    continue;
                };
                if !touched.is_empty() && !touched.contains(&&ty) {
                    let message = format!(
                        "action `{}` never touches a `{ty}`, so this rule fits nothing",
                        allowance.action
                    );
                    self.warnings.push(problem(&pointer, message));
                }
                rule.ty = ty;
            }
        }
    }
}

/// The nearest name, where names have capitals.
fn near<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let names: Vec<&str> = names.collect();
    let lowered: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let meant = closest(text, lowered.iter().map(String::as_str))?;
    names.into_iter().find(|name| name.to_lowercase() == meant)
}
