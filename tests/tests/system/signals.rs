//! What others tell a running server of risk: pushed security events and signed webhooks.

use std::time::{Duration, Instant};

use safeconduct_credential::jose::SigningKey;
use safeconduct_credential::webhook::WebhookKey;
use safeconduct_model::Timestamp;
use safeconduct_tests::http::{Connection, Response};
use safeconduct_tests::issuer::{Issuer, key, now};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, free_address, record_of, wait_until};
use safeconduct_wire::json::from_serde;
use serde_json::{Value as Json, json};

const US: &str = "https://safeconduct.example";
const BEARER: &str = "the-transmitter-knows-this";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// How many agents there are.
const AGENTS: usize = 21;

fn agent(n: usize) -> String {
    format!("agent-{n}")
}

fn form(n: usize) -> Json {
    json!({ "id": agent(n), "kind": "agent", "owner": "alice", "fallback_owner": "bob",
        "pep": { "subjects": [] } })
}

fn world(issuer: &Issuer) -> Project {
    let project = Project::empty();
    project.write("policies/p.cedar", r#"@id("all") permit (principal, action, resource);"#);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object"}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    for (file, text) in [("idp.token", BEARER), ("siem.key", SECRET)] {
        project.write(file, text);
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(project.path(file), closed).unwrap();
    }
    let people = [json!({ "id": "alice", "kind": "user" }), json!({ "id": "bob", "kind": "user" })];
    project.configure(&json!({
        "version": 1,
        "upstreams": { "crm": project.upstream("crm", &tools) },
        "identities": (0..AGENTS).map(form).chain(people).collect::<Vec<_>>(),
        "signals": {
            "streams": { "idp": {
                "issuer": issuer.url(), "audience": US, "algorithms": ["ES256"],
                "bearer_file": "./idp.token", "subjects": { "opaque": "{}" },
                "fetch": { "http_on_loopback": true, "unknown_key_s": 1 },
            } },
            "webhooks": {
                "siem": { "secret_file": "./siem.key" },
                "soc": { "secret_file": "./siem.key", "may_revoke": true },
            },
        },
    }));
    project
}

fn claims(issuer: &Issuer, jti: &str, agent: &str) -> Json {
    json!({ "iss": issuer.url(), "aud": US, "iat": now(), "jti": jti,
        "sub_id": { "format": "opaque", "id": agent }, "events": { REVOKED: {} } })
}

fn set(key: &SigningKey, claims: &Json) -> String {
    key.sign("secevent+jwt", &from_serde(claims)).unwrap()
}

fn push_as(server: &Server, bearer: &str, media_type: &str, set: &str) -> Response {
    let authorization = format!("Bearer {bearer}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", media_type)];
    let mut connection = Connection::open(server.address).unwrap();
    connection.request("POST", "/v1/signals/streams/idp", &headers, set.as_bytes()).unwrap()
}

fn push(server: &Server, set: &str) -> Response {
    push_as(server, BEARER, "application/secevent+jwt", set)
}

fn may(server: &Server, token: &str, agent: &str) -> bool {
    let question = json!({
        "subject": { "type": "agent", "id": agent },
        "action": { "name": "crm.read" },
        "resource": { "type": "Server", "id": "crm" },
    });
    let answer = server.ask("POST", "/access/v1/evaluation", token, &question);
    answer.status == 200 && answer.json()["decision"] == json!(true)
}

fn listed(server: &Server) -> Json {
    server.administer("GET", "/v1/signals/streams", &Json::Null)["streams"][0].clone()
}

#[test]
fn a_revoked_session_stops_its_identity_before_it_is_acknowledged() {
    let issuer = Issuer::start(key(3));
    let project = world(&issuer);
    let server = Server::start(&project);
    let mut took = Vec::new();
    for n in 0..AGENTS {
        let (_, token) = server.mint(&agent(n));
        assert!(may(&server, &token, &agent(n)));
        let set = set(&key(3), &claims(&issuer, &format!("jti-{n}"), &agent(n)));
        let begun = Instant::now();
        let pushed = push(&server, &set);
        assert_eq!((pushed.status, pushed.text()), (202, String::new()));
        assert!(!may(&server, &token, &agent(n)));
        took.push(begun.elapsed());
    }
    took.sort();
    let median = took[AGENTS / 2];
    println!("from the event to the first refusal: {median:?} at the median");
    assert!(median < Duration::from_millis(50), "{took:?}");
    let stream = listed(&server);
    assert_eq!((&stream["taken"], &stream["state"]), (&json!(AGENTS), &json!("speaking")));
    server.stop();
    let kinds: Vec<_> =
        exported(&project).iter().map(|line| record_of(line)["kind"].clone()).collect();
    // Whoever is meant may act, or be acted for: a signal for each.
    assert_eq!(kinds.iter().filter(|kind| **kind == json!("signal")).count(), 2 * AGENTS);
    assert_eq!(kinds.iter().filter(|kind| **kind == json!("killed")).count(), AGENTS);
}

#[test]
fn an_event_counts_once_across_a_restart_too() {
    let issuer = Issuer::start(key(3));
    let project = world(&issuer);
    let server = Server::start(&project);
    let first = set(&key(3), &claims(&issuer, "once", &agent(0)));
    assert_eq!(push(&server, &first).status, 202);
    // Somebody looked into it, and lets the agent go on.
    let active = |server: &Server| {
        let mut form = form(0);
        form["status"] = json!("active");
        server.administer("PUT", "/v1/identities/agent-0", &form);
        server.mint(&agent(0)).1
    };
    let token = active(&server);
    assert!(may(&server, &token, &agent(0)));
    assert_eq!(push(&server, &first).status, 202);
    assert!(may(&server, &token, &agent(0)), "a replay changes nothing");
    assert_eq!(listed(&server)["repeated"], json!(1));
    server.stop();
    let server = Server::start(&project);
    assert_eq!(push(&server, &first).status, 202);
    assert!(may(&server, &token, &agent(0)), "nor does one after a restart");
    assert_eq!(listed(&server)["repeated"], json!(1));
}

#[test]
fn what_is_no_event_of_the_stream_is_refused_and_changes_nothing() {
    let issuer = Issuer::start(key(3));
    let server = Server::start(&world(&issuer));
    let (_, token) = server.mint(&agent(0));
    let good = claims(&issuer, "x", &agent(0));
    let with = |name: &str, value: Json| {
        let mut claims = good.clone();
        claims[name] = value;
        set(&key(3), &claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        set(&key(3), &claims)
    };
    let typed = key(3).sign("JWT", &from_serde(&good)).unwrap();
    let forged = {
        let mine = set(&key(3), &good);
        let (head, _) = mine.rsplit_once('.').unwrap();
        format!("{head}.{}", set(&key(4), &good).rsplit_once('.').unwrap().1)
    };
    for (what, set, err) in [
        ("forged", forged, "invalid_key"),
        ("unknown key", set(&key(4), &good), "invalid_key"),
        ("of another issuer", with("iss", json!("https://evil.example")), "invalid_issuer"),
        ("misaddressed", with("aud", json!("https://other.example")), "invalid_audience"),
        ("future", with("iat", json!(now() + 3600)), "invalid_request"),
        ("late", with("iat", json!(now() - 20 * 86_400)), "invalid_request"),
        ("with exp", with("exp", json!(now() + 3600)), "invalid_request"),
        ("with sub", with("sub", json!("agent-0")), "invalid_request"),
        ("without jti", without("jti"), "invalid_request"),
        ("without events", with("events", json!({})), "invalid_request"),
        ("another kind of token", typed, "invalid_request"),
        ("no token", "x".to_owned(), "invalid_request"),
        ("nothing", String::new(), "invalid_request"),
        ("too long", "x".repeat(200_000), "invalid_request"),
    ] {
        let refused = push(&server, &set);
        let said = (refused.status, refused.json()["err"].clone());
        assert_eq!(said, (400, json!(err)), "{what}: {}", refused.text());
        assert!(!refused.json()["description"].as_str().unwrap().is_empty());
    }
    let fine = set(&key(3), &good);
    for bearer in ["", "wrong", &format!("{BEARER}x"), server.admin()] {
        let refused = push_as(&server, bearer, "application/secevent+jwt", &fine);
        let said = (refused.status, refused.json()["err"].clone());
        assert_eq!(said, (400, json!("authentication_failed")), "{bearer}");
    }
    assert_eq!(push_as(&server, BEARER, "application/json", &fine).status, 400);
    assert!(may(&server, &token, &agent(0)), "nothing of it was believed");
    // Nobody here is meant: it is acknowledged, and nothing comes of it.
    let stranger = claims(&issuer, "y", "stranger");
    let mut unknown = claims(&issuer, "z", &agent(0));
    unknown["events"] = json!({ "https://example.com/event": {} });
    for harmless in [stranger, unknown] {
        assert_eq!(push(&server, &set(&key(3), &harmless)).status, 202);
    }
    assert!(may(&server, &token, &agent(0)));
    assert_eq!(push(&server, &fine).status, 202);
    assert!(!may(&server, &token, &agent(0)));
}

fn hook(server: &Server, name: &str, id: &str, at: i64, body: &str, tamper: &str) -> u16 {
    let signed = WebhookKey::parse(SECRET).unwrap().sign(
        id,
        Timestamp::from_millis(at * 1000),
        body.as_bytes(),
    );
    let headers = [
        ("Content-Type", "application/json"),
        ("webhook-id", &*signed.id),
        ("webhook-timestamp", &*signed.timestamp),
        ("webhook-signature", &*signed.signature),
    ];
    let mut connection = Connection::open(server.address).unwrap();
    let path = format!("/v1/signals/webhooks/{name}");
    let body = format!("{body}{tamper}");
    connection.request("POST", &path, &headers, body.as_bytes()).unwrap().status
}

#[test]
fn a_webhook_counts_once_and_only_as_far_as_it_may() {
    let issuer = Issuer::start(key(3));
    let project = world(&issuer);
    let server = Server::start(&project);
    let (_, token) = server.mint(&agent(0));
    let about = |n: usize, kind: &str| {
        json!({ "signals": [{ "about": { "identity": agent(n) }, "kind": kind,
            "severity": "critical", "detail": "seen by the SIEM" }] })
        .to_string()
    };
    let (reported, revoked) = (about(0, "reported"), about(0, "session_revoked"));
    assert_eq!(hook(&server, "siem", "msg_1", now(), &reported, ""), 202);
    assert_eq!(hook(&server, "siem", "msg_1", now(), &reported, ""), 202, "again");
    for (what, status, answer) in [
        ("changed", 401, hook(&server, "siem", "msg_2", now(), &reported, " ")),
        ("old", 401, hook(&server, "siem", "msg_2", now() - 301, &reported, "")),
        ("future", 401, hook(&server, "siem", "msg_2", now() + 302, &reported, "")),
        ("unknown", 401, hook(&server, "nobody", "msg_2", now(), &reported, "")),
        ("no report", 400, hook(&server, "siem", "msg_2", now(), "{}", "")),
        ("may not", 403, hook(&server, "siem", "msg_2", now(), &revoked, "")),
    ] {
        assert_eq!(answer, status, "{what}");
    }
    assert!(may(&server, &token, &agent(0)));
    assert_eq!(hook(&server, "soc", "msg_1", now(), &revoked, ""), 202);
    assert!(!may(&server, &token, &agent(0)));
    server.stop();
    let server = Server::start(&project);
    let mut active = form(0);
    active["status"] = json!("active");
    server.administer("PUT", "/v1/identities/agent-0", &active);
    let (_, token) = server.mint(&agent(0));
    assert_eq!(hook(&server, "soc", "msg_1", now(), &revoked, ""), 202);
    assert!(may(&server, &token, &agent(0)), "a replay after a restart changes nothing");
    server.stop();
    let signals = exported(&project);
    let signals = signals.iter().filter(|line| record_of(line)["kind"] == json!("signal"));
    assert_eq!(signals.count(), 2);
}

/// How a server gets the events of another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Push,
    Poll,
}

/// A server that transmits, and one that receives from it.
fn two_servers(way: Way) -> (Project, Server, Project, Server) {
    let (here, there) = (free_address(), free_address());
    let url = format!("http://{here}");
    let transmitting = world(&Issuer::start(key(3)));
    let mut config: Json =
        serde_json::from_str(&std::fs::read_to_string(transmitting.config()).unwrap()).unwrap();
    let receiver = json!({ "id": "receiver", "kind": "workload", "owner": "alice",
        "fallback_owner": "bob" });
    config["identities"].as_array_mut().unwrap().push(receiver);
    config["token_service"] = json!({ "issuer": url, "resources": { "https://crm.example": {} } });
    config["signals"] = json!({ "transmitter": {
        "receivers": { "receiver": { "audience": US } }, "fetch": { "http_on_loopback": true },
    } });
    transmitting.configure(&config);
    let first = Server::start_at(&transmitting, here);
    let (_, token) = first.mint("receiver");

    let receiving = world(&Issuer::start(key(3)));
    receiving.write("token", &token);
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(receiving.path("token"), closed).unwrap();
    let mut config: Json =
        serde_json::from_str(&std::fs::read_to_string(receiving.config()).unwrap()).unwrap();
    config["signals"] = json!({ "streams": { "idp": {
        "issuer": url, "audience": US, "algorithms": ["ES256"], "token_file": "./token",
        "delivery": if way == Way::Push { "push" } else { "poll" },
        "bearer_file": "./idp.token", "subjects": { "iss_sub": "{}" },
        "manage": { "base_url": format!("http://{there}") },
        "fetch": { "http_on_loopback": true },
    } } });
    receiving.configure(&config);
    let second = Server::start_at(&receiving, there);
    (transmitting, first, receiving, second)
}

fn one_tells_the_other(way: Way) {
    let (_transmitting, first, _receiving, second) = two_servers(way);
    // The second one sets the stream up by itself, and can say how it stands there.
    let status = "/v1/signals/streams/idp/status";
    wait_until("the stream", || {
        let answer = second.ask("GET", status, second.admin(), &Json::Null);
        answer.status == 200 && answer.json()["status"] == json!("enabled")
    });
    second.administer("POST", "/v1/signals/streams/idp/verify", &Json::Null);
    wait_until("the verification", || listed(&second)["verified_at"].is_string());
    let (_, token) = second.mint(&agent(0));
    assert!(may(&second, &token, &agent(0)));
    let begun = Instant::now();
    let stop = json!({ "scope": { "identity": agent(0) }, "reason": "it ran away" });
    first.administer("POST", "/v1/kill", &stop);
    wait_until("the agent to be stopped there", || !may(&second, &token, &agent(0)));
    println!("from one server's kill switch to the other's refusal: {:?}", begun.elapsed());
    assert!(may(&second, &second.mint(&agent(1)).1, &agent(1)));
    // Nothing waits any more, once it was acknowledged.
    wait_until("the acknowledgement", || {
        let metrics = first.ask("GET", "/metrics", "", &Json::Null).text();
        metrics.contains(r#"safeconduct_sent_out{what="events",state="waiting"} 0"#)
    });
}

#[test]
fn a_server_stops_what_another_one_has_stopped_and_pushes() {
    one_tells_the_other(Way::Push);
}

#[test]
fn a_server_stops_what_another_one_has_stopped_where_it_polls() {
    one_tells_the_other(Way::Poll);
}

#[test]
fn events_wait_for_a_receiver_across_a_restart() {
    let (transmitting, first, receiving, second) = two_servers(Way::Push);
    let address = first.address;
    let there = second.address;
    wait_until("the stream", || {
        let path = "/v1/signals/streams/idp/status";
        second.ask("GET", path, second.admin(), &Json::Null).status == 200
    });
    second.stop();
    let stop = json!({ "scope": { "identity": agent(0) }, "reason": "it ran away" });
    first.administer("POST", "/v1/kill", &stop);
    // Where it stands, with the event not told.
    first.kill();
    let second = Server::start_at(&receiving, there);
    let (_, token) = second.mint(&agent(0));
    assert!(may(&second, &token, &agent(0)));
    let _first = Server::start_at(&transmitting, address);
    wait_until("the agent to be stopped there", || !may(&second, &token, &agent(0)));
}
