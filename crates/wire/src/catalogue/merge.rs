//! All files of a catalogue as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    ACTIONS_MAX, ActionEntry, ActionName, Catalogue, DECLASSIFIERS_MAX, Declassifier, Returns,
    ServerName,
};

use super::methods::{METHODS, method_resources};
use super::read::{CatalogueFile, Defaults, roles};
use crate::document::{Diagnostic, Place};

/// Makes one catalogue of its files. A server's MCP methods that no file lists are added with
/// cautious defaults; the defaults of the first file of that server hold for them.
///
/// # Errors
/// Every action that two files claim, naming both places; or that there are more than
/// [`ACTIONS_MAX`].
pub fn merge(files: Vec<CatalogueFile>) -> Result<Catalogue, Vec<Diagnostic>> {
    let mut actions: BTreeMap<ActionName, ActionEntry> = BTreeMap::new();
    let mut places: BTreeMap<ActionName, (String, Place)> = BTreeMap::new();
    let mut servers: BTreeMap<ServerName, Defaults> = BTreeMap::new();
    let mut declassifiers = Declassifiers::default();
    let mut problems = Vec::new();
    for file in files {
        declassifiers.take(&file.file, file.declassifiers, &mut problems);
        if let Some(server) = file.server {
            servers.entry(server).or_insert(file.defaults);
        }
        for (entry, place) in file.entries {
            if let Some((other, at)) = places.get(&entry.name) {
                let message = format!("action `{}` is in the catalogue twice", entry.name);
                let help = format!("the other is in {other}:{}:{}", at.line, at.column);
                problems.push(Diagnostic::new(&file.file, place, "", message).with_help(help));
                continue;
            }
            places.insert(entry.name.clone(), (file.file.clone(), place));
            actions.insert(entry.name.clone(), entry);
        }
    }
    for (server, defaults) in servers {
        for entry in unlisted_methods(&server, &defaults) {
            actions.entry(entry.name.clone()).or_insert(entry);
        }
    }
    if actions.len() > ACTIONS_MAX {
        let message = format!("the catalogue has more than {ACTIONS_MAX} actions");
        problems.push(Diagnostic::new("", Place::default(), "", message));
    }
    if problems.is_empty() {
        Ok(Catalogue { actions, declassifiers: declassifiers.all })
    } else {
        Err(problems)
    }
}

#[derive(Default)]
struct Declassifiers {
    all: BTreeMap<Arc<str>, Declassifier>,
    places: BTreeMap<Arc<str>, (String, Place)>,
}

impl Declassifiers {
    fn take(
        &mut self,
        file: &str,
        declassifiers: Vec<(Declassifier, Place)>,
        problems: &mut Vec<Diagnostic>,
    ) {
        for (declassifier, place) in declassifiers {
            let name = Arc::clone(&declassifier.name);
            let problem = if let Some((other, at)) = self.places.get(&name) {
                let help = format!("the other is in {other}:{}:{}", at.line, at.column);
                Some((format!("declassifier `{name}` is in the catalogue twice"), help))
            } else if self.all.len() >= DECLASSIFIERS_MAX {
                let message = format!("the catalogue has more than {DECLASSIFIERS_MAX} of them");
                Some((message, "use one for several actions".to_owned()))
            } else {
                self.places.insert(Arc::clone(&name), (file.to_owned(), place));
                self.all.insert(name, declassifier);
                None
            };
            problems.extend(
                problem.map(|(message, help)| {
                    Diagnostic::new(file, place, "", message).with_help(help)
                }),
            );
        }
    }
}

fn unlisted_methods(server: &ServerName, defaults: &Defaults) -> impl Iterator<Item = ActionEntry> {
    METHODS.iter().filter_map(move |(method, tier, effect)| {
        let resources: Vec<_> = method_resources(method).into_iter().collect();
        Some(ActionEntry {
            // A server's name and a method always fit a name.
            name: ActionName::new(format!("{server}/{method}")).ok()?,
            server: Some(server.clone()),
            tier: *tier,
            effect: *effect,
            guessed: false,
            returns: Returns::uniform(defaults.label.clone()),
            accepts: defaults.accepts.unwrap_or(defaults.label.confidentiality),
            arguments: roles(std::iter::empty(), &resources),
            resources,
            definition: None,
            raises: Vec::new(),
            additional_arguments: true,
            keep_arguments: defaults.keep_arguments,
            keep_result: defaults.keep_result,
        })
    })
}
