//! Identities that others keep, as they write them: CSV, entries of a SPIRE server, manifests of
//! Kubernetes, clients of an authorization server.
//!
//! Every form is read into the same [`ImportRow`]s. A row that cannot be read is a [`RowFault`]
//! with its line and field, beside the rows that can; only what makes the whole file unreadable
//! is an error. What a row does not say is left as it is known, or as [`Unsaid`] has it.
//!
//! A cell is a text, whatever it begins with: formulas mean nothing here.

mod alike;
mod kept;
mod kubernetes;
mod oauth;
mod pieces;
mod row;
mod separated;
mod spire;

pub use alike::*;
pub use kept::*;
pub use row::*;

/// Most bytes of a file.
pub const IMPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rows of a file, those without identities included.
pub const IMPORT_ROWS_MAX: usize = 1_000_000;

/// Most bytes of one cell, or of one value in another form.
pub const CELL_BYTES_MAX: usize = 4096;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportForm {
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
    /// The answer of `spire-server entry show -output json`.
    Spire,
    /// Manifests of Kubernetes: of the documents, those that are service accounts.
    Kubernetes,
    /// Client metadata (RFC 7591) as a list, as authorization servers export it.
    Oauth,
}

impl ImportForm {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Spire, Self::Kubernetes, Self::Oauth];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Spire => "spire",
            Self::Kubernetes => "kubernetes",
            Self::Oauth => "oauth",
        }
    }

    /// The form of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == word)
    }
}

/// Reads a file. Rows of which several are one identity, or look like one, are faults.
///
/// # Errors
/// [`ImportFault`]: nothing of it can be read.
pub fn read(form: ImportForm, bytes: &[u8], unsaid: &Unsaid) -> Result<Rows, ImportFault> {
    if bytes.len() > IMPORT_BYTES_MAX {
        let problem = format!("the file has more than {IMPORT_BYTES_MAX} bytes");
        return Err(ImportFault { line: 1, problem });
    }
    let rows = match form {
        ImportForm::Csv => separated::read(bytes, unsaid),
        ImportForm::Spire => spire::read(text(bytes)?, unsaid),
        ImportForm::Kubernetes => kubernetes::read(text(bytes)?, unsaid),
        ImportForm::Oauth => oauth::read(text(bytes)?, unsaid),
    };
    rows.map(Rows::without_twins)
}

/// The file as text. A mark of byte order at its beginning is no part of it.
fn text(bytes: &[u8]) -> Result<&str, ImportFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let problem = "the file is not UTF-8".to_owned();
            Err(ImportFault { line: lines_in(before) + 1, problem })
        }
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
