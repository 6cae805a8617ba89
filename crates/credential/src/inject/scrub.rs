//! A text without its secrets.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use memchr::memmem;
use safeconduct_model::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use super::view::View;

/// Shortest secret that is looked for, in bytes: a shorter one would be found by chance.
pub const SCRUBBED_BYTES_MIN: usize = 8;

/// Longest secret that is looked for, in bytes.
pub const SCRUBBED_BYTES_MAX: usize = 16 * 1024;

/// Most secrets that are looked for at once.
pub const SCRUBBED_MAX: usize = 64;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// How often JSON strings may stand within JSON strings, and be looked through.
const NESTING_MAX: usize = 3;

/// The configuration's fault: secrets that cannot be looked for. Never holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScrubberError {
    /// A secret has another length.
    #[error(
        "a secret has {bytes} bytes; only those of {SCRUBBED_BYTES_MIN} to {SCRUBBED_BYTES_MAX} \
         can be kept out of results"
    )]
    Length {
        /// Its length in bytes.
        bytes: usize,
    },
    /// There are too many.
    #[error("there are {count} secrets, more than {SCRUBBED_MAX}")]
    Many {
        /// How many there are.
        count: usize,
    },
}

/// Finds secrets and takes them out: as they are, in base64 (at any place of a longer text) and
/// base64url, in hexadecimal, and each of these with any of its characters escaped as URLs,
/// forms or JSON strings do, JSON within JSON included. What it cannot find: a secret in pieces,
/// compressed, or changed in any other way.
pub struct Scrubber {
    needles: Vec<Needle>,
    /// Whether any needle has a space, which forms write as `+`.
    spaces: bool,
}

/// What is looked for, with the lengths that a search falls back to (Knuth, Morris, Pratt).
pub(super) struct Needle {
    bytes: Zeroizing<Vec<u8>>,
    fallback: Vec<usize>,
}

impl Scrubber {
    /// One that looks for these secrets.
    ///
    /// # Errors
    /// [`ScrubberError`]; a secret that cannot be kept out of results must not be used.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, ScrubberError> {
        let (mut needles, mut spaces, mut count) = (Vec::new(), false, 0);
        for secret in secrets {
            let bytes = secret.len();
            if !(SCRUBBED_BYTES_MIN..=SCRUBBED_BYTES_MAX).contains(&bytes) {
                return Err(ScrubberError::Length { bytes });
            }
            count += 1;
            spaces |= secret.contains(' ');
            needles.extend(encodings(secret).into_iter().map(Needle::new));
        }
        if count > SCRUBBED_MAX {
            return Err(ScrubberError::Many { count });
        }
        Ok(Self { needles, spaces })
    }

    /// The bytes without the secrets. For JSON that will be read again use [`Self::value`]: a
    /// secret that is a number would leave no JSON here.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.found(&self.views(text));
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut position) = (Vec::with_capacity(text.len()), 0);
        for (from, to) in found {
            clean.extend_from_slice(text.get(position..from).unwrap_or_default());
            clean.extend_from_slice(REDACTED.as_bytes());
            position = to;
        }
        clean.extend_from_slice(text.get(position..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// The text without the secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
        }
    }

    /// The value without the secrets: in texts, names of members and numbers. `None` where there
    /// is nothing to take out.
    pub fn value(&self, value: &Value) -> Option<Value> {
        let redacted = |text: &str| match self.text(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        };
        match value {
            Value::Null | Value::Bool(_) => None,
            Value::Integer(n) => redacted(&n.to_string()).map(Value::from),
            Value::Number(n) => redacted(n.as_str()).map(Value::from),
            Value::String(text) => redacted(text).map(Value::from),
            Value::Array(items) => {
                let clean: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                clean.iter().any(Option::is_some).then(|| {
                    let both = clean.into_iter().zip(items);
                    Value::Array(
                        both.map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect(),
                    )
                })
            }
            Value::Object(members) => {
                let clean: Vec<_> = members
                    .iter()
                    .map(|(name, member)| (redacted(name), self.value(member)))
                    .collect();
                clean.iter().any(|(name, member)| name.is_some() || member.is_some()).then(|| {
                    let both = clean.into_iter().zip(members);
                    Value::Object(
                        both.map(|((name, new), (old_name, old))| {
                            let name = name.map_or_else(|| old_name.clone(), Into::into);
                            (name, new.unwrap_or_else(|| old.clone()))
                        })
                        .collect(),
                    )
                })
            }
        }
    }

    /// The ways in which a text is read.
    pub(super) fn views(&self, text: &[u8]) -> Vec<View> {
        if self.needles.is_empty() {
            return Vec::new();
        }
        let mut views = Vec::new();
        let mut level = Some(View::raw(text));
        for _ in 0..=NESTING_MAX {
            let Some(view) = level else { break };
            if let Some(once) = view.percent_decoded() {
                views.extend(once.percent_decoded());
                views.push(once);
            }
            if self.spaces
                && let Some(form) = view.plus_decoded()
            {
                views.extend(form.percent_decoded());
                views.push(form);
            }
            level = view.json_decoded();
            views.push(view);
        }
        views
    }

    /// Where secrets stand: in order, none overlapping another.
    pub(super) fn found(&self, views: &[View]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for view in views {
            for needle in &self.needles {
                needle.find(&view.bytes, |from, to| found.push(view.span(from, to)));
            }
        }
        merged(found)
    }

    /// Up to where nothing that stands there can be the beginning of a secret.
    pub(super) fn settled(&self, text: &[u8], views: &[View]) -> usize {
        let mut settled = text.len();
        for view in views {
            settled = settled.min(view.complete_to);
            let complete = view.index_of(view.complete_to);
            for needle in &self.needles {
                for end in [complete, view.bytes.len()] {
                    let head = view.bytes.get(..end).unwrap_or_default();
                    let begun = needle.begun_at_end_of(head);
                    settled = settled.min(view.span(end - begun, end).0);
                }
            }
        }
        // A cut within an escape would make the rest of it read as something else.
        loop {
            let lower = views.iter().map(|view| view.boundary(settled)).min().unwrap_or(settled);
            if lower == settled {
                return settled;
            }
            settled = lower;
        }
    }
}

/// The ranges in order, with those that overlap made one.
pub(super) fn merged(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some((_, end)) if from < *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// The forms that a secret is looked for in.
fn encodings(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let bytes = secret.as_bytes();
    let mut forms = vec![Zeroizing::new(bytes.to_vec())];
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let digit = |value: u8| digits.get(usize::from(value)).copied().unwrap_or_default();
        let hex = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        forms.push(Zeroizing::new(hex.collect()));
    }
    forms.push(Zeroizing::new(STANDARD.encode(bytes).into_bytes()));
    forms.push(Zeroizing::new(URL_SAFE.encode(bytes).into_bytes()));
    // Within a longer text the secret may begin at any of three places of a group. What the
    // bytes around it have a part in is left out: at most four bits of it at either end.
    for (offset, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut padded = Zeroizing::new(vec![0; offset]);
        padded.extend_from_slice(bytes);
        let whole = padded.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&*padded), URL_SAFE_NO_PAD.encode(&*padded)] {
            let encoded = Zeroizing::new(encoded);
            let inner = encoded.as_bytes().get(skip..whole).unwrap_or_default();
            forms.push(Zeroizing::new(inner.to_vec()));
        }
    }
    forms.sort_unstable_by(|a, b| a.as_slice().cmp(b));
    forms.dedup();
    forms
}

impl Needle {
    fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        let mut needle = Self { fallback: Vec::with_capacity(bytes.len()), bytes };
        let mut state = 0;
        for index in 0..needle.bytes.len() {
            if index > 0 {
                state = needle.step(state, needle.bytes.get(index).copied());
            }
            needle.fallback.push(state);
        }
        needle
    }

    /// How many bytes of the needle stand at the end of a text, once one more byte has come.
    fn step(&self, mut state: usize, byte: Option<u8>) -> usize {
        loop {
            if state < self.bytes.len() && self.bytes.get(state).copied() == byte {
                return state + 1;
            }
            match state.checked_sub(1).and_then(|last| self.fallback.get(last)) {
                Some(shorter) => state = *shorter,
                None => return 0,
            }
        }
    }

    /// Every place where the needle stands, those that overlap too.
    fn find(&self, text: &[u8], mut at: impl FnMut(usize, usize)) {
        // Most texts hold no secret, and this is much the fastest way to say so.
        let Some(first) = memmem::find(text, &self.bytes) else { return };
        let mut state = 0;
        for (index, byte) in text.iter().enumerate().skip(first) {
            state = self.step(state, Some(*byte));
            if state == self.bytes.len() {
                at(index + 1 - state, index + 1);
            }
        }
    }

    /// How many bytes of the needle, but not all, stand at the end of the text.
    fn begun_at_end_of(&self, text: &[u8]) -> usize {
        let tail = text.len().saturating_sub(self.bytes.len().saturating_sub(1));
        let tail = text.get(tail..).unwrap_or_default();
        tail.iter().fold(0, |state, byte| self.step(state, Some(*byte)))
    }
}
