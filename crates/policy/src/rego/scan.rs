//! Reads a Rego text once, without recursion, before any recursive parser sees it: how deep it
//! nests, which functions it calls, where its rules begin and what is said above them.
//!
//! The engine's parser tries alternatives one after the other, at a cost that doubles with each
//! bracket; its compiler recurses over operators. Both are bounded here.

use crate::annotations::PolicyMode;
use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::rego::builtins::{self, Verdict};
use crate::source::{REGO_NESTING_MAX, REGO_OPERATORS_MAX};

/// Largest exponent of a number: beyond, one number would have more digits than a file.
const EXPONENT_MAX: u32 = 300;

/// What a text holds, as far as it can be told without parsing it.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// Where rules and defaults begin, in their order.
    pub(super) heads: Vec<Head>,
    /// Where the word `package` stands.
    pub(super) package: Option<usize>,
}

/// Where a rule begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Its first word.
    pub(super) name: String,
    /// Where its first line begins, in bytes; that may be the word `default`.
    pub(super) offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Text,
    Open,
    Close,
    Operator,
    /// `,` and `;`.
    Separator,
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
    offset: usize,
    first_on_line: bool,
}

/// Scans a text; every problem goes to `problems`.
pub(super) fn scan(located: &Located<'_>, problems: &mut Vec<Diagnostic>) -> Scanned {
    let mut scanned = Scanned::default();
    let mut tokens = Tokens { text: located.text, at: 0, fresh_line: true };
    let (mut depth, mut operators) = (0_usize, 0_usize);
    let mut previous: Option<Token<'_>> = None;
    let mut name = Name::default();
    while let Some(token) = tokens.next_token() {
        let chained = matches!(token.kind, Kind::Operator | Kind::Open)
            || previous.is_some_and(|before| before.kind == Kind::Operator);
        if token.first_on_line && !chained {
            operators = 0;
        }
        match token.kind {
            Kind::Open => (depth, operators) = (depth + 1, operators + 1),
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Operator => operators += 1,
            Kind::Number => problems.extend(too_large(located, token)),
            Kind::Word if depth == 0 => scanned.take(token, previous),
            Kind::Word | Kind::Text | Kind::Separator => {}
        }
        if let Some(called) = name.take(token, previous) {
            problems.extend(refused(located, called));
        }
        let over = if depth > REGO_NESTING_MAX {
            Some(format!("brackets nest deeper than the limit of {REGO_NESTING_MAX}"))
        } else if operators > REGO_OPERATORS_MAX {
            Some(format!("one line of thought has more than {REGO_OPERATORS_MAX} operators"))
        } else {
            None
        };
        if let Some(message) = over {
            let at = (token.offset, token.text.len());
            let help = "name parts of it by rules of their own";
            problems.push(located.problem(Severity::Error, at, message).with_help(help));
            return scanned;
        }
        previous = Some(token);
    }
    scanned
}

impl Scanned {
    /// A word outside of all brackets.
    fn take(&mut self, token: Token<'_>, previous: Option<Token<'_>>) {
        let default = previous.filter(|before| before.text == "default" && before.first_on_line);
        let begins = match token.text {
            "package" if token.first_on_line && self.package.is_none() => {
                self.package = Some(token.offset);
                return;
            }
            "package" | "import" | "default" | "else" => return,
            _ if token.first_on_line => Some(token.offset),
            _ => default.map(|before| before.offset),
        };
        let named = previous.is_some_and(|before| before.text == "package");
        if let Some(offset) = begins.filter(|_| !named) {
            self.heads.push(Head { name: token.text.to_owned(), offset });
        }
    }
}

/// The dotted name that was read last.
#[derive(Debug, Default)]
struct Name {
    text: String,
    offset: usize,
    end: usize,
}

impl Name {
    /// Goes on by a token; gives the name where it is one that is called here.
    fn take(&mut self, token: Token<'_>, previous: Option<Token<'_>>) -> Option<&Self> {
        let goes_on = self.end == token.offset && !self.text.is_empty();
        match token.kind {
            Kind::Word if goes_on && previous.is_some_and(|before| before.text == ".") => {
                self.text.push_str(token.text);
            }
            Kind::Word => {
                self.text = token.text.to_owned();
                self.offset = token.offset;
            }
            Kind::Operator if goes_on && token.text == "." => self.text.push('.'),
            Kind::Open if token.text == "(" && !self.text.is_empty() => {
                let last = previous.is_some_and(|before| before.kind == Kind::Word);
                return last.then_some(&*self);
            }
            _ => self.text.clear(),
        }
        self.end = token.offset + token.text.len();
        None
    }
}

fn refused(located: &Located<'_>, called: &Name) -> Option<Diagnostic> {
    let Verdict::Refused(why) = builtins::verdict(&called.text) else {
        return None;
    };
    let at = (called.offset, called.text.len());
    let message = format!("`{}` is not available: {}", called.text, why.words());
    Some(located.problem(Severity::Error, at, message).with_help(why.help()))
}

fn too_large(located: &Located<'_>, token: Token<'_>) -> Option<Diagnostic> {
    let (_, exponent) = token.text.split_once(['e', 'E'])?;
    let size = exponent.trim_start_matches(['+', '-']);
    let fits = size.parse::<u32>().is_ok_and(|size| size <= EXPONENT_MAX);
    let at = (token.offset, token.text.len());
    let message = format!("the exponent of a number is beyond {EXPONENT_MAX}");
    (!fits).then(|| located.problem(Severity::Error, at, message))
}

/// Cuts a text into tokens; white space and comments are left out.
struct Tokens<'t> {
    text: &'t str,
    at: usize,
    fresh_line: bool,
}

impl<'t> Tokens<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn next_token(&mut self) -> Option<Token<'t>> {
        loop {
            let rest = self.rest();
            match rest.chars().next()? {
                '\n' => {
                    self.fresh_line = true;
                    self.at += 1;
                }
                '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
                c if c.is_whitespace() => self.at += c.len_utf8(),
                c => return Some(self.token(c, rest)),
            }
        }
    }

    fn token(&mut self, first: char, rest: &'t str) -> Token<'t> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let run = |more: &dyn Fn(char) -> bool| rest.find(|c| !more(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            '"' => (Kind::Text, text_length(rest)),
            '`' => {
                let inner = rest.get(1..).unwrap_or("").find('`');
                (Kind::Text, inner.map_or(rest.len(), |at| at + 2))
            }
            c if c.is_ascii_digit() => (Kind::Number, number_length(rest)),
            c if word(c) => (Kind::Word, run(&word)),
            '(' | '[' | '{' => (Kind::Open, 1),
            ')' | ']' | '}' => (Kind::Close, 1),
            ',' | ';' => (Kind::Separator, 1),
            c => (Kind::Operator, c.len_utf8()),
        };
        let text = rest.get(..length).unwrap_or(rest);
        let kind = match text {
            // A chain of these nests as one of signs does.
            "in" | "not" | "some" | "every" | "with" | "as" if kind == Kind::Word => Kind::Operator,
            _ => kind,
        };
        let token = Token { kind, text, offset: self.at, first_on_line: self.fresh_line };
        self.fresh_line = false;
        self.at += text.len();
        token
    }
}

/// The length of a quoted text that may hold escapes.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn number_length(rest: &str) -> usize {
    let mut before = '0';
    for (at, c) in rest.char_indices() {
        let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        before = c;
    }
    rest.len()
}

/// What the comments directly above a place say, in the form of OPA's annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Metadata {
    pub(super) mode: Option<PolicyMode>,
    pub(super) message: Option<String>,
    pub(super) control: Option<String>,
}

/// Reads the block of comments above `offset` that a line `# METADATA` opens. Of what it says,
/// `custom.mode`, `custom.message` and `custom.control` are ours.
///
/// # Errors
/// What is wrong with one of ours, and where its line begins.
pub(super) fn metadata(text: &str, offset: usize) -> Result<Metadata, (usize, String)> {
    let above = text.get(..offset).unwrap_or("");
    let mut lines: Vec<(usize, &str)> = Vec::new();
    let mut end = above.rfind('\n').map_or(0, |at| at + 1);
    while end > 0 {
        let start = above.get(..end - 1).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
        let line = above.get(start..end).unwrap_or("").trim_end();
        let Some(said) = line.trim_start().strip_prefix('#') else { break };
        lines.push((start, said));
        end = start;
    }
    lines.reverse();
    let mut read = Metadata::default();
    let Some(opened) = lines.iter().position(|(_, said)| said.trim() == "METADATA") else {
        return Ok(read);
    };
    let mut in_custom = false;
    for (start, said) in lines.iter().skip(opened + 1) {
        let said = said.strip_prefix(' ').unwrap_or(said);
        let Some((key, value)) = said.split_once(':') else { continue };
        let indented = key.starts_with([' ', '\t']);
        let value = value.trim().trim_matches(['"', '\'']);
        if !indented {
            in_custom = key == "custom";
            continue;
        }
        if in_custom {
            read.take(key.trim(), value).map_err(|problem| (*start, problem))?;
        }
    }
    Ok(read)
}

impl Metadata {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "mode" => {
                self.mode = Some(match value {
                    "shadow" => PolicyMode::Shadow,
                    "enforce" => PolicyMode::Enforce,
                    other => return Err(format!("`mode` is `{other}`, which is no mode")),
                });
            }
            "message" => self.message = Some(value.to_owned()),
            "control" => self.control = Some(value.to_owned()),
            other => {
                let ours = ["mode", "message", "control"];
                let slip = ours.into_iter().find(|ours| strsim::osa_distance(other, ours) == 1);
                if let Some(meant) = slip {
                    return Err(format!("`{other}` looks like a slip of `{meant}`"));
                }
            }
        }
        Ok(())
    }
}
