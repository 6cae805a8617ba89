//! Cerbos as a peer: one resource policy that lets a role read its own case, asked over its
//! AuthZEN endpoint. It records nothing, as it comes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::child::{Process, command};
use crate::report;
use crate::section::Failure;

const POLICY: &str = r#"apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: case
  version: default
  rules:
    - actions: ["read_text_file"]
      effect: EFFECT_ALLOW
      roles: ["clerk"]
      condition:
        match:
          expr: request.principal.attr["case"] == request.resource.id
"#;

/// The program, where the Node packages are installed.
pub(crate) fn program() -> Option<PathBuf> {
    // The script in `.bin` starts this one as a child, which a signal to the script does not end.
    let folder = report::folder().join("../node_modules/@cerbos/cerbos-linux-x64");
    let program = folder.join("cerbos-linux-x64");
    program.exists().then_some(program)
}

/// Starts it; gives its address once it answers.
pub(crate) fn start(program: &Path, folder: &Path) -> Result<(Process, String), Failure> {
    let policies = folder.join("cerbos");
    std::fs::create_dir_all(&policies)?;
    std::fs::write(policies.join("case.yaml"), POLICY)?;
    let (http, grpc) = (free_port()?, free_port()?);
    let config = folder.join("cerbos.yaml");
    let text = format!(
        "server:\n  httpListenAddr: \"127.0.0.1:{http}\"\n  grpcListenAddr: \"127.0.0.1:{grpc}\"\n\
         telemetry:\n  disabled: true\n\
         storage:\n  driver: disk\n  disk:\n    directory: {}\n    watchForChanges: false\n",
        policies.display()
    );
    std::fs::write(&config, text)?;
    let mut command = command(program, Some(super::SERVER_PROCESSOR));
    command
        .args(["server", "--log-level=error", "--debug-listen-addr="])
        .arg(format!("--config={}", config.display()))
        .stderr(Stdio::null());
    let process = Process::start_unheard(command)?;
    let address = format!("127.0.0.1:{http}");
    let until = Instant::now() + Duration::from_secs(15);
    while std::net::TcpStream::connect(&address).is_err() {
        if Instant::now() > until {
            return Err("Cerbos does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((process, address))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
