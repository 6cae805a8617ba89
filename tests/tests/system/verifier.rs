//! A verifier that shares no code with ours comes to the same verdict, from the files alone.

use std::fs;
use std::process::Command;

use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools::{self, root};

use crate::world::{self, AGENT, may_put};

fn verdict(project: &Project) -> (bool, String) {
    let output = Command::new(tools::python().unwrap())
        .arg(root().join("tests/verifier/verify.py"))
        .arg(project.path("data/tlog"))
        .arg(project.path("keys/ledger.pub"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

#[test]
fn a_second_verifier_agrees() {
    if let Err(why) = tools::python() {
        return tools::skip("the second verifier", &why);
    }
    let project = world::project();
    // Below, at and beyond the width of a tile.
    for questions in [3, 240, 300] {
        let server = Server::start(&project);
        let (_, token) = server.mint(AGENT);
        for n in 0..questions {
            server.evaluate(&token, &may_put(AGENT, &n.to_string()));
        }
        server.stop();
        let (holds, told) = verdict(&project);
        assert!(holds, "{told}");
        let (code, out, err) = tools::run(&project.config(), &["log", "verify"]);
        assert_eq!(code, 0, "{out}{err}");
        let records = told.split(' ').next().unwrap();
        assert!(out.contains(&format!("verified: {records} records")), "{out} and {told}");
    }
    let entries = project.path("data/tlog/tile/entries/000");
    let whole = fs::read(&entries).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..8 {
        let mut bytes = whole.clone();
        bytes[random.usize(0..whole.len())] ^= 1 << random.u8(0..8);
        fs::write(&entries, bytes).unwrap();
        let (holds, told) = verdict(&project);
        assert!(!holds && told.contains("NOT VERIFIED"), "{told}");
    }
    fs::write(&entries, &whole).unwrap();
    let note = project.path("data/tlog/checkpoint");
    let text = fs::read_to_string(&note).unwrap();
    let size = text.lines().nth(1).unwrap();
    let other = (size.parse::<u64>().unwrap() - 1).to_string();
    fs::write(&note, text.replacen(size, &other, 1)).unwrap();
    assert!(!verdict(&project).0, "a checkpoint that nobody signed");
    fs::write(&note, text).unwrap();
    assert!(verdict(&project).0);
}
