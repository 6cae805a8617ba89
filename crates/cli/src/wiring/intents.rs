//! The intents of a project, held against its catalogue and schema.

use std::collections::BTreeMap;
use std::path::Path;

use safeconduct_model::{ActionName, Catalogue, Intents, Value};
use safeconduct_policy::{Policies, SourceFile, ToolDefinition};
use safeconduct_service::definition_digest;
use safeconduct_wire::config::{Config, TargetKind};
use safeconduct_wire::document::Diagnostic;
use safeconduct_wire::intent::{self, Ground};

use crate::exit::{CommandError, invalid};
use crate::problem::Problem;
use crate::wiring::project::{action_of, files, within};

/// Intents that fit.
pub(crate) struct Loaded {
    /// Every version of each.
    pub(crate) intents: Intents,
    /// What is odd, yet fits.
    pub(crate) warnings: Vec<Problem>,
}

/// What an intent may ask of the targets of a configuration.
pub(crate) fn targets(config: &Config) -> BTreeMap<String, Vec<String>> {
    let targets = config.targets.iter();
    targets.map(|(name, target)| (name.to_string(), grants(&target.kind))).collect()
}

/// The files of the folder of intents; a configuration that names none has none.
///
/// # Errors
/// One cannot be read.
pub(crate) fn texts(config: &Config) -> Result<Vec<SourceFile>, CommandError> {
    let folder = config.intents.as_deref();
    Ok(folder.map(|folder| files(folder, ".yaml")).transpose()?.unwrap_or_default())
}

/// The intents of those files, held against the rest of the project.
///
/// # Errors
/// [`CommandError::Invalid`] with every problem that was found.
pub(crate) fn load(
    config: &Config,
    texts: &[SourceFile],
    made: (&Catalogue, &Policies, &[ToolDefinition]),
) -> Result<Loaded, CommandError> {
    let folder = config.intents.as_deref();
    // The file of an intent is named with its folder.
    let beside = folder.and_then(Path::parent).unwrap_or(Path::new(""));
    let loaded = of_texts(&folder_name(config), texts, made, &targets(config));
    let Merged { intents, warnings } =
        loaded.map_err(|problems| invalid(within(beside, problems)))?;
    Ok(Loaded { intents, warnings: within(beside, warnings).collect() })
}

/// The name of the folder of intents.
pub(crate) fn folder_name(config: &Config) -> String {
    let folder = config.intents.as_deref().and_then(Path::file_name).unwrap_or_default();
    folder.display().to_string()
}

/// Intents that fit, their files named with their folder.
pub(crate) struct Merged {
    pub(crate) intents: Intents,
    warnings: Vec<Diagnostic>,
}

/// The intents of those files.
///
/// # Errors
/// Every problem that was found.
pub(crate) fn of_texts(
    folder: &str,
    texts: &[SourceFile],
    (catalogue, policies, tools): (&Catalogue, &Policies, &[ToolDefinition]),
    targets: &BTreeMap<String, Vec<String>>,
) -> Result<Merged, Vec<Diagnostic>> {
    let mut parsed = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    for text in texts {
        match intent::parse(&named(folder, &text.name), &text.text) {
            Ok(file) => parsed.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let tools: BTreeMap<ActionName, &Value> =
        tools.iter().filter_map(|tool| Some((action_of(tool)?, &tool.definition))).collect();
    let ground = Ground {
        catalogue,
        resolve: &|name| policies.resolve_type(name),
        definition: &|action| tools.get(action).copied(),
        grants: &|target| {
            let grants = targets.get(target.as_str());
            grants.map(|grants| grants.iter().map(String::as_str).collect())
        },
    };
    let merged = intent::merge(parsed, ground)?;
    let digest = definition_digest(&intent::digest_input(&merged.versions));
    let intents = Intents { versions: merged.versions, digest };
    Ok(Merged { intents, warnings: merged.warnings })
}

/// What an intent may ask of a target.
fn grants(kind: &TargetKind) -> Vec<String> {
    match kind {
        TargetKind::Postgres(database) => database.grants.keys().cloned().collect(),
        TargetKind::Secrets(secrets) => secrets.uses.keys().cloned().collect(),
    }
}

/// A file with the name of its folder, so that no problem of an intent looks like one of the
/// catalogue.
fn named(folder: &str, file: &str) -> String {
    Path::new(folder).join(file).display().to_string()
}
