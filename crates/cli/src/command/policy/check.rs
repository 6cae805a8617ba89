//! `safeconduct policy check`: do the policies, the schema and the catalogue load.

use safeconduct_policy::Severity;
use serde_json::json;

use crate::args::Shared;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::problem;
use crate::wiring::project::{Project, Rules};

/// Loads everything; prints the set's digest and counts, and what is odd about it.
///
/// # Errors
/// [`CommandError::Invalid`] with every problem that was found.
pub(super) fn run(shared: &Shared) -> Result<Exit, CommandError> {
    let project = Project::load(&shared.config)?;
    output::print(&valid(shared, &project.rules)?)?;
    Ok(Exit::Ok)
}

fn valid(shared: &Shared, rules: &Rules) -> Result<String, CommandError> {
    let (policies, warnings) = (&rules.policies, &rules.warnings);
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
                "problems": problem::documents(warnings, Severity::Warning),
            }),
        ),
        Format::Sarif => {
            output::document(Format::Json, &problem::sarif(warnings, Severity::Warning))
        }
        Format::Github | Format::Junit => {
            Ok(problem::annotations(warnings, Severity::Warning, "policy check"))
        }
        Format::Table | Format::Dot | Format::Mermaid => {
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
                let spot = one.spot();
                let place = match spot.line {
                    0 => String::new(),
                    line => format!("{}:{line}:{}: ", spot.file, spot.column),
                };
                text.push_str(&format!("{place}warning: {}\n", one.message()));
            }
            Ok(text)
        }
    }
}
