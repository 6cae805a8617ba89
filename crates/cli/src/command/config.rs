//! `safeconduct config`: is the configuration right, and what may stand in it.

use safeconduct_wire::schemas;

use crate::args::{Config, SchemaOf, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::project;

/// Checks the file, or prints a schema.
///
/// # Errors
/// [`CommandError::Invalid`] with every problem of the file.
pub(crate) fn run(shared: &Shared, command: Config) -> Result<Exit, CommandError> {
    match command {
        Config::Check => check(shared),
        Config::Schema { of } => {
            let schema = match of {
                SchemaOf::Config => schemas::config_schema(),
                SchemaOf::Catalogue => schemas::catalogue_schema(),
                SchemaOf::Intent => schemas::intent_schema(),
                SchemaOf::Campaign => schemas::campaign_schema(),
                SchemaOf::Suite => schemas::test_schema(),
            };
            output::print(&output::document(Format::Json, &schema)?)?;
            Ok(Exit::Ok)
        }
    }
}

fn check(shared: &Shared) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let text = match shared.output {
        Format::Json | Format::Yaml => output::document(
            shared.output,
            &serde_json::json!({
                "file": shared.config,
                "listen": config.listen.to_string(),
                "data": config.data,
                "keys": config.keys,
                "policies": config.policies.folder,
                "catalogue": config.catalogue,
                "intents": config.intents,
                "upstreams": config.upstreams.keys().map(ToString::to_string).collect::<Vec<_>>(),
                "identities": config.identities.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(),
            }),
        )?,
        _ => format!(
            "{} is valid: {}, {}\n",
            shared.config.display(),
            output::counted(config.upstreams.len(), "upstream", "upstreams"),
            output::counted(config.identities.len(), "identity", "identities"),
        ),
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}
