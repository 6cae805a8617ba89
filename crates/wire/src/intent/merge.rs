//! All intents together, held against the catalogue, the schema and the tools' definitions.

use std::collections::BTreeMap;

use safeconduct_model::{
    ActionEntry, ActionName, ArgumentRule, Catalogue, EntityType, INTENTS_MAX, Intent, IntentName,
    ScheduleName, TargetName, Term, Value,
};

use super::read::{IntentFile, at_key};
use crate::document::{Diagnostic, Node, Place, closest};
use crate::field::listed;

/// What intents are held against.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The actions that there are, their resource types as the schema names them.
    pub catalogue: &'a Catalogue,
    /// The full name of a type, where the schema has it.
    pub resolve: &'a dyn Fn(&str) -> Option<EntityType>,
    /// The approved definition of a tool, where there is one.
    pub definition: &'a dyn Fn(&ActionName) -> Option<&'a Value>,
    /// The grants that a target of the configuration describes, where it has that target.
    pub grants: &'a dyn Fn(&TargetName) -> Option<Vec<&'a str>>,
}

/// The intents of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Every version of each; resource types as the schema names them.
    pub versions: BTreeMap<IntentName, BTreeMap<u32, Intent>>,
    /// What is odd, yet fits.
    pub warnings: Vec<Diagnostic>,
}

/// Makes one set of all files.
///
/// # Errors
/// Every version that two files claim, every action that the catalogue does not have, every type
/// that the schema does not have, every grant that no target describes, every schedule of a name
/// that another intent's has; or that there are more than [`INTENTS_MAX`] versions.
pub fn merge(files: Vec<IntentFile>, ground: Ground<'_>) -> Result<Merged, Vec<Diagnostic>> {
    let mut versions: BTreeMap<IntentName, BTreeMap<u32, Intent>> = BTreeMap::new();
    let mut places: BTreeMap<(IntentName, u32), (String, Place)> = BTreeMap::new();
    let mut scheduled: BTreeMap<ScheduleName, IntentName> = BTreeMap::new();
    let (mut warnings, mut problems) = (Vec::new(), Vec::new());
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
            let problem = Diagnostic::new(&file.file, place, "/version", message);
            problems.push(problem.with_help(help));
            continue;
        }
        let name = key.0.clone();
        places.insert(key, (file.file.clone(), place));
        for schedule in file.intent.schedules.keys() {
            let of = scheduled.entry(schedule.clone()).or_insert_with(|| name.clone());
            if *of != name {
                let message = format!("intent `{of}` has a schedule `{schedule}` too");
                let named = schedule.as_str();
                problems.push(at_key(&file.file, &file.root, "/schedules", named, message));
            }
        }
        let mut checker = Checker {
            ground,
            file: &file.file,
            root: &file.root,
            warnings: &mut file.warnings,
            problems: &mut problems,
        };
        checker.check(&mut file.intent);
        checker.check_credentials(&file.intent);
        file.warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings.append(&mut file.warnings);
        versions.entry(name).or_default().insert(file.intent.version, file.intent);
    }
    if problems.is_empty() { Ok(Merged { versions, warnings }) } else { Err(problems) }
}

/// Holds one file against the ground.
struct Checker<'a, 'g> {
    ground: Ground<'g>,
    file: &'a str,
    root: &'a Node,
    warnings: &'a mut Vec<Diagnostic>,
    problems: &'a mut Vec<Diagnostic>,
}

impl Checker<'_, '_> {
    /// Checks the envelope, and names its types in full.
    fn check(&mut self, intent: &mut Intent) {
        for (index, allowance) in intent.envelope.iter_mut().enumerate() {
            let pointer = format!("/envelope/{index}");
            let Some(entry) = self.ground.catalogue.entry(&allowance.action) else {
                self.unknown_action(&format!("{pointer}/action"), &allowance.action);
                continue;
            };
            for (number, rule) in allowance.resources.iter_mut().enumerate() {
                let pointer = format!("{pointer}/resources/{number}/type");
                match (self.ground.resolve)(rule.ty.as_str()) {
                    Some(ty) => {
                        self.warn_of_untouched(&pointer, entry, &ty);
                        rule.ty = ty;
                    }
                    None => self.unknown_type(&pointer, &rule.ty),
                }
            }
            if let Some(definition) = (self.ground.definition)(&allowance.action) {
                let pointer = format!("{pointer}/arguments");
                for rule in &allowance.arguments {
                    self.warn_of_undefined(&pointer, entry, rule, definition);
                }
            }
        }
    }

    /// Checks what leases are of.
    fn check_credentials(&mut self, intent: &Intent) {
        for (target, grants) in &intent.credentials {
            let Some(known) = (self.ground.grants)(target) else {
                let message = format!("the configuration has no target `{target}`");
                let unknown =
                    at_key(self.file, self.root, "/credentials", target.as_str(), message);
                self.problems.push(unknown.with_help("describe it under `targets`"));
                continue;
            };
            for grant in grants.iter().filter(|grant| !known.contains(&&***grant)) {
                let message = format!("target `{target}` describes no grant `{grant}`");
                let unknown = self.problem(&format!("/credentials/{target}"), message);
                self.problems.push(match closest(grant, known.iter().copied()) {
                    Some(meant) => unknown.with_help(format!("did you mean `{meant}`?")),
                    None => unknown.with_help(format!("it describes {}", listed(&known))),
                });
            }
        }
    }

    fn problem(&self, pointer: &str, message: String) -> Diagnostic {
        Diagnostic::new(self.file, self.root.nearest(pointer).place, pointer, message)
    }

    fn unknown_action(&mut self, pointer: &str, action: &ActionName) {
        let unknown = self.problem(pointer, format!("the catalogue has no action `{action}`"));
        let names = self.ground.catalogue.actions.keys().map(AsRef::as_ref);
        self.problems.push(match closest(action.as_str(), names) {
            Some(meant) => unknown.with_help(format!("did you mean `{meant}`?")),
            None => unknown.with_help("`safeconduct catalogue ls` lists them"),
        });
    }

    fn unknown_type(&mut self, pointer: &str, ty: &EntityType) {
        let unknown = self.problem(pointer, format!("no schema declares the type `{ty}`"));
        let mapped = self.ground.catalogue.actions.values().flat_map(|entry| &entry.resources);
        let names = mapped.flat_map(|mapping| [mapping.ty.as_str(), short(&mapping.ty)]);
        self.problems.push(match nearest_name(ty.as_str(), names) {
            Some(meant) => unknown.with_help(format!("did you mean `{meant}`?")),
            None => unknown,
        });
    }

    /// What a tool touches is what its arguments are mapped to, and the server where they name
    /// nothing. What others touch is said by who asks.
    fn warn_of_untouched(&mut self, pointer: &str, entry: &ActionEntry, ty: &EntityType) {
        let touched = short(ty) == "Server" || entry.resources.iter().any(|one| one.ty == *ty);
        if entry.server.is_some() && !touched {
            let action = &entry.name;
            let message =
                format!("action `{action}` never touches a `{ty}`: this rule fits nothing");
            self.warnings.push(self.problem(pointer, message));
        }
    }

    fn warn_of_undefined(
        &mut self,
        pointer: &str,
        entry: &ActionEntry,
        rule: &ArgumentRule<Term>,
        definition: &Value,
    ) {
        let known = definition.pointer("/inputSchema/properties").and_then(Value::as_object);
        let argument = rule.pointer.split('/').nth(1).unwrap_or_default();
        let argument = argument.replace("~1", "/").replace("~0", "~");
        let Some(known) = known.filter(|known| !known.contains_key(argument.as_str())) else {
            return;
        };
        let action = &entry.name;
        let message = format!("action `{action}` has no argument `{argument}`");
        let undefined = at_key(self.file, self.root, pointer, &rule.pointer, message);
        self.warnings.push(match closest(&argument, known.keys().map(AsRef::as_ref)) {
            Some(meant) => undefined.with_help(format!("did you mean `/{meant}`?")),
            None => undefined,
        });
    }
}

/// A type's name without its namespace.
fn short(ty: &EntityType) -> &str {
    ty.as_str().rsplit("::").next().unwrap_or_default()
}

/// The name that looks most like the text, where names have capitals.
fn nearest_name<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let names: Vec<&str> = names.collect();
    let lowered: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let meant = closest(text, lowered.iter().map(String::as_str))?;
    names.into_iter().find(|name| name.to_lowercase() == meant)
}
