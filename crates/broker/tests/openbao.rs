//! Secrets in a real OpenBao: read, changed, withdrawn, forbidden, sealed, gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking, and prints why it was skipped; a part is shared"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use safeconduct_broker::SecretsIssuer;
use safeconduct_model::{Lease, LeaseId, LeaseKind, ServerName, TargetName, TaskId, Timestamp};
use safeconduct_service::{GrantSpec, IssueError, Issuer, Prospect, Secret, TargetFault};
use safeconduct_wire::config::{SecretPlace, SecretStore, SecretUse, SecretsTarget, VaultStore};

/// A server in development mode: in memory, unsealed, with a root token that is known.
struct Bao {
    url: String,
    process: Child,
    client: Client,
}

const ROOT: &str = "root-token-of-the-test";

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Bao {
    async fn start(home: &Path) -> Option<Self> {
        let program: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/bao");
        if !program.exists() {
            println!("skipped: no `bao` in .venv (make tools)");
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        let bao = Self { url: format!("http://127.0.0.1:{port}"), process, client };
        for _ in 0..1500 {
            let health = bao.client.get(format!("{}/v1/secret/config", bao.url));
            let ready = health.header("X-Vault-Token", ROOT).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Some(bao);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("OpenBao did not start within 30 seconds");
    }

    async fn ask(&self, method: Method, path: &str, body: &'static str) -> String {
        let request = self.client.request(method, format!("{}/v1/{path}", self.url));
        let answer = request.header("X-Vault-Token", ROOT).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }
}

fn issuer(bao: &Bao, token_file: &Path) -> SecretsIssuer {
    let store = VaultStore {
        url: bao.url.clone(),
        mount: "secret".into(),
        path: "safeconduct/{name}".into(),
        field: "value".into(),
        token_file: token_file.to_owned(),
        namespace: None,
        ca_file: None,
    };
    let secret_use = SecretUse {
        upstream: ServerName::new("crm").unwrap(),
        place: SecretPlace::Header("Authorization".into()),
        template: "Bearer {secret}".into(),
    };
    let uses = [("crm_token".to_owned(), secret_use)].into();
    let config = SecretsTarget { store: SecretStore::Vault(store), uses };
    let issuer = SecretsIssuer::new(TargetName::new("legacy").unwrap(), &config, 5);
    issuer.unwrap_or_else(|fault| panic!("{fault}"))
}

async fn issue(issuer: &SecretsIssuer) -> Result<Secret, IssueError> {
    let at = Timestamp::from_millis;
    let lease = Lease {
        id: LeaseId::new("lea_1").unwrap(),
        task: TaskId::new("tsk_1").unwrap(),
        target: TargetName::new("legacy").unwrap(),
        kind: LeaseKind::StaticSecret,
        name: "crm_token".into(),
        planned_at: at(0),
        expires_at: at(1000),
        last_at: at(1000),
    };
    issuer.issue(&lease, &GrantSpec { grants: ["crm_token".into()].into() }).await
}

fn error(issued: Result<Secret, IssueError>) -> IssueError {
    issued.err().expect("no secret is issued")
}

#[tokio::test]
async fn a_secret_comes_out_of_openbao() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bao) = Bao::start(folder.path()).await else { return };
    let token_file = folder.path().join("token");
    let token = |token: &str| {
        std::fs::write(&token_file, token).unwrap();
        std::fs::set_permissions(&token_file, PermissionsExt::from_mode(0o600)).unwrap();
    };
    // A token that may read what is ours and nothing else.
    let policy =
        r#"{"policy": "path \"secret/data/safeconduct/*\" { capabilities = [\"read\"] }"}"#;
    bao.ask(Method::PUT, "sys/policies/acl/safeconduct", policy).await;
    let made = bao.ask(Method::POST, "auth/token/create", r#"{"policies":["safeconduct"]}"#).await;
    let ours = made.split(r#""client_token":""#).nth(1).unwrap().split('"').next().unwrap();
    token(ours);
    let issuer = issuer(&bao, &token_file);
    assert!(matches!(error(issue(&issuer).await), IssueError::NoSuchSecret { .. }));

    let path = "secret/data/safeconduct/crm_token";
    for (body, value) in [
        (r#"{"data":{"value":"hunter22"}}"#, "hunter22"),
        (r#"{"data":{"value":"p\u00e4ss \"w\" \n 2"}}"#, "p\u{e4}ss \"w\" \n 2"),
    ] {
        bao.ask(Method::POST, path, body).await;
        let secret = issue(&issuer).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(secret.reveal(), value);
    }
    bao.ask(Method::POST, path, r#"{"data":{"other":"x"}}"#).await;
    let wrong = error(issue(&issuer).await);
    assert!(matches!(wrong, IssueError::Target(TargetFault::Setup { .. })), "{wrong}");
    bao.ask(Method::DELETE, path, "").await;
    assert!(matches!(error(issue(&issuer).await), IssueError::NoSuchSecret { .. }));

    token("s.someone-elses");
    let forbidden = error(issue(&issuer).await);
    assert_eq!(forbidden.prospect(), Prospect::Lasting);
    assert!(forbidden.to_string().contains("status 403"), "{forbidden}");
    assert!(!format!("{forbidden:?}").contains("someone-elses"));
    token(ours);
    bao.ask(Method::PUT, "sys/seal", "").await;
    let sealed = error(issue(&issuer).await);
    assert_eq!(sealed.prospect(), Prospect::Passing, "{sealed}");
    drop(bao);
    let gone = error(issue(&issuer).await);
    assert!(matches!(gone, IssueError::Target(TargetFault::Unreachable { .. })), "{gone}");
}
