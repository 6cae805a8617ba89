//! Secrets are in no log: neither ours, at its most talkative, nor the server's.
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

mod cluster;

use std::io::Write;
use std::sync::{Arc, Mutex};

use cluster::{cluster, grant, lease, refusal, secret};
use safeconduct_service::Issuer;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_holds_a_password() {
    // The tests' own statements are not looked at.
    let Some(cluster) = cluster() else { return };
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let (issuer, folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    // What goes wrong is told, and the telling is looked at too.
    let mut told = refusal(issuer.issue(&lease, &spec).await).to_string();
    assert!(told.contains("42710"), "{told}");
    issuer.revoke(&lease).await.unwrap();
    std::fs::write(folder.path().join("password"), "not-the-password\n").unwrap();
    told.push_str(&format!("{:?}", issuer.revoke(&lease).await.unwrap_err()));

    let ours = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    let servers = std::fs::read_to_string(cluster.folder.join("log")).unwrap();
    assert!(servers.contains("CREATE ROLE") && servers.contains("SCRAM-SHA-256$"), "{servers}");
    assert!(ours.contains("tokio_postgres"), "nothing was captured: {ours}");
    for secret in [password.reveal(), "broker-pw", "not-the-password"] {
        assert!(!ours.contains(secret) && !told.contains(secret));
        assert!(
            !servers
                .replace("CREATE ROLE safeconduct LOGIN CREATEROLE PASSWORD 'broker-pw'", "")
                .contains(secret)
        );
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(password.reveal()));
    }
}
