//! Reads YAML as it comes: the form in which many servers print their results.

use granit_parser::{Event, Parser};

use super::scan::{Content, End, Visitor};

/// Longest text that is read as YAML; a longer one is a text.
pub(crate) const YAML_BYTES_MAX: usize = 256 * 1024;

/// Deepest document that is read.
const DEPTH_MAX: usize = 64;

/// Whether a text begins as a map or a list in block form does.
pub(crate) fn looks_like_yaml(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let Some(line) = lines.take(8).find(|line| !line.is_empty() && !line.starts_with('#')) else {
        return false;
    };
    let entry = line.strip_prefix("- ").map_or(line, str::trim_start);
    let is_key = |key: &str| {
        !key.is_empty() && key.len() <= 64 && !key.contains(['.', '!', '?', ',', '(', '/'])
    };
    let key = entry.split_once(": ").map(|(key, _)| key).or_else(|| entry.strip_suffix(':'));
    line == "-" || line.starts_with("- ") || key.is_some_and(is_key)
}

/// Reads one document. Anchors, aliases, tags and several documents are no form of a result.
pub(crate) fn yaml(text: &str, visitor: &mut impl Visitor) -> End {
    if text.len() > YAML_BYTES_MAX {
        return End::NotJson;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { around: Vec::new(), documents: 0 };
    loop {
        match parser.next_event() {
            Some(Ok((Event::StreamEnd, _))) => return End::Whole,
            Some(Ok((event, _))) => match reader.take(event, visitor) {
                Some(()) if visitor.is_full() => return End::Full,
                Some(()) => {}
                None => return End::NotJson,
            },
            Some(Err(_)) | None => return End::NotJson,
        }
    }
}

struct Reader {
    around: Vec<Around>,
    documents: usize,
}

struct Around {
    kind: Kind,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    /// The next is the name of a member.
    Names,
    /// The next is its value.
    Values,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, visitor: &mut impl Visitor) -> Option<()> {
        if event.tag().is_some() || event.anchor_id().is_some_and(|id| id != 0) || event.is_alias()
        {
            return None;
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                (self.documents == 1).then_some(())
            }
            Event::Comment(text, _) => {
                visitor.comment(&text);
                Some(())
            }
            Event::Scalar(text, ..) => {
                if self.around.last().is_some_and(|around| around.kind == Kind::Names) {
                    visitor.name(&text);
                    return self.named();
                }
                self.begin(visitor)?;
                visitor.text(&text);
                Some(())
            }
            Event::SequenceStart(..) => self.open(Kind::List, visitor),
            Event::MappingStart(..) => self.open(Kind::Names, visitor),
            Event::SequenceEnd | Event::MappingEnd => {
                let around = self.around.pop()?;
                visitor.close(around.content);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn named(&mut self) -> Option<()> {
        let around = self.around.last_mut()?;
        around.content = Content::Some;
        around.kind = Kind::Values;
        Some(())
    }

    /// A value begins.
    fn begin(&mut self, visitor: &mut impl Visitor) -> Option<()> {
        match self.around.last_mut() {
            None => {}
            Some(Around { kind: Kind::List, content }) => {
                *content = Content::Some;
                visitor.element();
            }
            Some(around) if around.kind == Kind::Values => around.kind = Kind::Names,
            // A container as the name of a member.
            Some(_) => return None,
        }
        Some(())
    }

    fn open(&mut self, kind: Kind, visitor: &mut impl Visitor) -> Option<()> {
        self.begin(visitor)?;
        if self.around.len() >= DEPTH_MAX {
            return None;
        }
        visitor.open();
        self.around.push(Around { kind, content: Content::Empty });
        Some(())
    }
}
