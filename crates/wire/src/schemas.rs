//! The JSON Schemas that are published for editors, generated from the forms.

use serde_json::Value as Json;

use crate::campaign::CampaignForm;
use crate::catalogue::CatalogueForm;
use crate::config::ConfigForm;
use crate::document::published_schema;
use crate::intent::IntentForm;
use crate::suite::SuiteForm;

macro_rules! published {
    ($name:literal) => {
        concat!("https://raw.githubusercontent.com/safeconduct/safeconduct/main/schemas/", $name)
    };
}

/// Where the schema of `safeconduct.yaml` is published.
pub const CONFIG_SCHEMA: &str = published!("config.schema.json");

/// Where the schema of `catalogue/*.yaml` is published.
pub const CATALOGUE_SCHEMA: &str = published!("catalogue.schema.json");

/// Where the schema of `intents/*.yaml` is published.
pub const INTENT_SCHEMA: &str = published!("intent.schema.json");

/// Where the schema of `reviews/*.yaml` is published.
pub const CAMPAIGN_SCHEMA: &str = published!("campaign.schema.json");

/// Where the schema of `*_test.yaml` and of decision cases is published.
pub const TEST_SCHEMA: &str = published!("test.schema.json");

/// The schema of `safeconduct.yaml`.
pub fn config_schema() -> Json {
    published_schema::<ConfigForm>(CONFIG_SCHEMA)
}

/// The schema of `catalogue/*.yaml`.
pub fn catalogue_schema() -> Json {
    published_schema::<CatalogueForm>(CATALOGUE_SCHEMA)
}

/// The schema of `intents/*.yaml`.
pub fn intent_schema() -> Json {
    published_schema::<IntentForm>(INTENT_SCHEMA)
}

/// The schema of `reviews/*.yaml`.
pub fn campaign_schema() -> Json {
    published_schema::<CampaignForm>(CAMPAIGN_SCHEMA)
}

/// The schema of `*_test.yaml` and of decision cases.
pub fn test_schema() -> Json {
    published_schema::<SuiteForm>(TEST_SCHEMA)
}

/// Every published schema, by the name of its file in `schemas/`.
pub fn all() -> [(&'static str, Json); 5] {
    [
        ("config.schema.json", config_schema()),
        ("catalogue.schema.json", catalogue_schema()),
        ("intent.schema.json", intent_schema()),
        ("campaign.schema.json", campaign_schema()),
        ("test.schema.json", test_schema()),
    ]
}
