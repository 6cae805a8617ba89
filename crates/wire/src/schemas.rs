//! The JSON Schemas that are published for editors, generated from the forms.

use serde_json::Value as Json;

use crate::catalogue::CatalogueForm;
use crate::config::ConfigForm;
use crate::document::published_schema;
use crate::suite::SuiteForm;

/// Where the schema of catalogue files is published.
pub const CATALOGUE_SCHEMA: &str =
    "https://raw.githubusercontent.com/safeconduct/safeconduct/main/schemas/catalogue.schema.json";

/// The schema of `catalogue/*.yaml`.
pub fn catalogue_schema() -> Json {
    published_schema::<CatalogueForm>(CATALOGUE_SCHEMA)
}

/// Where the schema of configuration files is published.
pub const CONFIG_SCHEMA: &str =
    "https://raw.githubusercontent.com/safeconduct/safeconduct/main/schemas/config.schema.json";

/// The schema of `safeconduct.yaml`.
pub fn config_schema() -> Json {
    published_schema::<ConfigForm>(CONFIG_SCHEMA)
}

/// Where the schema of test files is published.
pub const TEST_SCHEMA: &str =
    "https://raw.githubusercontent.com/safeconduct/safeconduct/main/schemas/test.schema.json";

/// The schema of `*_test.yaml` and of decision cases.
pub fn test_schema() -> Json {
    published_schema::<SuiteForm>(TEST_SCHEMA)
}
