//! The estate's six questions, as a person asks them of a running server.

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, wait_until};
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

/// What was permitted before a change of the policies, after it, and after the agent was stopped:
/// each as it was then, from the data folder.
#[test]
fn what_was_permitted_then_is_told_by_replaying() {
    let project = world();
    let server = Server::start(&project);
    let ask = |arguments: &[&str]| said(&project, &server, arguments);
    let (_, token) = server.mint("agent");
    let mut client = server.mcp("crm", &token);
    assert!(client.call("read", &json!({})).unwrap()["result"].is_object());
    let time = |kind: &str, nth: usize| {
        let lines = exported(&project);
        let of_kind = lines.iter().map(record_of).filter(|record| record["kind"] == kind);
        of_kind.map(|record| record["at"].as_str().unwrap().to_owned()).nth(nth)
    };
    wait_until("the decision is there", || time("outcome", 0).is_some());
    let before = time("outcome", 0).unwrap();

    project.write(
        "policies/p.cedar",
        r#"@id("drops")
permit (principal == Safeconduct::Agent::"agent", action == Safeconduct::Action::"crm.drop", resource);
"#,
    );
    wait_until("the policies are loaded", || time("policies_loaded", 1).is_some());
    let between = time("policies_loaded", 1).unwrap();
    server.administer(
        "POST",
        "/v1/kill",
        &json!({ "scope": { "identity": "agent" }, "reason": "a test" }),
    );
    wait_until("the stop is there", || time("killed", 0).is_some());
    let after = "2100-01-01T00:00:00Z";

    let can = |at: &str| ask(&["can", "agent", "--as-of", at]);
    let first = can(&before);
    assert!(first.contains("reads at p.cedar:1:1") && !first.contains("drops"), "{first}");
    let second = can(&between);
    assert!(second.contains("drops at p.cedar:1:1") && !second.contains("reads"), "{second}");
    assert!(!second.contains("was suspended"), "{second}");
    let third = can(after);
    assert!(third.starts_with("agent was suspended: nothing was permitted then"), "{third}");
    let server_of = "Safeconduct::Server::\"crm\"";
    let why = ask(&["why", "agent", "crm.read", server_of, "--as-of", &before]);
    assert!(why.contains("asked then, outside of every task: permit"), "{why}");
    let why = ask(&["why", "agent", "crm.read", server_of, "--as-of", &between]);
    assert!(why.contains("asked then, outside of every task: deny"), "{why}");

    // The story of a decision, as it stood then: with proofs, and with what was permitted.
    let decision = exported(&project);
    let decision = decision
        .iter()
        .map(record_of)
        .find(|record| record["kind"] == "decision" && record["body"]["action"] == "crm.read");
    let decision = decision.unwrap()["id"].as_str().unwrap().to_owned();
    let told = tools::command()
        .arg("--config")
        .arg(project.config())
        .args(["trace", &decision, "--as-of", &before, "--proof", "-o", "json"])
        .output()
        .unwrap();
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Json = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["proofs_hold"], true);
    assert!(told["checkpoint"]["note"].as_str().unwrap().contains('\n'));
    assert_eq!(told["permitted_then"]["can"][0]["identity"], "agent");
    assert_eq!(told["permitted_then"]["can"][0]["grants"][0]["given_by"], "reads");
    let nothing = tools::command()
        .arg("--config")
        .arg(project.config())
        .args(["estate", "can", "agent", "--as-of", "2020-01-01T00:00:00Z"])
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&nothing.stderr);
    assert!(talk.contains("no policy set was in force at 2020"), "{talk}");
}

/// Decisions of two policy sets under a draft that looks at arguments, which were kept: from the
/// data folder each is held against the set that made it, and its arguments are opened.
#[test]
fn a_draft_over_arguments_is_replayed_from_what_was_kept() {
    let project = world();
    let tools = json!([{ "name": "read", "inputSchema": {
        "type": "object", "properties": { "path": { "type": "string" } },
    } }]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({ "server": "crm", "actions": {
        "read": { "tier": "low", "effect": "read", "keep": { "arguments": true } },
    } });
    project.write("catalogue/crm.yaml", &actions.to_string());
    let permit = |name: &str, when: &str| {
        format!(
            "@id(\"{name}\")\npermit (principal == Safeconduct::Agent::\"agent\", action == \
             Safeconduct::Action::\"crm.read\", resource) when {{ {when} }};\n"
        )
    };
    project.write("policies/p.cedar", &permit("first", "context.session.steps < 9"));
    project.configure(&json!({
        "version": 1,
        "upstreams": { "crm": project.upstream("crm", &tools) },
        "identities": [
            { "id": "alice", "kind": "user" },
            { "id": "bob", "kind": "user" },
            { "id": "agent", "kind": "agent", "owner": "alice", "fallback_owner": "bob" },
        ],
    }));
    let server = Server::start(&project);
    let (_, token) = server.mint("agent");
    let mut client = server.mcp("crm", &token);
    let mut call = |path: &str| client.call("read", &json!({ "path": path })).unwrap();
    let count = |kind: &str| {
        let lines = exported(&project);
        lines.iter().map(record_of).filter(|record| record["kind"] == kind).count()
    };
    call("/a/1");
    call("/b/1");
    wait_until("the outcomes are there", || count("outcome") == 2);
    project.write("policies/p.cedar", &permit("second", "context.session.steps < 7"));
    wait_until("the policies are loaded", || count("policies_loaded") == 2);
    call("/b/2");
    wait_until("the outcome is there", || count("outcome") == 3);
    // How old a statement is, shows by what was kept of the sets before.
    let since = said(&project, &server, &["why", "agent", "crm.read", "-o", "json"]);
    let since: Json = serde_json::from_str(&since).unwrap();
    let statement = &since["statements"][0];
    assert_eq!(statement["policy"], "second");
    assert!(statement["since"].is_string() && statement["perhaps_since"].is_null(), "{statement}");

    let path = "context has input && context.input has path && context.input.path like \"/a/*\"";
    project.write("draft/p.cedar", &permit("second", path));
    let replayed = |more: &[&str]| {
        let output = tools::command()
            .arg("--config")
            .arg(project.config())
            .args(["policy", "diff"])
            .args([project.path("policies"), project.path("draft")])
            .args(["--replay", "1h", "--offline", "-o", "json"])
            .args(more)
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{talk}");
        serde_json::from_slice::<Json>(&output.stdout).unwrap()["replay"].clone()
    };
    let replay = replayed(&[]);
    assert_eq!(replay["not_replayable"]["count"], 0, "{replay}");
    assert_eq!(replay["newly_denied"]["count"], 2, "{replay}");
    let because: Vec<_> = replay["newly_denied"]["listed"].as_array().unwrap().iter().collect();
    assert_eq!(
        because[0]["because"],
        json!(["first"]),
        "the set of then is what it is held against"
    );
    assert_eq!(because[1]["because"], json!(["second"]));
    // Without the key that they are sealed under, nothing is guessed.
    std::fs::rename(project.path("keys/kek"), project.path("kek")).unwrap();
    let replay = replayed(&[]);
    assert_eq!(replay["not_replayable"]["count"], 3, "{replay}");
    let lacking = &replay["not_replayable"]["listed"][0]["lacks"];
    assert_eq!(*lacking, json!({ "fact": "context.input", "why": "not_opened" }), "{replay}");
}
