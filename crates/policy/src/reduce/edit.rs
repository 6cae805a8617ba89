//! Changes to a file's text that leave everything else as it is.

use std::ops::Range;

use super::head::Part;

/// Longest line that a list of actions is written in.
const WIDTH: usize = 100;

/// Changes to one text.
#[derive(Debug)]
pub(super) struct Edits {
    text: String,
    /// Where what is replaced by what, without overlaps.
    changes: Vec<(Range<usize>, String)>,
}

/// What a scope shall ask of the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actions {
    /// The actions, as Cedar writes them, in order.
    pub(super) wanted: Vec<String>,
    /// For each item of the list that is there, whether it stays; `None` where the list has to be
    /// written anew.
    pub(super) stays: Option<Vec<bool>>,
}

impl Edits {
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), changes: Vec::new() }
    }

    /// The text with all changes; `None` where there are none.
    pub(super) fn applied(mut self) -> Option<String> {
        if self.changes.is_empty() {
            return None;
        }
        self.changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for (range, with) in self.changes {
            self.text.replace_range(range, &with);
        }
        Some(self.text)
    }

    /// Asks that of a variable; false where a comment is in the way.
    pub(super) fn constrain(&mut self, part: &Part, to: &str) -> bool {
        if part.comment {
            return false;
        }
        self.changes.push((part.asked.clone(), format!(" {to}")));
        true
    }

    /// Asks for these actions; false where a comment is in the way.
    pub(super) fn actions(&mut self, part: &Part, to: &Actions) -> bool {
        if let Some(stays) = &to.stays
            && let Some(change) = self.thinned(part, stays)
        {
            self.changes.push(change);
            return true;
        }
        if part.comment {
            return false;
        }
        let written = self.written(part, &to.wanted);
        self.changes.push((part.asked.clone(), written));
        true
    }

    /// The list without the items that do not stay; what stands before an item that goes, goes
    /// with it.
    fn thinned(&self, part: &Part, stays: &[bool]) -> Option<(Range<usize>, String)> {
        if stays.len() != part.items.len() || !stays.contains(&true) {
            return None;
        }
        let (first, last) = (part.items.first()?, part.items.last()?);
        let mut kept = String::new();
        let mut from: Option<usize> = None;
        for (at, (item, stays)) in part.items.iter().zip(stays).enumerate() {
            if !stays {
                continue;
            }
            if let Some(before) = from {
                // Between two that stay stands what followed the first of them.
                let next = part.items.get(before + 1)?.start;
                kept.push_str(self.text.get(part.items.get(before)?.end..next)?);
            }
            kept.push_str(self.text.get(item.clone())?);
            from = Some(at);
        }
        Some((first.start..last.end, kept))
    }

    fn written(&self, part: &Part, wanted: &[String]) -> String {
        if let [one] = wanted {
            return format!(" == {one}");
        }
        let line_start = self.line_start(part.asked.start);
        let one_line = format!(" in [{}]", wanted.join(", "));
        if part.asked.start - line_start + one_line.len() < WIDTH {
            return one_line;
        }
        let indent = self.indent(line_start);
        let items: Vec<String> = wanted.iter().map(|uid| format!("{indent}  {uid}")).collect();
        format!(" in [\n{}\n{indent}]", items.join(",\n"))
    }

    /// Takes a statement out, with the comment right above it and the empty line that would be
    /// left over.
    pub(super) fn remove(&mut self, statement: Range<usize>) {
        let mut start = statement.start;
        let line = self.line_start(start);
        let alone_before = self.between(line, start).trim().is_empty();
        if alone_before {
            start = line;
            while let Some(above) = start.checked_sub(1) {
                let above = self.line_start(above);
                if !self.between(above, start).trim_start().starts_with("//") {
                    break;
                }
                start = above;
            }
            // What stands at the top of a file is about the file.
            if start == 0 && line != 0 {
                start = line;
            }
        }
        let mut end = statement.end;
        let rest = self.text.get(end..).unwrap_or_default();
        let line_end = rest.find('\n').map_or(self.text.len(), |at| end + at + 1);
        if alone_before && self.between(end, line_end).trim().is_empty() {
            end = line_end;
            let blank_before =
                self.between(0, start).is_empty() || self.between(0, start).ends_with("\n\n");
            let rest = self.text.get(end..).unwrap_or_default();
            if blank_before && rest.starts_with('\n') {
                end += 1;
            }
        }
        self.changes.push((start..end, String::new()));
    }

    /// Adds a condition under which a statement does not apply; false where its end is not found.
    pub(super) fn unless(&mut self, statement: Range<usize>, condition: &str) -> bool {
        let text = self.text.get(statement.clone()).unwrap_or_default();
        let Some(body) = text.strip_suffix(';') else { return false };
        let last_line = body.rsplit('\n').next().unwrap_or_default();
        // After a comment the end would be a part of it.
        if last_line.contains("//") {
            return false;
        }
        let indent = self.indent(self.line_start(statement.start));
        let at = statement.start + body.trim_end().len();
        self.changes.push((at..at, format!("\n{indent}unless {{ {condition} }}")));
        true
    }

    fn line_start(&self, at: usize) -> usize {
        self.between(0, at).rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn between(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn indent(&self, line_start: usize) -> String {
        let line = self.text.get(line_start..).unwrap_or_default();
        line.chars().take_while(|c| *c == ' ' || *c == '\t').collect()
    }
}
