//! What detectors find in what a running server decides, and what is made of it.

use std::net::Ipv4Addr;

use safeconduct_tests::http::Connection;
use safeconduct_tests::mcp::Client;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, wait_until};
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// Another network of 24 bits, which is this machine all the same.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

fn world(more: Json) -> Project {
    let project = Project::empty();
    project.write("policies/p.cedar", r#"@id("all") permit (principal, action, resource);"#);
    let tools = json!([
        { "name": "read", "inputSchema": { "type": "object" } },
        { "name": "drop", "inputSchema": { "type": "object" } },
    ]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({ "server": "crm", "actions": {
        "read": { "tier": "low", "effect": "read" },
        "drop": { "tier": "high", "effect": "write" },
    } });
    project.write("catalogue/crm.yaml", &actions.to_string());
    let mut config = json!({
        "version": 1,
        "upstreams": { "crm": project.upstream("crm", &tools) },
        "identities": [
            { "id": "alice", "kind": "user", "pep": { "subjects": ["User"] } },
            { "id": "bob", "kind": "user" },
            { "id": "agent", "kind": "agent", "owner": "alice", "fallback_owner": "bob",
                "pep": { "subjects": [] } },
        ],
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    project.configure(&config);
    project
}

/// Asks from that address whether somebody may act.
fn ask_from(server: &Server, here: Ipv4Addr, token: &str, subject: &Json, more: &[(&str, &str)]) {
    let authorization = format!("Bearer {token}");
    let mut headers =
        vec![("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    headers.extend(more);
    let question = json!({
        "subject": subject,
        "action": { "name": "crm.read" },
        "resource": { "type": "Server", "id": "crm" },
    });
    let mut connection = Connection::open_from(here, server.address).unwrap();
    let body = question.to_string();
    let answer = connection.request("POST", "/access/v1/evaluation", &headers, body.as_bytes());
    assert_eq!(answer.unwrap().json()["decision"], json!(true));
}

fn agent() -> Json {
    json!({ "type": "agent", "id": "agent" })
}

fn call_from(server: &Server, here: Ipv4Addr, token: &str) {
    let connection = Connection::open_from(here, server.address).unwrap();
    let answer = Client::over(connection, "crm", token).call("read", &json!({})).unwrap();
    assert!(answer["result"].is_object(), "{answer}\n{}", server.talk());
}

/// The signals of two places, as kinds and severities.
fn places(server: &Server) -> Vec<String> {
    let list = server.administer("GET", "/v1/signals?limit=1000", &Json::Null);
    let all = list["signals"].as_array().unwrap().iter();
    let mut all: Vec<String> = all
        .filter(|signal| signal["kind"] == "two_places")
        .map(|signal| signal["severity"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn one_credential_in_two_places_is_found_at_both_edges() {
    let project = world(json!({}));
    let server = Server::start(&project);
    let (id, token) = server.mint("agent");
    ask_from(&server, HERE, &token, &agent(), &[]);
    ask_from(&server, HERE, &token, &agent(), &[]);
    call_from(&server, ELSEWHERE, &token);
    // To move is little.
    wait_until("the move to be seen", || places(&server) == ["low"]);
    call_from(&server, ELSEWHERE, &token);
    ask_from(&server, HERE, &token, &agent(), &[]);
    wait_until("both places to be seen", || places(&server) == ["high", "low"]);
    let risk = server.administer("GET", &format!("/v1/risk?session=agent/{id}"), &Json::Null);
    assert!(risk["parts"].to_string().contains("two_places"), "{risk}");
}

#[test]
fn where_an_enforcement_point_stands_says_nothing_of_those_it_asks_for() {
    let project = world(json!({}));
    let server = Server::start(&project);
    let (_, token) = server.mint("alice");
    let (_, own) = server.mint("agent");
    let asserted = json!({ "type": "User", "id": "carol" });
    for here in [HERE, ELSEWHERE, HERE, ELSEWHERE] {
        ask_from(&server, here, &token, &asserted, &[]);
    }
    // What anyone may write says nothing either, unless a proxy of ours has written it.
    for claimed in ["192.0.2.1", "198.51.100.1", "192.0.2.1"] {
        ask_from(&server, HERE, &own, &agent(), &[("X-Forwarded-For", claimed)]);
    }
    server.stop();
    let lines = exported(&project);
    let networks: Vec<&Json> = lines
        .iter()
        .map(record_of)
        .filter(|record| record["kind"] == "decision")
        .map(|record| &record["body"]["network"])
        .collect();
    assert_eq!(networks.len(), 7);
    assert!(networks[..4].iter().all(|network| network.is_null()), "{networks:?}");
    assert!(networks[4..].iter().all(|network| network.is_string()), "{networks:?}");
    assert!(networks[4..].windows(2).all(|two| two[0] == two[1]), "{networks:?}");
    assert!(lines.iter().all(|line| record_of(line)["kind"] != "signal"));
    assert!(lines.iter().all(|line| !line.to_string().contains("127.0.")), "no address is kept");
}

#[test]
fn behind_a_proxy_it_says_where_a_caller_is() {
    let project = world(json!({ "proxies": ["127.0.0.0/24"] }));
    let server = Server::start(&project);
    let (_, token) = server.mint("agent");
    let from = |addresses: &str| {
        ask_from(&server, HERE, &token, &agent(), &[("X-Forwarded-For", addresses)]);
    };
    from("192.0.2.1");
    from("203.0.113.5, 192.0.2.9, 127.0.0.7");
    from("192.0.2.1, 198.51.100.1");
    wait_until("the move to be seen", || places(&server) == ["low"]);
    from("192.0.2.1");
    wait_until("both places to be seen", || places(&server) == ["high", "low"]);
}

#[test]
fn replay_shows_what_would_have_been_flagged() {
    let project = world(json!({ "risk": { "detectors": { "enabled": false } } }));
    let server = Server::start(&project);
    let mut client = server.mcp("crm", &server.mint("agent").1);
    for _ in 0..70 {
        client.call("read", &json!({})).unwrap();
    }
    assert_eq!(server.administer("GET", "/v1/signals", &Json::Null)["signals"], json!([]));
    server.stop();
    let replay = |args: &[&str]| {
        let (code, out, err) = tools::run(&project.config(), args);
        assert_eq!(code, 0, "{err}");
        out
    };
    let shown = replay(&["risk", "replay"]);
    println!("{shown}");
    assert!(shown.contains("burst") && shown.contains("decisions in 10000 ms"), "{shown}");
    project.write("lax.yaml", "burst_calls: 1000\n");
    let lax = project.path("lax.yaml").display().to_string();
    let none = replay(&["risk", "replay", "--tuning", &lax]);
    assert!(!none.contains("burst"), "{none}");
}
