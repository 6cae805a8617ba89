//! Access requests on the command line, against a running server: asked, shown, answered, used
//! once over another connection, refused, waited for.

use std::process::{Command, Output, Stdio};

use safeconduct_tests::http::Connection;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

use crate::world::{config, tools as box_tools};

const POLICY: &str = r#"
@id("put") permit (principal, action, resource);
@id("ask") @requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action == Safeconduct::Action::"box.put", resource)
unless { context has approval };
@id("ask-high") @requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action == Safeconduct::Action::"box.burn", resource)
unless { context has approval };
"#;

fn project() -> Project {
    let project = Project::empty();
    project.write("policies/box.cedar", POLICY);
    project.write(
        "catalogue/box.yaml",
        "server: box\nactions:\n  put: { tier: moderate, effect: write }\n  burn: { tier: high, effect: write }\n",
    );
    project.write("catalogue/box.tools.json", &box_tools().to_string());
    let mut config = config(&project);
    let people = config["identities"].as_array_mut().unwrap();
    people.push(json!({ "id": "lea", "kind": "user", "groups": ["leads"] }));
    people.push(json!({ "id": "lou", "kind": "user", "groups": ["leads"] }));
    project.configure(&config);
    project
}

struct Bench {
    project: Project,
    server: Server,
}

impl Bench {
    fn start() -> Self {
        let project = project();
        let server = Server::start(&project);
        Self { project, server }
    }

    fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = tools::command();
        command
            .arg("--config")
            .arg(self.project.config())
            .args(arguments)
            .stdin(Stdio::null())
            .env("SAFECONDUCT_URL", format!("http://{}", self.server.address))
            .env("SAFECONDUCT_TOKEN", token);
        command
    }

    fn output(&self, token: &str, arguments: &[&str]) -> Output {
        self.command(token, arguments).output().unwrap()
    }

    /// What a command prints that ends with that code.
    fn said(&self, token: &str, code: i32, arguments: &[&str]) -> String {
        let output = self.output(token, arguments);
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text.into_owned()
    }

    fn json(&self, token: &str, arguments: &[&str]) -> Json {
        let output = self.output(token, &[&["-o", "json"], arguments].concat());
        let talk = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {talk}"))
    }

    /// Whether the gateway lets a call through, over a connection of its own.
    fn calls(&self, token: &str, tool: &str, input: &Json) -> bool {
        let answer = self.server.mcp("box", token).call(tool, input).unwrap();
        crate::world::succeeded(&answer)
    }
}

#[test]
fn people_answer_on_the_command_line_and_the_call_runs_once() {
    let bench = Bench::start();
    let agent = bench.server.mint("agent").1;
    let lea = bench.server.mint("lea").1;
    let alice = bench.server.mint("alice").1;
    let input = json!({ "id": "7" });
    let ask = ["approval", "ask", "box.put", "--input", r#"{"id":"7"}"#, "--because", "it is due"];
    let asked = bench.json(&agent, &ask);
    let id = asked["id"].as_str().unwrap();
    assert!(!bench.calls(&agent, "put", &input));
    assert_eq!(bench.json(&agent, &ask)["id"], asked["id"]);

    let listed = bench.said(&lea, 0, &["approval", "ls", "--answerable"]);
    assert!(listed.contains(id) && listed.contains("group:leads"), "{listed}");
    let listed = bench.said(&alice, 0, &["approval", "ls"]);
    assert!(!listed.contains(id), "{listed}");
    let shown = bench.said(&lea, 0, &["approval", "show", id]);
    for part in ["box.put", "/id = 7", "it is due", "ask: ", "hmac-sha256:", "set `sign_in:`"] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    bench.said(&alice, 5, &["approval", "show", id]);

    // Nobody at a terminal: nothing is answered without --yes.
    let asked = bench.said(&lea, 1, &["approval", "approve", id]);
    assert!(asked.contains("nobody can be asked here"), "{asked}");
    let other = format!("hmac-sha256:{}", "0".repeat(64));
    bench.said(&lea, 1, &["approval", "approve", id, "--yes", "--digest", &other]);
    assert!(!bench.calls(&agent, "put", &input));
    bench.said(&agent, 11, &["approval", "wait", id, "--for", "1s"]);

    let waiting = bench
        .command(&agent, &["approval", "wait", id, "--for", "1m"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let approved = bench.said(&lea, 0, &["approval", "approve", id, "--yes"]);
    assert!(approved.contains("is approved"), "{approved}");
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&waited.stdout).trim(), "approved");
    assert!(!bench.calls(&agent, "put", &json!({ "id": "8" })));
    assert!(bench.calls(&agent, "put", &input));
    assert!(!bench.calls(&agent, "put", &input));
    bench.said(&lea, 10, &["approval", "approve", id, "--yes"]);
    bench.server.stop();
}

#[test]
fn what_is_refused_taken_back_or_high_is_said() {
    let bench = Bench::start();
    let agent = bench.server.mint("agent").1;
    let (lea, lou) = (bench.server.mint("lea").1, bench.server.mint("lou").1);
    let ask = |tool: &str, input: &str| {
        let asked = bench.json(&agent, &["approval", "ask", tool, "--input", input]);
        asked["id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
    };
    let (one, two) = (ask("box.put", r#"{"id":"1"}"#), ask("box.put", r#"{"id":"2"}"#));
    // What belongs to no task is no group: each is answered by itself.
    let both = bench.said(&lea, 1, &["approval", "approve", &one, &two, "--yes"]);
    assert_eq!(both.matches("is approved").count(), 1, "{both}");
    bench.said(&lea, 0, &["approval", "approve", &two, "--yes"]);
    bench.said(&lou, 5, &["approval", "revoke", &one, "--reason", "no"]);
    bench.said(&lea, 0, &["approval", "revoke", &one, "--reason", "no"]);
    assert!(!bench.calls(&agent, "put", &json!({ "id": "1" })));
    assert!(bench.calls(&agent, "put", &json!({ "id": "2" })));

    let three = ask("box.put", r#"{"id":"3"}"#);
    bench.said(&lea, 0, &["approval", "refuse", &three, "--reason", "not that one"]);
    let refused = bench.said(&agent, 10, &["approval", "wait", &three]);
    assert!(refused.contains("refused by lea") && refused.contains("not that one"), "{refused}");

    let high = ask("box.burn", "{}");
    let passkey = bench.said(&lea, 5, &["approval", "approve", &high, "--yes"]);
    assert!(passkey.contains("passkey") && passkey.contains("set `sign_in:`"), "{passkey}");
    // A link that a scanner opens answers nothing.
    let mut connection = Connection::open(bench.server.address).unwrap();
    let authorization = format!("Bearer {lea}");
    let headers = [("Authorization", authorization.as_str())];
    for path in [format!("/v1/access-requests/{high}/answer"), format!("/approve/{high}")] {
        let answer = connection.request("GET", &path, &headers, b"").unwrap();
        assert!(answer.status >= 300, "{path}: {}", answer.status);
    }
    assert_eq!(bench.json(&lea, &["approval", "show", &high])["state"], json!("pending"));

    let glass =
        ["break-glass", "begin", "agent", "--for", "5m", "--reason", "everything is on fire"];
    let broken = bench.said(&lea, 10, &glass);
    assert!(broken.contains("passkey") && broken.contains("`sign_in:`"), "{broken}");
    assert!(bench.said(bench.server.admin(), 0, &["break-glass", "ls"]).contains("AGENT"));
    bench.server.stop();
}
