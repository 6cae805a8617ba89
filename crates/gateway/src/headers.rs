//! Headers that mirror the body (2026-07-28, "Request Metadata"): checked on the way in, made on
//! the way out. A header and a body that disagree are refused before any decision.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use safeconduct_model::Value;

use crate::Revision;
use crate::message::Fault;

/// The header that names the revision.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The header that names the session, up to 2025-11-25.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The header that mirrors the method.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The header that mirrors the tool, prompt or resource.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// A header and the body disagree, or a header that must be there is not.
pub const HEADER_MISMATCH: i64 = -32020;
/// A capability that the client did not declare would be needed.
pub const MISSING_CAPABILITY: i64 = -32021;
/// The revision is not spoken here.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// The `_meta` member that names the revision of a request.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The `_meta` member with the client's name.
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// The `_meta` member with the client's capabilities.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The `_meta` member with the log level that is wanted.
pub const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The `_meta` member that ties a notification to its subscription.
pub const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// The `_meta` member with the server's name.
pub const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// The revisions that the gateway speaks for every upstream, newest first.
pub fn supported() -> Value {
    Revision::ALL.iter().rev().map(|r| Value::from(r.as_str())).collect::<Vec<_>>().into()
}

/// The refusal of a revision that is not spoken here.
pub fn unsupported_version(requested: &str) -> Fault {
    Fault::new(UNSUPPORTED_VERSION, "unsupported protocol version").with_data(Value::object([
        ("supported", supported()),
        ("requested", Value::from(requested)),
    ]))
}

/// The body's value that `Mcp-Name` mirrors, for the methods that have one.
pub fn mirrored_name<'a>(method: &str, params: Option<&'a Value>) -> Option<Option<&'a str>> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return None,
    };
    Some(params.and_then(|params| params.member(member)).and_then(Value::as_str))
}

/// Checks the standard headers of a 2026-07-28 request against its body.
///
/// # Errors
/// A [`Fault`] with code −32020 where they disagree.
pub fn check_standard(
    headers: &HeaderMap,
    method: &str,
    params: Option<&Value>,
) -> Result<(), Fault> {
    if only(headers, &METHOD)?.as_deref() != Some(method) {
        return Err(mismatch("Mcp-Method", method));
    }
    match mirrored_name(method, params) {
        None => Ok(()),
        Some(None) => Ok(()), // The body lacks it: refused as invalid parameters later.
        Some(Some(name)) => match only(headers, &NAME)?.as_deref().and_then(decode) {
            Some(header) if header == name => Ok(()),
            _ => Err(mismatch("Mcp-Name", name)),
        },
    }
}

/// Checks the `Mcp-Param-*` headers that a tool's schema asks for against the arguments.
///
/// # Errors
/// A [`Fault`] with code −32020 where they disagree.
pub fn check_params(headers: &HeaderMap, schema: &Value, arguments: &Value) -> Result<(), Fault> {
    // A tool whose annotations do not fit is not listed; here it just has none.
    for mirrored in annotations(schema).unwrap_or_default() {
        let header = only(headers, &mirrored.header)?;
        let wanted = mirrored.value(arguments);
        let same = match (&header, &wanted) {
            (None, None) => true,
            (Some(header), Some(value)) => decode(header).is_some_and(|header| {
                header == *value || (mirrored.integer && same_integer(&header, value))
            }),
            _ => false,
        };
        if !same {
            return Err(mismatch(mirrored.header.as_str(), wanted.as_deref().unwrap_or("absent")));
        }
    }
    Ok(())
}

/// The headers that mirror a call, for an upstream that speaks 2026-07-28.
pub fn mirror(method: &str, params: Option<&Value>, schema: Option<&Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(HeaderValue::from_str(method).ok().map(|value| (METHOD, value)));
    if let Some(Some(name)) = mirrored_name(method, params) {
        headers.extend(encode(name).map(|value| (NAME, value)));
    }
    if let (Some(schema), Some(arguments)) = (schema, params.and_then(|p| p.member("arguments"))) {
        for mirrored in annotations(schema).unwrap_or_default() {
            let value = mirrored.value(arguments).and_then(|value| encode(&value));
            headers.extend(value.map(|value| (mirrored.header, value)));
        }
    }
    headers
}

/// An argument that a header mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    header: HeaderName,
    path: Vec<String>,
    integer: bool,
}

impl Mirrored {
    fn value(&self, arguments: &Value) -> Option<String> {
        let value = self.path.iter().try_fold(arguments, |value, name| value.member(name))?;
        match value {
            Value::String(text) => Some(text.to_string()),
            Value::Integer(n) => Some(n.to_string()),
            Value::Number(n) => Some(n.as_str().to_owned()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// Deepest chain of `properties` in which `x-mcp-header` is looked for.
const DEPTH_MAX: usize = 32;

/// The annotated properties of an input schema.
///
/// # Errors
/// One sentence, where an annotation breaks a rule of 2026-07-28 ("Schema Extension"); such a
/// tool must not be listed.
pub fn annotations(schema: &Value) -> Result<Vec<Mirrored>, String> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), Reach::Root, &mut found)?;
    let mut seen = std::collections::BTreeSet::new();
    match found.iter().find(|mirrored| !seen.insert(mirrored.header.as_str().to_owned())) {
        Some(twice) => Err(format!("`{}` is used twice", twice.header)),
        None => Ok(found),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Root,
    Property,
    /// Below a keyword other than `properties`: no annotation may stand here.
    Elsewhere,
}

fn walk(
    schema: &Value,
    path: &mut Vec<String>,
    reach: Reach,
    found: &mut Vec<Mirrored>,
) -> Result<(), String> {
    if path.len() > DEPTH_MAX {
        return Err("the schema is nested too deeply".into());
    }
    if let Value::Array(items) = schema {
        return items.iter().try_for_each(|item| walk(item, path, Reach::Elsewhere, found));
    }
    let Some(members) = schema.as_object() else {
        return Ok(());
    };
    if let Some(annotation) = members.get("x-mcp-header") {
        found.push(annotated(annotation, members.get("type"), path, reach)?);
    }
    for (keyword, below) in members {
        match (&**keyword, below) {
            // Values of these are instances, not schemas.
            ("const" | "enum" | "default" | "examples" | "x-mcp-header", _) => {}
            ("properties", Value::Object(properties)) => {
                let next = if reach == Reach::Elsewhere { reach } else { Reach::Property };
                for (name, property) in properties {
                    path.push(name.to_string());
                    walk(property, path, next, found)?;
                    path.pop();
                }
            }
            (
                "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
                Value::Object(all),
            ) => {
                path.push(keyword.to_string());
                for below in all.values() {
                    walk(below, path, Reach::Elsewhere, found)?;
                }
                path.pop();
            }
            _ => {
                path.push(keyword.to_string());
                walk(below, path, Reach::Elsewhere, found)?;
                path.pop();
            }
        }
    }
    Ok(())
}

fn annotated(
    annotation: &Value,
    ty: Option<&Value>,
    path: &[String],
    reach: Reach,
) -> Result<Mirrored, String> {
    if reach != Reach::Property {
        return Err("`x-mcp-header` stands where no property can be reached".into());
    }
    let name = annotation.as_str().filter(|name| !name.is_empty());
    let name = name.ok_or("`x-mcp-header` must be a text that is not empty")?;
    let ty = ty.and_then(Value::as_str).unwrap_or_default();
    if !["string", "integer", "boolean"].contains(&ty) {
        return Err(format!("`x-mcp-header` `{name}` needs type string, integer or boolean"));
    }
    let header = HeaderName::try_from(format!("mcp-param-{name}"))
        .map_err(|_| format!("`x-mcp-header` {name:?} is no header name"))?;
    Ok(Mirrored { header, path: path.to_vec(), integer: ty == "integer" })
}

/// The one value of a header; none where it is absent.
fn only(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    match text {
        Some(text) => Ok(Some(text.trim_matches([' ', '\t']).to_owned())),
        None => Err(Fault::new(
            HEADER_MISMATCH,
            format!("header mismatch: `{name}` comes twice or holds invalid characters"),
        )),
    }
}

fn mismatch(header: &str, body: &str) -> Fault {
    let shown: String = body.chars().take(200).collect();
    Fault::new(
        HEADER_MISMATCH,
        format!("header mismatch: `{header}` does not match the body value `{shown}`"),
    )
}

fn same_integer(header: &str, body: &str) -> bool {
    let plain = |text: &str| match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole.parse::<i64>().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    };
    plain(header).is_some_and(|n| Some(n) == plain(body))
}

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// What a header value stands for: itself, or what its Base64 form holds.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// A text as a header value: plain where that is safe, in Base64 where it is not.
fn encode(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| matches!(b, 0x20..=0x7E | b'\t'))
        && text.trim_matches([' ', '\t']) == text
        && !text.is_empty()
        && !(text.starts_with(OPEN) && text.ends_with(CLOSE));
    match plain {
        true => HeaderValue::from_str(text).ok(),
        false => HeaderValue::from_str(&format!("{OPEN}{}{CLOSE}", STANDARD.encode(text))).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safeconduct_wire::json;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn headers_must_say_what_the_body_says() {
        let params = value(r#"{"name":"get weather","arguments":{}}"#);
        for (pairs, fits) in [
            (&[("mcp-method", "tools/call"), ("mcp-name", "get weather")][..], true),
            (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?Z2V0IHdlYXRoZXI=?=")], true),
            (&[("mcp-method", "tools/list"), ("mcp-name", "get weather")], false),
            (&[("mcp-method", "tools/call"), ("mcp-name", "other")], false),
            (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?!!?=")], false),
            (&[("mcp-method", "tools/call"), ("mcp-name", "Get weather")], false),
            (&[("mcp-method", "tools/call")], false),
            (&[("mcp-name", "get weather")], false),
            (
                &[
                    ("mcp-method", "tools/call"),
                    ("mcp-name", "get weather"),
                    ("mcp-name", "get weather"),
                ],
                false,
            ),
        ] {
            let result = check_standard(&headers(pairs), "tools/call", Some(&params));
            assert_eq!(result.is_ok(), fits, "{pairs:?}");
            assert!(result.is_ok() || result.unwrap_err().code == HEADER_MISMATCH);
        }
    }

    #[test]
    fn parameters_must_match_their_headers() {
        let schema = value(
            r#"{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "n":{"type":"integer","x-mcp-header":"N"},
                "in":{"type":"object","properties":{"b":{"type":"boolean","x-mcp-header":"B"}}}}}"#,
        );
        let arguments = value(r#"{"region":"eu","n":42,"in":{"b":true},"q":"x"}"#);
        for (pairs, fits) in [
            (
                &[("mcp-param-region", "eu"), ("mcp-param-n", "42"), ("mcp-param-b", "true")][..],
                true,
            ),
            (&[("mcp-param-region", "eu"), ("mcp-param-n", "42.0"), ("mcp-param-b", "true")], true),
            (&[("mcp-param-region", "us"), ("mcp-param-n", "42"), ("mcp-param-b", "true")], false),
            (&[("mcp-param-region", "eu"), ("mcp-param-n", "42")], false),
        ] {
            assert_eq!(
                check_params(&headers(pairs), &schema, &arguments).is_ok(),
                fits,
                "{pairs:?}"
            );
        }
        let without = value(r#"{"region":null}"#);
        assert!(check_params(&headers(&[]), &schema, &without).is_ok());
        assert!(check_params(&headers(&[("mcp-param-region", "eu")]), &schema, &without).is_err());
        let params = Value::object([("name", Value::from("t")), ("arguments", arguments.clone())]);
        let made = mirror("tools/call", Some(&params), Some(&schema));
        assert!(check_standard(&made, "tools/call", Some(&params)).is_ok());
        assert!(check_params(&made, &schema, &arguments).is_ok());
    }

    #[test]
    fn annotations_that_break_a_rule_are_refused() {
        for text in [
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},
                              "b":{"type":"string","x-mcp-header":"a"}}}"#,
        ] {
            assert!(annotations(&value(text)).is_err(), "{text}");
        }
        assert_eq!(
            annotations(&value(r#"{"properties":{"properties":{"type":"string"}}}"#)),
            Ok(vec![])
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in any::<String>()) {
            if let Some(header) = encode(&text) {
                prop_assert_eq!(decode(header.to_str().unwrap()), Some(text));
            }
        }
    }
}
