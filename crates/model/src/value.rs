//! Values: what arguments and attributes are made of. The JSON data model, with numbers kept
//! exact: an integer is an `i64`, any other number keeps the text it was written as.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A JSON value whose numbers are exact and whose members are unique and sorted.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits 64 bits with sign.
    Integer(i64),
    /// Any other number.
    Number(Number),
    /// A text.
    String(Arc<str>),
    /// A list.
    Array(Vec<Value>),
    /// Members by name.
    Object(BTreeMap<Arc<str>, Value>),
}

/// A number that is no `i64`, as it was written: `1.50`, `1e9`, `18446744073709551615`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Arc<str>);

impl Number {
    /// From a JSON number's text; `None` where the text is not one (RFC 8259 section 6) or has
    /// more than 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= 64 && is_json_number(text)).then(|| Self(text.into()))
    }

    /// The text it was written as.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    /// An object of the given members; a name that comes twice keeps the last value.
    pub fn object<K: Into<Arc<str>>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// The member of that name, where this is an object that has it.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, where this is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The integer, where this is one.
    pub const fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// The elements, where this is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, where this is an object.
    pub const fn as_object(&self) -> Option<&BTreeMap<Arc<str>, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// What this is, in JSON's words: for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// How many levels deep: 1 for a scalar or an empty container.
    pub fn depth(&self) -> usize {
        let deepest = match self {
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(members) => members.values().map(Self::depth).max(),
            _ => None,
        };
        1 + deepest.unwrap_or(0)
    }

    /// Follows a JSON Pointer (RFC 6901); the empty pointer is this value.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, Self::step)
    }

    /// Follows a JSON Pointer in which the token `*` stands for each element of a list, and
    /// says of each place that it leads to, in order, what is there. There is always one: an
    /// empty list holds nothing where an element is due.
    pub fn places<'a>(&'a self, pattern: &str) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        self.each_place(pattern, |place| {
            places.push(place);
            true
        });
        places
    }

    /// Tells `keeps` of one place after the other until it says no: whether it never did.
    pub fn each_place<'a>(
        &'a self,
        pattern: &str,
        mut keeps: impl FnMut(Place<'a>) -> bool,
    ) -> bool {
        match pattern.strip_prefix('/') {
            _ if pattern.is_empty() => keeps(Place::Found(self)),
            Some(tokens) => self.follow(Some(tokens), &mut keeps),
            None => keeps(Place::OtherForm(self)),
        }
    }

    fn follow<'a>(
        &'a self,
        tokens: Option<&str>,
        keeps: &mut dyn FnMut(Place<'a>) -> bool,
    ) -> bool {
        let Some(tokens) = tokens else {
            return keeps(Place::Found(self));
        };
        let (token, rest) = match tokens.split_once('/') {
            Some((token, rest)) => (token, Some(rest)),
            None => (tokens, None),
        };
        match self {
            Self::Array(items) if token == "*" => {
                (!items.is_empty() || keeps(Place::Nothing))
                    && items.iter().all(|item| item.follow(rest, keeps))
            }
            Self::Object(_) if token != "*" => match self.step(token) {
                Some(member) => member.follow(rest, keeps),
                None => keeps(Place::Nothing),
            },
            Self::Array(_) if is_index(token) => match self.step(token) {
                Some(item) => item.follow(rest, keeps),
                None => keeps(Place::Nothing),
            },
            _ => keeps(Place::OtherForm(self)),
        }
    }

    /// One token of a JSON Pointer further.
    fn step(&self, token: &str) -> Option<&Self> {
        match self {
            Self::Object(members) if token.contains('~') => {
                members.get(token.replace("~1", "/").replace("~0", "~").as_str())
            }
            Self::Object(members) => members.get(token),
            Self::Array(items) if is_index(token) => items.get(token.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

/// What is at one of the places that a pattern leads to ([`Value::places`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// This value.
    Found(&'a Value),
    /// Nothing: a member or an element is missing.
    Nothing,
    /// On the way stands this value, into which the pattern does not reach: a text where an
    /// object is due, say. What a reader makes of it is unknown.
    OtherForm(&'a Value),
}

/// RFC 6901 section 4: digits without a leading zero.
fn is_index(token: &str) -> bool {
    !token.is_empty()
        && token.bytes().all(|b| b.is_ascii_digit())
        && (token == "0" || !token.starts_with('0'))
}

impl Value {
    /// How two numbers stand to each other, exactly; `None` where one is no number.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (a, b) => Scientific::of(a)?.compare(&Scientific::of(b)?),
        })
    }
}

/// A number as sign, significant digits and the place of its first digit.
struct Scientific {
    negative: bool,
    /// Without leading and trailing zeros; empty is zero.
    digits: Vec<u8>,
    /// The power of ten of the first digit.
    place: i64,
}

impl Scientific {
    fn of(value: &Value) -> Option<Self> {
        let owned;
        let text = match value {
            Value::Integer(n) => {
                owned = n.to_string();
                owned.as_str()
            }
            Value::Number(number) => number.as_str(),
            _ => return None,
        };
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // At most 64 bytes of text: an exponent can still be beyond 64 bits, and is then no number
        // that anything compares with.
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let all = whole.bytes().chain(decimals.bytes());
        let leading = all.clone().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = all.skip(leading).collect();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        let place = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()? - 1;
        let place = exponent.checked_add(place)?;
        Some(Self { negative: negative && !digits.is_empty(), digits, place })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |n: &Self| match (n.digits.is_empty(), n.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign != Ordering::Equal || self.digits.is_empty() {
            return by_sign;
        }
        let size = self.place.cmp(&other.place).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { size.reverse() } else { size }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Integer(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

/// JSON, for people and tests; what goes over a wire is written by crate `wire`.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Number(n) => write!(f, "{n:?}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Object(members) => f.debug_map().entries(members).finish(),
        }
    }
}

fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|e| all_digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_rfc_8259_says() {
        for text in ["1.5", "-0", "1e9", "1E-9", "0.10", "18446744073709551615"] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
        for text in ["", "01", "1.", ".5", "+1", "1e", "NaN", "0x1", "1 "] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_pointer_finds_members_and_elements() {
        let value = Value::object([
            ("a/b", Value::from(1)),
            ("list", Value::Array(vec![Value::object([("p", Value::from("x"))]), Value::Null])),
        ]);
        assert_eq!(value.pointer("/a~1b"), Some(&Value::from(1)));
        assert_eq!(value.pointer("/list/0/p"), Some(&Value::from("x")));
        assert_eq!(value.pointer("/list/00/p"), None);
        assert_eq!(value.pointer("list"), None);
        assert_eq!(value.depth(), 4);
    }
    #[test]
    fn a_pattern_says_of_each_element_what_is_there() {
        let (a, b) = (Value::from("a"), Value::from("b"));
        let to = |value: &Value| Value::object([("to", value.clone())]);
        let list = |items: &[Value]| Value::object([("l", Value::Array(items.to_vec()))]);
        let found = |value: &Value, pattern: &str| {
            let word = |place: &Place<'_>| match place {
                Place::Found(value) => format!("{value:?}"),
                Place::Nothing => "nothing".into(),
                Place::OtherForm(value) => format!("not in {value:?}"),
            };
            value.places(pattern).iter().map(word).collect::<Vec<_>>().join(", ")
        };
        let none = Value::object::<&str>([]);
        assert_eq!(found(&list(&[to(&a), none.clone()]), "/l/*/to"), r#""a", nothing"#);
        assert_eq!(found(&list(&[to(&a), b.clone()]), "/l/*/to"), r#""a", not in "b""#);
        let inner = Value::Array(vec![a.clone()]);
        assert_eq!(found(&list(&[to(&inner), to(&b)]), "/l/*/to/*"), r#""a", not in "b""#);
        assert_eq!(found(&list(&[]), "/l/*/to"), "nothing");
        assert_eq!(found(&none, "/l/*/to"), "nothing");
        assert_eq!(found(&list(&[a.clone(), b.clone()]), "/l/1"), r#""b""#);
        assert_eq!(found(&list(std::slice::from_ref(&a)), "/l/1"), "nothing");
        assert_eq!(found(&list(std::slice::from_ref(&a)), "/l/01"), r#"not in ["a"]"#);
        assert_eq!(found(&Value::object([("0", a.clone())]), "/*"), r#"not in {"0": "a"}"#);
        assert_eq!(found(&to(&Value::Null), "/to/x"), "not in null");
        assert_eq!(found(&Value::object([("*a", a.clone())]), "/*a"), r#""a""#);
        assert_eq!((found(&a, ""), found(&a, "x")), (r#""a""#.into(), r#"not in "a""#.into()));
    }
}
