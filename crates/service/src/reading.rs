//! What an agent reads of an outcome: its fingerprints and labels.

use std::sync::Arc;

use safeconduct_model::{
    Catalogue, Confidentiality, Edit, Integrity, Label, Obligation, RecordId, Returns, Value,
};
use safeconduct_session::flow::{Demand, Flow, FlowKey, Gleaned, Source, digest_result};

use safeconduct_wire::json;

use crate::bundle::{Bundle, Kind};
use crate::echoed::Spoken;
use crate::opaque::Opaque;
use crate::saying::own_word;
use crate::{Content, Read};

/// What becomes of a session by what was read in it.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nothing was read.
    Nothing,
    /// Something was or may have been, and nobody says what.
    Unseen(Label),
    /// This was.
    Seen(Box<Seen>),
}

/// What was seen, as fingerprints under one key.
#[derive(Debug)]
pub(crate) struct Seen {
    /// All that was read, joined.
    label: Label,
    /// What came of a call, and what was read beside it, by what they are sealed as.
    gleaned: Vec<(Kind, Gleaned)>,
    /// The tag of the key.
    tag: [u8; TAG_BYTES],
}

/// Bytes of the tag of a key.
const TAG_BYTES: usize = 8;

impl Reading {
    /// What it carries; `None` where nothing was read.
    pub(crate) fn label(&self) -> Option<&Label> {
        match self {
            Self::Nothing => None,
            Self::Unseen(label) => Some(label),
            Self::Seen(seen) => Some(&seen.label),
        }
    }

    /// What is sealed of one part of it: the tag of the key, and the fingerprints.
    pub(crate) fn fingerprints(&self, part: Kind) -> Option<Vec<u8>> {
        let Self::Seen(seen) = self else {
            return None;
        };
        let (_, gleaned) = seen.gleaned.iter().find(|(kind, _)| *kind == part)?;
        Some([seen.tag.as_slice(), &gleaned.encode()].concat())
    }

    /// Both: what came of a call, and what was read beside it. Where nobody says what one of them
    /// was, nobody says what they were.
    pub(crate) fn and_beside(self, beside: Self) -> Self {
        match (self, beside) {
            (read, Self::Nothing) => read,
            (Self::Nothing, Self::Seen(seen)) => Self::Seen(Box::new(seen.beside())),
            (Self::Seen(mut seen), Self::Seen(beside)) => {
                let beside = beside.beside();
                seen.label.raise(&beside.label);
                seen.gleaned.extend(beside.gleaned);
                Self::Seen(seen)
            }
            (one, other) => {
                let mut label = Label::LEAST;
                [&one, &other].into_iter().filter_map(Self::label).for_each(|one| {
                    label.raise(one);
                });
                Self::Unseen(label)
            }
        }
    }

    /// And what the session said by the call itself. Where nobody says what was read, it may have
    /// been anything that such a result can hold, and what was said is known all the same.
    pub(crate) fn and_said(self, said: Option<(Gleaned, FlowKey)>) -> Self {
        let Some((said, key)) = said else { return self };
        let mut seen = match self {
            Self::Nothing => {
                Box::new(Seen { label: Label::LEAST, gleaned: Vec::new(), tag: key.tag() })
            }
            Self::Seen(seen) => seen,
            Self::Unseen(label) => {
                let anything = Gleaned::anything(label.clone(), said.source().clone());
                let gleaned = vec![(Kind::Flow, anything)];
                Box::new(Seen { label, gleaned, tag: key.tag() })
            }
        };
        seen.label.raise(said.label());
        seen.gleaned.push((Kind::Said, said));
        Self::Seen(seen)
    }

    /// And what the session said by the call itself, where nobody knows any more what that was: it
    /// was its own word, whatever it was.
    pub(crate) fn and_lost(self) -> Self {
        let own = own_word();
        match self {
            Self::Nothing => Self::Unseen(own),
            Self::Unseen(mut label) => {
                label.raise(&own);
                Self::Unseen(label)
            }
            Self::Seen(mut seen) => {
                seen.label.raise(&own);
                let source = seen.gleaned.first().map(|(_, gleaned)| gleaned.source().clone());
                let lost = source.map(|source| (Kind::Said, Gleaned::anything(own, source)));
                seen.gleaned.extend(lost);
                Self::Seen(seen)
            }
        }
    }

    /// A session takes it in.
    pub(crate) fn fold_into(&self, flow: &mut Flow) {
        match self {
            Self::Nothing => {}
            Self::Unseen(label) => flow.forget(label),
            Self::Seen(seen) => seen.gleaned.iter().for_each(|(_, gleaned)| flow.fold(gleaned)),
        }
    }
}

impl Seen {
    /// The same, read beside the outcome of a call.
    fn beside(self) -> Self {
        let gleaned = self.gleaned.into_iter().map(|(_, gleaned)| (Kind::Beside, gleaned));
        Self { gleaned: gleaned.collect(), ..self }
    }
}

/// A session takes in again what was read, as it was sealed; where that is not there any more, or
/// is under another key, what is left of it is its label.
pub(crate) fn fold_again(flow: &mut Flow, bundle: Option<&Bundle>, label: &Label) {
    let parts = [Kind::Flow, Kind::Beside, Kind::Said]
        .map(|kind| bundle.and_then(|bundle| bundle.part(kind)));
    let sealed: Vec<_> = parts.into_iter().flatten().collect();
    let read: Vec<_> = sealed.iter().filter_map(|part| gleaned(part, &flow.key())).collect();
    if read.is_empty() || read.len() < sealed.len() {
        flow.forget(label);
    }
    read.iter().for_each(|gleaned| flow.fold(gleaned));
}

/// The fingerprints that were sealed, where they are under that key: under another one nothing
/// would be found by them.
fn gleaned(sealed: &[u8], key: &FlowKey) -> Option<Gleaned> {
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
        // An edit of no values says that there was nothing where it looked: elsewhere, perhaps.
        let kept = |term: &Obligation| {
            let mut done = edits.iter().filter(|edit| edit.obligation == *term).peekable();
            done.peek().is_some() && done.all(|edit| edit.values > 0)
        };
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

/// The result of a call, as rules of order and count see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// This.
    Is(Value),
    /// There was nothing.
    Nothing,
    /// There was something in which they see no structure, or nobody says what it was.
    Unknown,
}

impl Output {
    /// The value that comes first, or the first text that is JSON, of at most
    /// [`STRUCTURED_BYTES_MAX`]. What stands beside the result (`_meta`, links) is not it.
    pub(crate) fn of(read: &Read) -> Self {
        let contents = match read {
            Read::Nothing => return Self::Nothing,
            Read::Unseen => return Self::Unknown,
            Read::This(contents) if contents.is_empty() => return Self::Nothing,
            Read::This(contents) => contents,
        };
        if let Some(Content::Value(value)) = contents.first() {
            return Self::short(value.clone());
        }
        for content in contents {
            match content {
                // Which one is the result would be for whoever wrote them to choose.
                Content::Text(text) if text.len() > STRUCTURED_BYTES_MAX => return Self::Unknown,
                Content::Text(text) => {
                    if let Ok(value) = json::parse(text.as_bytes()) {
                        return Self::short(value);
                    }
                }
                Content::Value(_) | Content::Opaque(_) | Content::Around(_) => {}
            }
        }
        Self::Unknown
    }

    /// A longer one is not known, then as when it is folded again.
    fn short(value: Value) -> Self {
        match json::to_bytes(&value).len() <= STRUCTURED_BYTES_MAX {
            true => Self::Is(value),
            false => Self::Unknown,
        }
    }

    /// The value, where there is one.
    pub(crate) const fn value(&self) -> Option<&Value> {
        match self {
            Self::Is(value) => Some(value),
            Self::Nothing | Self::Unknown => None,
        }
    }

    /// What is sealed of it.
    pub(crate) fn to_seal(&self) -> Option<Vec<u8>> {
        match self {
            Self::Is(value) => Some(json::to_bytes(value)),
            Self::Nothing => Some(Vec::new()),
            Self::Unknown => None,
        }
    }

    /// What was sealed; not known where nothing is there, or not any more.
    pub(crate) fn unsealed(sealed: Option<&[u8]>) -> Self {
        match sealed {
            Some([]) => Self::Nothing,
            Some(bytes) => json::parse(bytes).map_or(Self::Unknown, Self::Is),
            None => Self::Unknown,
        }
    }
}

/// Takes what was read apart. `said` is what the call said: an answer that repeats it vouches for
/// none of it; where it is not known, it vouches for nothing.
pub(crate) fn read(
    (read, said): (&Read, Option<&Spoken<'_>>),
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
    let opaque = Opaque::of(contents);
    let parts = opaque.parts(contents);
    let source = Source { sequence, record: decision.clone() };
    let gleaned = match said {
        Some(said) => said.strip(digest_result(demand, &parts, returns, source), key),
        None if returns.vouches() => {
            digest_result(demand, &parts, &returns.clone().untrusted(), source)
        }
        None => digest_result(demand, &parts, returns, source),
    };
    let label = gleaned.label().clone();
    let gleaned = vec![(Kind::Flow, gleaned)];
    Reading::Seen(Box::new(Seen { label, gleaned, tag: key.tag() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_text_is_not_its_result() {
        let text = Content::Text(r#"{"state":"closed"}"#.into());
        let meta = Content::Value(Value::object([("_meta", Value::from(1))]));
        let closed = Output::Is(json::parse(br#"{"state":"closed"}"#).unwrap());
        assert_eq!(Output::of(&Read::This(vec![text.clone(), meta.clone()])), closed);
        let own = Content::Value(Value::from(7));
        let output = Output::of(&Read::This(vec![own, text.clone(), meta]));
        assert_eq!(output, Output::Is(Value::from(7)));
        assert_eq!(Output::unsealed(output.to_seal().as_deref()), output);
        // What has no structure, or too much of it, is not what has none of the fields.
        let long = Content::Text("x".repeat(STRUCTURED_BYTES_MAX + 1).into());
        let padded = Content::Value(Value::from("x".repeat(STRUCTURED_BYTES_MAX)));
        for read in [vec![Content::Text("closed".into())], vec![long, text], vec![padded]] {
            assert_eq!(Output::of(&Read::This(read)), Output::Unknown);
        }
        let nothing = Output::of(&Read::This(Vec::new()));
        assert_eq!(Output::unsealed(nothing.to_seal().as_deref()), Output::Nothing);
        assert_eq!(Output::unsealed(None), Output::Unknown);
    }

    #[test]
    fn fingerprints_under_another_key_are_none() {
        let read = Read::This(vec![Content::Text("GB29 NWBK 6016 1331 9268 19".into())]);
        let (key, other) = (FlowKey::from_bytes([1; 16]), FlowKey::from_bytes([2; 16]));
        let returns = Returns::uniform(unknown());
        let decision = RecordId::new("dec_1").unwrap();
        let sealed = super::read((&read, None), &returns, &key, 1, &decision)
            .fingerprints(Kind::Flow)
            .unwrap();
        assert!(gleaned(&sealed, &key).is_some_and(|gleaned| gleaned.prints() > 0));
        assert_eq!(gleaned(&sealed, &other), None);
        assert_eq!(gleaned(&[], &key), None);
    }

    /// An image that is sent on is carried out whole, in whatever letters.
    #[test]
    fn what_was_given_in_base64_is_carried_out_when_it_is_sent_on() {
        let image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";
        let secret =
            Returns::uniform(Label { confidentiality: Confidentiality::Secret, ..Label::LEAST });
        let mut flow = Flow::keyed([1; 16]);
        let read = Read::This(vec![Content::Opaque(image.into())]);
        let decision = RecordId::new("dec_1").unwrap();
        super::read((&read, None), &secret, &flow, 1, &decision).fold_into(&mut flow);
        for text in [image.to_owned(), format!("data:image/png;base64,{image}")] {
            let sent = Value::object([("attachment", Value::from(text))]);
            let carried = flow.look_up(&sent, &[]).carries;
            assert_eq!(
                (carried.confidentiality, carried.coverage),
                (Confidentiality::Secret, 1000)
            );
        }
        let other = Value::from(image.replace("iVBO", "iVBP"));
        assert_eq!(flow.look_up(&other, &[]).carries.confidentiality, Confidentiality::Public);
    }
}
