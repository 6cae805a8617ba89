//! Places in a text.

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line from 1; 0 where the value did not come from a text with lines.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}
