//! The public forms of Safeconduct: how its nouns look as JSON and YAML, and how what others
//! write is read into the model.

pub mod authzen;
mod field;
pub mod json;

pub use field::{FieldError, FieldProblem};
