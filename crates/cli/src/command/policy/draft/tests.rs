//! A project, an export of its records, and what the commands make of them.

use std::fs;

use clap::Parser as _;
use safeconduct_ledger::encode;
use safeconduct_model::{
    ActionName, Amount, Body, Decided, DecidedTask, Decision, Digest, EntityRef, IdentityId,
    IntentName, KeyedDigest, Method, Mode, PolicyEffect, PolicyId, Record, RecordId,
    RecordedPolicy, RecordedReason, SessionKey, Span, TaskId, Timestamp,
};

use super::{diff, learn, reduce};
use crate::args::{Arguments, Command, Policy};
use crate::command::policy::ground::Ground;
use crate::wiring::project::Project;

const RULES: &str = "@id(\"desk\")\npermit (principal, action, resource);\n\n// Never used.\n\
                     @id(\"idle\")\npermit (principal, action == \
                     Safeconduct::Action::\"drop\", resource);\n";
const ACTIONS: &str = "actions:\n  look: { tier: low, effect: read, resources: [ { argument: \
                       /path, type: Path, form: path } ] }\n  drop: { tier: low, effect: write }\n";
const CONFIG: &str = "version: 1\nintents: { folder: intents }\nidentities:\n  - { id: a, kind: agent, owner: \
                      u, fallback_owner: u }\n  - { id: u, kind: user }\n";
const INTENT: &str = "intent: tidy\nversion: 1\ndescription: d\nundertaken_by: { identities: [a] \
                      }\non_behalf_of: never\nlongest: 15m\nbudget: { calls: 20 }\ntier_max: low\nenvelope:\n  - action: \
                      look\n  - action: drop\n";

/// A folder with a project, and with what was recorded.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(records: impl Fn(Digest) -> Vec<Record>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        for (file, text) in [
            ("policies/p.cedar", RULES),
            (
                "draft/p.cedar",
                "@id(\"desk\") permit (principal, action, resource) when { context.session.steps < 3 };\n",
            ),
            ("catalogue/c.yaml", ACTIONS),
            ("intents/tidy.yaml", INTENT),
            ("safeconduct.yaml", CONFIG),
        ] {
            let file = scene.folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let project = Project::load(&scene.folder.path().join("safeconduct.yaml")).unwrap();
        let digest = Ground::of(&project).unwrap().policies.digest();
        let mut export = Vec::new();
        for record in records(digest) {
            export.extend(encode(&record).unwrap());
            export.push(b'\n');
        }
        fs::write(scene.folder.path().join("records"), export).unwrap();
        scene
    }

    /// What a command prints.
    fn said(&self, words: &[&str]) -> Result<String, String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (config, records) = (path("safeconduct.yaml"), path("records"));
        let mut all = vec!["safeconduct", "--config", &config, "policy"];
        all.extend(words);
        all.extend(["--export", &records]);
        let Arguments { shared, command } = Arguments::try_parse_from(all).unwrap();
        let said = match command {
            Command::Policy(Policy::Diff(args)) => diff::text(&shared, &args).map(|said| said.0),
            Command::Policy(Policy::Learn(args)) => learn::text(&shared, &args).map(|said| said.0),
            Command::Policy(Policy::Reduce(args)) => {
                reduce::text(&shared, &args).map(|said| said.0)
            }
            _ => panic!("{words:?}"),
        };
        said.map_err(|error| error.to_string())
    }
}

fn record(id: &str, minute: i64, body: Body) -> Record {
    let at = Timestamp::from_millis(1_790_000_000_000 + minute * 60_000);
    Record { id: RecordId::new(id).unwrap(), at, trace: None, parent: None, body }
}

fn looked(id: &str, minute: i64, path: &str, policies: Digest) -> Record {
    let agent = IdentityId::new("a").unwrap();
    let policy = RecordedPolicy {
        id: PolicyId::new("desk").unwrap(),
        effect: PolicyEffect::Permit,
        span: Span { file: "p.cedar".into(), line: 2, column: 1, end_line: 2 },
    };
    let task = DecidedTask {
        id: TaskId::new("task_1").unwrap(),
        intent: IntentName::new("tidy").unwrap(),
        on_behalf_of: None,
        actors: vec![agent.clone()],
        spend: Amount::default(),
        bytes_out: 0,
    };
    let decided = Decided {
        session: SessionKey::task(agent.clone(), TaskId::new("task_1").unwrap()),
        session_name: None,
        sequence: u64::try_from(minute).unwrap(),
        pep: IdentityId::new("gateway").unwrap(),
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", "a").unwrap(),
        action: ActionName::new("look").unwrap(),
        resources: vec![EntityRef::new("Safeconduct::Path", path).unwrap()],
        input_digest: KeyedDigest::from_bytes([0; 32]),
        decision: Decision::Permit,
        mode: Mode::Enforce,
        reasons: vec![RecordedReason {
            code: "policy".into(),
            policy: Some(policy),
            message: "rule `desk` applies".into(),
            detail: None,
            of: None,
        }],
        shadow: Vec::new(),
        obligations: Vec::new(),
        requestable: None,
        policies,
        catalogue: Digest::from_bytes([0; 32]),
        task: Some(Box::new(task)),
        flow: Vec::new(),
        label: None,
        risk: 0,
        network: None,
        approval: None,
    };
    record(id, minute, Body::Decided(Box::new(decided)))
}

fn scene() -> Scene {
    Scene::new(|digest| {
        let loaded = Body::PoliciesLoaded { digest, policies: 2, cause: "start".into() };
        vec![
            record("rec_1", 0, loaded),
            looked("dec_1", 1, "/cases/1/x", digest),
            looked("dec_2", 2, "/cases/2", digest),
        ]
    })
}

#[test]
fn rights_are_cut_to_what_was_used_and_replayed() {
    let said = scene().said(&["reduce", "--all"]).unwrap();
    for line in [
        "looked at 2 decisions since",
        "policy desk at p.cedar:1:1: narrowed: principal, action, resource",
        "policy idle at p.cedar:5:1: removed: nobody used it",
        "-permit (principal, action, resource);",
        "+permit (principal == Safeconduct::Agent::\"a\", action == \
         Safeconduct::Action::\"look\", resource in Safeconduct::Path::\"/cases\");",
        "-// Never used.",
        "replayed         2",
        "  same           2",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = scene().said(&["reduce", "--policy", "nothing"]);
    assert_eq!(said, Err("there is no policy `nothing`".into()));
}

#[test]
fn a_window_that_is_shorter_than_a_right_is_old_proposes_nothing() {
    let said = scene().said(&["reduce", "--identity", "a", "--since", "2026-09-21T14:13:50Z"]);
    let said = said.unwrap();
    assert!(said.contains("older than the record that was looked at"), "{said}");
    assert!(said.contains("nothing is proposed"), "{said}");
}

#[test]
fn an_envelope_loses_what_was_never_used() {
    let said = scene().said(&["reduce", "--intent", "tidy"]).unwrap();
    assert!(said.contains("-  - action: drop\n") && !said.contains("-  - action: look"), "{said}");
}

#[test]
fn a_draft_is_compared_and_replayed() {
    let scene = scene();
    let path = |name: &str| scene.folder.path().join(name).display().to_string();
    let (old, new) = (path("policies"), path("draft"));
    let said = scene.said(&["diff", &old, &new, "--replay", "2026-01-01T00:00:00Z"]).unwrap();
    for line in [
        "--- a/p.cedar",
        "policy desk says something else",
        "policy idle is gone",
        "not replayable 2",
        "not replayable: dec_1: `desk` looks at `context.session.steps`, which is not recorded",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_reduction_is_proved_where_there_is_a_solver() {
    // Some questions answer themselves, so that what is said does not tell whether it is there.
    let solver = std::env::var_os("CVC5").unwrap_or_else(|| "cvc5".into());
    if std::process::Command::new(solver).arg("--version").output().is_err() {
        return eprintln!("skipped: a proof of a reduction: no cvc5");
    }
    let said = scene().said(&["reduce", "--all", "--prove"]).unwrap();
    let said = said.split_once("proof            ").unwrap().1;
    assert!(said.starts_with("proved never wider, by cvc5 "), "{said}");
    let nobody = scene().said(&["reduce", "--all"]).unwrap();
    assert!(!nobody.contains("proof"), "{nobody}");
}

#[test]
fn a_first_policy_is_learned() {
    let scene = scene();
    let said = scene.said(&["learn", "--from", "a"]).unwrap();
    assert!(said.contains("resource in Safeconduct::Path::\"/cases\"\n)"), "{said}");
    assert!(said.contains("context.task.intent == \"tidy\""), "{said}");
    assert_eq!(scene.said(&["learn", "--from", "intent:tidy"]).unwrap(), said);
    assert_eq!(scene.said(&["learn", "--from", "a/task_1"]).unwrap(), said);
    let nobody = scene.said(&["learn", "--from", "nobody"]).unwrap_err();
    assert!(nobody.contains("no decision of a session, an identity or an intent `nobody`"));
}
