//! Tokens of a real OpenID provider (npm `oidc-provider`), for programs and for people.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools::{self, root};
use serde_json::{Value as Json, json};

const US: &str = "https://safeconduct.example";

/// A provider; it ends with this value.
struct Provider {
    child: Child,
    issuer: String,
    access_token: String,
    id_token: String,
}

impl Provider {
    fn start() -> Result<Self, String> {
        if !root().join("node_modules/oidc-provider").exists() {
            return Err("no node_modules/oidc-provider: run `make tools`".into());
        }
        let mut child = Command::new(tools::node()?)
            .arg(root().join("tests/peers/openid_provider.mjs"))
            .arg(US)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok()).next();
        let said = said.expect("the provider gives tokens");
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let (issuer, access_token) = (text("issuer"), text("access_token"));
        Ok(Self { child, issuer, access_token, id_token: text("id_token") })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn world(programs: &Provider, people: &Provider) -> (Project, Server) {
    let project = Project::empty();
    project.write(
        "policies/p.cedar",
        r#"@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);"#,
    );
    let tools = json!([{"name": "read", "inputSchema": {"type": "object"}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    let upstream = project.upstream("crm", &tools);
    let intent = json!({
        "intent": "work", "version": 1, "description": "Work.", "parameters": {},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "required", "longest": "10m",
        "budget": {"calls": 3}, "tier_max": "low", "envelope": [{"action": "crm.read"}],
    });
    project.write("intents/work.yaml", &intent.to_string());
    let record = |kind: &str, issuer: &str, audience: &str, more: Json| {
        let mut record = json!({ "kind": kind, "issuer": issuer, "algorithms": ["RS256"],
            "audiences": [audience], "assurance": "substantial",
            "fetch": { "http_on_loopback": true } });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "upstreams": { "crm": upstream },
        "identities": [
            { "id": "ada", "kind": "user" },
            { "id": "helper", "kind": "agent", "owner": "ada", "fallback_owner": "ada" },
            { "id": "batch", "kind": "workload", "owner": "ada", "fallback_owner": "ada",
                "roles": ["orchestrator"] },
        ],
        "trust": {
            "programs": record("oidc", &programs.issuer, US, json!({ "types": ["at+jwt"],
                "identities": [{ "identity": "batch", "claims": { "client_id": "batch" } }] })),
            "people": record("people", &people.issuer, "safeconduct-web", json!({
                "may_speak_for_users": true,
                "identities": [{ "identity": "ada", "claims": { "sub": "u-ada" } }] })),
        },
    }));
    let server = Server::start(&project);
    (project, server)
}

#[test]
fn a_provider_proves_programs_and_people_and_neither_passes_for_the_other() {
    let (programs, people) = match (Provider::start(), Provider::start()) {
        (Ok(programs), Ok(people)) => (programs, people),
        (Err(why), _) | (_, Err(why)) => return tools::skip("a real OpenID provider", &why),
    };
    let (_project, server) = world(&programs, &people);
    let who = |token: &str| {
        let answer = server.ask("GET", "/v1/whoami", token, &Json::Null);
        let id = answer.json()["identity"]["id"].as_str().map(str::to_owned);
        (answer.status, id)
    };
    assert_eq!(who(&programs.access_token), (200, Some("batch".into())), "{}", server.talk());
    assert_eq!(who(&people.id_token), (200, Some("ada".into())), "{}", server.talk());
    // An ID token where an access token is due, and the other way round: kind and audience differ.
    assert_eq!(who(&programs.id_token), (401, None));
    assert_eq!(who(&people.access_token), (401, None));

    let begin = |user: &str| {
        let body =
            json!({ "intent": "work", "agent": "helper", "on_behalf_of": { "token": user } });
        server.ask("POST", "/v1/tasks", &programs.access_token, &body)
    };
    let begun = begin(&people.id_token);
    assert_eq!(begun.status, 201, "{}", begun.text());
    assert_eq!(begun.json()["on_behalf_of"], "ada");
    assert_eq!(begin(&people.access_token).status, 403);
    server.stop();
}
