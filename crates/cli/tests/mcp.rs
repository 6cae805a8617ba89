//! `safeconduct mcp`: wrappers join one server, which nobody had to start.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A project whose upstream `echo` is the program `cat`, and the server that serves it.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["policies", "catalogue"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let text = "version: 1
listen: 127.0.0.1:0
upstreams:
  echo: { stdio: { command: cat } }
identities:
  - { id: ann, kind: user }
  - { id: ben, kind: user }
  - { id: agent, kind: agent, owner: ann, fallback_owner: ben }
";
        fs::write(folder.path().join("safeconduct.yaml"), text).unwrap();
        Self { folder }
    }

    fn wrap(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_safeconduct"))
            .args(["mcp", "--config"])
            .arg(self.folder.path().join("safeconduct.yaml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn server(&self) -> Option<String> {
        let pid = fs::read_to_string(self.folder.path().join("data/lock")).ok()?;
        let pid = pid.trim().to_owned();
        Path::new("/proc").join(&pid).exists().then_some(pid)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Some(pid) = self.server() {
            let _ = Command::new("kill").arg(pid).status();
        }
    }
}

/// Sends one request and reads the line that comes back.
fn ask(wrapper: &mut Child) -> String {
    let request = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"nobody/knows\"}\n";
    wrapper.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn wrappers_that_start_at_once_join_one_server() {
    let project = Project::new();
    let mut wrappers: Vec<Child> =
        (0..3).map(|_| project.wrap(&["--server", "echo", "--", "cat"])).collect();
    for wrapper in &mut wrappers {
        let answer = ask(wrapper);
        assert!(answer.contains("\"id\":7") && answer.contains("error"), "{answer}");
    }
    let server = project.server().unwrap();
    for mut wrapper in wrappers {
        drop(wrapper.stdin.take());
        assert!(wrapper.wait().unwrap().success());
    }
    // The server is there for the next one.
    let mut next = project.wrap(&["--", "cat"]);
    assert!(ask(&mut next).contains("\"id\":7"));
    assert_eq!(project.server().unwrap(), server);
    drop(next.stdin.take());
    assert!(next.wait().unwrap().success());
}

#[test]
fn another_command_under_a_configured_name_is_refused() {
    let project = Project::new();
    let refused =
        project.wrap(&["--server", "echo", "--", "cat", "-n"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("upstream `echo` is `cat` in the configuration"), "{said}");
}

#[test]
fn an_agent_that_nobody_registered_is_refused() {
    let project = Project::new();
    let arguments = ["--server", "echo", "--agent", "mallory", "--", "cat"];
    let refused = project.wrap(&arguments).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("no active agent is called `mallory`"), "{said}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let project = Project::new();
    fs::write(project.folder.path().join("policies/a.cedar"), "permit (principal").unwrap();
    let refused = project.wrap(&["--", "cat"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the server does not start") && said.contains("a.cedar"), "{said}");
}
