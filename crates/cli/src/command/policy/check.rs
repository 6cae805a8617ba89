//! `safeconduct policy check`: do the policies, the schema and the catalogue load.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::problem::{self, Problem};
use crate::args::Shared;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::project::{self, Project, Rules};

/// Loads everything; prints the set's digest and counts, or all that is wrong.
///
/// # Errors
/// [`CommandError::Invalid`] where the form of output has no other place for problems.
pub(super) fn run(shared: &Shared) -> Result<Exit, CommandError> {
    match Project::load(&shared.config) {
        Ok(project) => {
            let warnings = problems(shared, &project.rules.warnings, "warning");
            output::print(&valid(shared, &project.rules, &warnings)?)?;
            Ok(Exit::Ok)
        }
        Err(CommandError::Invalid(found)) if shared.output != Format::Table => {
            output::print(&invalid(shared, &problems(shared, &found, "error"))?)?;
            Ok(Exit::Invalid)
        }
        Err(error) => Err(error),
    }
}

/// The problems with the files as they would be typed from here.
fn problems(shared: &Shared, texts: &[String], severity: &'static str) -> Vec<Problem> {
    let config = project::read_config(&shared.config).ok();
    texts
        .iter()
        .map(|text| {
            let mut problem = Problem::parse(text, severity);
            let folder = config.as_ref().map(|config| match problem.file.contains(".cedar") {
                true => config.policies.folder.as_path(),
                false => config.catalogue.as_path(),
            });
            // The file of an intent is named with its folder.
            let beside = config.as_ref().and_then(|config| config.intents.as_deref()?.parent());
            let found = folder
                .into_iter()
                .chain(beside)
                .map(|folder| folder.join(&problem.file))
                .find(|file| fs::exists(file).unwrap_or(false));
            if let Some(found) = found
                && !problem.file.is_empty()
            {
                problem.file = relative(&found);
            }
            problem
        })
        .collect()
}

fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

fn valid(shared: &Shared, rules: &Rules, warnings: &[Problem]) -> Result<String, CommandError> {
    let policies = &rules.policies;
    let files = policies.files().count();
    let actions = rules.catalogue.actions.len();
    match shared.output {
        Format::Json | Format::Yaml => output::document(
            shared.output,
            &json!({
                "valid": true,
                "digest": policies.digest().to_string(),
                "policies": policies.len(),
                "files": files,
                "actions": actions,
                "catalogue_digest": rules.catalogue_digest.to_string(),
                "intents": rules.intents.iter().count(),
                "intents_digest": rules.intents.digest.to_string(),
                "problems": warnings.iter().map(Problem::document).collect::<Vec<_>>(),
            }),
        ),
        Format::Sarif | Format::Github | Format::Junit => invalid(shared, warnings),
        Format::Table => {
            let mut text = format!(
                "policies   {} in {}\nactions    {actions}\ndigest     {}\ncatalogue  {}\n",
                policies.len(),
                output::counted(files, "file", "files"),
                policies.digest(),
                rules.catalogue_digest,
            );
            if !rules.intents.versions.is_empty() {
                let versions = output::counted(rules.intents.iter().count(), "version", "versions");
                let names = rules.intents.versions.len();
                let digest = rules.intents.digest;
                text.push_str(&format!("intents    {names} in {versions}, {digest}\n"));
            }
            for one in warnings {
                let place = match one.line {
                    0 => String::new(),
                    _ => format!("{}:{}:{}: ", one.file, one.line, one.column),
                };
                text.push_str(&format!("{place}warning: {}\n", one.message));
            }
            Ok(text)
        }
    }
}

fn invalid(shared: &Shared, problems: &[Problem]) -> Result<String, CommandError> {
    match shared.output {
        Format::Sarif => output::document(Format::Json, &problem::sarif(problems)),
        Format::Github | Format::Junit | Format::Table => Ok(problems
            .iter()
            .map(|one| {
                let place = (one.file.as_str(), one.line, one.column);
                problem::annotation(one.severity, place, "policy check", &one.message)
            })
            .collect()),
        Format::Json | Format::Yaml => output::document(
            shared.output,
            &json!({
                "valid": false,
                "problems": problems.iter().map(Problem::document).collect::<Vec<_>>(),
            }),
        ),
    }
}
