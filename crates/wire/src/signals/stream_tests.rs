//! Delivery and management, read and written.

use super::*;

#[test]
fn where_a_transmitter_says_what_it_is() {
    for (issuer, url) in [
        ("https://tr.example.com", "https://tr.example.com/.well-known/ssf-configuration"),
        ("https://tr.example.com/", "https://tr.example.com/.well-known/ssf-configuration"),
        (
            "https://tr.example.com/issuer1",
            "https://tr.example.com/.well-known/ssf-configuration/issuer1",
        ),
    ] {
        assert_eq!(metadata_url(issuer).as_deref(), Some(url));
    }
    assert_eq!(metadata_url("tr.example.com"), None);
}

#[test]
fn the_documents_of_another_issuer_are_refused() {
    let document = br#"{"issuer": "https://a.example", "jwks_uri": "https://a.example/keys"}"#;
    assert!(TransmitterMetadata::parse(document, "https://a.example").is_ok());
    assert!(TransmitterMetadata::parse(document, "https://a.example/").is_err());
}

#[test]
fn polls_are_read_back() {
    let request = PollRequest {
        acknowledged: vec!["a".into()],
        refused: [("b".into(), ("invalid_key".into(), "unknown".into()))].into(),
        max_events: Some(5),
        return_immediately: true,
    };
    assert_eq!(PollRequest::parse(&request.to_bytes()).unwrap(), request);
    assert_eq!(PollRequest::parse(b"{}").unwrap(), PollRequest::default());
    let answer = PollAnswer { sets: [("a".into(), "x.y.z".into())].into(), more_available: true };
    assert_eq!(PollAnswer::parse(&crate::json::to_bytes(&answer.to_value())).unwrap(), answer);
    for bad in ["[]", r#"{"ack": "a"}"#, r#"{"maxEvents": -1}"#, r#"{"setErrs": {"a": 1}}"#] {
        assert!(PollRequest::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for bad in [r#"{"sets": []}"#, r#"{"sets": {"a": 1}}"#, r#"{"moreAvailable": 1}"#] {
        assert!(PollAnswer::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn streams_are_read_back() {
    let stream = StreamConfiguration {
        id: Some("f67e".into()),
        issuer: Some("https://tr.example.com".into()),
        audience: vec!["https://receiver.example.com".into()],
        delivery: Some(Delivery::Push {
            endpoint_url: "https://receiver.example.com/events".into(),
            authorization_header: Some("Bearer x".into()),
        }),
        events_requested: Some([Arc::from("a")].into()),
        ..StreamConfiguration::default()
    };
    let bytes = crate::json::to_bytes(&stream.to_value());
    assert_eq!(StreamConfiguration::parse(&bytes).unwrap(), stream);
    assert_eq!(StreamConfiguration::parse_list(&bytes).unwrap(), [stream]);
    assert_eq!(StreamConfiguration::parse_list(b"[]").unwrap(), []);
    let unknown = br#"{"delivery": {"method": "urn:x"}}"#;
    assert!(StreamConfiguration::parse(unknown).is_err());
}

#[test]
fn subjects_are_read_back() {
    for text in [
        r#"{"format":"email","email":"ada@example.com"}"#,
        r#"{"format":"iss_sub","iss":"https://idp","sub":"ada"}"#,
        r#"{"format":"jwt_id","iss":"https://idp","jti":"1"}"#,
        r#"{"format":"complex","user":{"format":"opaque","id":"x"},"device":{"format":"ip-addresses","ip-addresses":["::1"]}}"#,
        r#"{"format":"aliases","identifiers":[{"format":"did","url":"did:a:b"},{"format":"uri","uri":"spiffe://a/b"}]}"#,
    ] {
        let value = crate::json::parse(text.as_bytes()).unwrap();
        let subject = SubjectId::from_value(value.clone()).unwrap();
        assert_eq!(subject.to_value(), value);
    }
}

use std::sync::Arc;

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its examples")]
fn the_frameworks_own_examples_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/evals/ssf/examples.jsonl");
    let Ok(lines) = std::fs::read_to_string(path) else {
        println!("skipped: the examples of the specifications are not here");
        return;
    };
    let (mut streams, mut statuses, mut metadata) = (0, 0, 0);
    for line in lines.lines() {
        let line = crate::json::parse(line.as_bytes()).unwrap();
        let Some(json) = line.member("json").filter(|json| json.as_object().is_some()) else {
            continue;
        };
        let bytes = crate::json::to_bytes(json);
        if json.member("configuration_endpoint").is_some() {
            let issuer = json.member("issuer").and_then(safeconduct_model::Value::as_str).unwrap();
            TransmitterMetadata::parse(&bytes, issuer).unwrap();
            metadata += 1;
        } else if json.member("events_requested").is_some() {
            StreamConfiguration::parse(&bytes).unwrap();
            streams += 1;
        } else if json.member("status").is_some() && json.member("stream_id").is_some() {
            StatusWord::parse(&bytes).unwrap();
            statuses += 1;
        }
    }
    assert!(streams >= 5 && statuses >= 4 && metadata >= 1, "{streams} {statuses} {metadata}");
}
