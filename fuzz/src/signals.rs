//! What other systems say has happened.

use safeconduct_wire::json;
use safeconduct_wire::signals::{
    AUDIENCE_MAX, CLAIM_BYTES_MAX, EVENTS_MAX, POLL_ACKS_MAX, POLL_SETS_MAX, PollAnswer,
    PollRequest, SET_BYTES_MAX, SUBJECT_PARTS_MAX, SecurityEvent, SecurityEventError, StatusWord,
    StreamConfiguration, StreamRequest, SubjectId,
};

/// Claims of security event tokens: what is read is within the limits and never what an access
/// token could be, and the same claims in another order are the same event.
pub fn security_event(data: &[u8]) {
    delivery(data);
    let set = match SecurityEvent::parse(data) {
        Ok(set) => set,
        Err(SecurityEventError::Json(_)) => return,
        Err(error @ SecurityEventError::Field(_)) => {
            assert!(!error.to_string().chars().any(char::is_control));
            return;
        }
    };
    assert!(data.len() <= SET_BYTES_MAX);
    assert!((1..=EVENTS_MAX).contains(&set.events.len()));
    assert!((1..=AUDIENCE_MAX).contains(&set.audience.len()));
    assert!(set.audience.iter().all(|receiver| set.is_for(receiver)));
    for name in [&set.issuer, &set.id] {
        assert!((1..=CLAIM_BYTES_MAX).contains(&name.len()));
    }
    match &set.subject {
        SubjectId::Complex(members) => assert!(members.len() <= SUBJECT_PARTS_MAX),
        SubjectId::Aliases(names) => assert!(names.len() <= SUBJECT_PARTS_MAX),
        _ => {}
    }
    let claims: safeconduct_model::Value = json::parse(data).expect("it was read before");
    assert!(claims.member("sub").is_none() && claims.member("exp").is_none());
    assert_eq!(SecurityEvent::parse(&json::to_bytes(&claims)), Ok(set));
}

/// Polls and the documents of stream management: what is read is within the limits, and is read
/// the same from how we write it.
fn delivery(data: &[u8]) {
    if let Ok(request) = PollRequest::parse(data) {
        assert!(request.acknowledged.len() <= POLL_ACKS_MAX);
        assert_eq!(PollRequest::parse(&request.to_bytes()), Ok(request));
    }
    if let Ok(answer) = PollAnswer::parse(data) {
        assert!(answer.sets.len() <= POLL_SETS_MAX);
        assert_eq!(PollAnswer::parse(&json::to_bytes(&answer.to_value())), Ok(answer));
    }
    if let Ok(stream) = StreamConfiguration::parse(data) {
        let written = json::to_bytes(&stream.to_value());
        assert_eq!(StreamConfiguration::parse(&written), Ok(stream));
    }
    if let Ok(word) = StatusWord::parse(data) {
        assert_eq!(StatusWord::parse(&json::to_bytes(&word.to_value())), Ok(word));
    }
    if let Ok(request) = StreamRequest::parse(data) {
        assert_eq!(StreamRequest::parse(&json::to_bytes(&request.to_value())), Ok(request));
    }
}
