//! The evidence folder of an access review: for an auditor who has no access to the server, and
//! believes nothing that it says.
//!
//! What counts in a folder are the records themselves (`records.ndjson`), a proof for each that it
//! is in the log (`proofs.ndjson`), the signed `checkpoint` over that log, and what lies beside the
//! records (`beside/`). All that people read (`index.html`, the tables, the OSCAL document) is made
//! of them and of nothing else, so that whoever verifies a folder makes it again and compares: a
//! table that says something else than the records is found, whatever the manifest says.
//!
//! One thing is not: what recorded decisions would have been under a change of the policies
//! ([`Replayed`]) is computed by whoever exports, and is held against the records only as far as
//! they speak of it.
//!
//! [`pack`] makes a folder of [`Material`], [`verify`] holds one against a key of the ledger. Which
//! records tell of a campaign says [`Selection`].
//!
//! What this crate deliberately does not do: it reads and writes no files, asks no server, reads no
//! clock, and says of nothing that it complies with anything.
//!
//! ```
//! use safeconduct_evidence::{Files, Manifest};
//!
//! let files = Files::from([("a.csv".to_owned(), b"x".to_vec())]);
//! let manifest = Manifest::of(&files).to_text();
//! assert!(manifest.ends_with("  a.csv\n"));
//! assert!(Manifest::parse(manifest.as_bytes())?.problems(&files).is_empty());
//! # Ok::<(), safeconduct_evidence::FormError>(())
//! ```

mod manifest;
mod oscal;
mod pack;
mod page;
mod records;
mod replays;
mod selection;
mod sheet;
mod verify;
mod view;

use std::collections::BTreeMap;

pub use manifest::Manifest;
pub use oscal::OSCAL_VERSION;
pub use pack::{Material, PackError, pack};
pub use records::{Proven, RECORDS_MAX};
pub use replays::{REPLAY_NAMED_MAX, Replayed};
pub use selection::Selection;
pub use sheet::cell;
pub use verify::{KeyFrom, PROBLEMS_MAX, Verified, verify};
pub use view::{DIFF_LINES_MAX, FoldError, Review};

/// A folder in memory: bytes by name, with `/` between the parts of a name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Why a file of a folder is not what it should be: whoever wrote it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`, line {line}: {problem}")]
pub struct FormError {
    /// Which file.
    pub file: String,
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl FormError {
    fn new(file: &str, line: usize, problem: impl std::fmt::Display) -> Self {
        Self { file: file.to_owned(), line, problem: problem.to_string() }
    }
}
