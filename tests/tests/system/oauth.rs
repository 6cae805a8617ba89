//! Real OAuth clients (npm `openid-client`, PyPI `authlib`) at the token service of a real server:
//! discovery, client authentication, token exchange, DPoP with nonces, introspection, revocation.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use safeconduct_tests::http::Connection;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, free_address};
use safeconduct_tests::tools::{self, root};
use serde_json::{Value as Json, json};

/// The key of RFC 7515 appendix A.3.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

const CRM: &str = "https://crm.example";

/// What stock clients are called that know client credentials alone.
const AGENT: &str = "agent-1";
const READER: &str = "gateway";
const GATEWAY: &str = "https://gateway.test";
const SCOPE: &str = "tools:read tools:call";

/// A server for them: the agent has a usual intent, so that its requests need not name one.
fn world_of_client_credentials() -> (Project, Server, String) {
    let project = Project::empty();
    let policy = r#"@id("begin") permit (principal == Safeconduct::Agent::"agent-1",
        action == Safeconduct::Action::"undertake", resource);"#;
    project.write("policies/p.cedar", policy);
    let action = json!({"tier": "low", "effect": "read"});
    let actions = json!({"actions": {"tools:read": action, "tools:call": action}});
    project.write("catalogue/tools.yaml", &actions.to_string());
    let intent = json!({
        "intent": "use_tools", "version": 1, "description": "Use tools.", "parameters": {},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "never", "longest": "10m",
        "budget": {"calls": 10}, "tier_max": "low",
        "envelope": [{"action": "tools:read"}, {"action": "tools:call"}],
    });
    project.write("intents/use_tools.yaml", &intent.to_string());
    let address = free_address();
    let url = format!("http://{address}");
    let owned = |id: &str, kind: &str| {
        json!({ "id": id, "kind": kind, "owner": "ada",
        "fallback_owner": "ada" })
    };
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "identities": [
            {"id": "ada", "kind": "user"}, owned(AGENT, "agent"), owned(READER, "workload"),
        ],
        "token_service": {
            "issuer": url,
            "clients": { AGENT: { "intent": "use_tools" } },
            "resources": { GATEWAY: { "readers": [READER] } },
        },
    }));
    let server = Server::start_at(&project, address);
    (project, server, url)
}

/// Runs a script of ours or of others to its end.
fn run(program: &Path, script: &Path, args: &[&str]) -> Output {
    Command::new(program).arg(script).args(args).current_dir(root()).output().unwrap()
}

fn node_with_openid_client() -> Result<PathBuf, String> {
    let why = "no node_modules/openid-client: run `make tools`";
    let there = root().join("node_modules/openid-client").exists();
    tools::node().ok().filter(|_| there).ok_or(why.to_owned())
}

#[test]
fn openid_client_gets_tokens_by_client_credentials() {
    let node = match node_with_openid_client() {
        Ok(node) => node,
        Err(why) => return tools::skip("openid-client", &why),
    };
    let (_project, server, url) = world_of_client_credentials();
    let (_, secret) = server.mint(AGENT);
    let script = root().join("tests/peers/client_credentials.mjs");
    let said = said(run(&node, &script, &[&url, AGENT, &secret, GATEWAY, "tools:read"]));
    assert_eq!(said["plain"]["type"], "bearer");
    assert_eq!(said["plain"]["scope"], "tools:read");
    assert!((1..=300).contains(&said["plain"]["expires_in"].as_i64().unwrap()), "{said}");
    assert_eq!(
        (&said["bound"]["type"], &said["exchanged"]["type"]),
        (&json!("dpop"), &json!("bearer"))
    );
    assert_eq!(said["refused"], "invalid_target");
    server.stop();
}

#[test]
fn authlib_gets_a_token_by_client_credentials() {
    let python = match tools::python() {
        Ok(python) => python,
        Err(why) => return tools::skip("authlib", &why),
    };
    let (_project, server, url) = world_of_client_credentials();
    let ((_, secret), (_, readers)) = (server.mint(AGENT), server.mint(READER));
    let script = root().join("tests/peers/client_credentials.py");
    let args = [&*url, AGENT, &secret, READER, &readers, GATEWAY, SCOPE];
    let said = said(run(&python, &script, &args));
    assert_eq!((&said["type"], &said["header"]["typ"]), (&json!("Bearer"), &json!("at+jwt")));
    // Nobody else's: it is the subject, and there is no other actor.
    assert_eq!((&said["claims"]["sub"], said["claims"].get("act")), (&json!(AGENT), None));
    assert_eq!(said["claims"]["scope"], "tools:call tools:read");
    assert_eq!(said["introspected"]["active"], true);
    assert_eq!(said["introspected"]["client_id"], AGENT);
    server.stop();
}

/// Scripts that others keep beside the work tree, with secrets of ours in place of theirs.
#[test]
fn scripts_of_others_run_as_they_are() {
    let folder = match tools::evals("oauth") {
        Ok(folder) => folder,
        Err(why) => return tools::skip("scripts of others", &why),
    };
    let (project, server, url) = world_of_client_credentials();
    let ((_, secret), (_, readers)) = (server.mint(AGENT), server.mint(READER));
    let script = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let text = text.replace("agent-1-secret", &secret).replace("gateway-secret", &readers);
        project.write(name, &text);
        project.path(name)
    };
    let printed = |output: Output| {
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{talk}");
        String::from_utf8(output.stdout).unwrap()
    };
    match node_with_openid_client() {
        Ok(node) => {
            // Modules are looked for above the script.
            let modules = project.path("node_modules");
            std::os::unix::fs::symlink(root().join("node_modules"), modules).unwrap();
            let said = printed(run(&node, &script("client_node.mjs"), &[&url]));
            let mut lines = said.lines();
            let plain = lines.next().unwrap_or_default();
            assert!(plain.starts_with("bearer ") && plain.contains("tools:read"), "{said}");
            assert_eq!(lines.next(), Some("dpop dpop"), "{said}");
            // It names no resource, and says whose fault it takes that for.
            assert!(lines.next().is_some_and(|line| line.ends_with("-> invalid_target")), "{said}");
        }
        Err(why) => tools::skip("client_node.mjs", &why),
    }
    match tools::python() {
        Ok(python) => {
            let said = printed(run(&python, &script("client_py.py"), &[&url]));
            assert!(said.contains("'token_type': 'Bearer'"), "{said}");
            assert!(
                said.contains("introspect jwt 200") && said.contains("'active': True"),
                "{said}"
            );
        }
        Err(why) => tools::skip("client_py.py", &why),
    }
    server.stop();
}

/// A server whose issuer is where it listens; it ends with this value.
struct Issuer {
    child: Child,
    url: String,
    admin: String,
    _project: Project,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Issuer {
    fn start() -> Self {
        let project = Project::copy_of(&root().join("examples/crm"));
        // Free a moment ago, and asked for by nobody else on this machine in between.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{address}");
        let mut config = std::fs::read_to_string(project.config()).unwrap();
        let key = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "k1"});
        let service = json!({
            "issuer": url,
            "clients": {"case-agent": {"keys": {"keys": [key]}}},
            "resources": {
                CRM: {"servers": ["crm"], "readers": ["case-agent"]},
                url.as_str(): {},
                format!("{url}/mcp/crm"): {"servers": ["crm"]},
            },
        });
        config.push_str(&format!("\ntoken_service: {service}\n"));
        std::fs::write(project.config(), config).unwrap();
        let mut child = tools::command()
            .arg("--config")
            .arg(project.config())
            .args(["server", "--listen", &address.to_string()])
            .current_dir(project.folder())
            .env("CRM_DATABASE", project.path("crm.db"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut talk = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            talk.push_str(&line);
            talk.push('\n');
            if line.contains("serving on") {
                break;
            }
        }
        assert!(talk.contains("serving on"), "the server did not start:\n{talk}");
        std::thread::spawn(move || lines.for_each(drop));
        let admin = std::fs::read_to_string(project.path("keys/admin.token")).unwrap();
        Self { child, url, admin: admin.trim().to_owned(), _project: project }
    }

    fn post(&self, path: &str, token: &str, body: &Json) -> Json {
        let address = self.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = Connection::open(address).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = body.to_string();
        let response = connection.request("POST", path, &headers, body.as_bytes()).unwrap();
        response.json()
    }

    /// The status of a call of MCP's `ping` with that token.
    fn ping(&self, token: &str) -> u16 {
        let address = self.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = Connection::open(address).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let initialize = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        });
        let body = initialize.to_string();
        connection.request("POST", "/mcp/crm", &headers, body.as_bytes()).unwrap().status
    }

    fn exchange(&self, secret: &str, handle: &str, resource: &str) -> Json {
        let address = self.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = Connection::open(address).unwrap();
        let bearer = format!("Bearer {secret}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let body = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={handle}\
             &subject_token_type=urn:safeconduct:token-type:task-handle&resource={resource}"
        );
        let response = connection.request("POST", "/oauth/token", &headers, body.as_bytes());
        let response = response.unwrap();
        assert_eq!(response.header("cache-control"), Some("no-store"));
        response.json()
    }

    fn token_of(&self, identity: &str) -> String {
        let body = json!({"identity": identity, "ttl_s": 600});
        let issued = self.post("/v1/tokens", &self.admin, &body);
        issued["token"].as_str().unwrap().to_owned()
    }

    /// A task of the agent for a user, by its handle, and its id.
    fn task(&self) -> (String, String) {
        let body = json!({
            "agent": "case-agent",
            "intent": "summarise_customer_case",
            "parameters": {"case": "4711"},
        });
        let begun = self.post("/v1/tasks", &self.token_of("alice"), &body);
        let text =
            |name: &str| begun[name].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
        (text("handle"), text("task"))
    }
}

fn said(output: Output) -> Json {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn openid_client_exchanges_a_task_for_tokens() {
    let node = match tools::node() {
        Ok(node) if root().join("node_modules/openid-client").exists() => node,
        _ => {
            return tools::skip("openid-client", "no node_modules/openid-client: run `make tools`");
        }
    };
    let issuer = Issuer::start();
    let (handle, _) = issuer.task();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "d": D, "kid": "k1"});
    let output = Command::new(node)
        .arg(root().join("tests/peers/oauth_client.mjs"))
        .args([&issuer.url, "case-agent", &jwk.to_string(), &handle, CRM])
        .output()
        .unwrap();
    let said = said(output);
    assert_eq!(said["bearer"]["type"], "bearer");
    assert!((1..=300).contains(&said["bearer"]["expires_in"].as_i64().unwrap()), "{said}");
    assert_eq!(said["bound"]["type"], "dpop");
    assert_eq!(said["whoami"]["status"], 200, "{said}");
    assert_eq!(said["whoami"]["body"]["method"], "access_token");
    assert_eq!(said["introspected"]["sub"], "alice");
    assert_eq!(said["introspected"]["act"]["sub"], "case-agent");
    assert_eq!(said["after"], json!({"active": false}));
    assert_eq!(said["refused"], "invalid_scope");
}

#[test]
fn authlib_exchanges_a_task_for_a_token_that_joserfc_reads() {
    let python = match tools::python() {
        Ok(python) => python,
        Err(why) => return tools::skip("authlib", &why),
    };
    let issuer = Issuer::start();
    let (handle, task) = issuer.task();
    let output = Command::new(python)
        .arg(root().join("tests/peers/oauth_client.py"))
        .args([&issuer.url, "case-agent", &issuer.token_of("case-agent"), &handle, CRM])
        .output()
        .unwrap();
    let said = said(output);
    assert_eq!(
        (&said["header"]["typ"], &said["header"]["alg"]),
        (&json!("at+jwt"), &json!("ES256"))
    );
    let claims = &said["claims"];
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(CRM), &json!("alice")));
    assert_eq!(claims["task"]["id"], json!(task));
    assert_eq!(claims["authorization_details"][0]["actions"], json!(["crm.records"]));
    assert_eq!(said["introspected"]["active"], true);
    assert_eq!((&said["revoked"], &said["after"]), (&json!(200), &json!({"active": false})));
}

#[test]
fn the_gateway_takes_tokens_for_itself_until_their_task_ends() {
    let issuer = Issuer::start();
    let (handle, task) = issuer.task();
    let secret = issuer.token_of("case-agent");
    let gateway = format!("{}/mcp/crm", issuer.url);
    let token = |resource: &str| {
        let said = issuer.exchange(&secret, &handle, resource);
        said["access_token"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let (ours, others) = (token(&gateway), token(CRM));
    assert_eq!(issuer.ping(&ours), 200);
    assert_eq!(issuer.ping(&others), 401, "for another resource");
    assert!(issuer.exchange(&secret, &handle, &gateway).get("refresh_token").is_none());
    let end = json!({"state": "completed"});
    issuer.post(&format!("/v1/tasks/{task}/end"), &secret, &end);
    assert_eq!(issuer.ping(&ours), 401, "its task has ended");
    let refused = issuer.exchange(&secret, &handle, &gateway);
    assert_eq!(refused["error"], "invalid_request", "{refused}");
}
