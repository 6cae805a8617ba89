use proptest::prelude::*;
use safeconduct_model::{Number, Value};

use super::*;

fn text(value: &Value) -> String {
    String::from_utf8(canonical(value)).unwrap()
}

fn number(text: &str) -> Value {
    Value::Number(Number::parse(text).unwrap())
}

#[test]
fn numbers_that_a_double_holds_are_written_as_rfc_8785_says() {
    for (written, wanted) in [
        ("-0", "0"),
        ("0.0e7", "0"),
        ("1.50", "1.5"),
        ("1e9", "1000000000"),
        ("1E21", "1e+21"),
        ("123456789012345680000", "123456789012345680000"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("-1.5e-9", "-1.5e-9"),
        ("333333333.33333329", "333333333.33333329"),
        ("4.50", "4.5"),
        ("2e-3", "0.002"),
        ("1e+30", "1e+30"),
    ] {
        assert_eq!(text(&number(written)), wanted, "{written}");
    }
}

#[test]
fn numbers_that_a_double_would_round_keep_every_digit() {
    assert_eq!(text(&number("18446744073709551615")), "18446744073709551615");
    assert_eq!(text(&Value::Integer(i64::MIN)), "-9223372036854775808");
    assert_eq!(text(&Value::Integer(9_007_199_254_740_993)), "9007199254740993");
    assert_eq!(text(&number("1e400")), "1e+400");
    assert_eq!(text(&number("0.10000000000000000001")), "0.10000000000000000001");
    assert_eq!(text(&number("1e99999999999999999999")), "1e99999999999999999999");
    assert_eq!(text(&number("0e99999999999999999999")), "0");
}

#[test]
fn members_are_sorted_by_utf_16() {
    // RFC 8785 section 3.2.3, with a member beyond the basic plane and one from U+E000 on.
    let value = Value::object([
        ("\u{20ac}", Value::from("Euro Sign")),
        ("\r", Value::from("Carriage Return")),
        ("\u{fb33}", Value::from("Hebrew Letter Dalet With Dagesh")),
        ("1", Value::from("One")),
        ("\u{1f600}", Value::from("Emoji: Grinning Face")),
        ("\u{80}", Value::from("Control")),
        ("\u{f6}", Value::from("Latin Small Letter O With Diaeresis")),
    ]);
    assert_eq!(
        text(&value),
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
         \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
         \"\u{1f600}\":\"Emoji: Grinning Face\",\
         \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
    );
}

#[test]
fn texts_are_escaped_in_one_way() {
    // RFC 8785 section 3.2.2.2.
    let value = Value::from("\u{20ac}$\u{f}\nA'\u{42}\"\\\u{5c}\"/\u{8}\u{c}\t\u{7f}");
    assert_eq!(text(&value), "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\b\\f\\t\u{7f}\"");
}

proptest! {
    #[test]
    fn every_double_is_written_as_ecmascript_does(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(double.is_finite());
        let mut shortest = ryu_js::Buffer::new();
        let shortest = shortest.format_finite(double);
        prop_assert_eq!(text(&number(shortest)), shortest);
        // The same digits with an exponent, as other writers have it. (Rust's own choice can
        // differ in the last digit where two are equally near; then it is another number.)
        let written = format!("{double:e}");
        if exact(&written) == exact(shortest) {
            prop_assert_eq!(text(&number(&written)), shortest);
        }
    }

    #[test]
    fn integers_share_bytes_only_with_themselves(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(text(&Value::Integer(a)), a.to_string());
        prop_assert_eq!(a == b, text(&Value::Integer(a)) == text(&Value::Integer(b)));
    }

    #[test]
    fn the_same_number_written_differently_has_the_same_bytes(
        digits in 1_u32.., shift in 0_usize..8, exponent in -30_i32..30,
    ) {
        let plain = number(&format!("{digits}e{exponent}"));
        let padded = format!("{digits}.{}e{exponent}", "0".repeat(shift + 1));
        let shifted = format!("{digits}{}e{}", "0".repeat(shift), exponent - shift as i32);
        prop_assert_eq!(text(&plain), text(&number(&padded)));
        prop_assert_eq!(text(&plain), text(&number(&shifted)));
    }

    #[test]
    fn different_numbers_never_share_bytes(
        a in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?",
        b in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?",
    ) {
        prop_assert_eq!(exact(&a) == exact(&b), text(&number(&a)) == text(&number(&b)));
    }

    #[test]
    fn canonical_bytes_are_json_of_the_same_value(value in values()) {
        let parsed: serde_json::Value = serde_json::from_slice(&canonical(&value)).unwrap();
        prop_assert_eq!(text(&from_serde(&parsed)), text(&value));
    }
}

/// Sign, digits and exponent of a decimal: an oracle that knows no notation.
fn exact(text: &str) -> (bool, String, i32) {
    let (unsigned, negative) =
        text.strip_prefix('-').map_or((text, false), |unsigned| (unsigned, true));
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let shorter = digits.trim_end_matches('0');
    let exponent = exponent.parse::<i32>().unwrap() - fraction.len() as i32
        + (digits.len() - shorter.len()) as i32;
    let digits = shorter.trim_start_matches('0').to_owned();
    if digits.is_empty() { (false, digits, 0) } else { (negative, digits, exponent) }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::object),
        ]
    })
}

fn from_serde(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => Value::from(n.as_i64().unwrap()),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(from_serde).collect::<Vec<_>>())
        }
        serde_json::Value::Object(members) => {
            Value::object(members.iter().map(|(k, v)| (k.as_str(), from_serde(v))))
        }
    }
}
