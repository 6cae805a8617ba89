//! A small world that most system tests share: one agent, one enforcement point, one server.

use safeconduct_tests::project::Project;
use serde_json::{Value as Json, json};

/// The agent.
pub(crate) const AGENT: &str = "agent";

/// The tools of the server `box`.
pub(crate) fn tools() -> Json {
    let text = json!({ "type": "string" });
    json!([
        {
            "name": "put",
            "inputSchema": {
                "type": "object",
                "properties": { "id": text, "behave": text, "until": text },
                "required": ["id"],
            },
        },
        { "name": "burn", "inputSchema": { "type": "object", "properties": {} } },
    ])
}

/// The configuration, to be changed by a test before it is written.
pub(crate) fn config(project: &Project) -> Json {
    json!({
        "version": 1,
        "upstreams": { "box": project.upstream("box", &tools()) },
        "sessions": { "calls": 1_000_000 },
        "identities": [
            agent(AGENT),
            agent("other"),
            { "id": "alice", "kind": "user" },
            { "id": "bob", "kind": "user" },
        ],
    })
}

/// An agent that may ask about itself over the API too.
fn agent(id: &str) -> Json {
    json!({
        "id": id,
        "kind": "agent",
        "owner": "alice",
        "fallback_owner": "bob",
        "pep": { "subjects": [] },
    })
}

/// A project whose agent may put things in the box, and burn nothing.
pub(crate) fn project() -> Project {
    let project = Project::empty();
    project.write(
        "policies/box.cedar",
        r#"@id("put") permit (principal, action == Safeconduct::Action::"box.put", resource);"#,
    );
    project.write(
        "catalogue/box.yaml",
        "server: box\nactions:\n  put: { tier: low, effect: write }\n  burn: { tier: low, effect: write }\n",
    );
    project.write("catalogue/box.tools.json", &tools().to_string());
    project.configure(&config(&project));
    project
}

/// The question whether an agent may put that in the box.
pub(crate) fn may_put(agent: &str, id: &str) -> Json {
    json!({
        "subject": { "type": "Agent", "id": agent },
        "action": { "name": "box.put", "properties": { "id": id } },
        "resource": { "type": "Server", "id": "box" },
    })
}

/// The ids of all calls that reached the server `box`.
pub(crate) fn reached(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.calls_of("box")).unwrap_or_default();
    // A server that was killed in the middle of a line has not answered that call either.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines.map(|call| call["arguments"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The text that an agent gets, of a result or an error.
pub(crate) fn told(answer: &Json) -> String {
    match answer["error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Whether a call came through and succeeded.
pub(crate) fn succeeded(answer: &Json) -> bool {
    answer["result"].is_object() && answer["result"]["isError"] != json!(true)
}
