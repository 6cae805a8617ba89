//! The sample worlds: an agent at work on a customer's case, in a folder and in a CRM, and one
//! that writes mail. The files of `examples/case-notes`, `examples/crm`, `examples/mail`
//! and of `examples/reviews`, carried in the binary so that `dev` and `demo` need nothing beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{CommandError, failed};

/// The agent: a real MCP client in Python.
pub(crate) const AGENT: &str = "agent.py";

/// The API key that the CRM knows (`crm.sql` has its digest): it opens nothing but sample data.
pub(crate) const CRM_KEY: &str = "crm-demo-key-5d41c7f09b3e";

macro_rules! files {
    ($example:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../examples/", $example, "/", $name)))),*]
    };
}

/// Which world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// Notes of cases in a folder.
    CaseNotes,
    /// A CRM, in which agents act in tasks.
    Crm,
    /// Mail, of which what leaves the house is asked for.
    Mail,
    /// Files, and a right to them that is far too broad.
    Reviews,
}

impl Sample {
    const fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::CaseNotes => CASE_NOTES,
            Self::Crm => CRM,
            Self::Mail => MAIL,
            Self::Reviews => REVIEWS,
        }
    }
}

const CRM: &[(&str, &str)] = files![
    "crm":
    "agent.py",
    "crm.py",
    "crm.sql",
    "safeconduct.yaml",
    "policies/crm.cedarschema",
    "policies/crm.cedar",
    "catalogue/crm.yaml",
    "catalogue/crm.tools.json",
    "intents/summarise_customer_case.yaml",
    "intents/export_records.yaml",
];

const MAIL: &[(&str, &str)] = files![
    "mail":
    "agent.py",
    "mail.py",
    "safeconduct.yaml",
    "policies/mail.cedarschema",
    "policies/mail.cedar",
    "catalogue/mail.yaml",
    "catalogue/mail.tools.json",
];

const REVIEWS: &[(&str, &str)] = files![
    "reviews":
    "agent.py",
    "safeconduct.yaml",
    "policies/clerks.cedar",
    "catalogue/files.yaml",
    "catalogue/files.tools.json",
    "reviews/clerks.yaml",
    "cases/4711/notes.md",
    "cases/4711/customer.md",
    "cases/4712/notes.md",
];

const CASE_NOTES: &[(&str, &str)] = files![
    "case-notes":
    "agent.py",
    "safeconduct.yaml",
    "policies/case-notes.cedar",
    "catalogue/files.yaml",
    "catalogue/files.tools.json",
    "cases/4711/notes.md",
    "cases/4711/customer.md",
    "cases/4712/notes.md",
];

/// Writes a sample world into a folder and returns its configuration file.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(sample: Sample, folder: &Path) -> Result<PathBuf, CommandError> {
    for (name, text) in sample.files() {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(name, error))?;
        }
        fs::write(&file, text).map_err(|error| failed(name, error))?;
    }
    Ok(folder.join("safeconduct.yaml"))
}

/// A file of a sample world; empty where it has none of that name.
pub(crate) fn text_of(sample: Sample, name: &str) -> &'static str {
    let found = sample.files().iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, text)| text)
}
