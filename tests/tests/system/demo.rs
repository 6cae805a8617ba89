//! The main job, as `make demo` runs it.

use std::io::Write as _;
use std::process::Stdio;

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, wait_until};
use safeconduct_tests::tools::{self, root};
use serde_json::json;

#[test]
fn the_demo_goes_as_expected() {
    if let Err(why) = tools::python().and(tools::node()) {
        return tools::skip("the demo", &why);
    }
    let mut path = vec![root().join("node_modules/.bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let output = tools::command()
        .arg("demo")
        .current_dir(root())
        .env("PATH", std::env::join_paths(path).unwrap())
        .env_remove("KEEP")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in [
        "stay-in-own-case",
        "ask-for-high-tier",
        "verified",
        "\u{2500} lease api_key at crm-key planned",
        "\u{2500} lease api_key at crm-key issued",
        "\u{2500} lease api_key at crm-key revoked",
        "ask-before-mail-leaves",
        "        may say   principal.owner",
        "` is approved",
        "PERMIT  the same mail once more, from another process",
        "DENY    and a second time",
        "alice (api_key) approved, once",
        "the approval was used by dec_",
        " permitted by what is left\n",
        "support-agent: session_revoked (critical), says stream https://idp.example",
        "stopped identity support-agent",
        "so it was cut off",
        "newly denied, 0 newly permitted",
    ] {
        assert!(text.contains(expected), "no `{expected}` in:\n{text}");
    }
    assert!(!text.contains(CRM_KEY), "the CRM's key is shown:\n{text}");
    assert!(text.trim_end().ends_with("Every step went as expected."), "{text}");
}

/// The API key that the CRM of the examples knows.
const CRM_KEY: &str = "crm-demo-key-5d41c7f09b3e";

#[test]
fn the_crm_lets_nobody_in_without_its_key_which_calls_outside_tasks_do_not_get() {
    let python = match tools::python() {
        Ok(python) => python,
        Err(why) => return tools::skip("the CRM's key", &why),
    };
    let project = Project::copy_of(&root().join("examples/crm"));
    let set = tools::command()
        .args(["secret", "set", "api_key", "--file", "secrets.age"])
        .args(["--identity-file", "secrets.key"])
        .current_dir(project.folder())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut set = set.unwrap();
    writeln!(set.stdin.take().unwrap(), "{CRM_KEY}").unwrap();
    let said = set.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");

    let mut path = vec![python.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = tools::command();
    command.env("PATH", std::env::join_paths(path).unwrap());
    let server = Server::try_start(&project, command).unwrap();
    let (alice, agent) = (server.mint("alice").1, server.mint("case-agent").1);
    let read = json!({"operation": "read_case", "case": "C-1042"});
    let mut taskless = server.mcp("crm", &alice);
    let listed = taskless.ask("tools/list", json!({})).unwrap();
    assert!(listed.to_string().contains("records"), "{listed}");
    let answer = taskless.call("records", &read).unwrap().to_string();
    assert!(answer.contains("an API key is needed"), "{answer}");

    let begun = server.ask(
        "POST",
        "/v1/tasks",
        &server.mint("help-desk").1,
        &json!({"intent": "summarise_customer_case", "parameters": {"case": "C-1042"},
            "agent": "case-agent", "on_behalf_of": {"token": alice}}),
    );
    assert_eq!(begun.status, 201, "{}", begun.text());
    let begun = begun.json();
    let mut within = server.mcp("crm", &agent);
    within.act_in(begun["handle"].as_str().unwrap());
    let answer = within.call("records", &read).unwrap().to_string();
    assert!(answer.contains("parcel 88-204"), "{answer}");
    let path = format!("/v1/tasks/{}/end", begun["task"].as_str().unwrap());
    assert_eq!(server.ask("POST", &path, &agent, &json!({})).status, 200);
    wait_until("the lease to be over", || {
        let known = server.administer("GET", "/v1/leases", &json!(null));
        known["leases"].as_array().is_some_and(Vec::is_empty)
    });
    assert!(!server.talk().contains(CRM_KEY), "the key is in the log");
    server.stop();
    let lines: String = exported(&project).iter().map(ToString::to_string).collect();
    assert!(!lines.contains(CRM_KEY), "the key is in the ledger");
}
