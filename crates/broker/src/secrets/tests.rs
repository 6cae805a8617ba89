use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use age::secrecy::ExposeSecret;
use safeconduct_model::TaskId;
use safeconduct_wire::config::{SecretPlace, SecretUse, VaultStore};

use super::*;

fn uses(names: &[&str]) -> BTreeMap<String, SecretUse> {
    let secret_use = || SecretUse {
        upstream: safeconduct_model::ServerName::new("crm").unwrap(),
        place: SecretPlace::Header("Authorization".into()),
        template: "Bearer {secret}".into(),
    };
    names.iter().map(|name| ((*name).to_owned(), secret_use())).collect()
}

fn target() -> TargetName {
    TargetName::new("legacy").unwrap()
}

fn grant(name: &str) -> GrantSpec {
    GrantSpec { grants: [name.into()].into() }
}

fn lease(name: &str) -> Lease {
    let at = Timestamp::from_millis;
    Lease {
        id: LeaseId::new("lea_1").unwrap(),
        task: TaskId::new("tsk_1").unwrap(),
        target: target(),
        kind: LeaseKind::StaticSecret,
        name: name.into(),
        planned_at: at(0),
        expires_at: at(1000),
        last_at: at(1000),
    }
}

fn said(issued: Result<Secret, IssueError>) -> String {
    match issued {
        Ok(secret) => secret.reveal().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A sealed file and the identity that opens it.
fn sealed(folder: &Path, yaml: &str) -> SecretStore {
    let identity = age::x25519::Identity::generate();
    let (file, identity_file) = (folder.join("secrets.age"), folder.join("identity"));
    write(&identity_file, identity.to_string().expose_secret().as_bytes());
    write(&file, &age::encrypt(&identity.to_public(), yaml.as_bytes()).unwrap());
    SecretStore::Age { file, identity_file }
}

fn issuer(store: SecretStore, names: &[&str]) -> SecretsIssuer {
    let config = SecretsTarget { store, uses: uses(names) };
    SecretsIssuer::new(target(), &config, 2).unwrap_or_else(|fault| panic!("{fault}"))
}

#[tokio::test]
async fn a_secret_comes_out_of_an_age_file() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "crm_token: hunter22\nnumber: 7\nempty: ''\nunused: x\n";
    let store = sealed(folder.path(), yaml);
    let names = ["crm_token", "number", "empty", "absent"];
    let issuer = issuer(store.clone(), &names);
    let issue = async |name: &str| said(issuer.issue(&lease(name), &grant(name)).await);
    assert_eq!(issue("crm_token").await, "hunter22");
    assert!(issue("number").await.contains("is no text (write it in quotes), at 2:9"));
    assert!(issue("empty").await.contains("has 0 bytes"));
    assert_eq!(issue("absent").await, "target `legacy` has no secret `absent`");
    // What the file holds, but the configuration does not name, is not there.
    assert_eq!(issue("unused").await, "target `legacy` has no grant `unused`");
    let lease = lease("crm_token");
    assert_eq!(issuer.revoke(&lease).await.unwrap().seen, [Seen::NotKept].into());
    issuer.renew(&lease, Timestamp::from_millis(5)).await.unwrap();
    // One that was changed is used at once.
    let other = sealed(folder.path(), "crm_token: hunter33");
    assert_eq!(other, store);
    assert_eq!(issue("crm_token").await, "hunter33");
}

#[tokio::test]
async fn what_is_wrong_with_an_age_file_is_said_without_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let SecretStore::Age { file, identity_file } = sealed(folder.path(), "a: b") else { panic!() };
    let store = || SecretStore::Age { file: file.clone(), identity_file: identity_file.clone() };
    let issuer = issuer(store(), &["crm_token"]);
    let problem = async || {
        let issued = issuer.issue(&lease("crm_token"), &grant("crm_token")).await;
        let error = issued.err().expect("no secret");
        assert_eq!(error.prospect(), safeconduct_service::Prospect::Lasting);
        format!("{error} {error:?}")
    };
    for yaml in ["hunter22", "- hunter22", "crm_token: 'hunter22", "a: hunter22\na: hunter22"] {
        sealed(folder.path(), yaml);
        let said = problem().await;
        assert!(!said.contains("hunter") && said.contains("secrets.age"), "{said}");
    }
    sealed(folder.path(), "crm_token: hunter22");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    write(&file, &bytes);
    assert!(problem().await.contains("damaged"));
    let other = tempfile::tempdir().unwrap();
    sealed(other.path(), "crm_token: hunter22");
    std::fs::copy(other.path().join("secrets.age"), &file).unwrap();
    assert!(problem().await.contains("does not open with"));
    write(&identity_file, b"AGE-SECRET-KEY-1NOT");
    assert!(problem().await.contains("holds no age identity"));
    std::fs::set_permissions(&identity_file, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(problem().await.contains("can be used by everybody"));
    write(&file, &vec![0; AGE_FILE_BYTES_MAX as usize + 1]);
    write(&identity_file, &std::fs::read(other.path().join("identity")).unwrap());
    assert!(problem().await.contains("more than 1048576 bytes"));
}

#[test]
fn a_lease_of_a_secret_is_of_one_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(sealed(folder.path(), "a: b"), &["a"]);
    let id = LeaseId::new("lea_1").unwrap();
    assert_eq!(&*issuer.name(&id, &grant("a")).unwrap(), "a");
    for grants in [vec![], vec!["a", "b"]] {
        let spec = GrantSpec { grants: grants.into_iter().map(Into::into).collect() };
        assert!(matches!(issuer.name(&id, &spec), Err(NamingError::Count { limit: 1, .. })));
    }
    assert!(matches!(issuer.name(&id, &grant("b")), Err(NamingError::UnknownGrant { .. })));
}

/// A server that answers every request with these bytes, and what it was asked.
fn answering(answer: Vec<u8>) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = vec![0; 8192];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            if asked.send(text).is_err() {
                break;
            }
            let _ = stream.write_all(&answer);
        }
    });
    (url, requests)
}

fn vault(url: &str, folder: &Path) -> SecretStore {
    let token_file = folder.join("token");
    write(&token_file, b"s.token-of-ours\n");
    SecretStore::Vault(VaultStore {
        url: url.to_owned(),
        mount: "secret".into(),
        path: "safeconduct/{name}".into(),
        field: "value".into(),
        token_file,
        namespace: Some("team".into()),
        ca_file: None,
    })
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_vault_is_asked_for_one_path_and_its_answer_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let found = r#"{"data":{"data":{"value":"hunter22"}}}"#;
    let (url, asked) = answering(http("200 OK", "", found));
    let ask = async |url: &str| {
        let issuer = issuer(vault(url, folder.path()), &["crm_token"]);
        issuer.issue(&lease("crm_token"), &grant("crm_token")).await
    };
    assert_eq!(said(ask(&url).await), "hunter22");
    let request = asked.recv().unwrap();
    assert!(request.starts_with("GET /v1/secret/data/safeconduct/crm_token HTTP/1.1"), "{request}");
    assert!(request.contains("x-vault-token: s.token-of-ours\r\n"), "{request}");
    assert!(request.contains("x-vault-namespace: team\r\n"), "{request}");

    // A redirect would carry the token away.
    let (elsewhere, stolen) = answering(http("200 OK", "", found));
    let moved = format!("location: {elsewhere}/v1/secret/data/x\r\n");
    let (url, _asked) = answering(http("307 Temporary Redirect", &moved, ""));
    assert!(said(ask(&url).await).contains("status 307"));
    assert!(stolen.try_recv().is_err());

    let long = format!(r#"{{"data":{{"data":{{"value":"{}"}}}}}}"#, "x".repeat(2_000_000));
    let twice = r#"{"data":{"data":{"value":"hunter22","value":"hunter33"}}}"#;
    for body in [&long, twice, "", "[]", "{}", r#"{"data":{"data":{"value":7}}}"#, "hunter22"] {
        let (url, _asked) = answering(http("200 OK", "", body));
        let said = said(ask(&url).await);
        assert!(said.contains("has no text in field `value`"), "{said}");
        assert!(!said.contains("hunter"));
    }
    for (status, prospect) in [
        ("503 Sealed", safeconduct_service::Prospect::Passing),
        ("429 Slow", safeconduct_service::Prospect::Passing),
        ("403 Forbidden", safeconduct_service::Prospect::Lasting),
    ] {
        let (url, _asked) = answering(http(status, "", "hunter22"));
        let error = ask(&url).await.err().expect("no secret");
        assert_eq!(error.prospect(), prospect);
        assert!(!format!("{error}{error:?}").contains("hunter"));
    }
    let (url, _asked) = answering(http("404 Not Found", "", ""));
    assert!(matches!(ask(&url).await, Err(IssueError::NoSuchSecret { .. })));
    // Nothing listens, and something listens that never answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    let error = ask(&url).await.err().expect("no secret");
    assert_eq!(error.prospect(), safeconduct_service::Prospect::Passing);
    drop(closed);
    let error = ask(&url).await.err().expect("no secret");
    assert!(matches!(error, IssueError::Target(TargetFault::Unreachable { .. })), "{error}");
}
