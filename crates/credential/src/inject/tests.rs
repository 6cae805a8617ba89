use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use safeconduct_model::{ServerName, Value};

use super::*;

fn crm() -> ServerName {
    ServerName::new("crm").unwrap()
}

fn injection(place: Place, template: &str) -> Injection {
    Injection::new(crm(), place, template).unwrap()
}

#[test]
fn a_secret_goes_to_its_own_upstream_only() {
    let header = injection(Place::Header("Authorization".into()), "Bearer {secret}");
    assert_eq!(*header.value(&crm(), "hunter22").unwrap(), "Bearer hunter22");
    let other = ServerName::new("crm2").unwrap();
    let refused = header.value(&other, "hunter22").unwrap_err();
    assert!(matches!(refused, InjectError::OtherUpstream { .. }));
    assert!(!format!("{refused} {refused:?}").contains("hunter22"));
    let basic = injection(Place::Header("Authorization".into()), "Basic {secret|base64}");
    assert_eq!(*basic.value(&crm(), "me:hunter22").unwrap(), "Basic bWU6aHVudGVyMjI=");
}

#[test]
fn a_secret_begins_no_other_header() {
    let header = injection(Place::Header("x-key".into()), "{secret}");
    for unfit in ["a\r\nHost: evil", "a\nb", "a\0b", "a\u{7f}", "\u{e4}", " a", "a ", ""] {
        assert_eq!(header.value(&crm(), unfit).map(drop), Err(InjectError::Unfit), "{unfit:?}");
    }
    let variable = injection(Place::Env("API_KEY".into()), "{secret}");
    assert_eq!(*variable.value(&crm(), "a\nb").unwrap(), "a\nb");
    assert_eq!(variable.value(&crm(), "a\0b").map(drop), Err(InjectError::Unfit));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused = |place, template| Injection::new(crm(), place, template).unwrap_err();
    for name in ["", "a b", "Host", "content-length", "Mcp-Session-Id", "a:b", "Sec-Fetch-Site"] {
        assert_eq!(refused(Place::Header(name.into()), "{secret}"), InjectionError::Header);
    }
    for name in ["", "a&b", "a=b", "a%20b"] {
        assert_eq!(refused(Place::Query(name.into()), "{secret}"), InjectionError::Query);
    }
    for name in ["", "1A", "A B", "LD_PRELOAD", "path", "PYTHONPATH", "NODE_OPTIONS", "A=B"] {
        assert_eq!(refused(Place::Env(name.into()), "{secret}"), InjectionError::Env);
    }
    for pointer in ["", "a", "/~2", "/a\n"] {
        assert_eq!(refused(Place::Json(pointer.into()), "{secret}"), InjectionError::Json);
    }
    for template in ["", "x", "{secret}{secret}", "{Secret}", "{secret", "secret}", "\n{secret}"] {
        let place = Place::Header("x-key".into());
        assert_eq!(refused(place, template), InjectionError::Template, "{template}");
    }
}

#[test]
fn a_secret_in_a_query_stands_there_once() {
    let query = injection(Place::Query("key".into()), "{secret}");
    let url = |url: &str| query.url(&crm(), url, "a&b=c d#\u{e4}").map(|url| url.to_string());
    let there = "key=a%26b%3Dc%20d%23%C3%A4";
    assert_eq!(url("https://x/y").unwrap(), format!("https://x/y?{there}"));
    assert_eq!(url("https://x/y?").unwrap(), format!("https://x/y?{there}"));
    assert_eq!(url("https://x/y?a=1#f").unwrap(), format!("https://x/y?a=1&{there}#f"));
    for taken in ["?key=1", "?a&key", "?a=1&%6Bey=2", "?a;key=1", "?k%65%79=#f"] {
        assert_eq!(url(&format!("https://x/y{taken}")), Err(InjectError::Occupied), "{taken}");
    }
    assert_eq!(query.body(&crm(), &Value::Null, "s").map(drop), Err(InjectError::OtherPlace));
}

#[test]
fn a_secret_in_a_body_stands_in_its_place() {
    let json = injection(Place::Json("/auth/api~1key".into()), "{secret}");
    let body = |inner: Value| Value::object([("auth", inner), ("n", Value::Integer(1))]);
    let put = json.body(&crm(), &body(Value::object::<&str>([])), "hunter22").unwrap();
    assert_eq!(put, body(Value::object([("api/key", Value::from("hunter22"))])));
    let taken = body(Value::object([("api/key", Value::Null)]));
    assert_eq!(json.body(&crm(), &taken, "hunter22"), Err(InjectError::Occupied));
    for nowhere in [Value::Null, body(Value::Null), Value::object([("n", Value::Null)])] {
        let refused = json.body(&crm(), &nowhere, "hunter22");
        assert_eq!(refused, Err(InjectError::NoPlace("/auth/api~1key".into())));
    }
}

const SECRET: &str = "p\u{e4}ss/w\"rd \\+%41=";

fn scrubber() -> Scrubber {
    Scrubber::new([SECRET]).unwrap()
}

/// Every character as `\uXXXX`.
fn json_all(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
}

/// Every byte as `%xx`.
fn percent_all(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn encoded(secret: &str) -> Vec<(&'static str, String)> {
    let json = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap().to_owned()
    };
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hex = |upper: bool| -> String {
        let digit = |b| if upper { format!("{b:02X}") } else { format!("{b:02x}") };
        secret.bytes().map(digit).collect()
    };
    vec![
        ("plain", secret.to_owned()),
        ("base64", STANDARD.encode(secret)),
        ("base64url", URL_SAFE_NO_PAD.encode(secret)),
        ("hex", hex(false)),
        ("HEX", hex(true)),
        ("json", json(secret)),
        ("json in json", json(&json(secret))),
        ("json in json in json", json(&json(&json(secret)))),
        ("json, all", json_all(secret)),
        ("percent, all", percent_all(secret)),
        ("percent twice", percent_all(&percent_all(secret))),
        ("form", form.clone()),
        ("form in json", json(&form)),
        ("base64 in json", json(&STANDARD.encode(secret)).replace('/', "\\/")),
        ("base64 in form", percent_all(&STANDARD.encode(secret))),
    ]
}

#[test]
fn a_secret_is_found_in_every_form() {
    let scrubber = scrubber();
    for (form, text) in encoded(SECRET) {
        let clean = scrubber.text(&format!("a: {text}, b")).into_owned();
        assert!(clean.starts_with("a: [redacted]"), "{form}: {clean}");
        assert!(clean.ends_with(", b"), "{form}: {clean}");
    }
    // Within a longer text that is encoded as a whole, at each of three places of a group.
    for before in ["", "u", "us", "use", "user:"] {
        let whole = STANDARD.encode(format!("{before}{SECRET}!!"));
        let clean = scrubber.text(&whole);
        assert!(clean.contains(REDACTED), "{before}: {clean}");
        let core: String = STANDARD.encode(SECRET).chars().skip(4).take(8).collect();
        assert!(!clean.contains(&core));
    }
    assert!(matches!(scrubber.text("p\u{e4}ss/w\"rd"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_secret_that_cannot_be_kept_out_is_not_used() {
    assert_eq!(Scrubber::new(["short"]).err(), Some(ScrubberError::Length { bytes: 5 }));
    assert_eq!(Scrubber::new([""]).err(), Some(ScrubberError::Length { bytes: 0 }));
    let many = vec![SECRET; SCRUBBED_MAX + 1];
    assert!(matches!(Scrubber::new(many), Err(ScrubberError::Many { .. })));
    let none = Scrubber::new([]).unwrap();
    assert_eq!(none.text("anything"), "anything");
}

#[test]
fn values_are_clean_in_every_place() {
    let scrubber = Scrubber::new(["12345678", "hunter22"]).unwrap();
    let value = Value::object([
        ("hunter22", Value::Integer(1)),
        ("n", Value::Integer(12_345_678)),
        ("list", Value::Array(vec![Value::from("a hunter22 b"), Value::Null])),
    ]);
    let clean = scrubber.value(&value).unwrap();
    let expected = Value::object([
        (REDACTED, Value::Integer(1)),
        ("n", Value::from(REDACTED)),
        ("list", Value::Array(vec![Value::from("a [redacted] b"), Value::Null])),
    ]);
    assert_eq!(clean, expected);
    assert_eq!(scrubber.value(&clean), None);
}

#[test]
fn a_stream_holds_back_no_more_than_it_must() {
    let mut stream = ScrubStream::new(Arc::new(Scrubber::new(["hunter22"]).unwrap()));
    assert_eq!(stream.push(b"data: all is well\n\n"), b"data: all is well\n\n");
    assert_eq!(stream.push(b"data: hunt"), b"data: ");
    assert_eq!(stream.push(b"ers\n\n"), b"hunters\n\n");
    assert_eq!(stream.push(b"%6"), b"");
    assert_eq!(stream.push(b"8unter22 \\"), b"[redacted] ");
    assert_eq!(stream.finish(), b"\\");
}

#[test]
fn an_endless_secret_fills_no_memory() {
    let mut stream = ScrubStream::new(Arc::new(Scrubber::new(["aaaaaaaaaa"]).unwrap()));
    let mut out = Vec::new();
    for _ in 0..1000 {
        out.extend(stream.push(b"aaaaaaa"));
    }
    out.extend(stream.push(b"b"));
    out.extend(stream.finish());
    assert_eq!(out, b"[redacted]b");
}

fn secrets() -> impl Strategy<Value = String> {
    // A small alphabet, so that secrets overlap themselves and their escapes.
    prop_oneof!["[a%\\\\2/+ u0\"]{8,12}", "\\PC{8,20}", "[ab]{8,9}"]
        .prop_filter("long enough", |secret| secret.len() >= SCRUBBED_BYTES_MIN)
}

proptest! {
    #[test]
    fn no_form_of_a_secret_is_left(
        secret in secrets(), before in "\\PC{0,12}", after in "\\PC{0,12}", form in 0_usize..15,
    ) {
        let scrubber = Scrubber::new([secret.as_str()]).unwrap();
        let (name, text) = encoded(&secret).swap_remove(form);
        let clean = scrubber.text(&format!("{before}|{text}|{after}")).into_owned();
        prop_assert!(clean.contains(REDACTED), "{}: {}", name, clean);
        prop_assert!(!clean.contains(&secret) || REDACTED.contains(&secret));
    }

    #[test]
    fn a_stream_is_as_clean_as_the_whole_however_it_is_cut(
        secret in secrets(),
        pieces in prop::collection::vec((0_usize..16, "[a%\\\\2/+ u0\"b]{0,10}"), 0..6),
        cuts in prop::collection::vec(1_usize..9, 1..40),
    ) {
        let scrubber = Arc::new(Scrubber::new([secret.as_str()]).unwrap());
        let forms = encoded(&secret);
        let mut text = String::new();
        for (form, between) in pieces {
            text.push_str(&between);
            text.push_str(forms.get(form).map_or("", |(_, text)| text));
        }
        let mut stream = ScrubStream::new(Arc::clone(&scrubber));
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            out.extend(stream.push(piece));
            rest = later;
        }
        out.extend(stream.finish());
        let whole = scrubber.bytes(text.as_bytes());
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole));
    }

    #[test]
    fn a_text_without_secrets_is_left_alone(text in "\\PC{0,200}") {
        let scrubber = Scrubber::new(["hunter22"]).unwrap();
        prop_assume!(!text.contains("hunter22"));
        prop_assert_eq!(scrubber.text(&text), text.as_str());
    }
}
