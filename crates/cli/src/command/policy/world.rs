//! The world that a test file brings: a folder, or its parts written in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_engine::Vocabulary;
use safeconduct_model::{ActionName, Catalogue, Intents, ServerName, Tiers, Value};
use safeconduct_policy::{Policies, SourceFile, Sources, ToolDefinition};
use safeconduct_service::definition_digest;
use safeconduct_wire::suite::{Suite, World};
use safeconduct_wire::{catalogue, intent};

use super::ground::Ground;
use crate::exit::{CommandError, failed};
use crate::wiring::project::{Project, Rules, action_of};

/// The ground of a world.
///
/// # Errors
/// [`CommandError::Invalid`] with what is wrong with its parts.
pub(super) fn ground(suite: &Suite, world: &World) -> Result<Ground, CommandError> {
    let base = match &world.folder {
        Some(folder) => Some(Project::load(&folder.join("safeconduct.yaml"))?),
        None => None,
    };
    let rules = base.as_ref().map(|project| &project.rules);
    let mut merged = catalogue::merge(world.catalogue.clone())
        .map_err(|problems| invalid(suite, problems.iter().map(ToString::to_string)))?;
    for (name, entry) in rules.iter().flat_map(|rules| &rules.catalogue.actions) {
        merged.actions.entry(name.clone()).or_insert_with(|| entry.clone());
    }
    let sources = sources(rules.map(|rules| &rules.sources), world, &merged);
    let loaded = safeconduct_policy::load(&sources)
        .map_err(|error| invalid(suite, error.diagnostics.iter().map(ToString::to_string)))?;
    let resolved = resolve(suite, merged, &loaded.policies)?;
    let mut ground = Ground {
        policies: Arc::new(loaded.policies),
        catalogue: Arc::new(resolved),
        catalogue_digest: definition_digest(&Value::Null),
        vocabulary: Arc::new(
            Vocabulary::new(&sources.naming.namespace)
                .map_err(|error| failed("world.namespace", error))?,
        ),
        identities: BTreeMap::new(),
        calls_max: world.session_calls.unwrap_or_else(|| {
            base.as_ref().map_or(DEFAULT_CALLS, |project| project.config.session_calls)
        }),
        tiers: world.tiers.clone().unwrap_or_else(|| {
            base.as_ref().map_or_else(Tiers::default, |project| project.config.tiers.clone())
        }),
        intents: Arc::new(Intents::none()),
    };
    ground.intents = Arc::new(intents(suite, world, rules, &ground)?);
    if let Some(project) = &base {
        ground.know(&project.config.identities)?;
    }
    ground.know(&world.identities)?;
    Ok(ground)
}

/// Calls that a session has where nothing is said, as in a configuration.
const DEFAULT_CALLS: u64 = 10_000;

fn invalid(suite: &Suite, problems: impl Iterator<Item = String>) -> CommandError {
    crate::exit::invalid(problems.map(|one| format!("{}: world: {one}", suite.file)))
}

/// The intents of the folder and of the file.
fn intents(
    suite: &Suite,
    world: &World,
    rules: Option<&Rules>,
    ground: &Ground,
) -> Result<Intents, CommandError> {
    let on = intent::Ground {
        catalogue: &ground.catalogue,
        resolve: &|name| ground.policies.resolve_type(name),
        definition: &|_| None,
        grants: &|_| None,
    };
    let merged = intent::merge(world.intents.clone(), on)
        .map_err(|problems| invalid(suite, problems.iter().map(ToString::to_string)))?;
    let mut intents = rules.map_or_else(Intents::none, |rules| Intents::clone(&rules.intents));
    for (name, versions) in merged.versions {
        intents.versions.entry(name).or_default().extend(versions);
    }
    Ok(intents)
}

fn sources(base: Option<&Sources>, world: &World, merged: &Catalogue) -> Sources {
    let mut sources = base.cloned().unwrap_or_default();
    if let Some(namespace) = &world.namespace {
        sources.naming.namespace.clone_from(namespace);
    }
    if let Some(action_id) = &world.action_id {
        sources.naming.action_id.clone_from(action_id);
    }
    for (name, text) in &world.policies {
        sources.policies.push(SourceFile::new(name.as_str(), text.as_str()));
    }
    if let Some(schema) = &world.schema {
        sources.schemas.push(SourceFile::new("schema.cedarschema", schema.as_str()));
    }
    for (server, tools) in &world.tools {
        for definition in tools {
            let Some(tool) = catalogue::tool_name(definition).map(str::to_owned) else { continue };
            let made =
                ToolDefinition { server: server.clone(), tool, definition: definition.clone() };
            if action_of(&made).is_some_and(|name| merged.entry(&name).is_some()) {
                sources.definitions.push(made);
            }
        }
    }
    let tools: BTreeSet<ActionName> = sources.definitions.iter().filter_map(action_of).collect();
    let others = merged.actions.values().filter(|entry| !tools.contains(&entry.name));
    sources.actions = others.map(|entry| (entry.name.clone(), entry.server.clone())).collect();
    let mut servers: BTreeSet<ServerName> = sources.servers.drain(..).collect();
    servers.extend(merged.actions.values().filter_map(|entry| entry.server.clone()));
    sources.servers = servers.into_iter().collect();
    sources
}

/// Names each resource type as the schema does.
fn resolve(
    suite: &Suite,
    mut catalogue: Catalogue,
    policies: &Policies,
) -> Result<Catalogue, CommandError> {
    let mut problems = Vec::new();
    for entry in catalogue.actions.values_mut() {
        for mapping in &mut entry.resources {
            match policies.resolve_type(mapping.ty.as_str()) {
                Some(ty) => mapping.ty = ty,
                None => problems.push(format!(
                    "action `{}` maps `{}` to the type `{}`, which no schema declares",
                    entry.name, mapping.argument, mapping.ty
                )),
            }
        }
    }
    if problems.is_empty() { Ok(catalogue) } else { Err(invalid(suite, problems.into_iter())) }
}
