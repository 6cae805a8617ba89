//! `safeconduct catalogue ls`: the actions, with what is known of each.

use safeconduct_model::{ActionEntry, ResourceForm};
use serde_json::{Value as Json, json};

use crate::args::Shared;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::project::Project;

/// Prints the actions by name.
///
/// # Errors
/// The project is invalid.
pub(super) fn run(shared: &Shared) -> Result<Exit, CommandError> {
    let project = Project::load(&shared.config)?;
    let entries = project.rules.catalogue.actions.values();
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            output::document(shared.output, &entries.map(document).collect::<Vec<_>>())?
        }
        _ => output::table(
            &["ACTION", "TIER", "EFFECT", "PINNED", "RESOURCES"],
            &entries.map(row).collect::<Vec<_>>(),
        ),
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn row(entry: &ActionEntry) -> Vec<String> {
    let guessed = if entry.guessed { " (guessed)" } else { "" };
    let resources: Vec<String> =
        entry.resources.iter().map(|one| format!("{}={}", one.argument, one.ty)).collect();
    vec![
        entry.name.to_string(),
        format!("{}{guessed}", entry.tier.as_str()),
        entry.effect.as_str().to_owned(),
        if entry.definition.is_some() { "yes" } else { "no" }.to_owned(),
        resources.join(" "),
    ]
}

fn document(entry: &ActionEntry) -> Json {
    let form = |form: &ResourceForm| match form {
        ResourceForm::Text => "text",
        ResourceForm::Path { .. } => "path",
        ResourceForm::Url => "url",
        ResourceForm::Uri => "uri",
    };
    let resources: Vec<Json> = entry
        .resources
        .iter()
        .map(|one| {
            json!({
                "argument": one.argument,
                "type": one.ty.as_str(),
                "form": form(&one.form),
                "optional": one.optional,
            })
        })
        .collect();
    json!({
        "action": entry.name.as_str(),
        "server": entry.server.as_ref().map(ToString::to_string),
        "tier": entry.tier.as_str(),
        "effect": entry.effect.as_str(),
        "guessed": entry.guessed,
        "integrity": entry.returns.default.integrity.as_str(),
        "confidentiality": entry.returns.default.confidentiality.as_str(),
        "definition": entry.definition.map(|digest| digest.to_string()),
        "resources": resources,
    })
}
