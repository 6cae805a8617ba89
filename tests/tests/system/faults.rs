//! What goes wrong around the server: folders that vanish, other processes, disks.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getrlimit};
use safeconduct_tests::http::Connection;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, verify, wait_until};
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT, may_put, succeeded};

#[test]
fn a_policy_folder_that_vanishes() {
    let project = world::project();
    let server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let permitted = || server.evaluate(&token, &may_put(AGENT, "x"))["decision"] == json!(true);
    assert!(permitted());
    fs::rename(project.path("policies"), project.path("elsewhere")).unwrap();
    server.signal(Signal::HUP);
    let refused = || server.administer("GET", "/v1/policies", &Json::Null)["refused"].clone();
    wait_until("the refusal", || refused().is_string());
    assert!(permitted(), "the running set stays");
    assert!(server.is_ready());
    // A set that does not validate is refused as well, and one that does comes into force.
    fs::rename(project.path("elsewhere"), project.path("policies")).unwrap();
    project.write(
        "policies/box.cedar",
        "permit (principal, action, resource) when { context.made_up };",
    );
    server.signal(Signal::HUP);
    wait_until("another refusal", || {
        refused().as_str().is_some_and(|problem| problem.contains("box.cedar"))
    });
    assert!(permitted(), "the running set stays");
    project.write("policies/box.cedar", "// nothing is permitted any more\n");
    server.signal(Signal::HUP);
    wait_until("the new set", || !permitted());
    let metrics = server.ask("GET", "/metrics", "", &Json::Null).text();
    assert!(metrics.contains("safeconduct_"), "{metrics}");
    server.stop();
    verify(&project);
    let kinds: Vec<String> = exported(&project)
        .iter()
        .map(|line| record_of(line)["kind"].as_str().unwrap().to_owned())
        .collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert!(count("policies_refused") >= 2, "{kinds:?}");
    assert!(count("policies_loaded") >= 2, "{kinds:?}");
}

#[test]
fn a_data_folder_of_another_process() {
    let project = world::project();
    let mut server = Server::start(&project);
    let talk = Server::try_start(&project, tools::command()).expect_err("two own one folder");
    assert!(talk.contains(&server.pid().to_string()), "{talk}");
    let (code, out, err) = tools::run(&project.config(), &["log", "rebuild"]);
    assert_ne!(code, 0, "{out}{err}");
    assert!(err.contains(&server.pid().to_string()), "{err}");
    assert!(server.is_up() && server.is_ready());
    server.stop();
    verify(&project);
}

/// A question whose record is large: the resource's name is in it.
fn large(n: u32) -> Json {
    let mut question = may_put(AGENT, &n.to_string());
    question["resource"] = json!({ "type": "Resource", "id": format!("{n}{}", "x".repeat(8_000)) });
    question
}

/// Asks until there is no room for a record: the first answer without one.
fn until_unrecorded(server: &Server, token: &str) -> Json {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let mut connection = Connection::open(server.address).unwrap();
    for n in 0..100_000 {
        let body = large(n).to_string();
        let path = "/access/v1/evaluation";
        let response = connection.request("POST", path, &headers, body.as_bytes()).unwrap();
        let answer = response.json();
        if answer["decision"] == json!(false) {
            println!("no room after {n} questions");
            return answer;
        }
    }
    panic!("the disk never filled up");
}

/// What holds once the ledger takes no more records.
fn nothing_is_permitted(project: &Project, server: &mut Server, token: &str, answer: &Json) {
    assert_eq!(answer["context"]["reasons"][0]["code"], json!("not_recorded"), "{answer}");
    assert!(!server.is_ready(), "readiness is red");
    let before = world::reached(project).len();
    let call = server.mcp("box", token).call("put", &json!({ "id": "unrecorded" })).unwrap();
    assert!(!succeeded(&call), "{call}");
    assert_eq!(world::reached(project).len(), before, "no call without a record");
    assert_eq!(server.evaluate(token, &may_put(AGENT, "y"))["decision"], json!(false));
    assert!(server.is_up(), "{}", server.talk());
    let metrics = server.ask("GET", "/metrics", "", &Json::Null).text();
    assert!(metrics.contains("safeconduct_log_append_failures_total"), "{metrics}");
}

#[test]
fn a_file_that_may_not_grow() {
    let project = world::project();
    // One run makes the folder, so that the limit meets the ledger and nothing else.
    Server::start(&project).stop();
    let limit = 1_u64 << 20;
    let before = getrlimit(Resource::Fsize);
    // The segment is made in full size: take it away, so that a new one must be made.
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", limit / 512)])
        .arg(tools::safeconduct())
        .env("NO_COLOR", "1");
    match Server::try_start(&project, command) {
        // Where not even the segment fits, it must say so instead of starting.
        Err(talk) => assert!(talk.contains("File too large") || talk.contains("space"), "{talk}"),
        Ok(mut server) => {
            let (_, token) = server.mint(AGENT);
            let answer = until_unrecorded(&server, &token);
            nothing_is_permitted(&project, &mut server, &token, &answer);
            server.kill();
        }
    }
    let after: Rlimit = getrlimit(Resource::Fsize);
    assert_eq!(before.current, after.current);
    let server = Server::start(&project);
    assert!(server.is_ready());
    server.stop();
    verify(&project);
}

#[test]
fn a_full_disk() {
    let project = world::project();
    let data = project.path("data");
    fs::create_dir(&data).unwrap();
    let mount = |args: &[&str]| {
        Command::new("mount").args(args).arg(&data).output().is_ok_and(|out| out.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=448m", "tmpfs"]) {
        return tools::skip("a full disk", "no right to mount a tmpfs here");
    }
    let _mounted = Mounted(&data);
    let mut server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    assert_eq!(server.evaluate(&token, &may_put(AGENT, "x"))["decision"], json!(true));
    // All that is left; what is preallocated is used up by questions.
    let filler = fs::File::create(data.join("filler")).unwrap();
    const MEGABYTE: u64 = 1 << 20;
    let flags = rustix::fs::FallocateFlags::empty();
    let mut at = 0;
    while rustix::fs::fallocate(&filler, flags, at, MEGABYTE).is_ok() {
        at += MEGABYTE;
    }
    assert!(at > MEGABYTE, "nothing was left");
    let answer = until_unrecorded(&server, &token);
    nothing_is_permitted(&project, &mut server, &token, &answer);
    server.stop();
    drop(filler);
    fs::remove_file(data.join("filler")).unwrap();
    let server = Server::start(&project);
    assert!(server.is_ready());
    assert_eq!(server.evaluate(&token, &may_put(AGENT, "x"))["decision"], json!(true));
    server.stop();
    verify(&project);
}

#[test]
fn a_data_folder_that_cannot_be_written() {
    let project = world::project();
    Server::start(&project).stop();
    let data = project.path("data");
    let data_text = data.display().to_string();
    let bound = Command::new("mount").args(["--bind", &data_text, &data_text]).output();
    if !bound.is_ok_and(|out| out.status.success()) {
        return tools::skip("a read-only folder", "no right to mount here");
    }
    let _mounted = Mounted(&data);
    let remount =
        Command::new("mount").args(["-o", "remount,bind,ro", &data_text]).output().unwrap();
    assert!(remount.status.success());
    let talk = Server::try_start(&project, tools::command()).expect_err("it cannot write");
    assert!(talk.to_lowercase().contains("read-only"), "{talk}");
    // What is there can still be checked.
    verify(&project);
}

/// A mount that ends with this value.
struct Mounted<'a>(&'a std::path::Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_read_model_that_is_lost_or_damaged() {
    let project = world::project();
    let server = Server::start(&project);
    let (id, token) = server.mint(AGENT);
    for n in 0..50 {
        server.evaluate(&token, &may_put(AGENT, &n.to_string()));
    }
    let decisions = |server: &Server, at_least: u64| {
        let mut page = Json::Null;
        wait_until("the read model to follow", || {
            page = server.administer("GET", "/v1/records?kind=decision&limit=100", &Json::Null);
            page["read_up_to"].as_u64().unwrap() >= at_least
        });
        page["records"].clone()
    };
    let first = server.administer("GET", "/v1/records?limit=1", &Json::Null);
    let read_up_to = first["read_up_to"].as_u64().unwrap();
    let before = decisions(&server, read_up_to);
    wait_until("all fifty", || decisions(&server, 0).as_array().unwrap().len() == 50);
    let whole = decisions(&server, 0);
    assert!(before.as_array().unwrap().len() <= 50);
    server.stop();
    let model = project.path("data/read.sqlite");
    let damages: [(&str, &dyn Fn()); 4] = [
        ("deleted", &|| fs::remove_file(&model).unwrap()),
        ("no database", &|| fs::write(&model, b"this is no database").unwrap()),
        ("cut short", &|| {
            let length = fs::metadata(&model).unwrap().len();
            fs::OpenOptions::new().write(true).open(&model).unwrap().set_len(length / 2).unwrap();
        }),
        ("overwritten in the middle", &|| {
            let mut bytes = fs::read(&model).unwrap();
            let middle = bytes.len() / 2;
            bytes[4096.min(middle)..].iter_mut().for_each(|byte| *byte ^= 0x5a);
            fs::write(&model, bytes).unwrap();
        }),
    ];
    for (what, damage) in damages {
        for beside in ["data/read.sqlite-wal", "data/read.sqlite-shm"] {
            let _ = fs::remove_file(project.path(beside));
        }
        damage();
        let server = Server::start(&project);
        // Until it is built again, it says that it cannot be read.
        wait_until(what, || {
            let path = "/v1/records?kind=decision&limit=100";
            let response = server.ask("GET", path, server.admin(), &Json::Null);
            assert!([200, 503].contains(&response.status), "{what}: {}", response.text());
            response.status == 200 && response.json()["records"] == whole
        });
        let session = server.administer("GET", &format!("/v1/sessions/{AGENT}/{id}"), &Json::Null);
        assert_eq!(session["sequence"], json!(50), "{what}");
        server.stop();
    }
    let (code, out, err) = tools::run(&project.config(), &["log", "rebuild"]);
    assert_eq!(code, 0, "{out}{err}");
    let server = Server::start(&project);
    let records = server.administer("GET", "/v1/records?kind=decision&limit=100", &Json::Null);
    assert_eq!(records["records"], whole, "rebuilt with equal content");
    server.stop();
    verify(&project);
}
