//! The parser: one pass over bytes that are known to be UTF-8, recursion bounded by the depth
//! limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Number, Value};

use super::error::{Failure, JsonError, JsonProblem};
use super::text;

/// Deepest value that is read where nothing else is said, counted as `Value::depth` counts.
pub const DEPTH_MAX: usize = 64;

/// Longest text that is read where nothing else is said, in bytes.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much a parser takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Deepest value, counted as `Value::depth` counts; 1 allows scalars and empty containers.
    /// At most 512 is honoured, so that the stack stays bounded.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: BYTES_MAX, depth: DEPTH_MAX }
    }
}

/// Deepest value that any limits allow.
const DEPTH_CEILING: usize = 512;

/// Reads one value, within the default [`Limits`].
///
/// # Errors
/// [`JsonError`] says what is wrong, and where.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_within(bytes, Limits::default())
}

/// Reads one value within the given limits.
///
/// # Errors
/// [`JsonError`] says what is wrong, and where.
pub fn parse_within(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    parse_all(bytes, limits).map_err(|failure| JsonError::new(bytes, failure))
}

/// Reads one value piece by piece, within the default [`Limits`], where all of it is as `read`
/// expects it. `None` says nothing of what is wrong: [`parse`] does.
pub(crate) fn read_directly<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Parser<'a>) -> Option<T>,
) -> Option<T> {
    let mut parser = Parser::over(bytes, Limits::default()).ok()?;
    let read = read(&mut parser)?;
    parser.end().ok()?;
    Some(read)
}

fn parse_all(bytes: &[u8], limits: Limits) -> Result<Value, Failure> {
    let mut parser = Parser::over(bytes, limits)?;
    let value = parser.value()?;
    parser.end()?;
    Ok(value)
}

fn utf8(bytes: &[u8], limits: Limits) -> Result<&str, Failure> {
    if bytes.len() > limits.bytes {
        return Err(Failure::new(JsonProblem::TooLong { limit: limits.bytes }, limits.bytes));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Failure::new(JsonProblem::ByteOrderMark, 0));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| Failure::new(JsonProblem::NotUtf8, error.valid_up_to()))
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    /// The next byte to look at. INVARIANT: on a character boundary between tokens.
    at: usize,
    depth_left: usize,
    depth: usize,
    /// Where strings with escapes are put together.
    scratch: String,
}

impl<'a> Parser<'a> {
    fn over(bytes: &'a [u8], limits: Limits) -> Result<Self, Failure> {
        let text = utf8(bytes, limits)?;
        let depth = limits.depth.min(DEPTH_CEILING);
        Ok(Self { text, at: 0, depth_left: depth, depth, scratch: String::new() })
    }

    /// Hands each member of an object over by its name, with the parser before its value, which
    /// `take` must read. Whether a name comes twice is left to `take`. `None` where this is no
    /// object, a name has escapes, or `take` gives up.
    pub(crate) fn members(
        &mut self,
        mut take: impl FnMut(&mut Self, &'a str) -> Option<()>,
    ) -> Option<()> {
        self.skip_space();
        self.depth_left = self.depth_left.checked_sub(1)?;
        if !self.eat(b'{') {
            return None;
        }
        self.skip_space();
        if self.eat(b'}') {
            self.depth_left += 1;
            return Some(());
        }
        loop {
            self.skip_space();
            if !self.eat(b'"') {
                return None;
            }
            let (name, end) = text::plain(self.text, self.at)?;
            self.at = end;
            self.skip_space();
            if !self.eat(b':') || self.depth_left == 0 {
                return None;
            }
            take(self, name)?;
            self.skip_space();
            if self.eat(b'}') {
                self.depth_left += 1;
                return Some(());
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// The text that comes next; `None` where it is none.
    pub(crate) fn text(&mut self) -> Option<Arc<str>> {
        self.skip_space();
        if self.peek() == Some(b'"') { self.string().ok() } else { None }
    }

    /// The value that comes next.
    pub(crate) fn any(&mut self) -> Option<Value> {
        self.value().ok()
    }

    /// Nothing comes after the value.
    fn end(&mut self) -> Result<(), Failure> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.failure(JsonProblem::Trailing)),
        }
    }

    fn value(&mut self) -> Result<Value, Failure> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Failure>) -> Result<Value, Failure> {
        let Some(left) = self.depth_left.checked_sub(1) else {
            return Err(self.failure(JsonProblem::TooDeep { limit: self.depth }));
        };
        self.depth_left = left;
        self.at += 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Failure> {
        let mut members: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let name_at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in quotes"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.depth_check()?;
            let value = self.value().map_err(|failure| failure.in_member(&name))?;
            if members.insert(Arc::clone(&name), value).is_some() {
                let failure = Failure::new(JsonProblem::DuplicateMember, name_at);
                return Err(failure.in_member(&name));
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn array(&mut self) -> Result<Value, Failure> {
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.depth_check()?;
            let item = self.value().map_err(|failure| failure.in_element(items.len()))?;
            items.push(item);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    /// A container that holds something needs one more level for what it holds.
    fn depth_check(&self) -> Result<(), Failure> {
        match self.depth_left {
            0 => Err(self.failure(JsonProblem::TooDeep { limit: self.depth })),
            _ => Ok(()),
        }
    }

    fn string(&mut self) -> Result<Arc<str>, Failure> {
        let (string, end) = text::string(self.text, self.at + 1, &mut self.scratch)?;
        self.at = end;
        Ok(string)
    }

    fn number(&mut self) -> Result<Value, Failure> {
        let start = self.at;
        let negative = self.eat(b'-');
        let first = self.at;
        let mut magnitude = 0_i64;
        let mut fits = true;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let next =
                magnitude.checked_mul(10).and_then(|n| n.checked_sub(i64::from(digit - b'0')));
            (magnitude, fits) = (next.unwrap_or(0), fits && next.is_some());
            self.at += 1;
        }
        match self.at - first {
            0 => return Err(self.unexpected("a digit")),
            1 => {}
            _ if self.text.as_bytes().get(first) == Some(&b'0') => {
                self.at = first + 1;
                return Err(self.unexpected("a number without leading zero"));
            }
            _ => {}
        }
        let whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        // `-0` is a number of its own: an integer would lose its sign.
        if whole && fits && !(negative && magnitude == 0) {
            // The magnitude was built as a negative number, which reaches one further.
            if negative {
                return Ok(Value::Integer(magnitude));
            }
            if let Some(n) = magnitude.checked_neg() {
                return Ok(Value::Integer(n));
            }
        }
        self.fraction_and_exponent()?;
        self.text
            .get(start..self.at)
            .and_then(Number::parse)
            .map(Value::Number)
            .ok_or(Failure::new(JsonProblem::NumberTooLong, start))
    }

    fn fraction_and_exponent(&mut self) -> Result<(), Failure> {
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, Failure> {
        for wanted in word.bytes() {
            if !self.eat(wanted) {
                return Err(self.unexpected(word));
            }
        }
        Ok(value)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[cold]
    const fn failure(&self, problem: JsonProblem) -> Failure {
        Failure::new(problem, self.at)
    }

    #[cold]
    fn unexpected(&self, wanted: &'static str) -> Failure {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => self.failure(JsonProblem::Unexpected { found, wanted }),
            None => self.failure(JsonProblem::Truncated),
        }
    }
}
