//! The listening address over TLS, asked with `curl` as a client that knows nothing of us.

use rustix::process::Signal;
use safeconduct_tests::issuer::{jwks, key, token};
use safeconduct_tests::pki::{Authority, curl};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, wait_until};
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

const AGENT: &str = "spiffe://prod.example/agent/case";
const POLICIES: &str = r#"
@id("attested") permit (principal, action, resource)
when { context.identity.method == "x509_svid" && context.identity.assurance == "high" };
"#;

fn world(authority: &Authority, clients: &str) -> (Project, Server) {
    let project = Project::empty();
    project.write("policies/p.cedar", POLICIES);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object"}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    project.write("prod.json", &authority.bundle().to_string());
    project.write("issuer.json", &jwks(&[key(1)]).to_string());
    project.write("ca.pem", authority.pem());
    authority.server(&project, "server");
    authority.svid(&project, "agent", AGENT);
    let upstream = project.upstream("crm", &tools);
    project.configure(&json!({
        "version": 1,
        "tls": { "certificate": "./server.pem", "key": "./server.key",
            "client_certificates": clients },
        "upstreams": { "crm": upstream },
        "identities": [
            { "id": "ada", "kind": "user" },
            { "id": AGENT, "kind": "agent", "owner": "ada", "fallback_owner": "ada",
                "pep": { "subjects": [] } },
            { "id": "batch", "kind": "workload", "owner": "ada", "fallback_owner": "ada" },
        ],
        "trust": {
            "prod": { "kind": "spiffe", "trust_domain": "prod.example", "algorithms": ["ES256"],
                "bundle": { "file": "./prod.json" }, "audiences": ["https://us.example"],
                "assurance": "high", "fetch": { "refresh_s": 5 } },
            "programs": { "kind": "oidc", "issuer": "https://issuer.example",
                "keys": { "file": "./issuer.json" }, "algorithms": ["ES256"],
                "audiences": ["https://us.example"], "assurance": "substantial",
                "identities": [{ "identity": "batch", "claims": { "sub": "batch" } }] },
        },
    }));
    let server = Server::start(&project);
    (project, server)
}

const AS_AGENT: [&str; 6] = ["--cacert", "ca.pem", "--cert", "agent.pem", "--key", "agent.key"];
const WITHOUT: [&str; 2] = ["--cacert", "ca.pem"];

#[test]
fn an_x509_svid_proves_at_every_edge_and_is_taken_back_while_it_runs() {
    let authority = Authority::new("prod.example");
    let (project, server) = world(&authority, "accepted");
    let ask = |path: &str, args: &[&str], more: &[&str]| {
        curl(&project, server.address.port(), path, &[args, more].concat())
    };
    let (status, body) = ask("/v1/whoami", &AS_AGENT, &[]);
    assert_eq!(status, 200, "{body}\n{}", server.talk());
    let who: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((&who["identity"]["id"], &who["method"]), (&json!(AGENT), &json!("x509_svid")));

    let question = json!({ "subject": { "type": "Agent", "id": AGENT },
        "action": { "name": "crm.read" }, "resource": { "type": "Server", "id": "crm" } });
    let question = question.to_string();
    let json = "Content-Type: application/json";
    let (status, body) =
        ask("/access/v1/evaluation", &AS_AGENT, &["--header", json, "--data", &question]);
    assert_eq!((status, body.contains("\"decision\":true")), (200, true), "{body}");

    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "read", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "curl", "version": "0" },
            "io.modelcontextprotocol/clientCapabilities": {} } } });
    let call = call.to_string();
    let mcp = [
        "--header",
        json,
        "--header",
        "Accept: application/json, text/event-stream",
        "--header",
        "MCP-Protocol-Version: 2026-07-28",
        "--header",
        "Mcp-Method: tools/call",
        "--header",
        "Mcp-Name: read",
        "--data",
        &call,
    ];
    let (status, body) = ask("/mcp/crm", &AS_AGENT, &mcp);
    assert_eq!((status, body.contains("Denied")), (200, false), "{body}");
    assert!(body.contains("\"result\""), "{body}");

    // Nothing shown proves nothing, nor does what another authority of that name signed.
    assert_eq!(ask("/v1/whoami", &WITHOUT, &[]).0, 401);
    assert_eq!(ask("/mcp/crm", &WITHOUT, &mcp).0, 401);
    Authority::new("prod.example").svid(&project, "forged", AGENT);
    let forged = ["--cacert", "ca.pem", "--cert", "forged.pem", "--key", "forged.key"];
    assert_eq!(ask("/v1/whoami", &forged, &[]).0, 401);
    assert_eq!(ask("/mcp/crm", &forged, &mcp).0, 401);
    // A token that does not hold is not made up for by a certificate that does.
    for authorization in ["Authorization: Bearer sc_key_0", "Authorization: Basic YTpi"] {
        let header = ["--header", authorization];
        assert_eq!(ask("/v1/whoami", &AS_AGENT, &header).0, 401, "{authorization}");
        assert_eq!(ask("/mcp/crm", &AS_AGENT, &[&mcp[..], &header].concat()).0, 401);
    }
    // Who is proved and not registered is told so.
    authority.svid(&project, "other", "spiffe://prod.example/agent/other");
    let other = ["--cacert", "ca.pem", "--cert", "other.pem", "--key", "other.key"];
    let (status, body) = ask("/v1/whoami", &other, &[]);
    assert_eq!((status, body.contains("not_registered")), (403, true), "{body}");

    project.write("prod.json", &json!({ "keys": [], "spiffe_sequence": 2 }).to_string());
    wait_until("the bundle to be read", || ask("/v1/whoami", &AS_AGENT, &[]).0 == 401);
    server.stop();
}

#[test]
fn a_token_bound_to_a_certificate_is_worth_nothing_without_it() {
    let authority = Authority::new("prod.example");
    let (project, server) = world(&authority, "accepted");
    let thumbprint = authority.thumbprint(&project, "agent");
    let bound = token(
        &key(1),
        "JWT",
        &json!({ "iss": "https://issuer.example", "sub": "batch",
        "aud": "https://us.example", "cnf": { "x5t#S256": thumbprint } }),
    );
    let header = format!("Authorization: Bearer {bound}");
    let ask = |args: &[&str]| {
        let args = [args, &["--header", &header]].concat();
        curl(&project, server.address.port(), "/v1/whoami", &args)
    };
    let (status, body) = ask(&AS_AGENT);
    assert_eq!((status, body.contains("\"batch\"")), (200, true), "{body}");
    assert_eq!(ask(&WITHOUT).0, 401);
    authority.svid(&project, "other", AGENT);
    let other = ["--cacert", "ca.pem", "--cert", "other.pem", "--key", "other.key"];
    assert_eq!(ask(&other).0, 401, "another certificate of the same identity");
    server.stop();
}

#[test]
fn a_certificate_that_is_required_is_and_that_of_the_server_is_renewed_while_it_runs() {
    let authority = Authority::new("prod.example");
    let (project, server) = world(&authority, "required");
    let port = server.address.port();
    assert_eq!(curl(&project, port, "/healthz", &AS_AGENT).0, 200);
    assert_eq!(curl(&project, port, "/healthz", &WITHOUT).0, 0, "there is no connection");

    let renewed = Authority::new("renewed.example");
    project.write("new.pem", renewed.pem());
    renewed.server(&project, "server");
    server.signal(Signal::HUP);
    let as_agent = ["--cacert", "new.pem", "--cert", "agent.pem", "--key", "agent.key"];
    wait_until("the new certificate", || curl(&project, port, "/healthz", &as_agent).0 == 200);
    // What does not fit is not taken, and nobody is cut off.
    project.write("server.pem", "not a certificate");
    server.signal(Signal::HUP);
    wait_until("it to say so", || server.talk().contains("the certificate before stays in use"));
    assert_eq!(curl(&project, port, "/healthz", &as_agent).0, 200);
    server.stop();
}

#[test]
fn the_command_line_shows_a_certificate_where_one_is_required() {
    let authority = Authority::new("prod.example");
    let (project, server) = world(&authority, "required");
    let url = format!("https://localhost:{}", server.address.port());
    let run = |args: &[&str], environment: &[(&str, &str)]| {
        let output = tools::command()
            .current_dir(project.folder())
            .env("SSL_CERT_FILE", project.path("ca.pem"))
            .envs(environment.iter().copied())
            .arg("--config")
            .arg(project.config())
            .args(args)
            .args(["--url", &url])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, err) = run(&["identity", "ls"], &[]);
    assert_eq!((code, err.contains("cannot be reached")), (1, true), "{err}");
    let flags = ["--client-certificate", "agent.pem", "--client-key", "agent.key"];
    let (code, out, err) = run(&[&["identity", "ls"], &flags[..]].concat(), &[]);
    assert_eq!((code, out.contains(AGENT)), (0, true), "{err}");
    let environment =
        [("SAFECONDUCT_CLIENT_CERTIFICATE", "agent.pem"), ("SAFECONDUCT_CLIENT_KEY", "agent.key")];
    let (code, _, err) = run(&["healthcheck"], &environment);
    assert_eq!(code, 0, "{err}");
    // One without the other is nothing, and what is no key is not shown.
    let (code, _, err) = run(&["identity", "ls", "--client-certificate", "agent.pem"], &[]);
    assert_eq!((code, err.contains("--client-key")), (2, true), "{err}");
    project.write("no.key", "this is no key");
    let flags = ["--client-certificate", "agent.pem", "--client-key", "no.key"];
    let (code, _, err) = run(&[&["identity", "ls"], &flags[..]].concat(), &[]);
    assert_eq!((code, err.contains("this is no key")), (3, false), "{err}");
    server.stop();
}

#[test]
fn the_command_line_speaks_tls_and_imports_identities_of_a_file() {
    let authority = Authority::new("prod.example");
    let (project, server) = world(&authority, "accepted");
    let url = format!("https://localhost:{}", server.address.port());
    let run = |args: &[&str]| {
        let output = tools::command()
            .current_dir(project.folder())
            .env("SSL_CERT_FILE", project.path("ca.pem"))
            .arg("--config")
            .arg(project.config())
            .args(args)
            .args(["--url", &url])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let yaml = json!({ "identities": [
        { "id": "eve", "kind": "user" },
        { "id": "eves-bot", "kind": "agent", "owner": "eve", "fallback_owner": "ada",
            "environment": "test", "groups": ["night"] },
    ] });
    project.write("more.yaml", &yaml.to_string());
    let (code, out, err) = run(&["identity", "import", "more.yaml"]);
    assert_eq!((code, out.trim()), (0, "registered 2 identities"), "{err}");
    project.write(
        "more.csv",
        "id,kind,owner,fallback_owner,status\neves-bot,agent,eve,ada,suspended\n",
    );
    let (code, out, err) = run(&["identity", "import", "more.csv"]);
    assert_eq!((code, out.trim()), (0, "registered 1 identity"), "{err}");
    let (code, out, err) = run(&["-o", "json", "identity", "ls"]);
    assert_eq!(code, 0, "{err}");
    let listed: Json = serde_json::from_str(&out).unwrap();
    let bot = listed["identities"].as_array().unwrap().iter().find(|one| one["id"] == "eves-bot");
    assert_eq!(bot.unwrap()["status"], "suspended");
    // Nothing of a file that does not fit is taken.
    project.write("bad.csv", "id,kind,owner\nmallory,user,\norphan,agent,eve\n");
    let (code, _, err) = run(&["identity", "import", "bad.csv"]);
    assert_eq!((code, err.contains("`orphan` of kind agent needs")), (3, true), "{err}");
    let (_, out, _) = run(&["-o", "json", "identity", "ls"]);
    assert!(!out.contains("mallory"));
    server.stop();
}
