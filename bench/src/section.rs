//! What one part of the run gives to the report.

use std::collections::BTreeMap;

/// Why a part could not be measured.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The results of one part.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Numbers for `results.json`, by key.
    pub(crate) numbers: BTreeMap<String, f64>,
    /// Lines of Markdown for `RESULTS.md`.
    pub(crate) lines: Vec<String>,
}

impl Section {
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    /// Keeps a number.
    pub(crate) fn number(&mut self, key: &str, value: f64) {
        self.numbers.insert(key.to_owned(), value);
    }

    /// Keeps a number that has a target, and says whether it was met.
    pub(crate) fn target(&mut self, key: &str, value: f64, target: Target) {
        let met = if target.met(value) { "met" } else { "MISSED" };
        self.lines.push(format!("| `{key}` | {} | {target} | {met} |", short(value)));
        self.number(key, value);
    }

    /// Begins the table that [`Section::target`] adds to.
    pub(crate) fn targets(&mut self) {
        self.line("| ratio | measured | target | |");
        self.line("|---|---|---|---|");
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// What a number should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// This or more, and one day the second.
    Floor(f64, f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) | Self::Floor(limit, _) => value >= limit,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
            Self::Floor(limit, goal) => write!(f, "≥ {limit}, goal {goal}"),
        }
    }
}

/// A number with as many digits as mean something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
