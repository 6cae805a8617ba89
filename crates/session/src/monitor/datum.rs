//! The values that monitors remember and compare.

use std::fmt::Write as _;
use std::sync::Arc;

use safeconduct_model::{EntityRef, Value};
use sha2::{Digest, Sha256};

/// Longest text that is kept as it is, in bytes; of a longer one its SHA-256 stands for it.
pub const TEXT_BYTES_MAX: usize = 64;

/// Most items of a list that is kept as it is; of a longer one its SHA-256 stands for it.
pub const LIST_ITEMS_MAX: usize = 8;

/// Most bytes of a list that is kept as it is, of all that is in it, as they are estimated.
const LIST_BYTES_MAX: usize = 256;

/// A value as monitors have it. Texts and entities are only ever compared for equality.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Datum {
    /// Nothing: equal to nothing, itself included, wherever conditions compare.
    #[default]
    Absent,
    /// JSON's `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Long(i64),
    /// A decimal, in ten-thousandths: what Cedar's decimals hold.
    Decimal(i64),
    /// A text of at most [`TEXT_BYTES_MAX`] bytes, or what stands for a longer one.
    Text(Arc<str>),
    /// An entity, by type and id.
    Entity(Arc<str>),
    /// A list of at most [`LIST_ITEMS_MAX`] items, in their order: made by [`Datum::list`].
    List(Arc<[Datum]>),
    /// Anything else, by its JSON text or what stands for it.
    Other(Arc<str>),
}

/// What a schema says that a value is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Sort {
    /// It says nothing, or nothing that changes how the value is read.
    #[default]
    Any,
    /// An integer.
    Long,
    /// A decimal: an integer, a number or a text says one.
    Decimal,
    /// An entity of that type: a text is its id, where the type is named.
    Entity(Arc<str>),
}

impl Datum {
    /// A value, read as what the schema says; one that does not fit is what it is by itself.
    pub fn of(value: &Value, sort: &Sort) -> Self {
        let fits = match (sort, value) {
            (Sort::Long, Value::Number(number)) => scaled(number.as_str(), 0).map(Self::Long),
            (Sort::Decimal, Value::Integer(n)) => n.checked_mul(10_000).map(Self::Decimal),
            (Sort::Decimal, Value::Number(number)) => scaled(number.as_str(), 4).map(Self::Decimal),
            (Sort::Decimal, Value::String(text)) => scaled(text, 4).map(Self::Decimal),
            (Sort::Entity(ty), Value::String(id)) if !ty.is_empty() => Some(Self::entity(ty, id)),
            (Sort::Entity(_), Value::Object(_)) => {
                let part = |name| value.member(name).and_then(Value::as_str);
                part("type").zip(part("id")).map(|(ty, id)| Self::entity(ty, id))
            }
            _ => None,
        };
        fits.unwrap_or_else(|| Self::plainly(value))
    }

    fn plainly(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Integer(n) => Self::Long(*n),
            Value::Number(number) => match scaled(number.as_str(), 4) {
                Some(decimal) => Self::Decimal(decimal),
                None => Self::Other(short(&number.as_str().into())),
            },
            Value::String(text) => Self::text(text),
            Value::Array(items) => Self::list(items.iter().map(Self::plainly)),
            Value::Object(_) => Self::Other(short(&format!("{value:?}").into())),
        }
    }

    /// A text.
    pub fn text(text: &Arc<str>) -> Self {
        Self::Text(short(text))
    }

    /// A list; of a long one no more is kept than what stands for it. Lists are equal where their
    /// items are, one by one and in the same order.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        let mut bytes = 0;
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            bytes += size_of::<Self>() + item.bytes();
            kept.push(item);
            if kept.len() > LIST_ITEMS_MAX || bytes > LIST_BYTES_MAX {
                return Self::Other(digest_of(kept.into_iter().chain(items)));
            }
        }
        Self::List(kept.into())
    }

    /// An entity.
    pub fn entity(ty: &str, id: &str) -> Self {
        Self::Entity(short(&format!("{ty}::{id:?}").into()))
    }

    /// An entity that the model names.
    pub fn of_entity(entity: &EntityRef) -> Self {
        Self::entity(entity.ty.as_str(), entity.id.as_str())
    }

    /// A decimal's text, as Cedar reads it; what Cedar refuses is a text of its own.
    pub fn decimal(text: &str) -> Self {
        match text.contains('.').then(|| scaled(text, 4)).flatten() {
            Some(decimal) => Self::Decimal(decimal),
            None => Self::Other(short(&text.into())),
        }
    }

    /// Whether two values are equal: what is absent is equal to nothing.
    pub fn same(&self, other: &Self) -> bool {
        !matches!(self, Self::Absent) && self == other
    }

    /// The integer, where this is one.
    pub const fn as_long(&self) -> Option<i64> {
        match self {
            Self::Long(n) => Some(*n),
            _ => None,
        }
    }

    /// Feeds it to a digest, so that no two sequences of different values give the same bytes.
    fn feed(&self, hash: &mut Sha256) {
        let mut text = |tag: u8, text: &str| {
            hash.update([tag]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        match self {
            Self::Text(value) => text(5, value),
            Self::Entity(value) => text(6, value),
            Self::Other(value) => text(7, value),
            Self::Absent => hash.update([0]),
            Self::Null => hash.update([1]),
            Self::Bool(truth) => hash.update([2, u8::from(*truth)]),
            Self::Long(n) => {
                hash.update([3]);
                hash.update(n.to_le_bytes());
            }
            Self::Decimal(n) => {
                hash.update([4]);
                hash.update(n.to_le_bytes());
            }
            Self::List(items) => {
                hash.update([8]);
                hash.update((items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| item.feed(hash));
            }
        }
    }

    /// Bytes that it takes beside itself, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Entity(text) | Self::Other(text) => text.len() + 16,
            Self::List(items) => items.iter().map(|item| 24 + item.bytes()).sum(),
            _ => 0,
        }
    }
}

/// The text, or what stands for it where it is long. No short text begins so.
fn short(text: &Arc<str>) -> Arc<str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Arc::clone(text);
    }
    named("\0sha256:", &Sha256::digest(text.as_bytes()))
}

/// What stands for a list. Nothing else begins so.
fn digest_of(items: impl Iterator<Item = Datum>) -> Arc<str> {
    let mut hash = Sha256::new();
    items.for_each(|item| item.feed(&mut hash));
    named("\0list:", &hash.finalize())
}

fn named(what: &str, digest: &[u8]) -> Arc<str> {
    let mut name = String::with_capacity(8 + 64);
    name.push_str(what);
    for byte in digest {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.into()
}

/// `number × 10^digits` of a decimal number's text, where that is an integer of 64 bits.
fn scaled(text: &str, digits: u32) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || mantissa.len() > 64 || !all.clone().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let mut shift = exponent
        .checked_add(i64::from(digits))?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let mut significant: Vec<u8> = all.collect();
    while shift < 0 && significant.last() == Some(&b'0') {
        significant.pop();
        shift += 1;
    }
    if significant.iter().all(|digit| *digit == b'0') {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    let number = significant
        .iter()
        .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(*digit - b'0')));
    let number = number?.checked_mul(factor)?;
    i64::try_from(if negative { -number } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safeconduct_model::Number;

    #[test]
    fn numbers_are_read_as_the_schema_says() {
        let number = |text: &str| Value::Number(Number::parse(text).unwrap());
        assert_eq!(Datum::of(&number("1.5"), &Sort::Decimal), Datum::Decimal(15_000));
        assert_eq!(Datum::of(&Value::Integer(5), &Sort::Decimal), Datum::Decimal(50_000));
        assert_eq!(Datum::of(&Value::Integer(5), &Sort::Any), Datum::Long(5));
        assert_eq!(Datum::of(&number("5.0"), &Sort::Long), Datum::Long(5));
        assert_eq!(Datum::of(&number("1e3"), &Sort::Long), Datum::Long(1000));
        assert_eq!(Datum::decimal("02.50"), Datum::decimal("2.5"));
        assert_ne!(Datum::decimal("1"), Datum::decimal("1.0"));
        assert_eq!(scaled("1.23456", 4), None);
        assert_eq!(scaled("1e999999999999", 4), None);
        assert_eq!(scaled("-922337203685477.5808", 4), Some(i64::MIN));
    }

    #[test]
    fn a_long_text_is_kept_by_its_digest() {
        let (a, b) = ("x".repeat(1000), "x".repeat(1001));
        let of = |text: &str| Datum::text(&text.into());
        assert_eq!(of(&a), of(&a));
        assert_ne!(of(&a), of(&b));
        let Datum::Text(kept) = of(&a) else { panic!() };
        assert!(kept.len() < 100 && of(&kept) != of(&a), "what stands for it is no text itself");
    }

    fn list(items: impl IntoIterator<Item = Value>) -> Datum {
        Datum::of(&Value::from(items.into_iter().collect::<Vec<_>>()), &Sort::Any)
    }

    #[test]
    fn a_long_list_is_kept_by_its_digest() {
        let long = |last: i64| list((0..500_000).chain([last]).map(Value::from));
        assert_eq!(long(1), long(1));
        assert_ne!(long(1), long(2));
        assert!(long(1).bytes() < 128, "{}", long(1).bytes());
        let wide = |last: &str| list(["x".repeat(60).as_str(), "y", last].map(Value::from));
        assert!(matches!(wide("a"), Datum::List(_)));
        let texts = |last: &str| list([last; 1].into_iter().chain(["x"; 8]).map(Value::from));
        assert!(matches!(texts("a"), Datum::Other(_)));
        assert_ne!(texts("a"), texts("b"));
        let deep = (0..100).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(Datum::of(&deep, &Sort::Any).bytes() <= 2 * LIST_BYTES_MAX);
    }

    proptest! {
        /// Lists are equal as their items are, one by one, however long they are.
        #[test]
        fn lists_are_equal_as_dogwood_says(one in lists(), other in lists()) {
            let of = |value: &Value| Datum::of(value, &Sort::Any);
            prop_assert_eq!(of(&one) == of(&other), one == other);
            prop_assert_eq!(of(&one), of(&one.clone()));
            prop_assert!(of(&one).bytes() <= 2 * LIST_BYTES_MAX);
        }
    }

    /// Lists that often differ in one place only.
    fn lists() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..2_i64).prop_map(Value::from),
            prop::sample::select(vec!["", "a", "1", "null"]).prop_map(Value::from),
            Just(Value::from("x".repeat(99))),
        ];
        let inner = leaf.prop_recursive(3, 32, 12, |inner| {
            prop::collection::vec(inner, 0..12).prop_map(Value::from)
        });
        (0..12_usize, inner).prop_map(|(before, last)| {
            Value::from([vec![Value::from("a"); before], vec![last]].concat())
        })
    }

    #[test]
    fn what_is_absent_is_equal_to_nothing() {
        assert!(!Datum::Absent.same(&Datum::Absent));
        assert!(Datum::Null.same(&Datum::Null));
    }
}
