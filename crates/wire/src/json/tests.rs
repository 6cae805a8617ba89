use std::collections::BTreeSet;

use proptest::prelude::*;
use safeconduct_model::{Number, Value};

use super::*;

fn problem(text: &[u8]) -> (&'static str, usize, String) {
    let error = parse(text).expect_err(&String::from_utf8_lossy(text));
    (error.problem.code(), error.offset, error.pointer)
}

#[test]
fn numbers_stay_exact() {
    let number = |text: &str| Value::Number(Number::parse(text).unwrap());
    for (text, value) in [
        ("0", Value::Integer(0)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("9223372036854775808", number("9223372036854775808")),
        ("-9223372036854775809", number("-9223372036854775809")),
        ("99999999999999999999999", number("99999999999999999999999")),
        ("1.50", number("1.50")),
        ("-0", number("-0")),
        ("1E+9", number("1E+9")),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), value, "{text}");
        assert_eq!(to_text(&value), text);
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let too_long = format!("[{}]", "1".repeat(65));
    for (text, code, offset, pointer) in [
        (&b""[..], "truncated", 0, ""),
        (b"{\"a\": ", "truncated", 6, "/a"),
        (b"[1,]", "unexpected", 3, "/1"),
        (b"{\"a\":1,}", "unexpected", 7, ""),
        (b"{a:1}", "unexpected", 1, ""),
        (b"[01]", "unexpected", 2, "/0"),
        (b"[1.]", "unexpected", 3, "/0"),
        (b"[+1]", "unexpected", 1, "/0"),
        (b"NaN", "unexpected", 0, ""),
        (b"nul", "truncated", 3, ""),
        (b"{} x", "trailing", 3, ""),
        (b"{}{}", "trailing", 2, ""),
        (b"\xEF\xBB\xBF{}", "byte_order_mark", 0, ""),
        (b"[\"\xFF\"]", "not_utf8", 2, ""),
        // A surrogate that was encoded as if it were a character.
        (b"\"\xED\xA0\x80\"", "not_utf8", 1, ""),
        (b"[\"\\ud800\"]", "unpaired_surrogate", 2, "/0"),
        (b"[\"\\udc00\\ud800\"]", "unpaired_surrogate", 2, "/0"),
        (b"[\"\\ud800\\u0041\"]", "unpaired_surrogate", 2, "/0"),
        (b"[\"\\x41\"]", "unknown_escape", 2, "/0"),
        (b"[\"\\u00g0\"]", "unknown_escape", 2, "/0"),
        (b"[\"a\nb\"]", "control_character", 3, "/0"),
        (b"{\"a\":{\"b\":1,\"\\u0062\":2}}", "duplicate_member", 12, "/a/b"),
        (b"{\"x/y\":[0,{\"~\":}]}", "unexpected", 15, "/x~1y/1/~0"),
        (too_long.as_bytes(), "number_too_long", 1, "/0"),
    ] {
        assert_eq!(problem(text), (code, offset, pointer.to_owned()), "{text:?}");
    }
}

#[test]
fn a_place_is_given_in_lines_and_characters() {
    let error = parse("{\n  \"é\": \"ü\", x\n}".as_bytes()).unwrap_err();
    assert_eq!((error.line, error.column), (2, 13));
    assert_eq!(
        error.to_string(),
        "found 'x', expected a member name in quotes (line 2, column 13, at ``)"
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert_eq!(parse(nested(DEPTH_MAX).as_bytes()).unwrap().depth(), DEPTH_MAX);
    assert_eq!(problem(nested(DEPTH_MAX + 1).as_bytes()).0, "too_deep");
    // A scalar counts as a level too, as `Value::depth` counts it.
    let full = "[".repeat(DEPTH_MAX) + "1" + &"]".repeat(DEPTH_MAX);
    assert_eq!(problem(full.as_bytes()).0, "too_deep");
    assert_eq!(problem("[".repeat(1_000_000).as_bytes()).0, "too_deep");
    let limits = Limits { bytes: 3, depth: usize::MAX };
    assert!(parse_within(b"[1]", limits).is_ok());
    assert_eq!(parse_within(b"[12]", limits).unwrap_err().problem.code(), "too_long");
    let limits = Limits { bytes: BYTES_MAX, depth: usize::MAX };
    assert!(parse_within("[".repeat(1_000_000).as_bytes(), limits).is_err());
}

#[test]
fn a_long_name_does_not_make_a_long_error() {
    let text = format!("{{\"{}\": x}}", "é".repeat(100_000));
    assert!(parse(text.as_bytes()).unwrap_err().to_string().len() < 200);
}

#[test]
fn a_member_name_may_repeat_in_another_object() {
    assert!(parse(br#"{"a":{"a":[{"a":1},{"a":2}]}}"#).is_ok());
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,24}".prop_map(Value::from),
        "[\"\\\\\u{0}-\u{20}\u{10000}a]{0,24}".prop_map(Value::from),
        (any::<i32>(), 0_u32..9999, -99_i32..99)
            .prop_map(|(a, b, e)| Value::Number(Number::parse(&format!("{a}.{b}e{e}")).unwrap())),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6).prop_map(Value::object),
        ]
    })
}

/// JSON-like text with errors in it: what `serde_json` and we must agree on.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "1",
        "-",
        "0",
        ".5",
        "e3",
        "1e400",
        "true",
        "null",
        " ",
        "\n",
        "\"",
        "\\",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let bytes = to_bytes(&value);
        prop_assert_eq!(parse(&bytes).unwrap(), value.clone());
        // Another reader sees the same message.
        let theirs: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(from_serde(&theirs).depth(), value.depth());
    }

    #[test]
    fn what_serde_json_writes_is_read_alike(value in value()) {
        let theirs = to_serde(&value);
        let pretty = serde_json::to_vec_pretty(&theirs).unwrap();
        prop_assert_eq!(parse(&pretty).unwrap(), from_serde(&theirs));
    }

    #[test]
    fn nothing_is_read_that_serde_json_refuses(text in nearly_json()) {
        let ours = parse(text.as_bytes());
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(theirs) => match ours {
                Ok(ours) => prop_assert_eq!(to_serde(&ours), theirs),
                Err(error) => prop_assert_eq!(error.problem, JsonProblem::DuplicateMember),
            },
            // It refuses numbers beyond the range of a double, which we keep as text.
            Err(error) if error.to_string().contains("out of range") => {}
            Err(_) => prop_assert!(ours.is_err(), "{text}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.offset <= bytes.len() && error.line >= 1 && error.column >= 1);
        }
    }

    #[test]
    fn every_duplicate_is_found(names in prop::collection::vec("[ab\"\\\\é]{1,2}", 1..6)) {
        let mut text = b"{".to_vec();
        for (i, name) in names.iter().enumerate() {
            text.extend_from_slice(if i == 0 { b"" } else { b"," });
            write_string(name, &mut text);
            text.extend_from_slice(b":0");
        }
        text.push(b'}');
        let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        prop_assert_eq!(parse(&text).is_ok(), unique);
    }
}
