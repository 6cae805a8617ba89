//! Imports of identities: what is asked for, and what came of it.

use safeconduct_model::{IdentityId, IdentityKind, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Word, Written};
use crate::import::{ImportForm, RowFault, Unsaid};

/// Most wrong rows that are shown.
pub const WRONG_SHOWN_MAX: usize = 1000;

/// What to do with a file: a query string, whose file is the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportQuery {
    /// The form of the file: `csv`, `spire`, `kubernetes`, `oauth`.
    #[serde(rename = "as")]
    pub form: String,
    /// What the file is called; for the record.
    pub name: Option<String>,
    /// Whether only to say what would be done.
    pub dry_run: bool,
    /// Whether rows are imported although others are wrong.
    pub partial: bool,
    /// What kind of things these are, where the file does not say.
    pub kind: Option<Word<IdentityKind>>,
    /// Who is accountable for what is no user, where the file does not say.
    pub owner: Option<Written<IdentityId>>,
    /// Who is where the owner is gone, where the file does not say.
    pub fallback_owner: Option<Written<IdentityId>>,
    /// Where they run, where the file does not say.
    pub environment: Option<String>,
    /// The issuer of OAuth clients: their ids are then `ISSUER|CLIENT`.
    pub issuer: Option<String>,
}

impl ImportQuery {
    /// The form of the file; `None` where it is none that there is.
    pub fn form(&self) -> Option<ImportForm> {
        ImportForm::parse(&self.form)
    }

    /// What holds where the file says nothing.
    pub fn unsaid(&self) -> Unsaid {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Unsaid {
            kind: self.kind.map(|kind| kind.0),
            owner: self.owner.clone().map(|owner| owner.0),
            fallback_owner: self.fallback_owner.clone().map(|owner| owner.0),
            environment: text(&self.environment),
            issuer: text(&self.issuer),
        }
    }
}

/// What came of a file, or would.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImportReport {
    /// `completed`; `checked` where it was only to be said; `refused` where rows are wrong, and
    /// nothing is imported.
    pub state: &'static str,
    /// The import, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The form of the file.
    pub source: &'static str,
    /// Its digest.
    pub digest: String,
    /// How many identities it has, the wrong ones included.
    pub rows: u64,
    /// How many were not known.
    pub new: u64,
    /// How many were not as they are in the file.
    pub changed: u64,
    /// How many were so already.
    pub same: u64,
    /// How many pieces of the file are about no identity, or about one that came before.
    pub others: u64,
    /// How many have no owner or no fallback owner: they are suspended until they do.
    pub unowned: u64,
    /// For how many nobody answers who is registered and active.
    pub orphaned: u64,
    /// How many rows are wrong.
    pub wrong: u64,
    /// The first 1000 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrong_rows: Vec<WrongRow>,
}

/// A row that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WrongRow {
    /// The line in which it begins.
    pub line: u64,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<&RowFault> for WrongRow {
    fn from(fault: &RowFault) -> Self {
        Self { line: fault.line, field: fault.field.to_string(), problem: fault.problem.clone() }
    }
}

/// The newest imports.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImportList {
    /// The newest first; at most 1000.
    pub imports: Vec<ImportShown>,
}

/// An import.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImportShown {
    /// Which one.
    pub id: String,
    /// When it began.
    pub at: Written<Timestamp>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// `completed`, `under_way`, or `interrupted`: it began and did not end, and the same file
    /// again does the rest.
    pub state: &'static str,
    /// The form of the file.
    pub source: &'static str,
    /// What it was called.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// How many identities it has.
    pub rows: u64,
    /// How many were not known.
    pub new: u64,
    /// How many were not as they are in the file.
    pub changed: u64,
    /// How many rows were wrong, and left out.
    pub wrong: u64,
    /// The record of its beginning.
    pub record: String,
}
