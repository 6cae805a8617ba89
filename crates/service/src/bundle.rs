//! What lies sealed beside a record, as bytes: several things under one seal.

use thiserror::Error;

/// The form that is written.
const VERSION: u8 = 1;

/// What a part of a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The arguments of a call, or its result, as canonical bytes: kept where the catalogue says so.
    Values = 1,
    /// Fingerprints of what was read.
    Flow = 2,
    /// What rules of order and count look at; of no bytes where there was nothing to look at.
    Event = 3,
    /// Fingerprints of what was read beside it, which no declassifier lowers.
    Beside = 4,
    /// Fingerprints of what the call itself said.
    Said = 5,
}

/// The bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what was sealed has another form")]
pub(crate) struct NoBundle;

/// Parts, by kind, each kind at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bundle(Vec<(Kind, Vec<u8>)>);

impl Bundle {
    /// With that part; parts come in the order of their kinds.
    #[must_use]
    pub(crate) fn with(mut self, kind: Kind, bytes: Option<Vec<u8>>) -> Self {
        self.0.extend(bytes.map(|bytes| (kind, bytes)));
        self
    }

    pub(crate) fn part(&self, kind: Kind) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == kind).map(|(_, bytes)| bytes.as_slice())
    }

    /// Its bytes; `None` where there is nothing in it.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let length: usize = self.0.iter().map(|(_, bytes)| 5 + bytes.len()).sum();
        let mut out = Vec::with_capacity(1 + length);
        out.push(VERSION);
        for (kind, bytes) in &self.0 {
            out.push(*kind as u8);
            out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Some(out)
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`NoBundle`] where they are not what [`Bundle::encode`] writes, to the last one.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NoBundle> {
        let (version, mut rest) = bytes.split_first().ok_or(NoBundle)?;
        if *version != VERSION {
            return Err(NoBundle);
        }
        let mut parts: Vec<(Kind, Vec<u8>)> = Vec::new();
        while let Some((kind, after)) = rest.split_first() {
            let kind = [Kind::Values, Kind::Flow, Kind::Event, Kind::Beside, Kind::Said]
                .into_iter()
                .find(|known| *known as u8 == *kind)
                .ok_or(NoBundle)?;
            if parts.last().is_some_and(|(last, _)| *last >= kind) {
                return Err(NoBundle);
            }
            let (length, after) = after.split_first_chunk::<4>().ok_or(NoBundle)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoBundle)?;
            let (part, after) = after.split_at_checked(length).ok_or(NoBundle)?;
            parts.push((kind, part.to_vec()));
            rest = after;
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            values in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            flow in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        ) {
            let bundle = Bundle::default()
                .with(Kind::Values, values.clone())
                .with(Kind::Flow, flow.clone());
            match bundle.encode() {
                None => prop_assert!(values.is_none() && flow.is_none()),
                Some(bytes) => {
                    let again = Bundle::decode(&bytes).unwrap();
                    prop_assert_eq!(again.part(Kind::Values), values.as_deref());
                    prop_assert_eq!(again.part(Kind::Flow), flow.as_deref());
                    prop_assert_eq!(again.part(Kind::Event), None);
                    for length in 0..bytes.len() {
                        if let Ok(shorter) = Bundle::decode(&bytes[..length]) {
                            prop_assert!(shorter != bundle);
                        }
                    }
                }
            }
        }

        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(bundle) = Bundle::decode(&bytes) && bytes.len() > 1 {
                prop_assert_eq!(bundle.encode().unwrap(), bytes);
            }
        }
    }
}
