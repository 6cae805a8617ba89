//! Targets over what proves an identity: tokens, keys, bundles, certificates, API keys.

use std::collections::BTreeSet;

use safeconduct_credential::jose::{
    self, Algorithm, ClockSkew, DpopExpect, Expect, KeySet, KeyUse, SigningKey, Typ,
};
use safeconduct_model::Timestamp;
use safeconduct_wire::json;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Tokens. Bytes as they are never hold; claims that we sign hold only where they are alive.
pub fn token(data: &[u8]) {
    let Ok(key) = SigningKey::from_secret(Algorithm::Ed25519, &[7; 32]) else { return };
    let Ok(keys) = KeySet::of([key.public().clone()]) else { return };
    let mut expect = Expect::new([Algorithm::Ed25519], Typ::one_of(["at+jwt"]), ["us"]);
    expect.skew = ClockSkew::MAX;
    if let Ok(text) = std::str::from_utf8(data) {
        drop(jose::peek(text));
        assert!(jose::verify(text, &expect, &keys, NOW).is_err(), "nobody signed this");
    }
    let Ok(claims) = json::parse(data) else { return };
    if let Ok(token) = key.sign("at+jwt", &claims)
        && let Ok(verified) = jose::verify(&token, &expect, &keys, NOW)
    {
        assert_eq!(verified.claims, claims);
        assert!(verified.expires_at.plus_ms(30_000) > NOW, "it is alive");
        assert!(verified.expires_at <= NOW.plus_ms(3_630_000), "it is short");
        assert!(verified.subject.is_some() && verified.issued_at.is_some());
    }
    if let Ok(proof) = key.sign_dpop(&claims) {
        let expect = DpopExpect {
            algorithms: &[Algorithm::Ed25519],
            method: "POST",
            url: "https://us.example/token",
            access_token: None,
            nonces: &BTreeSet::new(),
            skew: ClockSkew::MAX,
        };
        if let Ok(proof) = jose::check_dpop(&[&proof], &expect, NOW) {
            assert_eq!(proof.jkt, key.public().thumbprint());
        }
    }
}

/// Requests for access tokens. What they ask for is never wider than what there is.
pub fn token_request(data: &[u8]) {
    use safeconduct_credential::token::{Form, TokenRequest, Wanted, grant, read_asked};
    let Ok(request) = Form::parse(data).and_then(|form| TokenRequest::read(&form)) else { return };
    assert!(!request.resource.is_empty() && !request.resource.contains('#'));
    let given = r#"[{"type":"safeconduct_action","actions":["crm.read"],"others":false}]"#;
    let Ok(given) = read_asked(given, &request.resource) else { return };
    let given = given.allowances.unwrap_or_default();
    let wanted = Wanted { scope: request.scope, allowances: request.details.allowances };
    if let Ok(granted) = grant(&given, None, &wanted) {
        assert!(!granted.allowances.is_empty());
        for allowance in granted.allowances {
            assert_eq!(allowance.action.as_str(), "crm.read", "nothing else was given");
            assert_eq!(allowance.others, safeconduct_model::OtherArguments::Refused);
        }
    }
}

/// Sets of keys: what is read is public, and is read back from what we would publish.
pub fn keys(data: &[u8]) {
    for wanted in [KeyUse::Signature, KeyUse::JwtSvid, KeyUse::WorkloadJwtSvid] {
        if let Ok(read) = KeySet::parse(data, wanted) {
            let published = json::to_bytes(&read.jwks());
            let again = KeySet::parse(&published, KeyUse::Signature);
            assert_eq!(again.map(|set| set.keys().to_vec()), Ok(read.keys().to_vec()));
        }
    }
}

/// SPIFFE IDs, patterns, bundles, certificates and API keys.
#[cfg(feature = "directory")]
pub fn svid(data: &[u8]) {
    use safeconduct_directory::api_key;
    use safeconduct_directory::fetch::Network;
    use safeconduct_directory::spiffe::{Bundle, PathPattern, SpiffeId, TrustDomain, claimed_id};

    drop(claimed_id(data));
    if let Ok(domain) = TrustDomain::parse("a.example") {
        if let Ok(bundle) = Bundle::parse(domain.clone(), data) {
            assert_eq!(bundle.trust_domain, domain);
        }
        drop(Bundle::from_workload_api(domain, Some(data), Some(data)));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = SpiffeId::parse(text) {
        assert_eq!(id.to_string(), text, "an id is its own normal form");
        // Its own path is a pattern that fits it.
        if !id.path().is_empty() {
            assert!(PathPattern::parse(id.path()).is_ok_and(|pattern| pattern.fits(&id)));
        }
    }
    drop(PathPattern::parse(text));
    if let Some(network) = Network::parse(text) {
        assert_eq!(Network::parse(&network.to_string()), Some(network));
    }
    if api_key::recognise(text).is_ok() {
        assert_eq!(text.len(), api_key::KEY_CHARS);
    }
}
