//! The intents of a project, held against its catalogue and schema.

use std::collections::BTreeMap;
use std::path::Path;

use safeconduct_model::{ActionName, Catalogue, Intents, Value};
use safeconduct_policy::{Policies, ToolDefinition};
use safeconduct_service::definition_digest;
use safeconduct_wire::config::{Config, TargetKind};
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

/// Reads the folder of intents; a configuration that names none has none.
///
/// # Errors
/// [`CommandError::Invalid`] with every problem that was found.
pub(crate) fn load(
    config: &Config,
    catalogue: &Catalogue,
    policies: &Policies,
    tools: &[ToolDefinition],
) -> Result<Loaded, CommandError> {
    let folder = config.intents.as_deref();
    let texts = folder.map(|folder| files(folder, ".yaml")).transpose()?.unwrap_or_default();
    // The file of an intent is named with its folder.
    let beside = folder.and_then(Path::parent).unwrap_or(Path::new(""));
    let mut parsed = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    for text in texts {
        match intent::parse(&named(folder, &text.name), &text.text) {
            Ok(file) => parsed.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(invalid(within(beside, problems)));
    }
    let tools: BTreeMap<ActionName, &Value> =
        tools.iter().filter_map(|tool| Some((action_of(tool)?, &tool.definition))).collect();
    let ground = Ground {
        catalogue,
        resolve: &|name| policies.resolve_type(name),
        definition: &|action| tools.get(action).copied(),
        grants: &|target| config.targets.get(target).map(|target| grants(&target.kind)),
    };
    let merged = intent::merge(parsed, ground);
    let merged = merged.map_err(|problems| invalid(within(beside, problems)))?;
    let digest = definition_digest(&intent::digest_input(&merged.versions));
    let intents = Intents { versions: merged.versions, digest };
    Ok(Loaded { intents, warnings: within(beside, merged.warnings).collect() })
}

/// What an intent may ask of a target.
fn grants(kind: &TargetKind) -> Vec<&str> {
    match kind {
        TargetKind::Postgres(database) => database.grants.keys().map(String::as_str).collect(),
        TargetKind::Secrets(secrets) => secrets.uses.keys().map(String::as_str).collect(),
    }
}

/// A file with the name of its folder, so that no problem of an intent looks like one of the
/// catalogue.
fn named(folder: Option<&Path>, file: &str) -> String {
    let folder = folder.and_then(Path::file_name).unwrap_or_default();
    Path::new(folder).join(file).display().to_string()
}
