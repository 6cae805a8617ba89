//! The pages in a real browser (Chromium), with a virtual authenticator and a real OpenID provider.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
forbid (principal, action == Safeconduct::Action::"mail.send", resource)
unless { context has approval };"#,
    );
    let tools = json!([{"name": "send", "inputSchema": {"type": "object", "properties": {
        "to": {"type": "string"}, "amount": {"type": "integer"}, "body": {"type": "string"}}}}]);
    project.write("catalogue/mail.tools.json", &tools.to_string());
    let actions = json!({"server": "mail", "actions": {"send": {
        "tier": "high", "effect": "send"}}});
    project.write("catalogue/mail.yaml", &actions.to_string());
    let upstream = project.upstream("mail", &tools);
    project.configure(&json!({
        "version": 1,
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

    // The same device has one already, and a person who is not verified makes none.
    ada.sees(&register, "A new passkey");
    ada.does(&json!({ "step": "press_in_vain", "name": "Make the passkey" }));
    ada.does(&json!({ "step": "authenticator", "verified": false }));
    ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Your passkeys");
    ada.sees(&register, "A new passkey");
    ada.does(&json!({ "step": "press_in_vain", "name": "Make the passkey" }));

    // A page of another site sends a form in the person's browser.
    let forged = json!({ "step": "forge", "path": "/sign-out", "fields": { "token": "x" } });
    assert_eq!(ada.sees(&forged, "This did not work")["status"], 403);
    ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Your passkeys");
    ada.sees(&json!({ "step": "press", "name": "Remove My key" }), "Your passkeys");
    ada.sees(&json!({ "step": "press", "name": "Sign out" }), "Sign in");
    let seen = ada.sees(&json!({ "step": "open", "path": "/passkeys" }), "Sign in");
    assert_eq!(seen["cookies"], json!([]), "{seen:#}");
    server.stop();
    let kinds: Vec<_> = server::exported(&project)
        .iter()
        .map(|line| server::record_of(line)["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind.starts_with("passkey"))
        .collect();
    assert_eq!(kinds, ["passkey_registered", "passkey_removed"]);
}
