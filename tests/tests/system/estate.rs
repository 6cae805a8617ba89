//! The estate's six questions, as a person asks them of a running server.

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, wait_until};
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

fn world() -> Project {
    let project = Project::empty();
    project.write(
        "policies/p.cedar",
        r#"@id("reads")
permit (principal == Safeconduct::Agent::"agent", action == Safeconduct::Action::"crm.read", resource);
@id("no-drop")
forbid (principal, action == Safeconduct::Action::"crm.drop", resource);
"#,
    );
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
    project.configure(&json!({
        "version": 1,
        "upstreams": { "crm": project.upstream("crm", &tools) },
        "identities": [
            { "id": "alice", "kind": "user" },
            { "id": "bob", "kind": "user" },
            { "id": "agent", "kind": "agent", "owner": "alice", "fallback_owner": "bob" },
        ],
    }));
    project
}

fn said(project: &Project, server: &Server, arguments: &[&str]) -> String {
    let output = tools::command()
        .arg("--config")
        .arg(project.config())
        .args(["estate"])
        .args(arguments)
        .env("SAFECONDUCT_URL", format!("http://{}", server.address))
        .env("SAFECONDUCT_TOKEN", server.admin())
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {talk}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn six_plain_questions_have_answers() {
    let project = world();
    let server = Server::start(&project);
    let (_, token) = server.mint("agent");
    let mut client = server.mcp("crm", &token);
    assert!(client.call("read", &json!({})).unwrap()["result"].is_object());
    let ask = |arguments: &[&str]| said(&project, &server, arguments);

    let who = ask(&["who"]);
    assert!(who.lines().next().unwrap().starts_with("ID "), "{who}");
    assert!(who.contains("agent") && who.contains("alice"), "{who}");
    assert!(ask(&["owns", "alice"]).contains("agent"));
    assert!(ask(&["owns", "bob"]).contains("fallback_owner"));
    let can = ask(&["can", "agent"]);
    assert!(can.contains("crm.read on anything") && can.contains("reads at p.cedar:1:1"), "{can}");
    let why = ask(&["why", "agent", "crm.drop", "Safeconduct::Server::\"crm\""]);
    assert!(
        why.contains("forbid  no-drop") && why.contains("outside of every task: deny"),
        "{why}"
    );
    let did = || serde_json::from_str::<Json>(&ask(&["did", "agent", "-o", "json"])).unwrap();
    wait_until("the use is counted", || did()["uses"][0]["succeeded"] == json!(1));
    assert_eq!(did()["uses"][0]["policy"], "reads");
    assert!(ask(&["did", "agent"]).contains("crm.read by reads: succeeded"));
    assert!(ask(&["stop", "agent"]).contains("1 token,"), "{}", ask(&["stop", "agent"]));
    assert!(client.call("read", &json!({})).unwrap()["result"].is_object(), "nothing was stopped");
    assert!(ask(&["stop", "agent", "--yes", "--reason", "seen enough"]).starts_with("stopped"));
    assert!(ask(&["can", "agent"]).starts_with("agent is suspended"));
    server.stop();
}
