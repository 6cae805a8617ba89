//! SCIM 2.0 (RFC 7643, RFC 7644), as far as directories push people and groups: filters, paths
//! and patches over resources in JSON. Names of attributes and schemas have no case; values have.
//!
//! What resources mean here is for whoever calls this.

mod filter;
mod patch;
mod select;

pub use filter::*;
pub use patch::*;
pub use select::*;

use safeconduct_model::Value;

/// The schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The schema of groups.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The schema of lists.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The schema of errors.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The schema of patches.
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Most operations of one patch.
pub const PATCH_OPERATIONS_MAX: usize = 1000;

/// Why something that a client sent cannot be used: the client is at fault. The kinds are those
/// of RFC 7644, section 3.12.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    /// A filter that is none, or one that is not served.
    #[error("the filter cannot be used: {0}")]
    Filter(String),
    /// A path that is none, or one of an attribute that there is not.
    #[error("the path cannot be used: {0}")]
    Path(String),
    /// A path that fits nothing.
    #[error("there is nothing at `{0}`")]
    NoTarget(String),
    /// The body is not of the form that it must be.
    #[error("the body cannot be used: {0}")]
    Syntax(String),
    /// A value does not fit.
    #[error("`{attribute}` {problem}")]
    Value {
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that cannot be changed.
    #[error("`{0}` cannot be changed")]
    Mutability(String),
    /// A name that is taken.
    #[error("{0}")]
    Uniqueness(String),
}

impl ScimError {
    /// A value that does not fit.
    pub fn value(attribute: &str, problem: impl Into<String>) -> Self {
        Self::Value { attribute: attribute.to_owned(), problem: problem.into() }
    }

    /// `scimType`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Filter(_) => "invalidFilter",
            Self::Path(_) => "invalidPath",
            Self::NoTarget(_) => "noTarget",
            Self::Syntax(_) => "invalidSyntax",
            Self::Value { .. } => "invalidValue",
            Self::Mutability(_) => "mutability",
            Self::Uniqueness(_) => "uniqueness",
        }
    }
}

/// The member of an object by a name without case. Two that differ only in case are two readings
/// of one: then nothing is there.
pub fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Object(members) = value else { return None };
    let mut found = members.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let first = found.next();
    first.filter(|_| found.next().is_none()).map(|(_, value)| value)
}

/// The attribute that a name means, without the schema that stands before it.
pub fn without_schema<'n>(name: &'n str, schemas: &[&str]) -> &'n str {
    let known = schemas.iter().find_map(|schema| {
        let head = name.get(..schema.len())?;
        let rest = name.get(schema.len()..)?.strip_prefix(':')?;
        head.eq_ignore_ascii_case(schema).then_some(rest)
    });
    known.unwrap_or(name)
}

#[cfg(test)]
mod tests;
