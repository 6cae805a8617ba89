//! The pages in a real browser (Chromium), with a virtual authenticator and a real OpenID provider.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use safeconduct_tests::http::Connection;
use safeconduct_tests::mcp;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{self, Server, free_address};
use safeconduct_tests::tools::{self, root};
use serde_json::{Value as Json, json};

const SECRET: &str = "a secret: of/tests+";

/// A person at a browser, and their OpenID provider; they end with this value.
struct Person {
    child: Child,
    tell: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
    issuer: String,
}

impl Person {
    fn sit_down(base: &str) -> Result<Self, String> {
        for package in ["oidc-provider", "playwright-core"] {
            if !root().join("node_modules").join(package).exists() {
                return Err(format!("no node_modules/{package}: run `make tools`"));
            }
        }
        let mut child = Command::new(tools::node()?)
            .arg(root().join("tests/peers/browser.mjs"))
            .args([chromium()?.as_os_str(), base.as_ref(), SECRET.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tell = child.stdin.take();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        // The provider greets with warnings of its own.
        let issuer = loop {
            let line = said.next().expect("the browser starts").unwrap();
            if let Ok(Json::Object(said)) = serde_json::from_str(&line) {
                break said["issuer"].as_str().unwrap().to_owned();
            }
        };
        Ok(Self { child, tell, said, issuer })
    }

    /// Does one thing; what they then see.
    fn does(&mut self, step: &Json) -> Json {
        writeln!(self.tell.as_ref().unwrap(), "{step}").unwrap();
        let answer = loop {
            let line = self.said.next().expect("the browser answers").unwrap();
            if let Ok(answer @ Json::Object(_)) = serde_json::from_str(&line) {
                break answer;
            }
        };
        assert!(answer["error"].is_null(), "{step}: {answer:#}");
        answer
    }

    fn sees(&mut self, step: &Json, title: &str) -> Json {
        let seen = self.does(step);
        assert_eq!(seen["title"], format!("{title} · Safeconduct"), "{step}: {seen:#}");
        seen
    }

    /// A picture of the page, where somebody wants to look at it; it must fit a small screen.
    fn shot(&mut self, name: &str) {
        let folder = std::env::var_os("SHOTS").map(PathBuf::from);
        let file = folder.unwrap_or_else(std::env::temp_dir);
        for (width, dark, kind) in
            [(1000, false, "light"), (1000, true, "dark"), (360, false, "small")]
        {
            let file = file.join(format!("safeconduct-{name}-{kind}.png"));
            let shot = json!({ "step": "shot", "file": file, "width": width, "dark": dark });
            let shot = self.does(&shot);
            assert_eq!(shot["wider_than_the_screen"], 0, "{name} at {width}");
            if std::env::var_os("SHOTS").is_none() {
                let _ = fs::remove_file(file);
            }
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        drop(self.tell.take());
        let _ = self.child.wait();
    }
}

/// Chromium, as Debian and others install it.
fn chromium() -> Result<PathBuf, String> {
    let places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = places.iter().map(Path::new).find(|place| place.exists());
    found.map(Path::to_owned).ok_or_else(|| "no Chromium: install the package `chromium`".into())
}

fn world(issuer: &str, base: &str, address: SocketAddr) -> (Project, Server) {
    let project = Project::empty();
    project.write("oidc.secret", &format!("{SECRET}\n"));
    project.write(
        "policies/p.cedar",
        r#"@id("any") permit (principal, action, resource);
@id("ask") @message("mail to others needs a person")
@requestable("approvers=resource.owner, group:clerks; quorum=1; ttl=15m")
forbid (principal, action, resource)
when { ["mail.send", "mail.note"].contains(context.action.name) }
unless { context has approval };"#,
    );
    let schema = json!({"type": "object", "properties": {
        "to": {"type": "string"}, "amount": {"type": "integer"}, "body": {"type": "string"}}});
    let tools = ["send", "note"].map(|name| json!({ "name": name, "inputSchema": schema }));
    let tools = json!(tools);
    project.write("catalogue/mail.tools.json", &tools.to_string());
    let actions = json!({"server": "mail", "actions": {
        "send": { "tier": "high", "effect": "send" },
        "note": { "tier": "moderate", "effect": "send" }}});
    let intent = json!({
        "intent": "work", "version": 1, "description": "Write to those who asked.",
        "parameters": {}, "undertaken_by": { "kinds": ["agent"] }, "on_behalf_of": "optional",
        "longest": "10m", "budget": { "calls": 50 }, "tier_max": "high",
        "envelope": [{ "action": "mail.send", "other_arguments": "allowed" },
            { "action": "mail.note", "other_arguments": "allowed" }],
    });
    project.write("intents/work.yaml", &intent.to_string());
    project.write("catalogue/mail.yaml", &actions.to_string());
    let upstream = project.upstream("mail", &tools);
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "upstreams": { "mail": upstream },
        "identities": [
            { "id": "ada", "kind": "user", "groups": ["clerks"] },
            { "id": "bob", "kind": "user" },
            { "id": "helper", "kind": "agent", "owner": "bob", "fallback_owner": "bob" },
        ],
        "trust": { "staff": {
            "kind": "people", "issuer": issuer, "algorithms": ["RS256"],
            "audiences": ["safeconduct-web"], "assurance": "substantial",
            "fetch": { "http_on_loopback": true },
            "identities": [
                { "identity": "ada", "claims": { "sub": "u-ada" } },
                { "identity": "bob", "claims": { "sub": "u-bob" } },
            ],
        } },
        "sign_in": { "trust": "staff", "client_id": "safeconduct-web",
            "client_secret_file": "./oidc.secret", "base_url": base },
    }));
    let server = Server::start_at(&project, address);
    (project, server)
}

#[test]
fn a_person_signs_in_and_keeps_passkeys() {
    let address = free_address();
    let base = format!("http://localhost:{}", address.port());
    let mut ada = match Person::sit_down(&base) {
        Ok(ada) => ada,
        Err(why) => return tools::skip("the pages in a browser", &why),
    };
    let (project, server) = world(&ada.issuer.clone(), &base, address);

    // Nobody is signed in, and nothing is shown.
    let seen = ada.sees(&json!({ "step": "open", "path": "/approve" }), "Sign in");
    assert_eq!(seen["status"], 401);
    let policy = seen["headers"]["content-security-policy"].as_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let named = |name: &str| seen["headers"][name].as_str().unwrap().to_owned();
    assert_eq!(
        (named("cache-control"), named("x-content-type-options")),
        ("no-store".into(), "nosniff".into())
    );
    ada.shot("sign-in");

    let signing_in = json!({ "step": "sign_in", "path": "/passkeys", "person": "u-ada" });
    let seen = ada.sees(&signing_in, "Your passkeys");
    assert!(seen["text"].as_str().unwrap().contains("You have none yet"), "{seen:#}");
    let cookies = json!([{ "name": "__Host-safeconduct", "secure": true, "httpOnly": true,
        "sameSite": "Lax", "path": "/" }]);
    assert_eq!(seen["cookies"], cookies, "{seen:#}");

    // The provider knew them from a moment ago: who they are must be shown anew.
    ada.does(&json!({ "step": "authenticator" }));
    let register =
        json!({ "step": "press", "name": "Register a passkey", "fill": { "name": "My key" } });
    let seen = ada.sees(&register, "Show once more that it is you");
    assert_eq!(seen["status"], 403);
    let again = json!({ "step": "press_link", "name": "Sign in again", "person": "u-ada" });
    ada.sees(&again, "Your passkeys");
    ada.sees(&register, "A new passkey");
    let seen = ada.sees(&json!({ "step": "press", "name": "Make the passkey" }), "Your passkeys");
    assert!(seen["text"].as_str().unwrap().contains("My key"), "{seen:#}");
    assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    ada.shot("passkeys");

    // Another takes the first one; the same device has one already, and a person who is not
    // verified vouches for none.
    ada.sees(&register, "Confirm that it is you");
    ada.sees(&json!({ "step": "press", "name": "Confirm with passkey" }), "A new passkey");
    ada.does(&json!({ "step": "press_in_vain", "name": "Make the passkey" }));
    ada.does(&json!({ "step": "authenticator", "verified": false }));
    ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Your passkeys");
    ada.sees(&register, "Confirm that it is you");
    ada.does(&json!({ "step": "press_in_vain", "name": "Confirm with passkey" }));

    // A page of another site sends a form in the person's browser.
    let forged = json!({ "step": "forge", "path": "/sign-out", "fields": { "token": "x" } });
    assert_eq!(ada.sees(&forged, "This did not work")["status"], 403);
    ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Your passkeys");
    // Their last one is not for them to take away.
    let removing = json!({ "step": "press", "name": "Remove My key" });
    assert_eq!(ada.sees(&removing, "This does not count")["status"], 409);
    ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Your passkeys");
    ada.sees(&json!({ "step": "press", "name": "Sign out" }), "Sign in");
    let seen = ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Sign in");
    assert_eq!(seen["cookies"], json!([]), "{seen:#}");
    server.stop();
    let kinds: Vec<_> = server::exported(&project)
        .iter()
        .map(|line| server::record_of(line)["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind.starts_with("passkey"))
        .collect();
    assert_eq!(kinds, ["passkey_registered", "passkey_used"]);
}

/// An agent in a task of its own.
struct Agent<'a> {
    server: &'a Server,
    token: String,
    handle: String,
    client: mcp::Client,
}

impl<'a> Agent<'a> {
    fn begin(server: &'a Server) -> Self {
        let token = server.mint("helper").1;
        let body = json!({ "intent": "work", "agent": "helper" });
        let begun = server.ask("POST", "/v1/tasks", &token, &body);
        assert_eq!(begun.status, 201, "{}", begun.text());
        let handle = begun.json()["handle"].as_str().unwrap().to_owned();
        let mut client = server.mcp("mail", &token);
        client.act_in(&handle);
        Self { server, token, handle, client }
    }

    fn arguments(amount: i64, body: &str) -> Json {
        json!({ "to": "p\u{430}ypal@example.org", "amount": amount, "body": body })
    }

    /// Asks people for a call: the path of the page that leads there.
    fn ask(&self, tool: &str, arguments: &Json) -> String {
        let body = json!({
            "action": format!("mail.{tool}"), "arguments": arguments,
            "resource": { "type": "Server", "id": "mail" },
            "justification": "they wait for it",
        });
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Safeconduct-Task", self.handle.as_str()),
        ];
        let mut connection = Connection::open(self.server.address).unwrap();
        let asked = connection
            .request("POST", "/v1/access-requests", &headers, body.to_string().as_bytes())
            .unwrap();
        assert!([200, 202].contains(&asked.status), "{}", asked.text());
        let link = asked.json()["link"].as_str().unwrap().to_owned();
        link[link.find("/approve/").unwrap()..].to_owned()
    }

    /// Whether a call goes through.
    fn does(&mut self, tool: &str, arguments: &Json) -> bool {
        let answer = self.client.call(tool, arguments).unwrap();
        answer["result"].is_object() && answer["result"]["isError"] != json!(true)
    }
}

/// Signs ada in, and registers a passkey.
fn sits_at_her_desk(ada: &mut Person) {
    ada.does(&json!({ "step": "authenticator" }));
    ada.sees(
        &json!({ "step": "sign_in", "path": "/passkeys", "person": "u-ada" }),
        "Your passkeys",
    );
    let register =
        json!({ "step": "press", "name": "Register a passkey", "fill": { "name": "My key" } });
    ada.sees(&register, "Show once more that it is you");
    let again = json!({ "step": "press_link", "name": "Sign in again", "person": "u-ada" });
    ada.sees(&again, "Your passkeys");
    ada.sees(&register, "A new passkey");
    ada.sees(&json!({ "step": "press", "name": "Make the passkey" }), "Your passkeys");
}

#[test]
fn a_person_answers_what_agents_ask() {
    let address = free_address();
    let base = format!("http://localhost:{}", address.port());
    let mut ada = match Person::sit_down(&base) {
        Ok(ada) => ada,
        Err(why) => return tools::skip("answers in a browser", &why),
    };
    let (project, server) = world(&ada.issuer.clone(), &base, address);
    let mut agent = Agent::begin(&server);
    let open = |path: &str| json!({ "step": "open", "path": path });
    let press = |name: &str| json!({ "step": "press", "name": name });

    // Whoever opens the link to look at what is behind it sees nothing and answers nothing.
    let bill = Agent::arguments(250, "<script>alert(1)</script>");
    let path = agent.ask("send", &bill);
    assert!(!agent.does("send", &bill));
    let seen = ada.sees(&open(&path), "Sign in");
    assert!(!seen["text"].as_str().unwrap().contains("mail.send"), "{seen:#}");
    sits_at_her_desk(&mut ada);
    let scan = json!({ "step": "scan", "paths": [path, format!("{path}?answer=once"),
        format!("{path}/confirm"), format!("{path}/all"), format!("{path}/all/confirm")] });
    ada.does(&scan);
    assert!(!agent.does("send", &bill));

    let asks = "helper wants to do mail.send";
    let seen = ada.sees(&open(&path), asks);
    let text = seen["text"].as_str().unwrap();
    for word in [
        "⟨U+0430⟩ypal@example.org",
        "250",
        "<script>alert(1)</script>",
        "they wait for it",
        "mail to others needs a person",
        "Write to those who asked.",
        "high",
        "the group clerks",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    ada.shot("request");
    let seen = ada.sees(&press("Approve once"), "Confirm that it is you");
    assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    assert!(!agent.does("send", &bill), "nothing was signed yet");
    ada.shot("confirm");
    // An authenticator that does not know who is there signs nothing that counts.
    ada.does(&json!({ "step": "verified", "verified": false }));
    ada.does(&json!({ "step": "press_in_vain", "name": "Confirm with passkey" }));
    assert!(!agent.does("send", &bill));
    ada.does(&json!({ "step": "verified", "verified": true }));
    ada.sees(&press("Confirm with passkey"), "Approved");
    ada.shot("approved");
    assert!(!agent.does("send", &Agent::arguments(251, "<script>alert(1)</script>")));
    assert!(agent.does("send", &bill));
    assert!(!agent.does("send", &bill), "once");
    let seen = ada.sees(&open(&path), asks);
    assert!(seen["text"].as_str().unwrap().contains("the agent has used it"), "{seen:#}");

    // No.
    let other = Agent::arguments(9, "an offer that nobody asked for");
    let path = agent.ask("send", &other);
    ada.sees(&open(&path), asks);
    let refuse =
        json!({ "step": "press", "name": "Refuse", "fill": { "reason": "not to <i>them</i>" } });
    ada.sees(&refuse, "Confirm that it is you");
    let seen = ada.sees(&press("Confirm with passkey"), "Refused");
    assert!(seen["text"].as_str().unwrap().contains("not to <i>them</i>"), "{seen:#}");
    assert!(!agent.does("send", &other));

    // What weighs less takes no passkey. Less than what was asked is less.
    let note = Agent::arguments(80, "a note on the way");
    let path = agent.ask("note", &note);
    ada.sees(&open(&path), "helper wants to do mail.note");
    let less = json!({ "step": "press", "name": "Approve at most that", "fill": { "most:/amount": "50" } });
    ada.sees(&less, "Approved");
    assert!(!agent.does("note", &note));
    assert!(agent.does("note", &Agent::arguments(50, "a note on the way")));
    assert!(!agent.does("note", &Agent::arguments(50, "a note on the way")));

    // Those that are alike are answered together, by one passkey, and nothing that came later.
    for tool in ["note", "send"] {
        let texts = ["the first of some", "zebras drink water", "one million quinces"];
        let texts = texts.map(|text| Agent::arguments(7, &format!("{tool}: {text}")));
        let paths = [0, 1].map(|index| agent.ask(tool, &texts[index]));
        // What was denied above waits too: the gateway asks for what it denies.
        let seen = ada.sees(&open(&paths[0]), &format!("helper wants to do mail.{tool}"));
        let text = seen["text"].as_str().unwrap();
        let count = text.split("See the ").nth(1).unwrap().split(' ').next().unwrap();
        let title = format!("helper wants to do mail.{tool}, {count} times");
        let link = format!("See the {count} that are alike in this task, and answer them together");
        let count = count.to_owned();
        let seen = ada.sees(&json!({ "step": "press_link", "name": link }), &title);
        let text = seen["text"].as_str().unwrap();
        assert!(text.contains("the first of some") && text.contains("zebras"), "{text}");
        ada.shot(&format!("together-{tool}"));
        let late = agent.ask(tool, &texts[2]);
        let mut seen = ada.does(&press(&format!("Approve all {count}")));
        if tool == "send" {
            assert_eq!(seen["title"], "Confirm that it is you · Safeconduct", "{seen:#}");
            ada.shot("together-confirm");
            seen = ada.does(&press("Confirm with passkey"));
        }
        let title = format!("Approved: {count} of {count} · Safeconduct");
        assert_eq!(seen["title"], title, "{seen:#}");
        ada.shot(&format!("together-{tool}-approved"));
        let went = texts.each_ref().map(|text| agent.does(tool, text));
        assert_eq!(went, [true, true, false]);
        assert_eq!(texts.each_ref().map(|text| agent.does(tool, text)), [false; 3]);
        ada.sees(&open(&late), &format!("helper wants to do mail.{tool}"));
    }
    ada.sees(&open("/approve"), "What waits for you");
    ada.shot("waiting");

    // In an emergency the rules that ask are set aside: with a passkey, for a reason and a time.
    let burning = Agent::arguments(1, "the house burns");
    assert!(!agent.does("send", &burning));
    ada.sees(&open("/break-glass"), "Break glass");
    let fill = json!({ "agent": "helper", "reason": "it <b>burns</b>", "minutes": "5" });
    let breaking = json!({ "step": "press", "name": "Break the glass", "fill": fill });
    let seen = ada.sees(&breaking, "Confirm that it is you");
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains("helper") && text.contains("it <b>burns</b>"), "{text}");
    ada.does(&json!({ "step": "verified", "verified": false }));
    ada.does(&json!({ "step": "press_in_vain", "name": "Confirm with passkey" }));
    assert!(!agent.does("send", &burning), "nothing was signed yet");
    ada.does(&json!({ "step": "verified", "verified": true }));
    ada.sees(&press("Confirm with passkey"), "Break glass");
    ada.shot("glass");
    assert!(agent.does("send", &burning) && agent.does("send", &burning), "as often as need be");
    ada.sees(&press("Mend for helper"), "Break glass");
    assert!(!agent.does("send", &burning), "the rules hold again");

    drop(agent);
    server.stop();
    server::verify(&project);
    let kinds: Vec<_> = server::exported(&project)
        .iter()
        .map(|line| server::record_of(line)["kind"].as_str().unwrap().to_owned())
        .collect();
    let count = |kind: &str| kinds.iter().filter(|other| *other == kind).count();
    assert_eq!(count("passkey_used"), 4);
    assert_eq!(["glass_broken", "review_due", "glass_mended"].map(count), [1; 3]);
}
