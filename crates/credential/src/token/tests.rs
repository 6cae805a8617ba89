//! Tokens only narrow, keys overlap, and nothing that is not known passes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use safeconduct_model::*;
use zeroize::Zeroizing;

use super::*;
use crate::jose::{self, Algorithm, Confirmation, Thumbprint};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const CRM: &str = "https://crm.example";

fn allowance(action: &str, arguments: Vec<ArgumentRule<Value>>) -> Allowance<Value> {
    Allowance {
        action: ActionName::new(action).unwrap(),
        resources: vec![ResourceRule {
            ty: EntityType::new("Safeconduct::Case").unwrap(),
            id: Some(Constraint::Equals(Value::from("C-1"))),
        }],
        arguments,
        others: OtherArguments::Refused,
    }
}

fn at_most(most: i64) -> ArgumentRule<Value> {
    ArgumentRule {
        pointer: "/amount".into(),
        constraint: Constraint::AtMost(Value::Integer(most)),
        absent: Absent::Refused,
    }
}

fn task() -> Vec<Allowance<Value>> {
    vec![allowance("crm.read", Vec::new()), allowance("crm.pay", vec![at_most(100)])]
}

fn token(actors: &[&str], confirmation: Confirmation) -> AccessToken {
    let id = |name: &str| IdentityId::new(name).unwrap();
    AccessToken {
        issuer: "https://sts.example".into(),
        audience: CRM.into(),
        subject: id("ada"),
        client: id("case-agent"),
        id: TokenId::new("at_1").unwrap(),
        issued_at: NOW,
        expires_at: NOW.plus_ms(300_000),
        actors: actors.iter().map(|name| id(name)).collect(),
        task: TaskId::new("task_1").unwrap(),
        intent: IntentName::new("summarise").unwrap(),
        allowances: task(),
        scope: Some([ActionName::new("crm.read").unwrap()].into()),
        confirmation,
    }
}

fn stored(algorithm: Algorithm, made_at: Timestamp, secret: u8) -> StoredKey {
    StoredKey { algorithm, made_at, secret: Zeroizing::new([secret; 32]) }
}

#[test]
fn a_token_says_what_was_put_into_it() {
    let bound = Confirmation { jkt: Some(Thumbprint::of(b"key")), x5t_s256: None };
    let ring =
        KeyRing::new([stored(Algorithm::Es256, NOW, 1), stored(Algorithm::EdDsa, NOW, 2)]).unwrap();
    for algorithm in SIGNING {
        for confirmation in [Confirmation::default(), bound] {
            let token = token(&["helper", "case-agent"], confirmation);
            let signer = ring.signer(algorithm, NOW).unwrap();
            let signed = signer.sign(ACCESS_TOKEN_TYP, &token.claims()).unwrap();
            let expect = own_tokens("https://sts.example", [CRM.to_owned()]);
            let keys = ring.published(NOW).unwrap();
            let read = jose::verify(&signed, &expect, &keys, NOW).unwrap();
            assert_eq!(AccessToken::read(&read), Ok(token));
        }
    }
}

#[test]
fn pitfall_11_and_12_an_actor_is_a_pair_of_issuer_and_name() {
    let claims = token(&["helper", "case-agent"], Confirmation::default()).claims();
    let act = claims.member("act").unwrap();
    // The outermost is who acts; who delegated stands within.
    assert_eq!(act.member("sub").and_then(Value::as_str), Some("helper"));
    let inner = act.member("act").unwrap();
    assert_eq!(inner.member("sub").and_then(Value::as_str), Some("case-agent"));
    assert_eq!(inner.member("iss").and_then(Value::as_str), Some("https://sts.example"));
    let key = jose::SigningKey::from_secret(Algorithm::Es256, &[1; 32]).unwrap();
    let Value::Object(mut members) = claims else { panic!() };
    members.insert(
        "act".into(),
        Value::object([("sub", Value::from("helper")), ("iss", Value::from("https://other"))]),
    );
    let signed = key.sign(ACCESS_TOKEN_TYP, &Value::Object(members)).unwrap();
    let expect = own_tokens("https://sts.example", [CRM.to_owned()]);
    let keys = jose::KeySet::of([key.public().clone()]).unwrap();
    let read = jose::verify(&signed, &expect, &keys, NOW).unwrap();
    assert_eq!(AccessToken::read(&read), Err(ClaimsError("act")));
}

#[test]
fn pitfall_13_an_unknown_scope_is_refused() {
    let wanted = |words: &[&str]| Wanted {
        scope: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        allowances: None,
    };
    let granted = grant(&task(), None, &wanted(&["crm.read"])).unwrap();
    assert_eq!(granted.allowances, [allowance("crm.read", Vec::new())]);
    // What a challenge tells clients to ask for is all of the task, and adds nothing to it.
    for words in [&["task"][..], &["task", "crm.read"]] {
        let granted = grant(&task(), None, &wanted(words)).unwrap();
        assert_eq!(granted.allowances, task(), "{words:?}");
        assert_eq!(granted.scope.unwrap().len(), words.len());
    }
    let source = [allowance("crm.read", Vec::new())];
    let granted = grant(&task(), Some(&source), &wanted(&["task"])).unwrap();
    assert_eq!(granted.allowances, source, "no more than the token before it");
    for words in [&["crm.export"][..], &["crm.read", "openid"], &["*"], &["task", "openid"], &[]] {
        let fault = grant(&task(), None, &wanted(words)).unwrap_err();
        assert_eq!(fault.code, FaultCode::InvalidScope, "{words:?}");
    }
}

#[test]
fn pitfall_15_no_constraint_is_dropped_or_ignored() {
    let fault = |text: &str| {
        let asked = read_asked(text, CRM);
        asked
            .and_then(|asked| {
                let wanted = Wanted { scope: None, allowances: asked.allowances };
                grant(&task(), None, &wanted)
            })
            .unwrap_err()
            .code
    };
    for text in [
        // The rules of the task are left out.
        r#"[{"type":"safeconduct_action","actions":["crm.pay"]}]"#,
        // Wider by one.
        r#"[{"type":"safeconduct_action","actions":["crm.pay"],"others":false,
            "resources":[{"type":"Safeconduct::Case","id":{"equals":"C-1"}}],
            "arguments":[{"pointer":"/amount","optional":false,"must":{"at_most":101}}]}]"#,
        // Another resource, an unknown constraint, an unknown member, an unknown type.
        r#"[{"type":"safeconduct_action","actions":["crm.read"],"others":false,
            "resources":[{"type":"Safeconduct::Case","id":{"equals":"C-2"}}]}]"#,
        r#"[{"type":"safeconduct_action","actions":["crm.read"],"others":false,
            "resources":[{"type":"Safeconduct::Case","id":{"like":"C-1"}}]}]"#,
        r#"[{"type":"safeconduct_action","actions":["crm.read"],"others":false,
            "resources":[{"type":"Safeconduct::Case","id":{"equals":"C-1"},"not":1}]}]"#,
        r#"[{"type":"safeconduct_action","actions":["crm.read"],"privileges":["all"]}]"#,
        r#"[{"type":"safeconduct_action","actions":["crm.read"],"locations":["https://b"]}]"#,
        r#"[{"type":"payment_initiation","actions":["crm.read"]}]"#,
        r#"[{"actions":["crm.read"]}]"#,
        r#"{"type":"safeconduct_action"}"#,
        "[]",
        "[",
        r#"[{"type":"safeconduct_action","type":"safeconduct_action","actions":["crm.read"]}]"#,
    ] {
        assert_eq!(fault(text), FaultCode::InvalidAuthorizationDetails, "{text}");
    }
    let narrower = r#"[{"type":"safeconduct_action","actions":["crm.pay"],"others":false,
        "resources":[{"type":"Safeconduct::Case","id":{"equals":"C-1"}}],
        "arguments":[{"pointer":"/amount","optional":false,"must":{"at_most":9}}]}]"#;
    let asked = read_asked(narrower, CRM).unwrap();
    let wanted = Wanted { scope: None, allowances: asked.allowances };
    let granted = grant(&task(), None, &wanted).unwrap();
    assert_eq!(granted.allowances, [allowance("crm.pay", vec![at_most(9)])]);
}

#[test]
fn pitfall_16_a_scope_adds_nothing_to_the_details() {
    let details = r#"[{"type":"safeconduct_action","actions":["crm.read"],"others":false,
        "resources":[{"type":"Safeconduct::Case","id":{"equals":"C-1"}}]}]"#;
    let asked = read_asked(details, CRM).unwrap();
    let scope = Some(BTreeSet::from(["crm.pay".to_owned()]));
    let wanted = Wanted { scope, allowances: asked.allowances };
    let fault = grant(&task(), None, &wanted).unwrap_err();
    assert_eq!(fault.code, FaultCode::InvalidScope);
}

#[test]
fn a_task_is_asked_for_with_what_is_known_alone() {
    let asked = read_asked(
        r#"[{"type":"safeconduct_task","intent":"summarise","parameters":{"case":"C-1"},
            "seconds":60}]"#,
        CRM,
    );
    let task = asked.unwrap().task.unwrap();
    assert_eq!((task.intent.as_str(), task.version, task.seconds), ("summarise", None, Some(60)));
    for text in [
        r#"[{"type":"safeconduct_task","intent":"a","on_behalf_of":"ada"}]"#,
        r#"[{"type":"safeconduct_task","intent":"a","task":"task_1"}]"#,
        r#"[{"type":"safeconduct_task","intent":"a","seconds":"60"}]"#,
        r#"[{"type":"safeconduct_task","intent":"a","seconds":-1}]"#,
        r#"[{"type":"safeconduct_task","intent":"a","parameters":[]}]"#,
        r#"[{"type":"safeconduct_task"}]"#,
        r#"[{"type":"safeconduct_task","intent":"a"},{"type":"safeconduct_task","intent":"a"}]"#,
    ] {
        let fault = read_asked(text, CRM).unwrap_err();
        assert_eq!(fault.code, FaultCode::InvalidAuthorizationDetails, "{text}");
    }
}

fn read(form: &str) -> Result<TokenRequest, FaultCode> {
    Form::parse(form.as_bytes())
        .and_then(|form| TokenRequest::read(&form))
        .map_err(|fault| fault.code)
}

#[test]
fn a_request_is_read_in_one_way_or_not_at_all() {
    let exchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
        &subject_token=sct_x&subject_token_type=urn%3Asafeconduct%3Atoken-type%3Atask-handle";
    let good = format!("{exchange}&resource=https%3A%2F%2Fcrm.example&scope=a+b&unknown=1");
    let request = read(&good).unwrap();
    assert_eq!(request.resource, CRM);
    assert_eq!(request.scope.unwrap().len(), 2);
    assert!(matches!(
        request.grant,
        Grant::Exchange { subject: SubjectToken::TaskHandle(handle), actor: None }
            if handle.reveal() == "sct_x"
    ));
    use FaultCode::*;
    let bad = |tail: &str| read(&format!("{exchange}{tail}")).unwrap_err();
    assert_eq!(bad(""), InvalidTarget);
    assert_eq!(bad("&resource=https://a&resource=https://b"), InvalidTarget);
    assert_eq!(bad("&resource=https://a&audience=https://b"), InvalidTarget);
    assert_eq!(bad("&resource=https://a%23f"), InvalidTarget);
    assert_eq!(bad("&resource=https://a&subject_token=again"), InvalidRequest);
    assert_eq!(bad("&resource=https://a&x=1&x=1"), InvalidRequest);
    assert_eq!(bad("&resource=https://a&actor_token=x"), InvalidRequest);
    assert_eq!(bad("&resource=https://a&scope=a++b"), InvalidScope);
    assert_eq!(bad("&resource=https://a%zz"), InvalidRequest);
    assert_eq!(bad("&resource=https://a%ff"), InvalidRequest);
    assert_eq!(bad("&resource=a&requested_token_type=urn:x"), InvalidRequest);
    // Pitfall 18: nobody gets a refresh token, and nobody can use one.
    let refresh = "&resource=a&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A\
        refresh_token";
    assert_eq!(bad(refresh), InvalidRequest);
    assert_eq!(read("grant_type=refresh_token&refresh_token=x").unwrap_err(), UnsupportedGrantType);
    assert_eq!(read("grant_type=client_credentials").unwrap_err(), InvalidTarget);
    let own = read("grant_type=client_credentials&resource=https://a").unwrap();
    assert!(matches!(own.grant, Grant::Client) && own.details.task.is_none());
    assert_eq!(read("grant_type=password&username=a").unwrap_err(), UnsupportedGrantType);
    assert_eq!(read("").unwrap_err(), InvalidRequest);
    assert_eq!(read(&"a".repeat(FORM_BYTES_MAX + 1)).unwrap_err(), InvalidRequest);
    // Nothing of a token is shown.
    assert!(!format!("{:?}", read(&good)).contains("sct_x"));
    assert!(!format!("{:?}", Form::parse(good.as_bytes())).contains("sct_x"));
}

#[test]
fn basic_credentials_are_escaped_as_in_a_form() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (name, secret) = basic_credentials(&encode("spiffe%3A%2F%2Fa%2Fb:s%3Ac+d")).unwrap();
    assert_eq!((name.as_str(), secret.as_str()), ("spiffe://a/b", "s:c d"));
    for text in ["", "x", &encode("no colon"), &encode("a:%f")] {
        assert!(basic_credentials(text).is_none(), "{text}");
    }
}

#[test]
fn a_key_is_published_before_it_signs_and_after() {
    let later = NOW.plus_ms(30 * 86_400_000);
    let keys = || [stored(Algorithm::Es256, NOW, 1), stored(Algorithm::Es256, later, 2)];
    let ring = KeyRing::new(keys()).unwrap();
    let kid = |at| ring.signer(Algorithm::Es256, at).unwrap().public().kid().unwrap().to_owned();
    let published = |at| ring.published(at).unwrap().keys().len();
    let old = kid(NOW);
    assert_eq!((kid(later), published(later)), (old.clone(), 2), "published, and does not sign");
    let change = later.plus_ms(PUBLISHED_FIRST_MS);
    assert_eq!(kid(change.plus_ms(-1)), old);
    assert_ne!(kid(change), old);
    // The last token of the old key is alive for 300 s more.
    let last_token_ends = change.plus_ms(i64::from(TTL_S_MAX) * 1000);
    assert_eq!((published(last_token_ends), ring.over(last_token_ends)), (2, vec![]));
    let over = last_token_ends.plus_ms(60_000);
    assert_eq!(published(over), 1);
    assert_eq!(ring.over(over), [(Algorithm::Es256, NOW)]);
    assert!(!ring.is_due(Algorithm::Es256, 86_400_000, later));
    assert!(ring.is_due(Algorithm::Es256, 86_400_000, later.plus_ms(86_400_000)));
    assert!(ring.is_due(Algorithm::EdDsa, 86_400_000, later));
    // How they stand is said so that an operator can tell the three apart.
    let stand = |at| -> Vec<_> {
        let stand = ring.standings(at);
        stand.into_iter().map(|key| (key.phase, key.published_until)).collect()
    };
    use KeyPhase::{Former, Next, Signing};
    assert_eq!(stand(change.plus_ms(-1)), [(Signing, Some(over)), (Next, None)]);
    assert_eq!(stand(change), [(Former, Some(over)), (Signing, None)]);
    assert_eq!(stand(over), [(Signing, None)]);
    assert_eq!(ring.standings(change)[1].signs_from, change);
    assert_eq!(ring.standings(change)[0].signs_from, NOW);
    // A clock that stepped back far finds a key to sign with.
    assert_eq!(kid(Timestamp::from_millis(0)), old);
}

#[test]
fn nonces_hold_for_a_while() {
    let key = NonceKey::new(&[7; 32]);
    let nonce = key.now(NOW);
    assert!(key.taken(NOW).contains(&nonce));
    assert!(key.taken(NOW.plus_ms(NONCE_S * 1000)).contains(&nonce));
    assert!(!key.taken(NOW.plus_ms(NONCE_S * 2000)).contains(&nonce));
    assert!(!NonceKey::new(&[8; 32]).taken(NOW).contains(&nonce));
}

#[test]
fn what_was_used_is_not_used_again() {
    let mut once = Once::since(NOW);
    let until = NOW.plus_ms(60_000);
    let single = |whose, id| Single { whose, id, client: "c", issued_at: NOW, until };
    assert_eq!(once.take(&single("a", "b"), NOW), Ok(()));
    assert_eq!(once.take(&single("a", "b"), NOW), Err(Used::Before));
    assert_eq!(once.take(&single("", "ab"), NOW), Ok(()), "another pair");
    let another = Single { client: "d", ..single("a", "b") };
    assert_eq!(once.take(&another, NOW), Err(Used::Before), "whoever is charged");
    assert_eq!(once.take(&single("a", "b"), until), Ok(()), "it cannot hold any more");
    let before = Single { issued_at: NOW.plus_ms(-1000), ..single("a", "c") };
    assert_eq!(once.take(&before, NOW), Err(Used::TooOld));
}

#[test]
fn no_client_fills_the_memory_for_others() {
    let mut once = Once::since(NOW);
    let until = NOW.plus_ms(60_000);
    let mut take = |client: &str, id: &str, issued_at: Timestamp| {
        let until = issued_at.plus_ms(60_000);
        once.take(&Single { whose: client, id, client, issued_at, until }, issued_at)
    };
    for n in 0..REMEMBERED_OF_ONE_MAX {
        assert_eq!(take("a", &n.to_string(), NOW), Ok(()));
    }
    assert_eq!(take("a", "one more", NOW), Err(Used::Full));
    assert_eq!(take("b", "one more", NOW), Ok(()), "another's");
    for client in 0..REMEMBERED_MAX / REMEMBERED_OF_ONE_MAX {
        for n in 0..REMEMBERED_OF_ONE_MAX {
            _ = take(&client.to_string(), &n.to_string(), NOW);
        }
    }
    assert_eq!(take("b", "two more", NOW), Err(Used::Full), "there is a limit to all of them");
    assert_eq!(take("a", "one more", until), Ok(()), "the others are over");
    assert_eq!(take("b", "two more", until), Ok(()), "the others are over");
}

fn constraint() -> impl Strategy<Value = Constraint<Value>> {
    let texts = ["a", "b", "c/d", "c", "x.example", "example"];
    let text = prop::sample::select(texts.to_vec()).prop_map(Value::from);
    prop_oneof![
        text.clone().prop_map(Constraint::Equals),
        prop::collection::vec(text.clone(), 1..3).prop_map(Constraint::OneOf),
        (0_i64..9).prop_map(|n| Constraint::AtMost(Value::Integer(n))),
        (0_i64..9).prop_map(|n| Constraint::AtLeast(Value::Integer(n))),
        text.clone().prop_map(Constraint::Under),
        text.prop_map(Constraint::Domain),
        (0_u64..9).prop_map(Constraint::LongestBytes),
    ]
}

fn allowances() -> impl Strategy<Value = Vec<Allowance<Value>>> {
    let rule = (prop::sample::select(vec!["/a", "/b"]), constraint(), any::<bool>());
    let rule = rule.prop_map(|(pointer, constraint, optional)| ArgumentRule {
        pointer: pointer.into(),
        constraint,
        absent: if optional { Absent::Allowed } else { Absent::Refused },
    });
    let one = (
        prop::sample::select(vec!["crm.read", "crm.pay", "crm.mail"]),
        prop::collection::vec(rule, 0..3),
        any::<bool>(),
    );
    let one = one.prop_map(|(action, arguments, others)| Allowance {
        action: ActionName::new(action).unwrap(),
        resources: Vec::new(),
        arguments,
        others: if others { OtherArguments::Allowed } else { OtherArguments::Refused },
    });
    prop::collection::vec(one, 0..4)
}

/// What one allowance of the list lets pass.
fn passes(allowances: &[Allowance<Value>], action: &str, input: &Value) -> bool {
    allowances.iter().filter(|allowance| allowance.action.as_str() == action).any(|allowance| {
        let named = |name: &str| {
            allowance.arguments.iter().any(|rule| rule.pointer.strip_prefix('/') == Some(name))
        };
        let members = input.as_object().unwrap();
        allowance.arguments.iter().all(|rule| rule.admits(input))
            && (allowance.others == OtherArguments::Allowed
                || members.keys().all(|name| named(name)))
    })
}

proptest! {
    /// Along a chain of exchanges, each of which asks what it likes, nothing that a token lets
    /// pass was not let pass by the task and by every token before; and none outlives another.
    #[test]
    fn pitfall_14_and_15_chains_of_tokens_only_narrow(
        task in allowances(),
        asks in prop::collection::vec((allowances(), prop::option::of(0_usize..3), 1_u32..900), 1..5),
        inputs in prop::collection::vec((
            prop::sample::select(vec!["crm.read", "crm.pay", "crm.mail"]),
            prop::collection::btree_map(
                prop::sample::select(vec!["a", "b", "z"]),
                prop_oneof![
                    (0_i64..9).prop_map(Value::Integer),
                    prop::sample::select(vec!["a", "c/d", "x.example"]).prop_map(Value::from),
                ],
                0..3,
            ),
        ), 8),
        deadline in 1_i64..600_000,
    ) {
        let mut held: Option<(Vec<Allowance<Value>>, Timestamp)> = None;
        let deadline = NOW.plus_ms(deadline);
        let words = ["crm.read", "crm.pay", "openid"];
        for (step, (asked, word, ttl_s)) in asks.into_iter().enumerate() {
            let now = NOW.plus_ms(step as i64 * 1500);
            let scope = word.and_then(|n| words.get(n)).map(|word| [(*word).to_owned()].into());
            let allowances = (asked.len() > 1).then_some(asked);
            let source = held.as_ref().map(|(allowances, _)| allowances.as_slice());
            let limits = held.as_ref().map(|(_, end)| *end).into_iter().chain([deadline]);
            let ends = expiry(now, ttl_s, limits);
            let Ok(granted) = grant(&task, source, &Wanted { scope, allowances }) else { continue };
            let Some(ends) = ends else { continue };
            prop_assert!(ends <= deadline && ends <= now.plus_ms(300_000) && ends > now);
            prop_assert_eq!(ends.as_millis() % 1000, 0);
            for (action, input) in &inputs {
                let input = Value::object(input.clone());
                if passes(&granted.allowances, action, &input) {
                    prop_assert!(passes(&task, action, &input));
                    if let Some((before, _)) = &held {
                        prop_assert!(passes(before, action, &input));
                    }
                }
            }
            if let Some((_, before)) = &held {
                prop_assert!(ends <= *before);
            }
            held = Some((granted.allowances, ends));
        }
    }

    /// What details say is read back as it was.
    #[test]
    fn details_are_read_as_they_are_written(allowances in allowances()) {
        let text = safeconduct_wire::json::to_text(&details_value(CRM, &allowances));
        match read_asked(&text, CRM) {
            Ok(asked) => prop_assert_eq!(asked.allowances, Some(allowances)),
            Err(_) => prop_assert!(allowances.is_empty()),
        }
    }

    #[test]
    fn no_form_is_too_strange_to_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Form::parse(&bytes).map(|form| TokenRequest::read(&form).map(drop)));
    }
}
