use std::path::Path;

use super::*;
use crate::json;

const SET: &str = r#"{
    "iss": "https://idp.example.com/", "jti": "j1", "iat": 1615305159, "aud": "a",
    "sub_id": {"format": "opaque", "id": "x"},
    "events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}
}"#;

fn refused(claims: &str) -> String {
    SecurityEvent::parse(claims.as_bytes()).unwrap_err().to_string()
}

fn with(replaced: &str, by: &str) -> String {
    assert!(SET.contains(replaced));
    SET.replacen(replaced, by, 1)
}

fn event(uri: &str, payload: &str) -> Result<Event, SecurityEventError> {
    let uri = format!("\"{uri}\": {payload}");
    let old = format!("\"{CAEP}session-revoked\": {{}}");
    SecurityEvent::parse(with(&old, &uri).as_bytes()).map(|mut set| set.events.remove(0))
}

#[test]
fn claims_are_read() {
    let set = SecurityEvent::parse(SET.as_bytes()).unwrap();
    assert_eq!(&*set.issuer, "https://idp.example.com/");
    assert_eq!(set.issued_at.to_string(), "2021-03-09T15:52:39.000Z");
    assert_eq!(set.subject, SubjectId::Opaque("x".into()));
    assert!(set.is_for("a") && !set.is_for("b"));
    let set = SecurityEvent::parse(with("1615305159", "1615305159.0429").as_bytes()).unwrap();
    assert_eq!(set.issued_at.to_string(), "2021-03-09T15:52:39.042Z");
}

#[test]
fn what_makes_it_another_token_is_refused() {
    for forbidden in ["\"sub\": \"x\"", "\"exp\": 1", "\"sub\": null"] {
        let claims = with("\"jti\"", &format!("{forbidden}, \"jti\""));
        assert!(refused(&claims).contains("must not be in a security event token"), "{forbidden}");
    }
}

#[test]
fn every_claim_that_must_be_there_is_missed() {
    for name in ["iss", "jti", "iat", "aud", "sub_id", "events"] {
        let claims = with(&format!("\"{name}\""), "\"other\"");
        assert_eq!(refused(&claims), format!("`/{name}` is missing"));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    assert_eq!(refused(&with("\"j1\"", "\"\"")), "`/jti` is empty");
    assert_eq!(refused(&with("\"j1\"", "\"a\\nb\"")), "`/jti` holds a control character");
    assert_eq!(refused(&with("\"j1\"", "7")), "`/jti` is an integer, but must be a string");
    for iat in ["-1", "1e3", "253402300800", "-0.5"] {
        let said = refused(&with("1615305159", iat));
        assert_eq!(said, "`/iat` is no time between 1970 and 9999 in seconds", "{iat}");
    }
    assert_eq!(refused(&with("\"aud\": \"a\"", "\"aud\": []")), "`/aud` names nobody");
    let none = with(&format!("\"{CAEP}session-revoked\": {{}}"), "");
    assert_eq!(refused(&none), "`/events` holds no event");
    let many: Vec<_> = (0..=EVENTS_MAX).map(|n| format!("\"urn:e{n}\": {{}}")).collect();
    let many = with(&format!("\"{CAEP}session-revoked\": {{}}"), &many.join(","));
    assert_eq!(refused(&many), "`/events` has more events than 8");
    let twice = with("\"jti\": \"j1\"", "\"jti\": \"j1\", \"jti\": \"j2\"");
    assert!(refused(&twice).contains("two members"));
}

#[test]
fn it_is_small() {
    let padding = "x".repeat(SET_BYTES_MAX);
    assert!(refused(&with("\"j1\"", &format!("\"{padding}\""))).contains("65536"));
    let deep = format!("{}{}", "[".repeat(SET_DEPTH_MAX), "]".repeat(SET_DEPTH_MAX));
    assert!(
        SecurityEvent::parse(with("\"jti\"", &format!("\"d\": {deep}, \"jti\"")).as_bytes())
            .is_err()
    );
}

#[test]
fn vocabularies_are_closed_where_the_profiles_close_them() {
    let said = |uri: String, payload| event(&uri, payload).unwrap_err().to_string();
    assert!(
        said(format!("{CAEP}credential-change"), r#"{"credential_type":"pin"}"#)
            .ends_with("/change_type` is missing")
    );
    assert!(
        said(
            format!("{CAEP}credential-change"),
            r#"{"credential_type":"pin","change_type":"burn"}"#
        )
        .contains("is `burn`, but must be one of `create`, `revoke`")
    );
    assert!(
        said(
            format!("{CAEP}risk-level-change"),
            r#"{"principal":"USER","current_level":"CRITICAL"}"#
        )
        .contains("`LOW`, `MEDIUM`, `HIGH`")
    );
    assert!(
        said(format!("{CAEP}session-revoked"), r#"{"initiating_entity":"ghost"}"#)
            .starts_with("`/events/https:~1~1schemas.openid.net~1")
    );
    assert_eq!(event("urn:example:other", r#"{"x":1}"#).unwrap().what, Happening::Unknown);
}

#[test]
fn a_message_can_be_shown() {
    let said = event("urn:x\\u001b[2J/~", "7").unwrap_err().to_string();
    assert_eq!(said, "`/events/urn:x\u{fffd}[2J~1~0` holds a control character");
}

#[test]
fn a_subject_is_what_its_format_says_and_no_more() {
    let read = |text: &str| SubjectId::from_value(json::parse(text.as_bytes()).unwrap());
    let said = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(said(r#"{"format":"email","email":"a@b","uri":"c"}"#), "`/uri` is no field here");
    assert_eq!(said(r#"{"format":"iss_sub","iss":"a"}"#), "`/sub` is missing");
    assert_eq!(said(r#"{"email":"a@b"}"#), "`/format` is missing");
    assert_eq!(said(r#"{"format":"complex"}"#), "`` describes nothing");
    assert_eq!(said(r#"{"format":"aliases","identifiers":[]}"#), "`/identifiers` is empty");
    let nested = r#"{"format":"aliases","identifiers":[{"format":"aliases","identifiers":[]}]}"#;
    assert_eq!(said(nested), "`/identifiers/0` must be a name without names in it");
    let nested = r#"{"format":"complex","user":{"format":"complex"}}"#;
    assert_eq!(said(nested), "`/user` must be a subject that is not complex");
    let aliases = read(r#"{"format":"aliases","identifiers":[{"format":"uri","uri":"urn:x"}]}"#);
    assert_eq!(aliases.unwrap(), SubjectId::Aliases(vec![SubjectId::Uri("urn:x".into())]));
    let other = read(r#"{"format":"catalog_item","catalog_id":"c0384"}"#).unwrap();
    assert_eq!(other.format(), "catalog_item");
}

/// The examples in the texts of the Shared Signals Framework and of CAEP.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its examples")]
fn the_examples_of_the_profiles_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/evals/ssf");
    let Ok(lines) = std::fs::read_to_string(path.join("examples.jsonl")) else {
        println!("skipped: no ../shared/evals/ssf beside the work tree");
        return;
    };
    let (mut sets, mut subjects, mut unknown) = (0, 0, Vec::new());
    for line in lines.lines() {
        let line = json::parse(line.as_bytes()).unwrap();
        let Some(example) = line.member("json") else { continue };
        if example.member("events").is_some() {
            let bytes = json::to_bytes(example);
            let set = SecurityEvent::parse(&bytes).unwrap_or_else(|error| panic!("{error}"));
            let uri = line.member("event").and_then(|uri| uri.as_str()).unwrap();
            assert_eq!(&*set.events[0].uri, uri);
            assert_ne!(set.events[0].what, Happening::Unknown, "{uri}");
            if matches!(set.subject, SubjectId::Unknown { .. }) {
                unknown.push(set.subject.format().to_owned());
            }
            sets += 1;
        }
        let subject = example.member("subject").unwrap_or(example);
        if subject.member("format").is_some() {
            SubjectId::from_value(subject.clone()).unwrap_or_else(|error| panic!("{error}"));
            subjects += 1;
        }
    }
    // The rest of the 65 are messages of the stream's management.
    assert_eq!((lines.lines().count(), sets, subjects), (65, 22, 11));
    assert_eq!(unknown, ["catalog_item"]);
}
