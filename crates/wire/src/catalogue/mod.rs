//! The catalogue's files: `catalogue/*.yaml`, what is known of each action, and
//! `catalogue/*.tools.json`, the definitions that were approved.
//!
//! ```
//! use safeconduct_model::ActionName;
//! use safeconduct_wire::catalogue;
//!
//! let file = catalogue::parse("files.yaml", "
//! server: files
//! actions:
//!   read_text_file:
//!     tier: low
//!     effect: read
//!     resources:
//!       - { argument: /path, type: Path, form: path, root: /srv/cases }
//! ").unwrap();
//! let catalogue = catalogue::merge(vec![file]).unwrap();
//! let entry = catalogue.entry(&ActionName::new("files.read_text_file")?).unwrap();
//! assert_eq!(entry.resources[0].argument, "/path");
//!
//! let problems = catalogue::parse("files.yaml", "actions: {a: {teir: low, effect: read}}").unwrap_err();
//! assert_eq!(
//!     problems[0].to_string(),
//!     "files.yaml:1:15: unknown key `teir` (did you mean `tier`?)",
//! );
//! # Ok::<(), safeconduct_model::NameError>(())
//! ```

mod draft;
mod form;
mod merge;
mod methods;
mod pin;
mod read;
mod tools;

pub use draft::*;
pub use form::*;
pub use merge::*;
pub use pin::*;
pub use read::*;
pub use tools::*;

#[cfg(test)]
mod tests;
