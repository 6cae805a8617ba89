//! YAML 1.2, the part of it that has one meaning: maps with unique text keys, lists, scalars.
//!
//! Anchors, aliases, tags, directives and several documents in one file are refused: nobody
//! needs them in these files, and without aliases a small file stays a small document. Plain
//! scalars are read as in JSON (`true`, `null`, `12`, `1.5`); everything else is text, so `no`,
//! `0755` and `12:30` mean what they say.

use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use safeconduct_model::Number;

use super::{Content, Diagnostic, Entry, Node, Place};

/// How much of a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YamlLimits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Most nodes: scalars, lists, maps and keys.
    pub nodes: usize,
}

/// Deepest document.
pub const YAML_DEPTH_MAX: usize = 64;

impl Default for YamlLimits {
    /// 1 MiB and 500,000 nodes.
    fn default() -> Self {
        Self { bytes: 1024 * 1024, nodes: 500_000 }
    }
}

/// Reads one document.
///
/// # Errors
/// The first thing that is no YAML, or all duplicate keys.
pub fn parse_yaml(file: &str, text: &str, limits: YamlLimits) -> Result<Node, Vec<Diagnostic>> {
    let start = Place { line: 1, column: 1, start: 0, end: 0 };
    if text.len() > limits.bytes {
        let message = format!("the file has more than {} bytes", limits.bytes);
        return Err(vec![Diagnostic::new(file, start, "", message)]);
    }
    let mut reader = Reader::new(file, text, limits);
    match reader.document() {
        Ok(_) if !reader.duplicates.is_empty() => Err(reader.duplicates),
        Ok(node) => Ok(node),
        Err(problem) => Err(vec![*problem]),
    }
}

/// Reads every document of a stream. The limits hold for all of them together.
///
/// # Errors
/// The first thing that is no YAML, or all duplicate keys.
pub fn parse_yaml_stream(
    file: &str,
    text: &str,
    limits: YamlLimits,
) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let start = Place { line: 1, column: 1, start: 0, end: 0 };
    if text.len() > limits.bytes {
        let message = format!("the file has more than {} bytes", limits.bytes);
        return Err(vec![Diagnostic::new(file, start, "", message)]);
    }
    let mut reader = Reader::new(file, text, limits);
    match reader.documents() {
        Ok(_) if !reader.duplicates.is_empty() => Err(reader.duplicates),
        Ok(nodes) => Ok(nodes),
        Err(problem) => Err(vec![*problem]),
    }
}

/// Boxed: errors are rare, and small results are quick.
type Result1<T> = Result<T, Box<Diagnostic>>;

struct Reader<'a> {
    file: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    nodes_left: usize,
    nodes: usize,
    depth: usize,
    last: Place,
    duplicates: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a str, text: &'a str, limits: YamlLimits) -> Self {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_comments: false,
            flow_nesting_limit: YAML_DEPTH_MAX,
            block_nesting_limit: YAML_DEPTH_MAX,
        };
        Self {
            file,
            parser: Parser::new_from_str_with_options(text, options),
            nodes_left: limits.nodes,
            nodes: limits.nodes,
            depth: 0,
            last: Place { line: 1, column: 1, start: 0, end: 0 },
            duplicates: Vec::new(),
        }
    }

    fn problem(&self, place: Place, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::new(self.file, place, "", message))
    }

    fn next(&mut self) -> Result1<(Event<'a>, Place)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.last = place(&span);
                Ok((event, self.last))
            }
            Some(Err(error)) => {
                let marker = error.marker();
                let at = marker_place(marker.line(), marker.col(), marker.byte_offset());
                Err(self.problem(at, format!("this is not YAML: {}", error.info())))
            }
            None => Err(self.problem(self.last, "the file ends too early")),
        }
    }

    fn document(&mut self) -> Result1<Node> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, place) => return Err(self.problem(place, "the file is empty")),
                (event, place) => {
                    let node = self.node(event, place)?;
                    self.nothing_more()?;
                    return Ok(node);
                }
            }
        }
    }

    fn documents(&mut self) -> Result1<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(nodes),
                (event, place) => nodes.push(self.node(event, place)?),
            }
        }
    }

    fn nothing_more(&mut self) -> Result1<()> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, place) => {
                    return Err(self.problem(place, "the file holds more than one document"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place) -> Result1<Node> {
        if event.tag().is_some() {
            return Err(self.problem(place, "tags (`!…`) have no meaning here"));
        }
        if event.anchor_id().is_some_and(|id| id != 0) || event.is_alias() {
            return Err(self.problem(place, "anchors and aliases have no meaning here"));
        }
        let Some(left) = self.nodes_left.checked_sub(1) else {
            let message = format!("the file holds more than {} values", self.nodes);
            return Err(self.problem(place, message));
        };
        self.nodes_left = left;
        match event {
            Event::Scalar(text, style, ..) => {
                let content = match style {
                    ScalarStyle::Plain => plain(&text),
                    _ => Content::Text(text.into()),
                };
                Ok(Node { place, content })
            }
            Event::SequenceStart(..) => self.nested(place, Self::list),
            Event::MappingStart(..) => self.nested(place, Self::map),
            _ => Err(self.problem(place, "a value is missing")),
        }
    }

    fn nested(&mut self, start: Place, read: fn(&mut Self) -> Result1<Content>) -> Result1<Node> {
        self.depth += 1;
        if self.depth > YAML_DEPTH_MAX {
            let message = format!("nested more than {YAML_DEPTH_MAX} levels deep");
            return Err(self.problem(start, message));
        }
        let content = read(self)?;
        self.depth -= 1;
        Ok(Node { place: Place { end: self.last.end.max(start.end), ..start }, content })
    }

    fn list(&mut self) -> Result1<Content> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, place) => items.push(self.node(event, place)?),
            }
        }
    }

    fn map(&mut self) -> Result1<Content> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines = std::collections::BTreeMap::new();
        loop {
            let (key, key_place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Content::Map(entries)),
                (event, place) => {
                    let text = event.scalar().map(|(text, _)| Arc::<str>::from(text));
                    // Read as a value too, for what it may not be: tagged, anchored, an alias.
                    self.node(event, place)?;
                    (text.ok_or_else(|| self.problem(place, "a key must be a text"))?, place)
                }
            };
            let (event, place) = self.next()?;
            let value = self.node(event, place)?;
            match lines.get(&key) {
                None => {
                    lines.insert(Arc::clone(&key), key_place.line);
                    entries.push(Entry { key, key_place, value });
                }
                Some(line) => {
                    let message = format!("the key `{key}` is here twice");
                    let problem = Diagnostic::new(self.file, key_place, "", message);
                    self.duplicates.push(problem.with_help(format!("the first is in line {line}")));
                }
            }
        }
    }
}

fn place(span: &Span) -> Place {
    let start = marker_place(span.start.line(), span.start.col(), span.start.byte_offset());
    Place { end: span.end.byte_offset().unwrap_or(start.start), ..start }
}

fn marker_place(line: usize, column: usize, offset: Option<usize>) -> Place {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let start = offset.unwrap_or_default();
    Place { line: small(line), column: small(column).saturating_add(1), start, end: start }
}

/// The value of a scalar without quotes.
fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        "true" | "True" | "TRUE" => return Content::Bool(true),
        "false" | "False" | "FALSE" => return Content::Bool(false),
        _ => {}
    }
    match Number::parse(text) {
        Some(number) => text.parse().map_or(Content::Number(number), Content::Integer),
        None => Content::Text(text.into()),
    }
}
