//! Rows of an import as they are kept until all of them are recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, IdentityKind, IdentityStatus, Role};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ImportRow, Said};
use crate::document::{Word, Written};

/// Kept rows that cannot be read: whoever changed them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("row {row} of an import that was kept cannot be read: {problem}")]
pub struct KeptRowError {
    row: usize,
    problem: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct RowForm {
    line: u64,
    id: Written<IdentityId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Word<IdentityKind>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Word<IdentityStatus>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Written<IdentityId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback_owner: Option<Written<IdentityId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sponsor: Option<Written<IdentityId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<BTreeSet<Word<Role>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
}

/// Rows as bytes: one line of JSON each.
pub fn kept_rows(rows: &[ImportRow]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        // Nothing of a row is a map with keys that are no texts: it is always written.
        if serde_json::to_writer(&mut bytes, &form(row)).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// The rows of those bytes.
///
/// # Errors
/// [`KeptRowError`].
pub fn rows_of_kept(bytes: &[u8]) -> Result<Vec<ImportRow>, KeptRowError> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |(row, line): (usize, &[u8])| {
        let form = serde_json::from_slice::<RowForm>(line);
        form.map(of_form)
            .map_err(|error| KeptRowError { row: row + 1, problem: error.to_string().into() })
    };
    lines.enumerate().map(read).collect()
}

fn form(ImportRow { line, id, said }: &ImportRow) -> RowForm {
    let who = |id: &Option<IdentityId>| id.clone().map(Written);
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    RowForm {
        line: *line,
        id: Written(id.clone()),
        kind: said.kind.map(Word),
        status: said.status.map(Word),
        owner: who(&said.owner),
        fallback_owner: who(&said.fallback_owner),
        sponsor: who(&said.sponsor),
        environment: said.environment.clone(),
        groups: said.groups.clone(),
        roles: said.roles.as_ref().map(|roles| roles.iter().copied().map(Word).collect()),
        external_id: text(&said.external_id),
        display_name: text(&said.display_name),
    }
}

fn of_form(form: RowForm) -> ImportRow {
    let said = Said {
        kind: form.kind.map(|word| word.0),
        status: form.status.map(|word| word.0),
        owner: form.owner.map(|id| id.0),
        fallback_owner: form.fallback_owner.map(|id| id.0),
        sponsor: form.sponsor.map(|id| id.0),
        environment: form.environment,
        groups: form.groups,
        roles: form.roles.map(|roles| roles.into_iter().map(|word| word.0).collect()),
        external_id: form.external_id.map(Into::into),
        display_name: form.display_name.map(Into::into),
    };
    ImportRow { line: form.line, id: form.id.0, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_back() {
        let id = |text: &str| IdentityId::new(text).unwrap();
        let full = Said {
            kind: Some(IdentityKind::Agent),
            status: Some(IdentityStatus::Suspended),
            owner: Some(id("ada")),
            fallback_owner: Some(id("bob")),
            sponsor: Some(id("eve")),
            environment: Some("test".into()),
            groups: Some(BTreeSet::from(["a\nb".to_owned(), "\u{e9}".to_owned()])),
            roles: Some(BTreeSet::from([Role::Auditor])),
            external_id: Some("=1+1".into()),
            display_name: Some("\"quoted\"".into()),
        };
        let rows = vec![
            ImportRow { line: 2, id: id("one"), said: full },
            ImportRow { line: 3, id: id("two"), said: Said::default() },
        ];
        let bytes = kept_rows(&rows);
        assert_eq!(rows_of_kept(&bytes), Ok(rows));
        assert_eq!(rows_of_kept(b""), Ok(Vec::new()));
        let cut = &bytes[..bytes.len() - 5];
        assert!(rows_of_kept(cut).unwrap_err().to_string().starts_with("row 2 "));
    }
}
