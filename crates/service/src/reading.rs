//! What an agent reads of an outcome: its fingerprints and labels.

use std::sync::Arc;

use safeconduct_model::{
    Catalogue, Confidentiality, Edit, Integrity, Label, Obligation, RecordId, Returns, Value,
};
use safeconduct_session::flow::{FlowKey, Gleaned, Part, Source, digest_result};

use safeconduct_wire::json;

use crate::{Content, Read};

/// What becomes of a session by what was read in it.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nothing was read.
    Nothing,
    /// Something was or may have been, and nobody says what.
    Unseen(Label),
    /// This was.
    Seen(Box<Gleaned>),
}

impl Reading {
    /// What it carries; `None` where nothing was read.
    pub(crate) fn label(&self) -> Option<&Label> {
        match self {
            Self::Nothing => None,
            Self::Unseen(label) => Some(label),
            Self::Seen(gleaned) => Some(gleaned.label()),
        }
    }

    /// What is sealed of it.
    pub(crate) fn fingerprints(&self) -> Option<Vec<u8>> {
        match self {
            Self::Seen(gleaned) => Some(gleaned.encode()),
            Self::Nothing | Self::Unseen(_) => None,
        }
    }
}

/// What was said of how a result may be lowered, and what of it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worth {
    /// What the result carries.
    pub(crate) returns: Returns,
    /// The declassifiers that lowered it.
    pub(crate) declassified: Option<Arc<str>>,
}

/// What a result of an action is worth: as the catalogue says, lowered by those declassifiers
/// that the permit asked for and whose own terms were kept. What the catalogue does not know any
/// more is worth least.
pub(crate) fn worth(
    returns: Option<&Returns>,
    asked: &[Arc<str>],
    edits: &[Edit],
    catalogue: &Catalogue,
) -> Worth {
    let Some(returns) = returns else {
        return Worth { returns: Returns::uniform(unknown()), declassified: None };
    };
    let mut worth = Worth { returns: returns.clone(), declassified: None };
    for name in asked {
        let Some(declassifier) = catalogue.declassifiers.get(name) else {
            tracing::warn!(%name, "a permit names a declassifier that no catalogue has");
            continue;
        };
        let kept = |term: &Obligation| edits.iter().any(|edit| edit.obligation == *term);
        if !declassifier.requires.iter().all(kept) {
            continue;
        }
        worth.returns = declassifier.lower_all(&worth.returns);
        worth.declassified = Some(match worth.declassified {
            None => Arc::clone(name),
            Some(before) => format!("{before} {name}").into(),
        });
    }
    worth
}

/// The label of what nothing is known of.
pub(crate) fn unknown() -> Label {
    Label {
        integrity: Integrity::Untrusted,
        confidentiality: Confidentiality::Secret,
        ..Label::LEAST
    }
}

/// Longest text that is read as a structured result for rules, in bytes.
const STRUCTURED_BYTES_MAX: usize = 1024 * 1024;

/// The structured result, as rules of order and count see it: the first value, or the first text
/// that is JSON.
pub(crate) fn structured(read: &Read) -> Option<Value> {
    let Read::This(contents) = read else {
        return None;
    };
    let value = contents.iter().find_map(|content| match content {
        Content::Value(value) => Some(value.clone()),
        Content::Text(_) | Content::Opaque(_) => None,
    });
    value.or_else(|| {
        contents.iter().find_map(|content| match content {
            Content::Text(text) if text.len() <= STRUCTURED_BYTES_MAX => {
                json::parse(text.as_bytes()).ok()
            }
            _ => None,
        })
    })
}

/// Takes what was read apart.
pub(crate) fn read(
    read: &Read,
    returns: &Returns,
    key: &FlowKey,
    sequence: u64,
    decision: &RecordId,
) -> Reading {
    let contents = match read {
        Read::Nothing => return Reading::Nothing,
        Read::Unseen => return Reading::Unseen(returns.highest()),
        Read::This(contents) => contents,
    };
    let parts = contents.iter().map(|content| match content {
        Content::Value(value) => Part::Value(value),
        Content::Text(text) => Part::Text(text),
        Content::Opaque(text) => Part::Bytes(text.as_bytes()),
    });
    let parts: Vec<_> = parts.collect();
    let source = Source { sequence, record: decision.clone() };
    Reading::Seen(Box::new(digest_result(key, &parts, returns, source)))
}
