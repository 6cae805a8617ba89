//! How the policies stand.

use safeconduct_model::{Digest, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Written;

/// The policy set in force.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PoliciesView {
    /// Its digest.
    pub digest: Written<Digest>,
    /// How many policies it has.
    pub policies: u64,
    /// The digest of the catalogue in force.
    pub catalogue: Written<Digest>,
    /// When the set was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_at: Option<Written<Timestamp>>,
    /// Why what is in the folder now was refused, where it was: file, line, column, message. The
    /// set in force is then an older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
