//! Record version 1: a record's leaf, there and back.
//!
//! A leaf is canonical JSON with the members `at`, `body`, `id`, `kind`, `parent`, `trace` and
//! `v`, in that order; what `body` holds depends on `kind`. A member that has nothing to say
//! (no parent, no obligations) is absent, never `null` or empty. So each record has exactly one
//! leaf, and `decode` refuses every other text for it.

use safeconduct_model::NameError;
use thiserror::Error;

mod access;
mod authority;
mod decode;
mod encode;
mod form;
mod passkey;
mod review;
mod signal;

pub use decode::decode;
pub use encode::encode;

/// The version that this crate writes, and the only one it reads.
pub const RECORD_VERSION: u64 = 1;

/// Longest leaf in bytes: entry bundles (C2SP tlog-tiles) give a length 16 bits.
pub const LEAF_BYTES_MAX: usize = 65_535;

/// Why a record has no leaf. The caller refuses what it was about to do: what cannot be recorded
/// does not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The leaf would be longer than [`LEAF_BYTES_MAX`].
    #[error("the record has {bytes} bytes, more than the limit of {LEAF_BYTES_MAX}")]
    TooLong {
        /// How long it would be, in bytes.
        bytes: usize,
    },
    /// A point in time is before year 0 or after year 9999, which RFC 3339 cannot say.
    #[error("`{field}` is outside the years 0 to 9999")]
    TimeOutOfRange {
        /// Which member.
        field: &'static str,
    },
    /// A step of a review is not of the form that it has to have: our own fault.
    #[error("a step of a review cannot be recorded: {problem}")]
    Review {
        /// What is wrong.
        problem: String,
    },
}

/// Why bytes are no record. Whoever wrote them is at fault: another version of Safeconduct, or
/// someone who changed the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// More than [`LEAF_BYTES_MAX`] bytes.
    #[error("the leaf has {bytes} bytes, more than the limit of {LEAF_BYTES_MAX}")]
    TooLong {
        /// How many bytes.
        bytes: usize,
    },
    /// No JSON, or JSON with a member that is unknown, missing, double or of another type. The
    /// message names it.
    #[error("the leaf is not a record: {problem}")]
    Malformed {
        /// What is wrong, and where.
        problem: String,
    },
    /// Another version of the format.
    #[error("record version {version} is unknown; this program reads version {RECORD_VERSION}")]
    UnknownVersion {
        /// The version that was found.
        version: u64,
    },
    /// Another kind of record.
    #[error("record kind `{kind}` is unknown")]
    UnknownKind {
        /// The kind that was found.
        kind: String,
    },
    /// A member holds a word that it does not know.
    #[error("`{field}` holds `{found}`, which it does not know")]
    UnknownWord {
        /// Which member.
        field: &'static str,
        /// What it holds.
        found: String,
    },
    /// A member holds a text that is no name.
    #[error("`{field}`: {problem}")]
    Name {
        /// Which member.
        field: &'static str,
        /// What is wrong with it.
        problem: NameError,
    },
    /// The same record is written differently: members in another order, spaces, other escapes.
    #[error("the leaf is not canonical from byte {offset} on")]
    NotCanonical {
        /// The first byte that differs, from 0.
        offset: usize,
    },
}

#[cfg(test)]
mod tests;
