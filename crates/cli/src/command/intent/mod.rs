//! `safeconduct intent`: what may be undertaken, from the project's files.

mod show;

use safeconduct_model::{Intent, IntentName, Intents, Undertakers};
use safeconduct_wire::document::{Span, Text as _};
use safeconduct_wire::{intent, json};
use serde_json::{Value as Json, json};

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::intents;
use crate::wiring::project::Project;

/// Runs the command.
///
/// # Errors
/// The project is invalid, or has no such intent.
pub(crate) fn run(shared: &Shared, command: args::Intent) -> Result<Exit, CommandError> {
    let project = Project::load(&shared.config)?;
    let text = match command {
        args::Intent::Ls => list(shared, &project)?,
        args::Intent::Show { name, number } => {
            show(shared, found(&project.rules.intents, &name, number)?)?
        }
        args::Intent::Check => check(shared, &project)?,
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn list(shared: &Shared, project: &Project) -> Result<String, CommandError> {
    let all = project.rules.intents.iter();
    match shared.output {
        Format::Json | Format::Yaml => {
            output::document(shared.output, &all.map(document).collect::<Vec<_>>())
        }
        _ => {
            if project.config.intents.is_none() && !shared.quiet {
                output::say(
                    "the configuration names no folder of intents: `intents: {}` takes ./intents",
                );
            }
            Ok(output::table(
                &["INTENT", "VERSION", "ON BEHALF OF", "LONGEST", "TIER", "UNDERTAKEN BY"],
                &all.map(row).collect::<Vec<_>>(),
            ))
        }
    }
}

fn row(intent: &Intent) -> Vec<String> {
    vec![
        intent.name.to_string(),
        intent.version.to_string(),
        intent.on_behalf_of.as_str().to_owned(),
        span(intent.longest_s),
        intent.tier_max.as_str().to_owned(),
        undertakers(&intent.undertakers),
    ]
}

fn show(shared: &Shared, intent: &Intent) -> Result<String, CommandError> {
    match shared.output {
        Format::Json | Format::Yaml => output::document(shared.output, &document(intent)),
        _ => Ok(show::text(intent)),
    }
}

fn check(shared: &Shared, project: &Project) -> Result<String, CommandError> {
    let rules = &project.rules;
    let texts = intents::texts(&project.config)?;
    let made = (&*rules.catalogue, &*rules.policies, &*rules.sources.definitions);
    let loaded = intents::load(&project.config, &texts, made)?;
    let warnings = loaded.warnings;
    let (names, versions) = (rules.intents.versions.len(), rules.intents.iter().count());
    match shared.output {
        Format::Json | Format::Yaml => output::document(
            shared.output,
            &json!({
                "valid": true,
                "intents": names,
                "versions": versions,
                "digest": rules.intents.digest.to_string(),
                "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
        ),
        _ => {
            let mut text = format!(
                "intents   {names}\nversions  {versions}\ndigest    {}\n",
                rules.intents.digest
            );
            for one in warnings {
                text.push_str(&format!("warning: {one}\n"));
            }
            Ok(text)
        }
    }
}

/// The intent of that name, and that version of it where one is named.
fn found<'i>(
    intents: &'i Intents,
    name: &str,
    number: Option<u32>,
) -> Result<&'i Intent, CommandError> {
    let known = IntentName::new(name).ok();
    if let Some(intent) = known.as_ref().and_then(|name| intents.version(name, number)) {
        return Ok(intent);
    }
    let versions = known.and_then(|name| intents.versions.get(&name));
    Err(CommandError::Failed(match versions {
        Some(versions) => {
            let numbers: Vec<String> = versions.keys().map(ToString::to_string).collect();
            format!("intent `{name}` has the versions {}", numbers.join(", "))
        }
        None => format!("there is no intent `{name}`; `safeconduct intent ls` lists them"),
    }))
}

fn document(intent: &Intent) -> Json {
    json::to_serde(&intent::document(intent))
}

fn span(seconds: u32) -> String {
    Span { seconds }.written().into_owned()
}

/// Who may undertake it, in words.
fn undertakers(undertakers: &Undertakers) -> String {
    let groups = undertakers.groups.iter().map(|group| format!("group {group}"));
    let identities = undertakers.identities.iter().map(ToString::to_string);
    let kinds = undertakers.kinds.iter().map(|kind| format!("every {}", kind.as_str()));
    let all: Vec<String> = groups.chain(identities).chain(kinds).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}
