//! Identities that trust records prove, at every edge of a running server.

use safeconduct_tests::http::Connection;
use safeconduct_tests::issuer::{Issuer, jwks, key, now, token};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, wait_until};
use serde_json::{Value as Json, json};

const US: &str = "https://safeconduct.example";
const AGENT: &str = "spiffe://prod.example/agent/case";

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("attested") permit (principal, action, resource)
when { context.action.name == "crm.read" && context.identity has attested };
@id("sure") permit (principal, action, resource)
when { context.action.name == "crm.read" && context.identity.assurance == "substantial" };
"#;

/// The bundle of `prod.example`, with those keys for JWT-SVIDs.
fn bundle(keys: &[u8], sequence: u64) -> String {
    let keys: Vec<_> = keys.iter().map(|number| key(*number)).collect();
    let mut bundle = match keys.is_empty() {
        true => json!({ "keys": [] }),
        false => jwks(&keys),
    };
    for key in bundle["keys"].as_array_mut().unwrap() {
        key["use"] = json!("jwt-svid");
    }
    bundle["spiffe_sequence"] = json!(sequence);
    bundle.to_string()
}

fn owned(id: &str, kind: &str) -> Json {
    json!({ "id": id, "kind": kind, "owner": "ada", "fallback_owner": "ada",
        "pep": { "subjects": [] } })
}

/// A server that believes a trust domain, a cluster, GitHub, an issuer for programs and one for
/// people.
fn world(issuer: &Issuer) -> (Project, Server) {
    let project = Project::empty();
    project.write("policies/p.cedar", POLICIES);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object"}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    let intent = json!({
        "intent": "work", "version": 1, "description": "Work.", "parameters": {},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "required", "longest": "10m",
        "budget": {"calls": 3}, "tier_max": "low", "envelope": [{"action": "crm.read"}],
    });
    project.write("intents/work.yaml", &intent.to_string());
    project.write("prod.json", &bundle(&[1], 1));
    project.write("platform.json", &jwks(&[key(2)]).to_string());
    let fetch =
        json!({ "http_on_loopback": true, "refresh_s": 5, "stale_s": 5, "unknown_key_s": 1 });
    let issued = |kind: &str, issuer: &str, more: Json| {
        let mut record = json!({ "kind": kind, "issuer": issuer, "algorithms": ["ES256"],
            "audiences": [US], "assurance": "substantial" });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let upstream = project.upstream("crm", &tools);
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "upstreams": { "crm": upstream },
        "identities": [
            { "id": "ada", "kind": "user" },
            owned(AGENT, "agent"), owned("billing", "workload"), owned("deploy", "service_account"),
            owned("batch", "workload"),
            { "id": "orchestrator", "kind": "workload", "owner": "ada", "fallback_owner": "ada",
                "roles": ["orchestrator"] },
        ],
        "trust": {
            "prod": { "kind": "spiffe", "trust_domain": "prod.example", "algorithms": ["ES256"],
                "bundle": { "file": "./prod.json" }, "paths": ["/agent/*"], "audiences": [US],
                "assurance": "high", "fetch": { "refresh_s": 5 } },
            "cluster": issued("kubernetes", "https://cluster.example", json!({
                "keys": { "file": "./platform.json" },
                "identities": [{ "identity": "billing", "kubernetes": {
                    "namespace": "prod", "service_account": "billing", "uid": "u-1" } }] })),
            "github": issued("github_actions", "https://token.actions.githubusercontent.com", json!({
                "keys": { "file": "./platform.json" },
                "identities": [{ "identity": "deploy", "github_actions": {
                    "repository_id": "7", "repository_owner_id": "8" } }] })),
            "people": issued("people", "https://people.example", json!({
                "keys": { "file": "./platform.json" }, "may_speak_for_users": true,
                "identities": [{ "identity": "ada", "claims": { "sub": "u-ada" } }] })),
            "programs": issued("oidc", &issuer.url(), json!({ "fetch": fetch,
                "identities": [
                    { "identity": "batch", "claims": { "sub": "batch" } },
                    { "identity": "orchestrator", "claims": { "sub": "orchestrator" } },
                    { "identity": "nobody", "claims": { "sub": "nobody" } },
                    { "identity": "ada", "claims": { "sub": "ada" } },
                ] })),
        },
    }));
    let server = Server::start(&project);
    (project, server)
}

fn svid(number: u8) -> String {
    token(&key(number), "JWT", &json!({ "sub": AGENT, "aud": US }))
}

fn program(issuer: &Issuer, subject: &str, number: u8, more: Json) -> String {
    let mut claims = json!({ "iss": issuer.url(), "sub": subject, "aud": US });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(&key(number), "JWT", &claims)
}

fn status(server: &Server, token: &str) -> u16 {
    server.ask("GET", "/v1/whoami", token, &Json::Null).status
}

/// What an identity is told by the decision API and by the gateway.
fn may_read(server: &Server, identity: &str, kind: &str, token: &str) -> (bool, bool) {
    let question = json!({
        "subject": { "type": kind, "id": identity },
        "action": { "name": "crm.read" },
        "resource": { "type": "Server", "id": "crm" },
    });
    let decision = server.evaluate(token, &question)["decision"].as_bool().unwrap();
    let called = server.mcp("crm", token).call("read", &json!({})).unwrap();
    (decision, called["result"]["isError"] != json!(true) && called.get("error").is_none())
}

#[test]
fn tokens_of_trusted_issuers_prove_at_every_edge() {
    let issuer = Issuer::start(key(3));
    let (_project, server) = world(&issuer);
    let cluster = token(
        &key(2),
        "JWT",
        &json!({
        "iss": "https://cluster.example", "sub": "system:serviceaccount:prod:billing", "aud": [US],
        "nbf": now(), "kubernetes.io": { "namespace": "prod",
            "serviceaccount": { "name": "billing", "uid": "u-1" },
            "pod": { "name": "p", "uid": "u-2" } } }),
    );
    let github = token(
        &key(2),
        "JWT",
        &json!({
        "iss": "https://token.actions.githubusercontent.com", "sub": "repo:o/r:ref:refs/heads/main",
        "aud": US, "repository_id": "7", "repository_owner_id": "8", "event_name": "push" }),
    );
    let batch = program(&issuer, "batch", 3, json!({}));
    for (token, identity, kind, method) in [
        (&svid(1), AGENT, "Agent", "jwt_svid"),
        (&cluster, "billing", "Workload", "oidc"),
        (&github, "deploy", "ServiceAccount", "oidc"),
        (&batch, "batch", "Workload", "oidc"),
    ] {
        let who = server.ask("GET", "/v1/whoami", token, &Json::Null);
        assert_eq!(who.status, 200, "{identity}: {}\n{}", who.text(), server.talk());
        let who = who.json();
        assert_eq!((&who["identity"]["id"], &who["method"]), (&json!(identity), &json!(method)));
        assert_eq!(may_read(&server, identity, kind, token), (true, true), "{identity}");
    }
    assert_eq!(issuer.fetched(), 1, "one fetch of keys for any number of tokens");
    // The same account made anew has another uid, and is another.
    let remade = token(
        &key(2),
        "JWT",
        &json!({
        "iss": "https://cluster.example", "sub": "system:serviceaccount:prod:billing", "aud": [US],
        "kubernetes.io": { "namespace": "prod",
            "serviceaccount": { "name": "billing", "uid": "u-9" } } }),
    );
    assert_eq!(status(&server, &remade), 401);
    let seen = server.administer("GET", "/v1/identities/batch", &Json::Null);
    assert!(seen["first_seen"].is_string() && seen["last_seen"].is_string(), "{seen}");
    server.stop();
}

#[test]
fn a_key_of_ours_is_weak_and_its_use_is_shown() {
    let issuer = Issuer::start(key(3));
    let (project, server) = world(&issuer);
    let (_, text) = server.mint("batch");
    assert!(text.starts_with("sc_key_") && text.len() == 79, "{text}");
    assert_eq!(may_read(&server, "batch", "Workload", &text), (false, false));
    let tokens = server.administer("GET", "/v1/tokens?identity=batch", &Json::Null);
    let shown = &tokens["tokens"][0];
    assert_eq!(shown["assurance"], "low");
    assert!(shown["last_used"].is_string() && shown["expires_at"].is_string(), "{shown}");
    assert!(!tokens.to_string().contains("sc_key_"));
    server.stop();
    // What was seen outlives the process.
    let server = Server::start(&project);
    let tokens = server.administer("GET", "/v1/tokens?identity=batch", &Json::Null);
    assert!(tokens["tokens"][0]["last_used"].is_string(), "{tokens}");
    server.stop();
}

#[test]
fn what_proves_nobody_is_turned_away() {
    let issuer = Issuer::start(key(3));
    let (_project, server) = world(&issuer);
    let good = program(&issuer, "batch", 3, json!({}));
    assert_eq!(status(&server, &good), 200);
    let claims = good.split('.').nth(1).unwrap();
    let strange = json!({ "iss": issuer.url(), "sub": "batch", "aud": US });
    let bad = [
        ("alg none", format!("eyJhbGciOiJub25lIn0.{claims}.")),
        ("no signature", format!("{}.{claims}.", good.split('.').next().unwrap())),
        ("audience", program(&issuer, "batch", 3, json!({ "aud": "https://other.example" }))),
        ("no audience", program(&issuer, "batch", 3, json!({ "aud": [] }))),
        ("issuer", program(&issuer, "batch", 3, json!({ "iss": "https://other.example" }))),
        ("not yet", program(&issuer, "batch", 3, json!({ "nbf": now() + 120 }))),
        ("over", program(&issuer, "batch", 3, json!({ "exp": now() - 1, "iat": now() - 60 }))),
        ("typ", token(&key(3), "at+jwt", &strange)),
        ("logout token", token(&key(3), "logout+jwt", &strange)),
        ("another's key", program(&issuer, "batch", 2, json!({}))),
        ("no binding", program(&issuer, "stranger", 3, json!({}))),
        (
            "path",
            token(&key(1), "JWT", &json!({ "sub": "spiffe://prod.example/agent/a/b", "aud": US })),
        ),
        (
            "prefix",
            token(&key(1), "JWT", &json!({ "sub": "spiffe://prod.example/agents/a", "aud": US })),
        ),
        (
            "several audiences",
            token(&key(1), "JWT", &json!({ "sub": AGENT, "aud": [US, "https://b.example"] })),
        ),
        (
            "issuer's key for a SPIFFE ID",
            token(&key(3), "JWT", &json!({ "iss": issuer.url(), "sub": AGENT, "aud": US })),
        ),
    ];
    for (what, token) in &bad {
        assert_eq!(status(&server, token), 401, "{what}");
        let mcp = server.ask("POST", "/mcp/crm", token, &json!({}));
        assert_eq!(mcp.status, 401, "{what}");
        assert!(mcp.header("www-authenticate").unwrap().contains("invalid_token"), "{what}");
    }
    let log = server.talk();
    assert!(bad.iter().all(|(_, token)| !log.contains(token.as_str())), "no token in the log");
    // Proved, and yet a stranger: it is said so, and nobody is made.
    let nobody =
        server.ask("GET", "/v1/whoami", &program(&issuer, "nobody", 3, json!({})), &Json::Null);
    assert_eq!((nobody.status, &nobody.json()["code"]), (403, &json!("not_registered")));
    // Who proved who they are and is not registered exists all the same.
    let who = server.administer("GET", "/v1/estate/who", &Json::Null);
    let appeared = who["unregistered"].as_array().unwrap();
    assert!(appeared.iter().any(|one| one["as"] == json!(["turned_away"])), "{who}");
    let unknown = server.ask("GET", "/v1/identities/nobody", server.admin(), &Json::Null);
    assert_eq!(unknown.status, 404);
    // A megabyte of token does not even become a request.
    let long = format!("Bearer {}", "a".repeat(1 << 20));
    let mut connection = Connection::open(server.address).unwrap();
    let answered =
        connection.request("GET", "/v1/whoami", &[("Authorization", long.as_str())], b"");
    assert!(answered.is_err() || answered.unwrap().status == 431);
    server.stop();
}

#[test]
fn keys_are_rotated_while_it_runs_and_a_storm_of_unknown_ones_is_one_fetch() {
    let issuer = Issuer::start(key(3));
    let (_project, server) = world(&issuer);
    assert_eq!(status(&server, &program(&issuer, "batch", 3, json!({}))), 200);
    issuer.publish(&[key(3), key(4)]);
    let renewed = program(&issuer, "batch", 4, json!({}));
    wait_until("the new key", || status(&server, &renewed) == 200);
    let before = issuer.fetched();
    let begun = std::time::Instant::now();
    for number in 20..70 {
        assert_eq!(status(&server, &program(&issuer, "batch", number, json!({}))), 401);
    }
    let most = 1 + begun.elapsed().as_secs() as usize;
    assert!(issuer.fetched() - before <= most, "{} fetches", issuer.fetched() - before);
    // The old key is withdrawn: what it signed counts no more, though it was proved before.
    let old = program(&issuer, "batch", 3, json!({}));
    assert_eq!(status(&server, &old), 200);
    issuer.publish(&[key(4)]);
    wait_until("the old key to be gone", || status(&server, &old) == 401);
    assert_eq!(status(&server, &renewed), 200);
    server.stop();
}

#[test]
fn an_issuer_that_is_away_too_long_vouches_for_nobody() {
    let issuer = Issuer::start(key(3));
    let (_project, server) = world(&issuer);
    let token = program(&issuer, "batch", 3, json!({}));
    assert_eq!(status(&server, &token), 200);
    issuer.stop();
    assert_eq!(status(&server, &token), 200, "within the limit nobody notices");
    wait_until("the keys to be stale", || status(&server, &token) == 401);
    server.stop();
}

#[test]
fn a_bundle_without_keys_revokes_all_of_its_domain() {
    let issuer = Issuer::start(key(3));
    let (project, server) = world(&issuer);
    let token = svid(1);
    assert_eq!(status(&server, &token), 200);
    project.write("prod.json", &bundle(&[], 2));
    wait_until("the bundle to be read", || status(&server, &token) == 401);
    server.stop();
}

#[test]
fn a_users_own_token_begins_a_task_for_them() {
    let issuer = Issuer::start(key(3));
    let (_project, server) = world(&issuer);
    let orchestrator = program(&issuer, "orchestrator", 3, json!({}));
    let begin = |token: String| {
        let body = json!({ "intent": "work", "agent": AGENT, "on_behalf_of": { "token": token } });
        server.ask("POST", "/v1/tasks", &orchestrator, &body)
    };
    let ada = json!({ "iss": "https://people.example", "sub": "u-ada", "aud": US });
    let begun = begin(token(&key(2), "JWT", &ada));
    assert_eq!(begun.status, 201, "{}", begun.text());
    assert_eq!(begun.json()["on_behalf_of"], "ada");
    // An issuer of programs does not speak for people, nor does any other's token.
    for other in [program(&issuer, "ada", 3, json!({})), svid(1), "sc_key_0".to_owned()] {
        let refused = begin(other);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("unproved_user")));
    }
    server.stop();
}

/// The configuration with its trust records changed.
fn trust(project: &Project, change: impl FnOnce(&mut Json)) {
    let text = std::fs::read_to_string(project.config()).unwrap();
    let mut config: Json = serde_json::from_str(&text).unwrap();
    change(&mut config["trust"]);
    project.configure(&config);
}

#[test]
fn trust_records_are_read_again_whole_or_not_at_all_and_that_is_recorded() {
    let issuer = Issuer::start(key(3));
    let (project, server) = world(&issuer);
    let (batch, agent) = (program(&issuer, "batch", 3, json!({})), svid(1));
    assert_eq!((status(&server, &batch), status(&server, &agent)), (200, 200));
    let fetched = issuer.fetched();
    // One is taken out: what it vouched for counts no more, though it was proved before.
    let text = std::fs::read_to_string(project.config()).unwrap();
    trust(&project, |trust| drop(trust.as_object_mut().unwrap().remove("prod")));
    wait_until("the record to be gone", || status(&server, &agent) == 401);
    assert_eq!(status(&server, &batch), 200);
    assert_eq!(issuer.fetched(), fetched, "the keys of those that stay are kept");
    // What does not fit changes nothing, not even where another part of it would.
    trust(&project, |trust| {
        trust["programs"]["audiences"] = json!(["https://other.example"]);
        trust["people"]["issuer"] = json!("not a URL");
    });
    wait_until("it to be refused", || server.talk().contains("are refused"));
    assert_eq!(status(&server, &batch), 200);
    // Put back, and told by a signal: whoever is meant is let in again.
    project.write("safeconduct.yaml", &text);
    server.signal(rustix::process::Signal::HUP);
    wait_until("the record to be back", || status(&server, &agent) == 200);
    trust(&project, |trust| trust["programs"]["audiences"] = json!(["https://other.example"]));
    wait_until("the other audience", || status(&server, &batch) == 401);
    let elsewhere = program(&issuer, "batch", 3, json!({ "aud": "https://other.example" }));
    assert_eq!(status(&server, &elsewhere), 200);
    server.stop();
    let lines = exported(&project);
    let records = lines.iter().map(record_of);
    let loaded: Vec<_> = records.filter(|record| record["kind"] == "trust_loaded").collect();
    let counts: Vec<_> = loaded.iter().map(|record| &record["body"]["records"]).collect();
    assert_eq!(counts, [&json!(5), &json!(4), &json!(5), &json!(5)], "{loaded:?}");
    assert_eq!(loaded[0]["body"]["cause"], "start");
    assert_eq!(loaded[0]["body"]["digest"], loaded[2]["body"]["digest"]);
    let mut refused = lines.iter().map(record_of).filter(|r| r["kind"] == "policies_refused");
    let says = |r: &Json| r["body"]["problem"].as_str().unwrap().contains("`not a URL`");
    assert!(refused.any(says));
}
