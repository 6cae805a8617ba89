//! Comma-separated values (RFC 4180): a header, then an identity a row.

use std::collections::BTreeSet;

use csv::{ByteRecord, ErrorKind, Position, ReaderBuilder, Trim};
use safeconduct_model::{IdentityId, IdentityKind, IdentityStatus, Role};

use super::row::{FieldFault, identity, plain, short, word};
use super::{IMPORT_ROWS_MAX, ImportFault, Rows, Said, Unsaid, lines_in};

/// The columns that there are.
const COLUMNS: [&str; 11] = [
    "id",
    "kind",
    "status",
    "owner",
    "fallback_owner",
    "sponsor",
    "environment",
    "groups",
    "roles",
    "external_id",
    "display_name",
];

/// Most groups of one identity.
const GROUPS_MAX: usize = 256;

pub(super) fn read(bytes: &[u8], unsaid: &Unsaid) -> Result<Rows, ImportFault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let head = reader.byte_headers().map_err(|error| unreadable(&error))?;
    let columns = columns(head, unsaid)?;
    let mut rows = Rows::default();
    let mut row = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(false) => return Ok(rows),
            Ok(true) => {
                let line = lines.of(row.position());
                rows.take(line, of_row(&columns, &row, unsaid));
            }
            Err(error) => match error.kind() {
                // The row is whole, and the next one is not touched by it.
                ErrorKind::UnequalLengths { pos, expected_len, len } => {
                    let line = lines.of(pos.as_ref());
                    let problem = format!("has {len} cells, and the header {expected_len}");
                    rows.take(line, Err(FieldFault::new("row", problem)));
                }
                _ => return Err(unreadable(&error)),
            },
        }
        if rows.rows.len() + rows.faults.len() > IMPORT_ROWS_MAX {
            let line = lines.line;
            let problem = format!("the file has more than {IMPORT_ROWS_MAX} rows");
            return Err(ImportFault { line, problem });
        }
    }
}

/// The lines of a file, in order. The reader's own count is behind where lines end in two bytes.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line in which the row at that position begins.
    fn of(&mut self, position: Option<&Position>) -> u64 {
        let at = position.and_then(|at| usize::try_from(at.byte()).ok()).unwrap_or(self.at);
        let rest = self.bytes.get(at..).unwrap_or_default();
        let at = at + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line += lines_in(self.bytes.get(self.at..at).unwrap_or_default());
        self.at = self.at.max(at);
        self.line
    }
}

fn unreadable(error: &csv::Error) -> ImportFault {
    let line = error.position().map_or(1, Position::line);
    ImportFault { line, problem: format!("the file cannot be read: {error}") }
}

/// The columns of the file, each known and there once.
fn columns(head: &ByteRecord, unsaid: &Unsaid) -> Result<Vec<&'static str>, ImportFault> {
    let fault = |problem| ImportFault { line: 1, problem };
    let mut columns = Vec::with_capacity(head.len());
    for name in head {
        let name = String::from_utf8_lossy(name);
        let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        let Some(column) = COLUMNS.into_iter().find(|column| *column == name) else {
            let known = COLUMNS.join("`, `");
            return Err(fault(format!("there is no column `{shown}`; there are `{known}`")));
        };
        if columns.contains(&column) {
            return Err(fault(format!("the column `{shown}` is here twice")));
        }
        columns.push(column);
    }
    for needed in ["id", "kind"] {
        let said = needed == "kind" && unsaid.kind.is_some();
        if !said && !columns.contains(&needed) {
            return Err(fault(format!("the column `{needed}` is missing")));
        }
    }
    Ok(columns)
}

fn of_row(
    columns: &[&'static str],
    row: &ByteRecord,
    unsaid: &Unsaid,
) -> Result<(IdentityId, Said), FieldFault> {
    let (mut id, mut said) = (None, Said::default());
    for (column, cell) in columns.iter().zip(row) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| FieldFault::new(column, "is not UTF-8"))
            .and_then(|cell| plain(column, cell))?;
        // An empty cell says nothing.
        if cell.is_empty() {
            continue;
        }
        match *column {
            "id" => id = Some(identity(column, cell)?),
            "kind" => {
                let words = IdentityKind::ALL.map(IdentityKind::as_str);
                said.kind = Some(word(column, cell, &words, IdentityKind::parse)?);
            }
            "status" => {
                let words = IdentityStatus::ALL.map(IdentityStatus::as_str);
                said.status = Some(word(column, cell, &words, IdentityStatus::parse)?);
            }
            "owner" => said.owner = Some(identity(column, cell)?),
            "fallback_owner" => said.fallback_owner = Some(identity(column, cell)?),
            "sponsor" => said.sponsor = Some(identity(column, cell)?),
            "environment" => said.environment = Some(short(column, cell)?.to_owned()),
            "groups" => {
                let groups: BTreeSet<_> = cell.split_whitespace().map(str::to_owned).collect();
                if groups.len() > GROUPS_MAX {
                    let problem = format!("names more than {GROUPS_MAX} groups");
                    return Err(FieldFault::new(column, problem));
                }
                for group in &groups {
                    short(column, group)?;
                }
                said.groups = Some(groups);
            }
            "roles" => {
                let words = Role::ALL.map(Role::as_str);
                let roles =
                    cell.split_whitespace().map(|one| word(column, one, &words, Role::parse));
                said.roles = Some(roles.collect::<Result<_, _>>()?);
            }
            "external_id" => said.external_id = Some(short(column, cell)?.into()),
            _ => said.display_name = Some(short(column, cell)?.into()),
        }
    }
    let id = id.ok_or_else(|| FieldFault::new("id", "is empty"))?;
    let said = unsaid.complete(said, None);
    match said.kind {
        None => Err(FieldFault::new("kind", "is empty")),
        Some(_) => Ok((id, said)),
    }
}
