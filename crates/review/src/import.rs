//! Identities that came from elsewhere: the steps of an import as they are recorded, and the
//! groups that a directory keeps here.

use std::sync::Arc;

use safeconduct_model::{Digest, ImportSource, Value};

/// What stands before the id of a group among the ids of imports.
pub const GROUP_ID_PREFIX: &str = "grp_";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStep {
    /// Rows of an import that is about to begin lie beside it: a part of them.
    Rows {
        /// The digest of all of them.
        of: Digest,
    },
    /// A file was read, and what it says is about to be recorded.
    Began(Box<ImportBegan>),
    /// All of it is recorded: so many were new, and so many were changed.
    Completed {
        /// Identities that were not known before.
        new: u64,
        /// Identities that are no longer as they were.
        changed: u64,
    },
    /// It failed, and nobody goes on with it: what came since is newer than its file.
    GivenUp {
        /// Why it failed.
        why: Arc<str>,
    },
    /// A directory keeps a group here, and this is all of it but who belongs to it.
    GroupKept {
        /// Its name, by which policies know it.
        name: Arc<str>,
        /// What the directory calls it.
        external_id: Option<Arc<str>>,
    },
    /// It keeps that group no longer.
    GroupRemoved,
}

/// What an import is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportBegan {
    /// The form of the file.
    pub source: ImportSource,
    /// The file, as whoever imports it calls it.
    pub name: Arc<str>,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
    /// How many identities it has.
    pub rows: u64,
    /// How many of them were not known.
    pub new: u64,
    /// How many were not as they are in it.
    pub changed: u64,
    /// How many of its rows are wrong, and left out.
    pub wrong: u64,
    /// Its rows, where they lie beside records before this one: whatever dies in between, all of
    /// them are recorded in the end.
    pub kept: Option<KeptRows>,
}

/// Rows that lie beside the records before the one by which their import began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRows {
    /// SHA-256 of all of their bytes.
    pub digest: Digest,
    /// In how many records' attachments.
    pub parts: u64,
    /// Whose identities the import may change, in a word.
    pub reach: Arc<str>,
}

impl ImportStep {
    /// The word for it in its record.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Rows { .. } => "rows",
            Self::Began(_) => "began",
            Self::Completed { .. } => "completed",
            Self::GivenUp { .. } => "given_up",
            Self::GroupKept { .. } => "group_kept",
            Self::GroupRemoved => "group_removed",
        }
    }

    /// What its record says beside that.
    pub fn detail(&self) -> Value {
        let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |text: &Arc<str>| Value::String(Arc::clone(text));
        Value::object(match self {
            Self::Rows { of } => vec![("of", of.to_string().as_str().into())],
            Self::Began(began) => {
                let mut members = vec![
                    ("bytes", number(began.bytes)),
                    ("changed", number(began.changed)),
                    ("digest", began.digest.to_string().as_str().into()),
                    ("name", text(&began.name)),
                    ("new", number(began.new)),
                    ("rows", number(began.rows)),
                    ("source", began.source.as_str().into()),
                    ("wrong", number(began.wrong)),
                ];
                members.extend(began.kept.as_ref().map(|kept| {
                    let kept = [
                        ("digest", kept.digest.to_string().as_str().into()),
                        ("parts", number(kept.parts)),
                        ("reach", text(&kept.reach)),
                    ];
                    ("kept", Value::object(kept))
                }));
                members
            }
            Self::Completed { new, changed } => {
                vec![("changed", number(*changed)), ("new", number(*new))]
            }
            Self::GivenUp { why } => vec![("why", text(why))],
            Self::GroupKept { name, external_id } => {
                let mut members = vec![("name", text(name))];
                members.extend(external_id.as_ref().map(|id| ("external_id", text(id))));
                members
            }
            Self::GroupRemoved => Vec::new(),
        })
    }

    /// The step of a record; `None` where it is none that this version knows.
    pub fn read(event: &str, detail: &Value) -> Option<Self> {
        let number = |name: &str| match detail.member(name) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let text = |name: &str| match detail.member(name) {
            Some(Value::String(text)) => Some(Arc::clone(text)),
            _ => None,
        };
        let kept = || {
            let kept = detail.member("kept")?;
            let text = |name: &str| kept.member(name).and_then(Value::as_str);
            Some(KeptRows {
                digest: Digest::parse(text("digest")?)?,
                parts: kept.member("parts").and_then(Value::as_integer)?.try_into().ok()?,
                reach: text("reach")?.into(),
            })
        };
        Some(match event {
            "rows" => Self::Rows { of: Digest::parse(&text("of")?)? },
            "began" => Self::Began(Box::new(ImportBegan {
                source: ImportSource::parse(&text("source")?)?,
                name: text("name")?,
                digest: Digest::parse(&text("digest")?)?,
                bytes: number("bytes")?,
                rows: number("rows")?,
                new: number("new")?,
                changed: number("changed")?,
                wrong: number("wrong")?,
                kept: kept(),
            })),
            "completed" => Self::Completed { new: number("new")?, changed: number("changed")? },
            "given_up" => Self::GivenUp { why: text("why")? },
            "group_kept" => {
                Self::GroupKept { name: text("name")?, external_id: text("external_id") }
            }
            "group_removed" => Self::GroupRemoved,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_was_written() {
        let began = ImportBegan {
            source: ImportSource::Spire,
            name: "entries.json".into(),
            digest: Digest::from_bytes([7; 32]),
            bytes: 12,
            rows: 4,
            new: 3,
            changed: 0,
            wrong: 1,
            kept: None,
        };
        let with_rows = ImportBegan {
            kept: Some(KeptRows {
                digest: Digest::from_bytes([8; 32]),
                parts: 3,
                reach: "plain".into(),
            }),
            ..began.clone()
        };
        let kept = |id: Option<&str>| ImportStep::GroupKept {
            name: "clerks".into(),
            external_id: id.map(Into::into),
        };
        for step in [
            ImportStep::Rows { of: Digest::from_bytes([8; 32]) },
            ImportStep::Began(Box::new(began)),
            ImportStep::Began(Box::new(with_rows)),
            ImportStep::Completed { new: 3, changed: 0 },
            ImportStep::GivenUp { why: "`bot-1` has changed meanwhile".into() },
            kept(None),
            kept(Some("g-1")),
            ImportStep::GroupRemoved,
        ] {
            assert_eq!(ImportStep::read(step.event(), &step.detail()).as_ref(), Some(&step));
        }
        assert_eq!(ImportStep::read("began", &Value::object::<&str>([])), None);
        assert_eq!(ImportStep::read("eaten", &Value::object::<&str>([])), None);
    }
}
