//! The commands that speak to a running server, as a person uses them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools::{self, root};

fn command(project: &Project, server: &Server, arguments: &[&str]) -> Command {
    let mut command = tools::command();
    command
        .arg("--config")
        .arg(project.config())
        .args(arguments)
        .env("SAFECONDUCT_URL", format!("http://{}", server.address))
        .env("SAFECONDUCT_TOKEN", server.admin());
    command
}

fn said(project: &Project, server: &Server, arguments: &[&str]) -> String {
    let output = command(project, server, arguments).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {talk}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_changed_is_seen_in_the_tail() {
    let project = Project::copy_of(&root().join("examples/authzen-certification"));
    let server = Server::start(&project);
    let mut tail = command(&project, &server, &["log", "tail", "--last", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The last record that is there comes first; what follows comes by the stream.
    lines.next().unwrap();

    said(&project, &server, &["identity", "add", "newcomer", "--kind", "user"]);
    let token = said(&project, &server, &["identity", "token", "mint", "newcomer", "--ttl", "1h"]);
    assert!(token.starts_with("sc_"), "{token}");
    let listed = said(&project, &server, &["identity", "token", "ls", "--identity", "newcomer"]);
    let id = listed.lines().last().unwrap().split(' ').next().unwrap().to_owned();
    said(&project, &server, &["identity", "token", "revoke", &id]);
    assert!(said(&project, &server, &["identity", "ls"]).contains("newcomer"));

    for expected in ["identity newcomer active", "of newcomer", &format!("token {id} revoked")] {
        let line = lines.next().unwrap();
        assert!(line.contains(expected), "no `{expected}` in {line}");
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    server.stop();
}
