//! What an agent reads of an outcome: its fingerprints and labels.

use std::sync::Arc;

use safeconduct_model::{
    Catalogue, Confidentiality, Edit, Integrity, Label, Obligation, RecordId, Returns, Value,
};
use safeconduct_session::flow::{Demand, Flow, FlowKey, Gleaned, Part, Source, digest_result};

use safeconduct_wire::json;

use crate::{Content, Read};

/// What becomes of a session by what was read in it.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nothing was read.
    Nothing,
    /// Something was or may have been, and nobody says what.
    Unseen(Label),
    /// This was; the fingerprints are under the key of that tag.
    Seen(Box<Gleaned>, [u8; TAG_BYTES]),
}

/// Bytes of the tag of a key.
const TAG_BYTES: usize = 8;

impl Reading {
    /// What it carries; `None` where nothing was read.
    pub(crate) fn label(&self) -> Option<&Label> {
        match self {
            Self::Nothing => None,
            Self::Unseen(label) => Some(label),
            Self::Seen(gleaned, _) => Some(gleaned.label()),
        }
    }

    /// What is sealed of it: the tag of the key, and the fingerprints.
    pub(crate) fn fingerprints(&self) -> Option<Vec<u8>> {
        match self {
            Self::Seen(gleaned, tag) => Some([tag.as_slice(), &gleaned.encode()].concat()),
            Self::Nothing | Self::Unseen(_) => None,
        }
    }

    /// A session takes it in.
    pub(crate) fn fold_into(&self, flow: &mut Flow) {
        match self {
            Self::Nothing => {}
            Self::Unseen(label) => flow.forget(label),
            Self::Seen(gleaned, _) => flow.fold(gleaned),
        }
    }
}

/// The fingerprints that were sealed, where they are under that key: under another one nothing
/// would be found by them.
pub(crate) fn gleaned(sealed: &[u8], key: &FlowKey) -> Option<Gleaned> {
    let (tag, bytes) = sealed.split_first_chunk::<TAG_BYTES>()?;
    if *tag != key.tag() {
        return None;
    }
    Gleaned::decode(bytes).ok()
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

/// Longest result that rules see the structure of, in bytes of JSON.
pub(crate) const STRUCTURED_BYTES_MAX: usize = 1024 * 1024;

/// The structured result, as rules of order and count see it: the value that comes first, or the
/// first text that is JSON. A value behind that is what surrounds a text (`_meta`, annotations).
pub(crate) fn structured(read: &Read) -> Option<Value> {
    let Read::This(contents) = read else {
        return None;
    };
    let value = contents.first().and_then(|content| match content {
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

/// Takes what was read apart. `said` are the arguments of the call: an answer that repeats them
/// vouches for none of them; where they are not known, it vouches for nothing.
pub(crate) fn read(
    (read, said): (&Read, Option<&Value>),
    returns: &Returns,
    demand: impl Into<Demand>,
    sequence: u64,
    decision: &RecordId,
) -> Reading {
    let demand = demand.into();
    let key = demand.key();
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
    let gleaned = match said {
        Some(said) => digest_result(demand, &parts, returns, source).without_echo(key, said),
        None if returns.vouches() => {
            digest_result(demand, &parts, &returns.clone().untrusted(), source)
        }
        None => digest_result(demand, &parts, returns, source),
    };
    Reading::Seen(Box::new(gleaned), key.tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_text_is_not_its_result() {
        let text = Content::Text(r#"{"state":"closed"}"#.into());
        let meta = Content::Value(Value::object([("_meta", Value::from(1))]));
        let closed = json::parse(br#"{"state":"closed"}"#).ok();
        assert_eq!(structured(&Read::This(vec![text.clone(), meta.clone()])), closed);
        let own = Content::Value(Value::from(7));
        assert_eq!(structured(&Read::This(vec![own, text, meta])), Some(Value::from(7)));
    }

    #[test]
    fn fingerprints_under_another_key_are_none() {
        let read = Read::This(vec![Content::Text("GB29 NWBK 6016 1331 9268 19".into())]);
        let (key, other) = (FlowKey::from_bytes([1; 16]), FlowKey::from_bytes([2; 16]));
        let returns = Returns::uniform(unknown());
        let decision = RecordId::new("dec_1").unwrap();
        let sealed =
            super::read((&read, None), &returns, &key, 1, &decision).fingerprints().unwrap();
        assert!(gleaned(&sealed, &key).is_some_and(|gleaned| gleaned.prints() > 0));
        assert_eq!(gleaned(&sealed, &other), None);
        assert_eq!(gleaned(&[], &key), None);
    }
}
