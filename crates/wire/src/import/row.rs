//! One identity of a file, and what is wrong with one that is none.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use safeconduct_model::{IdentityId, IdentityKind, IdentityStatus, NAME_BYTES_MAX, Role};

use super::{Alikes, CELL_BYTES_MAX};
use crate::document::closest;

/// What a file says of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Where it begins: lines count from 1.
    pub line: u64,
    /// Who.
    pub id: IdentityId,
    /// What is said of them.
    pub said: Said,
}

/// What is said of an identity; nothing where a field is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What kind of thing it is.
    pub kind: Option<IdentityKind>,
    /// Whether it may act.
    pub status: Option<IdentityStatus>,
    /// The person accountable for it.
    pub owner: Option<IdentityId>,
    /// The one accountable where the owner is gone.
    pub fallback_owner: Option<IdentityId>,
    /// The person for whose purpose it exists.
    pub sponsor: Option<IdentityId>,
    /// Where it runs.
    pub environment: Option<String>,
    /// The groups that it belongs to, all of them.
    pub groups: Option<BTreeSet<String>>,
    /// What it may do in the administration of Safeconduct.
    pub roles: Option<BTreeSet<Role>>,
    /// Its own name where it came from.
    pub external_id: Option<Arc<str>>,
    /// What people call it.
    pub display_name: Option<Arc<str>>,
}

/// What holds of every row that says nothing about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// What kind of things these are; each form has its own where nothing is said here either.
    pub kind: Option<IdentityKind>,
    /// Who is accountable.
    pub owner: Option<IdentityId>,
    /// Who is, where the owner is gone.
    pub fallback_owner: Option<IdentityId>,
    /// Where they run.
    pub environment: Option<String>,
    /// The issuer whose clients these are: an id is then `ISSUER|CLIENT`.
    pub issuer: Option<String>,
}

impl Unsaid {
    /// The same row, with what is not said of it. Only what is no person has owners.
    pub(super) fn complete(&self, said: Said, kind: Option<IdentityKind>) -> Said {
        let kind = said.kind.or(self.kind).or(kind);
        let owned = kind != Some(IdentityKind::User);
        let or = |said: Option<IdentityId>, unsaid: &Option<IdentityId>| {
            said.or_else(|| unsaid.clone().filter(|_| owned))
        };
        Said {
            kind,
            owner: or(said.owner, &self.owner),
            fallback_owner: or(said.fallback_owner, &self.fallback_owner),
            environment: said.environment.or_else(|| self.environment.clone()),
            ..said
        }
    }
}

/// What is wrong with one row: whoever wrote the file is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, `{field}`: {problem}")]
pub struct RowFault {
    /// Where the row begins.
    pub line: u64,
    /// Which of its fields.
    pub field: Arc<str>,
    /// What is wrong with it.
    pub problem: String,
}

/// Why nothing of a file can be read: whoever wrote it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ImportFault {
    /// Where.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// What was read of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows that could be read, in the order of the file.
    pub rows: Vec<ImportRow>,
    /// Those that could not, by line.
    pub faults: Vec<RowFault>,
    /// How many more there are that are about something else: other documents of a manifest.
    pub others: u64,
}

impl Rows {
    /// Takes a row in, or what is wrong with it.
    pub(super) fn take(&mut self, line: u64, row: Result<(IdentityId, Said), FieldFault>) {
        match row {
            Ok((id, said)) => self.rows.push(ImportRow { line, id, said }),
            Err(FieldFault { field, problem }) => {
                self.faults.push(RowFault { line, field: field.into(), problem });
            }
        }
    }

    /// The same without rows of one identity, and without rows that look like one: nobody can
    /// tell which of them is meant.
    pub(super) fn without_twins(mut self) -> Self {
        let mut alikes = Alikes::default();
        let mut faults: HashMap<usize, String> = HashMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            let Some((twin, other)) = alikes.put(&row.id, place) else { continue };
            let Some(before) = self.rows.get(other) else { continue };
            let said = |one: &ImportRow| match twin {
                Twin::Same => format!("`{}` is in line {} too", one.id, one.line),
                Twin::Case => {
                    format!("differs only in case from `{}` in line {}", one.id, one.line)
                }
                Twin::Look => format!("looks like `{}` in line {}", one.id, one.line),
            };
            faults.entry(place).or_insert_with(|| said(before));
            faults.entry(other).or_insert_with(|| said(row));
        }
        if faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.line);
            return self;
        }
        let mut rows = Vec::with_capacity(self.rows.len());
        for (place, row) in self.rows.into_iter().enumerate() {
            match faults.remove(&place) {
                None => rows.push(row),
                Some(problem) => {
                    let problem = format!("`{}` {problem}", row.id);
                    self.faults.push(RowFault { line: row.line, field: "id".into(), problem });
                }
            }
        }
        self.faults.sort_by_key(|fault| fault.line);
        Self { rows, ..self }
    }
}

pub(super) use super::Twin;

/// What is wrong with one field.
#[derive(Debug)]
pub(super) struct FieldFault {
    pub(super) field: String,
    pub(super) problem: String,
}

impl FieldFault {
    pub(super) fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }
}

/// An identity's id, as it stands in a field.
pub(super) fn identity(field: &str, text: &str) -> Result<IdentityId, FieldFault> {
    IdentityId::new(plain(field, text)?).map_err(|error| FieldFault::new(field, error.to_string()))
}

/// A text of people: short, printable, nothing in it that does not show.
pub(super) fn plain<'t>(field: &str, text: &'t str) -> Result<&'t str, FieldFault> {
    if text.len() > CELL_BYTES_MAX {
        let problem = format!("has {} bytes, more than {CELL_BYTES_MAX}", text.len());
        return Err(FieldFault::new(field, problem));
    }
    match text.chars().find(|c| super::alike::is_hidden(*c)) {
        None => Ok(text),
        Some(hidden) => {
            let problem =
                format!("holds a character that does not show: {}", hidden.escape_unicode());
            Err(FieldFault::new(field, problem))
        }
    }
}

/// The same, as long as a name at most.
pub(super) fn short<'t>(field: &str, text: &'t str) -> Result<&'t str, FieldFault> {
    match plain(field, text)? {
        text if text.len() <= NAME_BYTES_MAX => Ok(text),
        text => {
            let problem = format!("has {} bytes, more than {NAME_BYTES_MAX}", text.len());
            Err(FieldFault::new(field, problem))
        }
    }
}

/// A word of a vocabulary.
pub(super) fn word<T>(
    field: &str,
    text: &str,
    words: &[&'static str],
    of: impl Fn(&str) -> Option<T>,
) -> Result<T, FieldFault> {
    of(text).ok_or_else(|| {
        let known = words.join("`, `");
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        let meant =
            closest(text.get(..text.len().min(64)).unwrap_or_default(), words.iter().copied());
        let meant = meant.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
        FieldFault::new(field, format!("`{shown}` is not one of `{known}`{meant}"))
    })
}
