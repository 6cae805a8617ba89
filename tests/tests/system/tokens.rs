//! Access tokens over TLS: how clients prove themselves at the token endpoint, and how the gateway
//! takes what they get there. Asked with `curl`, which knows nothing of us.

use std::net::SocketAddr;

use safeconduct_credential::jose::Thumbprint;
use safeconduct_tests::issuer::{jwks, key, now, token};
use safeconduct_tests::pki::{Answer, Authority, ask};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, free_address};
use safeconduct_wire::json::from_serde;
use serde_json::{Value as Json, json};

const AGENT: &str = "spiffe://prod.example/agent/case";
const SIGNER: &str = "signing-agent";
const CRM: &str = "https://crm.example";
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource)
when { principal != Safeconduct::Agent::"refused-agent" };
@id("read") permit (principal, action, resource) when { context.action.name == "crm.read" };
"#;

/// What `curl` shows in TLS.
const AS_AGENT: [&str; 6] = ["--cacert", "ca.pem", "--cert", "agent.pem", "--key", "agent.key"];
const AS_OTHER: [&str; 6] = ["--cacert", "ca.pem", "--cert", "other.pem", "--key", "other.key"];
const PINNED: [&str; 6] = ["--cacert", "ca.pem", "--cert", "pinned.pem", "--key", "pinned.key"];
const WITHOUT: [&str; 2] = ["--cacert", "ca.pem"];

struct World {
    project: Project,
    server: Server,
    address: SocketAddr,
}

/// A server over TLS that believes a trust domain and an issuer of programs, and has a token
/// service; `nonce` says where DPoP proofs need one.
fn world(nonce: &str) -> World {
    let authority = Authority::new("prod.example");
    let project = Project::empty();
    project.write("policies/p.cedar", POLICIES);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object"}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    let intent = json!({
        "intent": "work", "version": 1, "description": "Work.", "parameters": {},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "optional", "longest": "10m",
        "budget": {"calls": 100}, "tier_max": "low", "envelope": [{"action": "crm.read"}],
    });
    project.write("intents/work.yaml", &intent.to_string());
    let mut bundle = authority.bundle();
    let mut signing = jwks(&[key(1)])["keys"][0].clone();
    signing["use"] = json!("jwt-svid");
    bundle["keys"].as_array_mut().unwrap().push(signing);
    project.write("prod.json", &bundle.to_string());
    project.write("programs.json", &jwks(&[key(3)]).to_string());
    project.write("ca.pem", authority.pem());
    authority.server(&project, "server");
    authority.svid(&project, "agent", AGENT);
    authority.svid(&project, "other", AGENT);
    // Its own, of an authority that nobody believes: known by its thumbprint alone.
    let stranger = Authority::new("elsewhere.example");
    stranger.svid(&project, "pinned", "spiffe://elsewhere.example/x");
    let pinned = stranger.thumbprint(&project, "pinned");
    let address = free_address();
    let issuer = format!("https://localhost:{}", address.port());
    let upstream = project.upstream("crm", &tools);
    let owned = |id: &str, kind: &str| {
        json!({ "id": id, "kind": kind, "owner": "ada",
        "fallback_owner": "ada" })
    };
    project.configure(&json!({
        "version": 1,
        "tls": { "certificate": "./server.pem", "key": "./server.key",
            "client_certificates": "accepted" },
        "intents": {},
        "upstreams": { "crm": upstream },
        "identities": [
            { "id": "ada", "kind": "user" },
            owned(AGENT, "agent"), owned(SIGNER, "agent"), owned("refused-agent", "agent"),
            owned("batch", "workload"), owned("crm-api", "workload"),
        ],
        "trust": {
            "prod": { "kind": "spiffe", "trust_domain": "prod.example", "algorithms": ["ES256"],
                "bundle": { "file": "./prod.json" }, "audiences": [issuer], "assurance": "high" },
            "programs": { "kind": "oidc", "issuer": "https://issuer.example",
                "keys": { "file": "./programs.json" }, "algorithms": ["ES256"],
                "audiences": ["https://us.example"], "assurance": "substantial",
                "identities": [{ "identity": "batch", "claims": { "sub": "batch" } }] },
        },
        "token_service": {
            "issuer": issuer,
            "dpop_nonce": nonce,
            "clients": {
                SIGNER: { "keys": jwks(&[key(4)]), "certificates": [pinned], "intent": "work" },
            },
            "resources": { CRM: { "servers": ["crm"], "readers": ["crm-api"] }, issuer.as_str(): {} },
        },
    }));
    let server = Server::start_at(&project, address);
    World { project, server, address }
}

impl World {
    fn issuer(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn gateway(&self) -> String {
        format!("{}/mcp/crm", self.issuer())
    }

    fn ask(&self, path: &str, tls: &[&str], more: &[&str]) -> Answer {
        let answer = ask(&self.project, self.address.port(), path, &[tls, more].concat());
        assert_ne!(answer.status, 0, "{answer:?}\n{}", self.server.talk());
        answer
    }

    /// Asks the token service at that path.
    fn oauth(&self, path: &str, tls: &[&str], form: &[(&str, &str)], headers: &[String]) -> Answer {
        let mut args: Vec<String> = Vec::new();
        for (name, value) in form {
            args.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        for header in headers {
            args.extend(["--header".to_owned(), header.clone()]);
        }
        self.ask(path, tls, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A token for that resource by `client_credentials`, for a new task of the intent `work`.
    fn token(
        &self,
        resource: &str,
        tls: &[&str],
        form: &[(&str, &str)],
        headers: &[String],
    ) -> Answer {
        let details = json!([{ "type": "safeconduct_task", "intent": "work" }]).to_string();
        let own = [
            ("grant_type", "client_credentials"),
            ("resource", resource),
            ("authorization_details", &details),
            ("scope", "task"),
        ];
        self.oauth("/oauth/token", tls, &[&own[..], form].concat(), headers)
    }

    /// A call of the tool `read`, with these headers.
    fn call(&self, tls: &[&str], headers: &[String]) -> Answer {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "read", "arguments": {}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "curl", "version": "0" },
                "io.modelcontextprotocol/clientCapabilities": {} } } });
        let call = call.to_string();
        let mut args = vec!["--data", &call];
        let always = [
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            "MCP-Protocol-Version: 2026-07-28",
            "Mcp-Method: tools/call",
            "Mcp-Name: read",
        ];
        let headers = headers.iter().map(String::as_str);
        args.extend(always.into_iter().chain(headers).flat_map(|header| ["--header", header]));
        self.ask("/mcp/crm", tls, &args)
    }

    /// A registered token of that identity.
    fn secret(&self, identity: &str) -> String {
        let admin = format!("Authorization: Bearer {}", self.server.admin());
        let body = json!({ "identity": identity, "ttl_s": 600 }).to_string();
        let json = "Content-Type: application/json";
        let args = ["--header", &admin, "--header", json, "--data", &body];
        text(&self.ask("/v1/tokens", &WITHOUT, &args), "token")
    }

    fn whoami(&self, tls: &[&str], header: &str) -> u16 {
        self.ask("/v1/whoami", tls, &["--header", header]).status
    }

    /// An assertion that `client` signed with that key.
    fn assertion(&self, client: &str, by: u8, more: &Json) -> String {
        let mut claims = json!({ "iss": client, "sub": client, "aud": self.issuer(),
            "jti": unique() });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token(&key(by), "JWT", &claims)
    }
}

fn text(answer: &Answer, name: &str) -> String {
    let json = answer.json();
    json[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {answer:?}")).to_owned()
}

fn unique() -> String {
    format!("{:x}", fastrand::u128(..))
}

/// A proof by key `by`, for a request of that method to that URL.
fn proof(by: u8, method: &str, url: &str, token: Option<&str>, nonce: &str) -> String {
    let mut claims = json!({ "jti": unique(), "htm": method, "htu": url, "iat": now() });
    if let Some(token) = token {
        claims["ath"] = json!(Thumbprint::of(token.as_bytes()).to_string());
    }
    if !nonce.is_empty() {
        claims["nonce"] = json!(nonce);
    }
    format!("DPoP: {}", key(by).sign_dpop(&from_serde(&claims)).unwrap())
}

fn did(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.contains("\"result\"") && !answer.body.contains("isError")
}

/// A token for that resource that is bound to key 9.
fn bound(world: &World, resource: &str) -> String {
    let svid = token(&key(1), "JWT", &json!({ "sub": AGENT, "aud": world.issuer() }));
    let form = [("client_assertion_type", SPIFFE), ("client_assertion", svid.as_str())];
    let url = format!("{}/oauth/token", world.issuer());
    let ask = |nonce: &str| {
        let headers = [proof(9, "POST", &url, None, nonce)];
        world.token(resource, &WITHOUT, &form, &headers)
    };
    let first = ask("");
    assert_eq!((first.status, text(&first, "error").as_str()), (400, "use_dpop_nonce"));
    let got = ask(first.header("dpop-nonce"));
    assert_eq!((got.status, text(&got, "token_type").as_str()), (200, "DPoP"), "{got:?}");
    assert_eq!(text(&got, "scope"), "task");
    text(&got, "access_token")
}

#[test]
fn who_has_no_token_is_led_to_one_that_is_bound_and_works_with_its_proof_only() {
    let world = world("needed");
    let refused = world.call(&WITHOUT, &[]);
    assert_eq!(refused.status, 401);
    let challenges = refused.all("www-authenticate");
    let [bearer, dpop] = challenges.as_slice() else { panic!("{challenges:?}") };
    assert!(bearer.starts_with("Bearer ") && bearer.contains("scope=\"task\""), "{bearer}");
    assert!(dpop.starts_with("DPoP ") && dpop.contains("algs=\"ES256 "), "{dpop}");
    // From the challenge to the resource, from there to the authorization server.
    let (_, link) = bearer.split_once("resource_metadata=\"").unwrap();
    let (link, _) = link.split_once('"').unwrap();
    let resource = world.ask(link.strip_prefix(&world.issuer()).unwrap(), &WITHOUT, &[]).json();
    assert_eq!(resource["resource"], json!(world.gateway()));
    assert_eq!(resource["authorization_servers"], json!([world.issuer()]));
    assert_eq!(resource["scopes_supported"], json!(["task"]));
    assert_eq!(resource["tls_client_certificate_bound_access_tokens"], json!(true));
    let server = world.ask("/.well-known/oauth-authorization-server", &WITHOUT, &[]).json();
    assert_eq!(server["issuer"], json!(world.issuer()));
    assert_eq!(server["token_endpoint"], json!(format!("{}/oauth/token", world.issuer())));
    for method in ["private_key_jwt", "spiffe_jwt", "spiffe_x509", "self_signed_tls_client_auth"] {
        let methods = server["token_endpoint_auth_methods_supported"].as_array().unwrap();
        assert!(methods.contains(&json!(method)), "{method}");
    }

    let token = bound(&world, &world.gateway());
    let as_bound = format!("Authorization: DPoP {token}");
    let url = world.gateway();
    let good = proof(9, "POST", &url, Some(&token), "");
    let call = |headers: &[&str]| {
        world.call(&WITHOUT, &headers.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())
    };
    assert!(did(&call(&[&as_bound, &good])), "{}", world.server.talk());
    let refusals = [
        ("a replay", good.clone()),
        (
            "another path",
            proof(9, "POST", &format!("{}/mcp/mail", world.issuer()), Some(&token), ""),
        ),
        ("another host", proof(9, "POST", "https://evil.example/mcp/crm", Some(&token), "")),
        ("another method", proof(9, "GET", &url, Some(&token), "")),
        ("another token", proof(9, "POST", &url, Some("other"), "")),
        ("no token", proof(9, "POST", &url, None, "")),
    ];
    for (what, proof) in &refusals {
        let refused = call(&[&as_bound, proof]);
        assert_eq!(refused.status, 401, "{what}");
        let challenge = refused.header("www-authenticate");
        assert!(
            challenge.starts_with("DPoP ") && challenge.contains("invalid_dpop_proof"),
            "{what}"
        );
        assert!(challenge.contains("resource_metadata="), "{what}");
    }
    let fresh = |by: u8| proof(by, "POST", &url, Some(&token), "");
    let two = call(&[&as_bound, &fresh(9), &fresh(9)]);
    assert_eq!(two.status, 401, "two proofs");
    assert_eq!(call(&[&as_bound]).status, 401, "no proof");
    assert_eq!(call(&[&as_bound, &fresh(8)]).status, 401, "another key");
    // Stripped to a bearer token, with its proof and without.
    let as_bearer = format!("Authorization: Bearer {token}");
    for headers in [vec![as_bearer.as_str()], vec![as_bearer.as_str(), &fresh(9)]] {
        let refused = call(&headers);
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{refused:?}");
    }
    assert!(did(&call(&[&as_bound, &fresh(9)])), "it still works with its proof");
    // The API asks the same of it. This one is for the gateway alone.
    assert_eq!(world.whoami(&WITHOUT, &as_bound), 401);
    world.server.stop();
}

#[test]
fn where_proofs_need_a_nonce_everywhere_the_gateway_hands_out_the_next_one() {
    let world = world("everywhere");
    let token = bound(&world, &world.gateway());
    let as_bound = format!("Authorization: DPoP {token}");
    let call = |nonce: &str| {
        let proof = proof(9, "POST", &world.gateway(), Some(&token), nonce);
        world.call(&WITHOUT, &[as_bound.clone(), proof])
    };
    let refused = call("");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("use_dpop_nonce"), "{refused:?}");
    let done = call(refused.header("dpop-nonce"));
    assert!(did(&done), "{done:?}");
    assert!(did(&call(done.header("dpop-nonce"))));
    assert_eq!(call("made-up").status, 401);
    // The API asks for one too.
    let token = bound(&world, &world.issuer());
    let as_bound = format!("Authorization: DPoP {token}");
    let url = format!("{}/v1/whoami", world.issuer());
    let ask = |nonce: &str| {
        let proof = proof(9, "GET", &url, Some(&token), nonce);
        world.ask("/v1/whoami", &WITHOUT, &["--header", &as_bound, "--header", &proof])
    };
    let refused = ask("");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("use_dpop_nonce"), "{refused:?}");
    assert_eq!(ask(refused.header("dpop-nonce")).status, 200);
    world.server.stop();
}

#[test]
fn a_trusted_issuers_token_that_is_bound_to_a_key_is_taken_with_its_proof() {
    let world = world("needed");
    let claims = |cnf: Json| {
        let mut claims = json!({ "iss": "https://issuer.example", "sub": "batch",
            "aud": "https://us.example" });
        if !cnf.is_null() {
            claims["cnf"] = cnf;
        }
        token(&key(3), "JWT", &claims)
    };
    let bound = claims(json!({ "jkt": key(9).public().thumbprint().to_string() }));
    let plain = claims(Json::Null);
    let call = |scheme: &str, token: &str, proof: Option<&String>| {
        let header = format!("Authorization: {scheme} {token}");
        let headers: Vec<String> = [header].into_iter().chain(proof.cloned()).collect();
        world.call(&WITHOUT, &headers)
    };
    let fresh = |by: u8, token: &str| proof(by, "POST", &world.gateway(), Some(token), "");
    let once = fresh(9, &bound);
    assert!(did(&call("DPoP", &bound, Some(&once))), "{}", world.server.talk());
    assert_eq!(call("DPoP", &bound, Some(&once)).status, 401, "a replay");
    assert_eq!(call("DPoP", &bound, Some(&fresh(8, &bound))).status, 401, "another key");
    assert_eq!(call("DPoP", &bound, None).status, 401, "no proof");
    assert_eq!(call("Bearer", &bound, None).status, 401, "as a bearer token");
    assert_eq!(call("Bearer", &bound, Some(&fresh(9, &bound))).status, 401, "as a bearer token");
    // One that is bound to nothing proves nothing by a proof.
    assert_eq!(call("DPoP", &plain, Some(&fresh(9, &plain))).status, 401);
    assert!(did(&call("Bearer", &plain, None)));
    world.server.stop();
}

#[test]
fn an_x509_svid_proves_the_client_and_binds_its_token() {
    let world = world("needed");
    let named = [("client_id", AGENT)];
    let got = world.token(&world.gateway(), &AS_AGENT, &named, &[]);
    assert_eq!((got.status, text(&got, "token_type").as_str()), (200, "Bearer"), "{got:?}");
    let header = format!("Authorization: Bearer {}", text(&got, "access_token"));
    let call = |tls: &[&str]| world.call(tls, std::slice::from_ref(&header));
    assert!(did(&call(&AS_AGENT)), "{}", world.server.talk());
    for tls in [&WITHOUT[..], &AS_OTHER, &PINNED] {
        let refused = call(tls);
        assert_eq!(refused.status, 401, "{tls:?}");
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{refused:?}");
    }
    // Whoever serves the resource sees what it is bound to.
    let got = world.token(CRM, &AS_AGENT, &named, &[]);
    let reader = format!("Authorization: Bearer {}", world.secret("crm-api"));
    let crm = text(&got, "access_token");
    let form = [("token", crm.as_str())];
    let said = world.oauth("/oauth/introspect", &WITHOUT, &form, &[reader]).json();
    let authority = Authority::new("x.example");
    let thumbprint = authority.thumbprint(&world.project, "agent");
    assert_eq!(said["cnf"], json!({ "x5t#S256": thumbprint }), "{said}");

    // The certificate is of that client, which must say who it is.
    let refused = |tls: &[&str], form: &[(&str, &str)]| {
        let refused = world.token(CRM, tls, form, &[]);
        assert_eq!(refused.status, 401, "{refused:?}");
        text(&refused, "error")
    };
    assert_eq!(refused(&AS_AGENT, &[]), "invalid_client");
    assert_eq!(refused(&AS_AGENT, &[("client_id", SIGNER)]), "invalid_client");
    assert_eq!(refused(&WITHOUT, &named), "invalid_client");
    assert_eq!(refused(&PINNED, &named), "invalid_client");
    // One that is known by its thumbprint needs nobody who vouches for it.
    let pinned = world.token(&world.gateway(), &PINNED, &[("client_id", SIGNER)], &[]);
    let header = format!("Authorization: Bearer {}", text(&pinned, "access_token"));
    assert!(did(&world.call(&PINNED, std::slice::from_ref(&header))));
    assert_eq!(world.call(&AS_AGENT, &[header]).status, 401);
    world.server.stop();
}

#[test]
fn a_jwt_svid_proves_the_client_where_it_is_for_the_issuer_alone() {
    let world = world("needed");
    let svid = |by: u8, subject: &str, aud: Json| {
        token(&key(by), "JWT", &json!({ "sub": subject, "aud": aud }))
    };
    let ask = |svid: &str| {
        let form = [("client_assertion_type", SPIFFE), ("client_assertion", svid)];
        world.token(CRM, &WITHOUT, &form, &[])
    };
    let us = json!(world.issuer());
    let got = ask(&svid(1, AGENT, us.clone()));
    assert_eq!(got.status, 200, "{got:?}\n{}", world.server.talk());
    assert_eq!(text(&got, "token_type"), "Bearer");
    for (what, svid) in [
        ("another key", svid(2, AGENT, us.clone())),
        ("several audiences", svid(1, AGENT, json!([us, "https://b.example"]))),
        ("another audience", svid(1, AGENT, json!("https://b.example"))),
        ("nobody known", svid(1, "spiffe://prod.example/agent/other", us.clone())),
        ("another domain", svid(1, "spiffe://other.example/agent/case", us.clone())),
        (
            "no SVID",
            token(
                &key(3),
                "JWT",
                &json!({ "iss": "https://issuer.example",
            "sub": "batch", "aud": us }),
            ),
        ),
    ] {
        let refused = ask(&svid);
        assert_eq!(
            (refused.status, text(&refused, "error").as_str()),
            (401, "invalid_client"),
            "{what}"
        );
        assert!(!refused.header("www-authenticate").is_empty(), "{what}");
    }
    world.server.stop();
}

#[test]
fn a_signed_assertion_proves_the_client_once() {
    let world = world("needed");
    let ask = |assertion: &str| {
        let form = [("client_assertion_type", BEARER), ("client_assertion", assertion)];
        world.token(CRM, &WITHOUT, &form, &[])
    };
    let assertion = world.assertion(SIGNER, 4, &json!({}));
    assert_eq!(ask(&assertion).status, 200, "{}", world.server.talk());
    let issuer = world.issuer();
    for (what, assertion) in [
        ("used before", assertion),
        ("another key", world.assertion(SIGNER, 5, &json!({}))),
        ("another's", world.assertion(AGENT, 4, &json!({}))),
        ("over", world.assertion(SIGNER, 4, &json!({ "exp": now() - 60, "iat": now() - 120 }))),
        ("from the future", world.assertion(SIGNER, 4, &json!({ "nbf": now() + 120 }))),
        ("for others too", world.assertion(SIGNER, 4, &json!({ "aud": [issuer, "https://b"] }))),
        ("for others", world.assertion(SIGNER, 4, &json!({ "aud": "https://b.example" }))),
        ("of another issuer", world.assertion(SIGNER, 4, &json!({ "iss": "https://b.example" }))),
        ("for long", world.assertion(SIGNER, 4, &json!({ "exp": now() + 86_400 }))),
    ] {
        let refused = ask(&assertion);
        assert_eq!(
            (refused.status, text(&refused, "error").as_str()),
            (401, "invalid_client"),
            "{what}"
        );
    }
    let twice = world.assertion(SIGNER, 4, &json!({}));
    let form = [("client_assertion_type", BEARER), ("client_assertion", twice.as_str())];
    let secret = format!("Authorization: Bearer {}", world.secret(SIGNER));
    let refused = world.token(CRM, &WITHOUT, &form, &[secret]);
    assert_eq!(text(&refused, "error"), "invalid_request", "two proofs are none");
    world.server.stop();
}

#[test]
fn client_credentials_begin_a_task_that_policy_permits() {
    let world = world("needed");
    let ask = |who: &str, form: &[(&str, &str)]| {
        let header = format!("Authorization: Bearer {}", world.secret(who));
        let own = [("grant_type", "client_credentials"), ("resource", CRM)];
        world.oauth("/oauth/token", &WITHOUT, &[&own[..], form].concat(), &[header])
    };
    let tasks = |state: &str| {
        let admin = format!("Authorization: Bearer {}", world.server.admin());
        let path = format!("/v1/tasks?state={state}");
        let listed = world.ask(&path, &WITHOUT, &["--header", &admin]).json();
        listed["tasks"].as_array().unwrap().len()
    };
    // The intent that is registered for the client, or the one that it names.
    let got = ask(SIGNER, &[]);
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.json()["authorization_details"][0]["actions"], json!(["crm.read"]));
    assert!(got.json()["task_handle"].is_string());
    let named = r#"[{"type":"safeconduct_task","intent":"work","seconds":60}]"#;
    let got = ask(AGENT, &[("authorization_details", named)]);
    assert!((1..=60).contains(&got.json()["expires_in"].as_i64().unwrap()), "{got:?}");
    assert_eq!((tasks("active"), tasks("revoked")), (2, 0));
    // Nothing is begun for those who name none, may not, or are nobody's agent.
    let error = |who: &str, form: &[(&str, &str)]| text(&ask(who, form), "error");
    assert_eq!(error(AGENT, &[]), "invalid_authorization_details");
    let unknown = r#"[{"type":"safeconduct_task","intent":"unknown"}]"#;
    let details = [("authorization_details", unknown)];
    assert_eq!(error(AGENT, &details), "invalid_authorization_details");
    let details = [("authorization_details", named)];
    assert_eq!(error("refused-agent", &details), "access_denied");
    assert_eq!(error("batch", &details), "access_denied", "the intent is for agents");
    assert_eq!(error("ada", &details), "unauthorized_client", "a person is no client");
    assert_eq!((tasks("active"), tasks("revoked")), (2, 0));
    // A token that cannot be had leaves no task behind.
    assert_eq!(error(SIGNER, &[("scope", "crm.export")]), "invalid_scope");
    let wider = r#"[{"type":"safeconduct_action","actions":["crm.write"]}]"#;
    let refused = error(SIGNER, &[("authorization_details", wider)]);
    assert_eq!(refused, "invalid_authorization_details");
    assert_eq!((tasks("active"), tasks("revoked")), (2, 2));
    world.server.stop();
}
