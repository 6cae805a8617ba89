use safeconduct_model::{Digest, IdentityId, Timestamp, Token, TokenId};

use super::*;
use crate::document::read_json;
use crate::identity::IdentityForm;

#[test]
fn an_identity_is_shown_as_it_is_taken() {
    let body = br#"{"id":"pep","kind":"workload","owner":"alice","groups":["a"],
        "pep":{"subjects":["user"],"properties":true},"roles":["auditor","operator"]}"#;
    let form: IdentityForm = read_json(body).unwrap();
    let identity = form.clone().into_model();
    assert_eq!(IdentityForm::from(&identity), form);
    let shown =
        serde_json::to_vec(&IdentityList::of([IdentityView::new(&identity, None)], None)).unwrap();
    let again: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(again["identities"][0]["status"], "active");
    assert!(again["identities"][0].get("environment").is_none());
    let back: IdentityForm =
        read_json(&serde_json::to_vec(&again["identities"][0]).unwrap()).unwrap();
    assert_eq!(back, form);
}

#[test]
fn a_body_that_does_not_fit_names_every_field() {
    let error = read_json::<IdentityForm>(br#"{"id":"","kind":"robot","group":[]}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "``: unknown key `group` (did you mean `groups`?); `/id`: `` does not fit: an identity id \
         is empty; `/kind`: `robot` is not one of `agent`, `workload`, `service_account`, `user`"
    );
    assert!(read_json::<TokenRequest>(br#"{"identity":"a","ttl_s":0}"#).is_err());
    assert!(read_json::<TokenRequest>(br#"{"identity":"a","ttl_s":31622401}"#).is_err());
    assert!(read_json::<TokenRequest>(b"{}").is_err());
    let request: TokenRequest = read_json(br#"{"identity":"a"}"#).unwrap();
    assert_eq!(request.ttl_s, 2_592_000);
}

#[test]
fn a_token_is_never_shown_by_accident() {
    let token = Token {
        id: TokenId::new("t1").unwrap(),
        identity: IdentityId::new("a").unwrap(),
        digest: Digest::from_bytes([0xab; 32]),
        issued_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(1),
        revoked: false,
    };
    let shown = serde_json::to_string(&TokenView::from(&token)).unwrap();
    assert!(!shown.contains("abab"), "{shown}");
    let issued = TokenIssued { token: "sc_secret", registered: TokenView::from(&token) };
    assert!(!format!("{issued:?}").contains("sc_secret"));
    assert!(serde_json::to_string(&issued).unwrap().contains("sc_secret"));
}

#[test]
fn a_record_is_shown_byte_for_byte() {
    let leaf = r#"{"v":1,"n":1.50}"#;
    let page = RecordPage {
        records: vec![RecordView::new(7, leaf).unwrap()],
        read_up_to: 8,
        next_before: None,
    };
    assert_eq!(
        serde_json::to_string(&page).unwrap(),
        format!("{{\"records\":[{{\"sequence\":7,\"record\":{leaf}}}],\"read_up_to\":8}}")
    );
    assert!(RecordView::new(7, "{").is_err());
}
