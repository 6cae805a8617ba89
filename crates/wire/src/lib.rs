//! The public forms of Safeconduct: how its nouns look as JSON and YAML, and how what others
//! write is read into the model.

pub mod authzen;
pub mod catalogue;
pub mod config;
pub mod document;
mod field;
pub mod identity;
pub mod json;
pub mod schemas;
pub mod suite;

pub use field::{FieldError, FieldProblem};
