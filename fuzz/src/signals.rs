//! What other systems say has happened.

use safeconduct_wire::json;
use safeconduct_wire::signals::{
    AUDIENCE_MAX, CLAIM_BYTES_MAX, EVENTS_MAX, SET_BYTES_MAX, SUBJECT_PARTS_MAX, SecurityEvent,
    SecurityEventError, SubjectId,
};

/// Claims of security event tokens: what is read is within the limits and never what an access
/// token could be, and the same claims in another order are the same event.
pub fn security_event(data: &[u8]) {
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
