//! Spans of time: `45s`, `15m`, `2h`, `3d`.

use std::borrow::Cow;

use super::Text;

/// A span of time in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// How long it is, in seconds.
    pub seconds: u32,
}

/// The units, largest first.
const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Span {
    /// The span of a text: digits, then one of `s`, `m`, `h` and `d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, seconds) =
            UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)))?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<u32>().ok()?.checked_mul(seconds)?;
        (seconds > 0).then_some(Self { seconds })
    }
}

impl Text for Span {
    const FORMAT: &'static str = "span";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "this is no span of time, such as `15m`".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        let whole = UNITS.iter().find(|(_, seconds)| self.seconds.is_multiple_of(*seconds));
        let (unit, seconds) = whole.copied().unwrap_or(('s', 1));
        Cow::Owned(format!("{}{unit}", self.seconds / seconds))
    }
}
