//! Documents that people write: configuration, catalogue, tests. One struct with its comments is
//! the form, the published JSON Schema and the check at once, so that the three cannot drift.
//!
//! A document is read in three steps: YAML to nodes that know their place ([`Node`]); nodes
//! against the schema, which finds *all* unknown keys, wrong types and misspelt words, each with
//! its line and a suggestion; nodes into the struct.

mod check;
mod diagnostic;
mod format;
mod node;
mod place;
mod schema;
mod span;
mod terms;
mod yaml;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub(crate) use check::closest;
pub use diagnostic::*;
pub use format::is_secret_name;
pub use node::*;
pub use place::*;
pub use schema::*;
pub use span::*;
pub use terms::*;
pub use yaml::*;

/// A document that fits its schema, with the nodes that know where everything stands.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The file, as it was named.
    pub file: String,
    /// What it says.
    pub content: T,
    /// Where it says so.
    pub root: Node,
}

impl<T> Document<T> {
    /// A problem at the value of that JSON Pointer, or as near to it as the document goes.
    pub fn problem(&self, pointer: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.root.nearest(pointer).place;
        Diagnostic::new(&self.file, place, pointer, message)
    }
}

/// Reads a YAML (or JSON) document of that form.
///
/// # Errors
/// Every problem that was found, in the order of the text; at least one.
pub fn read<T: DeserializeOwned + JsonSchema>(
    file: &str,
    text: &str,
    limits: YamlLimits,
) -> Result<Document<T>, Vec<Diagnostic>> {
    let root = parse_yaml(file, text, limits)?;
    let problems = check::check(&schema_of::<T>(), &root, file);
    if !problems.is_empty() {
        return Err(problems);
    }
    // The schema has been held; what is left are the few things that it cannot say.
    match serde_json::from_value(crate::json::to_serde(&root.to_value())) {
        Ok(content) => Ok(Document { file: file.to_owned(), content, root }),
        Err(error) => Err(vec![Diagnostic::new(file, root.place, "", error.to_string())]),
    }
}

/// Reads a value that came as JSON into that form; problems name JSON Pointers, not lines.
///
/// # Errors
/// Every problem that was found; at least one.
pub fn read_value<T: DeserializeOwned + JsonSchema>(
    value: &safeconduct_model::Value,
) -> Result<T, Vec<Diagnostic>> {
    let problems = check::check(&schema_of::<T>(), &Node::from_value(value), "");
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(crate::json::to_serde(value))
        .map_err(|error| vec![Diagnostic::new("", Place::default(), "", error.to_string())])
}

/// Why a body is refused: the caller is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is not the JSON that it must be.
    #[error("the body is not acceptable JSON: {0}")]
    Json(#[from] crate::json::JsonError),
    /// Fields do not fit; at least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fields(Vec<Diagnostic>),
}

impl From<Vec<Diagnostic>> for FormError {
    fn from(problems: Vec<Diagnostic>) -> Self {
        Self::Fields(problems)
    }
}

/// Reads a JSON body into that form.
///
/// # Errors
/// [`FormError`] names every field that does not fit.
pub fn read_json<T: DeserializeOwned + JsonSchema>(body: &[u8]) -> Result<T, FormError> {
    Ok(read_value(&crate::json::parse(body)?)?)
}

#[cfg(test)]
mod tests;
