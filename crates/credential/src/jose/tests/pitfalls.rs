use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use proptest::prelude::*;

use super::*;

#[test]
fn what_fits_is_accepted() {
    let verified = check(&header(""), &good()).unwrap();
    assert_eq!(verified.subject.as_deref(), Some("case-agent"));
    assert_eq!(verified.issuer.as_deref(), Some(ISSUER));
    assert_eq!(verified.token_id.as_deref(), Some("t-1"));
    assert_eq!(verified.expires_at, Timestamp::from_millis((NOW + 300) * 1000));
    assert!(verified.confirmation.is_bearer());
    // `typ` is a media type: case and `application/` do not matter.
    for typ in ["JWT", "jwt", "application/jwt"] {
        check(&header(&format!(",\"typ\":\"{typ}\"")), &good()).unwrap();
    }
}

#[test]
fn alg_none_is_no_algorithm() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let head = B64.encode(format!("{{\"alg\":\"{alg}\"}}"));
        let unsigned = format!("{head}.{}.", B64.encode(good()));
        assert!(verify(&unsigned, &expect(), &keys(), now()).is_err());
        let error = verify(&format!("{unsigned}AA"), &expect(), &keys(), now()).unwrap_err();
        assert_eq!(error, JoseError::Algorithm { found: alg.to_owned() });
    }
}

#[test]
fn an_rsa_or_ec_key_is_never_a_mac_secret() {
    for alg in ["HS256", "HS384", "HS512"] {
        let error = check(&header("").replace("ES256", alg), &good()).unwrap_err();
        assert_eq!(error, JoseError::Algorithm { found: alg.to_owned() });
    }
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    let ed = SigningKey::from_secret(Algorithm::EdDsa, &[9; 32]).unwrap();
    let all = KeySet::of([signer().public().clone(), ed.public().clone()]).unwrap();
    let claims = json::parse(good().as_bytes()).unwrap();
    let token = ed.sign("JWT", &claims).unwrap();
    assert_eq!(
        verify(&token, &expect(), &all, now()).unwrap_err(),
        JoseError::Algorithm { found: "EdDSA".into() }
    );
    let mut both = expect();
    both.algorithms.push(Algorithm::EdDsa);
    verify(&token, &both, &all, now()).unwrap();
}

#[test]
fn the_keys_type_and_curve_must_fit_the_algorithm() {
    // The header says ES384, the trust record allows it, the key is P-256.
    let mut expect = expect();
    expect.algorithms = vec![Algorithm::Es384, Algorithm::Rs256];
    for alg in ["ES384", "RS256"] {
        let token = token(&header("").replace("ES256", alg), &good());
        let error = verify(&token, &expect, &keys(), now()).unwrap_err();
        assert!(matches!(error, JoseError::UnknownKey { .. }), "{error}");
    }
}

#[test]
fn any_crit_is_refused() {
    for crit in ["[\"exp\"]", "[\"b64\"]", "[\"https://x.example/y\"]", "[]", "7"] {
        let error = check(&header(&format!(",\"crit\":{crit}")), &good()).unwrap_err();
        assert_eq!(error, JoseError::HeaderMember { name: "crit".into() });
    }
}

#[test]
fn the_header_brings_and_points_to_no_key() {
    let jwk = String::from_utf8(json::to_bytes(&signer().public().jwk())).unwrap();
    for (name, value) in [
        ("jwk", jwk.as_str()),
        ("jku", "\"https://evil.example/keys\""),
        ("x5u", "\"https://evil.example/cert\""),
        ("x5c", "[\"MIIB\"]"),
        ("zip", "\"DEF\""),
        ("b64", "false"),
        ("enc", "\"A256GCM\""),
    ] {
        let error = check(&header(&format!(",\"{name}\":{value}")), &good()).unwrap_err();
        assert_eq!(error, JoseError::HeaderMember { name: name.into() });
    }
}

#[test]
fn an_unknown_kid_finds_no_key_however_it_is_written() {
    for kid in ["other", "../../etc/passwd", "' OR 1=1 --", "\\u0000", "http://evil.example/k"] {
        let error =
            check(&format!("{{\"alg\":\"ES256\",\"kid\":\"{kid}\"}}"), &good()).unwrap_err();
        assert!(matches!(error, JoseError::UnknownKey { .. }), "{error}");
        assert!(!error.to_string().contains('\0'));
    }
    let error = check("{\"alg\":\"ES256\",\"kid\":7}", &good()).unwrap_err();
    assert_eq!(error, JoseError::HeaderType { name: "kid" });
}

#[test]
fn without_a_kid_few_keys_are_tried_and_many_are_not() {
    let mut keys: Vec<_> = (20..27)
        .map(|n| SigningKey::from_secret(Algorithm::Es256, &[n; 32]).unwrap().public().clone())
        .collect();
    keys.push(signer().public().clone());
    let token = token("{\"alg\":\"ES256\"}", &good());
    verify(&token, &expect(), &KeySet::of(keys.clone()).unwrap(), now()).unwrap();
    keys.push(SigningKey::from_secret(Algorithm::Es256, &[30; 32]).unwrap().public().clone());
    let error = verify(&token, &expect(), &KeySet::of(keys).unwrap(), now()).unwrap_err();
    assert_eq!(error, JoseError::AmbiguousKey);
}

#[test]
fn another_kind_of_token_is_not_taken_for_this_one() {
    for typ in [
        "at+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "txntoken+jwt",
        "oauth-id-jag+jwt",
        "wit+jwt",
        "wpt+jwt",
        "token-introspection+jwt",
        "logout+jwt",
        "JOSE",
        "",
    ] {
        let error = check(&header(&format!(",\"typ\":\"{typ}\"")), &good()).unwrap_err();
        assert_eq!(error, JoseError::Typ { found: typ.into() });
    }
    // And where an access token is due, neither an ID token nor one that says nothing is.
    let mut access = expect();
    access.typ = Typ::one_of(["at+jwt"]);
    for more in ["", ",\"typ\":\"JWT\"", ",\"typ\":\"dpop+jwt\"", ",\"typ\":\"secevent+jwt\""] {
        let error = verify(&token(&header(more), &good()), &access, &keys(), now()).unwrap_err();
        assert!(matches!(error, JoseError::Typ { .. }), "{error}");
    }
}

#[test]
fn strict_headers_have_three_members() {
    let mut strict = expect();
    strict.other_members = OtherMembers::Refused;
    let token = token(&header(",\"x5t\":\"abc\""), &good());
    verify(&token, &expect(), &keys(), now()).unwrap();
    let error = verify(&token, &strict, &keys(), now()).unwrap_err();
    assert_eq!(error, JoseError::HeaderMember { name: "x5t".into() });
}

#[test]
fn a_missing_claim_is_not_a_passed_check() {
    for name in ["exp", "aud", "iss", "iat", "sub"] {
        let error = check(&header(""), &claims(name, "null")).unwrap_err();
        assert_eq!(error, JoseError::MissingClaim { name: name.into() });
    }
    let error = check(&header(""), &claims("sub", "null").replace('}', ",\"sub\":null}"));
    assert_eq!(error.unwrap_err(), JoseError::MissingClaim { name: "sub".into() });
}

#[test]
fn a_time_is_a_number() {
    for name in ["exp", "nbf", "iat"] {
        for value in ["\"1790000300\"", "true", "[1790000300]", "{}", "-1", "1e300", "253402300800"]
        {
            let error = check(&header(""), &claims(name, value)).unwrap_err();
            assert!(
                matches!(error, JoseError::ClaimType { name: found, .. } if found == name),
                "{name} {value}: {error}"
            );
        }
    }
    check(&header(""), &claims("exp", "1790000300.5")).unwrap();
}

#[test]
fn texts_are_texts() {
    for name in ["iss", "sub", "jti"] {
        for value in ["7", "[\"x\"]", "{}", "\"\"", "true"] {
            let error = check(&header(""), &claims(name, value)).unwrap_err();
            assert!(matches!(error, JoseError::ClaimType { .. }), "{name} {value}: {error}");
        }
    }
}

#[test]
fn an_expired_token_has_the_stated_skew_and_no_more() {
    let expired = |seconds_ago: i64, skew: u32| {
        let mut expect = expect();
        expect.skew = ClockSkew::seconds(skew).unwrap();
        let claims = claims("exp", &(NOW - seconds_ago).to_string())
            .replace(&format!("\"iat\":{NOW}"), &format!("\"iat\":{}", NOW - 1000));
        verify(&token(&header(""), &claims), &expect, &keys(), now())
    };
    assert!(matches!(expired(0, 0), Err(JoseError::Expired { .. })));
    assert!(matches!(expired(30, 0), Err(JoseError::Expired { .. })));
    assert!(expired(29, 30).is_ok());
    assert!(matches!(expired(30, 30), Err(JoseError::Expired { .. })));
    assert_eq!(ClockSkew::seconds(31), None);
}

#[test]
fn the_skew_is_never_more_than_the_tokens_life() {
    let mut expect = expect();
    expect.skew = ClockSkew::MAX;
    let short = |seconds_ago: i64| {
        claims("exp", &(NOW - seconds_ago).to_string())
            .replace(&format!("\"iat\":{NOW}"), &format!("\"iat\":{}", NOW - seconds_ago - 5))
    };
    verify(&token(&header(""), &short(4)), &expect, &keys(), now()).unwrap();
    let error = verify(&token(&header(""), &short(5)), &expect, &keys(), now()).unwrap_err();
    assert!(matches!(error, JoseError::Expired { .. }));
}

#[test]
fn what_begins_later_is_refused_now() {
    let error = check(&header(""), &claims("nbf", &(NOW + 1).to_string())).unwrap_err();
    assert!(matches!(error, JoseError::NotYetValid { .. }));
    let error = check(&header(""), &claims("iat", &(NOW + 1).to_string())).unwrap_err();
    assert!(matches!(error, JoseError::IssuedInTheFuture { .. }));
    let error = check(&header(""), &claims("nbf", &(NOW + 301).to_string())).unwrap_err();
    assert_eq!(error, JoseError::EndsBeforeItBegins);
}

#[test]
fn a_token_lives_no_longer_than_its_issuer_may_say() {
    let error = check(&header(""), &claims("exp", &(NOW + 3601).to_string())).unwrap_err();
    assert_eq!(error, JoseError::LivesTooLong { limit_s: 3600 });
    // Without `iat` what is left counts.
    let mut lax = expect();
    lax.required.clear();
    let claims = claims("exp", &(NOW + 3601).to_string()).replace(&format!("\"iat\":{NOW},"), "");
    let error = verify(&token(&header(""), &claims), &lax, &keys(), now()).unwrap_err();
    assert_eq!(error, JoseError::LivesTooLong { limit_s: 3600 });
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    for issuer in ["https://issuer.example/", "https://ISSUER.example", "https://issuer.example."] {
        let error = check(&header(""), &claims("iss", &format!("{issuer:?}"))).unwrap_err();
        assert_eq!(error, JoseError::Issuer);
    }
}

#[test]
fn the_audience_is_ours_and_where_asked_ours_alone() {
    for aud in ["\"https://other.example\"", "\"https://safeconduct.example/\"", "[\"x\",\"y\"]"] {
        assert_eq!(check(&header(""), &claims("aud", aud)).unwrap_err(), JoseError::Audience);
    }
    for aud in ["[]", "7", "{}", "[7]", "[\"x\",7]"] {
        let error = check(&header(""), &claims("aud", aud)).unwrap_err();
        assert!(matches!(error, JoseError::ClaimType { name: "aud", .. }), "{aud}: {error}");
    }
    let several = claims("aud", &format!("[\"x\",{US:?}]"));
    check(&header(""), &several).unwrap();
    let mut alone = expect();
    alone.audience_rule = AudienceRule::Alone;
    let error = verify(&token(&header(""), &several), &alone, &keys(), now()).unwrap_err();
    assert_eq!(error, JoseError::SeveralAudiences);
    let one = claims("aud", &format!("[{US:?}]"));
    verify(&token(&header(""), &one), &alone, &keys(), now()).unwrap();
}

#[test]
fn duplicate_members_are_refused_in_header_and_claims() {
    let twice = good().replace('}', ",\"role\":\"a\",\"role\":\"b\"}");
    let escaped = good().replace('}', ",\"s\\u0075b\":\"admin\"}");
    for claims in [twice, escaped] {
        let error = check(&header(""), &claims).unwrap_err();
        let problem = safeconduct_wire::json::JsonProblem::DuplicateMember;
        assert_eq!(error, JoseError::Json { part: Part::Claims, problem });
    }
    let error = check(&header(",\"alg\":\"ES256\""), &good()).unwrap_err();
    assert!(matches!(error, JoseError::Json { part: Part::Header, .. }));
}

#[test]
fn long_tokens_and_deep_nesting_are_not_read() {
    let long = "a".repeat(1024 * 1024);
    let error = verify(&long, &expect(), &keys(), now()).unwrap_err();
    assert_eq!(error, JoseError::TooLong { limit: TOKEN_BYTES_MAX });
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let error = check(&header(""), &claims("x", &deep)).unwrap_err();
    assert!(matches!(error, JoseError::Json { part: Part::Claims, .. }));
    let error = check(&header(&format!(",\"x\":{deep}")), &good()).unwrap_err();
    assert!(matches!(error, JoseError::Json { part: Part::Header, .. }));
}

#[test]
fn the_claims_are_an_object() {
    for claims in ["[]", "\"x\"", "7", "null"] {
        let error = check(&header(""), claims).unwrap_err();
        assert_eq!(error, JoseError::NotAnObject { part: Part::Claims });
    }
    assert!(check("[]", &good()).is_err());
}

#[test]
fn a_binding_that_is_not_understood_is_no_bearer_token() {
    for cnf in ["{}", "{\"kid\":\"x\"}", "{\"jkt\":\"short\"}", "\"x\"", "{\"jkt\":7}"] {
        let error = check(&header(""), &claims("cnf", cnf)).unwrap_err();
        assert!(matches!(error, JoseError::ClaimType { name: "cnf", .. }), "{cnf}");
    }
    let jkt = signer().public().thumbprint();
    let bound = check(&header(""), &claims("cnf", &format!("{{\"jkt\":\"{jkt}\"}}"))).unwrap();
    assert!(!bound.confirmation.is_bearer());
    assert!(!bound.confirmation.is_met_by(None, Some(jkt)));
    assert!(bound.confirmation.is_met_by(Some(jkt), None));
}

#[test]
fn errors_show_nothing_of_the_token() {
    let secret = "hunter2-secret-claim";
    let token = token(&header(""), &claims("iss", &format!("\"{secret}\"")));
    let error = verify(&token, &expect(), &keys(), now()).unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), format!("{:?}", signer())] {
        assert!(!text.contains(secret) && !text.contains(&token));
    }
}

proptest! {
    /// One changed character anywhere is one token too many.
    #[test]
    fn a_changed_token_is_refused(at in 0_usize..400, with in "[A-Za-z0-9_.-]") {
        let token = token(&header(",\"typ\":\"JWT\""), &good());
        let at = at % token.len();
        let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(verify(&changed, &expect(), &keys(), now()).is_err());
    }

    /// Whatever comes, an answer comes.
    #[test]
    fn nothing_panics(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..5)) {
        prop_assert!(verify(&text, &expect(), &keys(), now()).is_err());
        prop_assert!(verify(&parts.join("."), &expect(), &keys(), now()).is_err());
    }

    /// What is accepted is within its stated life, however the times are chosen.
    #[test]
    fn what_is_accepted_is_alive(
        iat in NOW - 5000..NOW + 100, life in -10_i64..5000, skew in 0_u32..=30,
    ) {
        let mut expect = expect();
        expect.skew = ClockSkew::seconds(skew).unwrap();
        let claims = claims("exp", &(iat + life).to_string())
            .replace(&format!("\"iat\":{NOW}"), &format!("\"iat\":{iat}"));
        let accepted = verify(&token(&header(""), &claims), &expect, &keys(), now()).is_ok();
        let skew = i64::from(skew);
        let alive = iat <= NOW + skew && NOW < iat + life + skew.min(life);
        let left = iat + life - NOW <= 3600 + skew;
        prop_assert_eq!(accepted, life > 0 && life <= 3600 && alive && left);
    }
}
