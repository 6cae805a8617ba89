use std::path::Path;

use safeconduct_model::{Decision, Execution, IdentityKind, Obligation, Timestamp, Value};

use super::*;

fn problems(text: &str) -> Vec<String> {
    let problems = parse("t.yaml", text).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

const MATRIX: &str = r#"
name: Records
options: { now: "2026-11-22T00:00:00Z" }
principals:
  alice: { type: user, id: alice }
  bob: { type: user, id: bob, properties: { role: admin }, by: pep }
resources:
  r1: { type: record, id: record-1, properties: { status: active } }
  r2: { type: record, id: record-2 }
tests:
  - name: who reads what
    principals: [alice, bob]
    resources: [r1, r2]
    actions: [read, "x/y~z"]
    input: { soft: true }
    context: { ip: 192.0.2.1 }
    expect:
      - { principal: alice, resource: r1, actions: { read: permit } }
      - principal: bob
        resource: r2
        actions:
          read: { decision: permit, reason: [admins], obligations: ["redact:$.ssn"] }
          x/y~z: { decision: deny, reason: [no_permit], requestable: true }
"#;

#[test]
fn a_matrix_asks_every_cell_and_denies_what_is_unlisted() {
    let suite = parse("t.yaml", MATRIX).unwrap();
    assert_eq!((suite.name.as_str(), suite.world.is_none()), ("Records", true));
    let test = &suite.tests[0];
    assert_eq!((test.sessions, test.steps.len(), test.line), (Sessions::Apart, 8, 11));
    let permits: Vec<_> = test
        .steps
        .iter()
        .filter(|step| step.expect.decision == Decision::Permit)
        .map(|s| (s.principal_name.as_str(), s.resource_name.as_deref(), s.action.as_str()))
        .collect();
    assert_eq!(permits, [("alice", Some("r1"), "read"), ("bob", Some("r2"), "read")]);
    let last = test.steps.last().unwrap();
    assert_eq!((last.expect.requestable, last.expect.line), (Some(true), 23));
    assert_eq!(last.input, Value::object([("soft", Value::from(true))]));
    assert_eq!(last.now, Timestamp::parse("2026-11-22T00:00:00Z"));
    let redact = [Obligation::parse("redact:$.ssn")].into();
    assert_eq!(test.steps[6].expect.obligations, Some(redact));
    let Principal::Asserted { by: Some(by), entity } = &last.principal else { panic!() };
    assert_eq!((by.as_str(), entity.attributes.len()), ("pep", 1));
}

const CASE: &str = r#"
world:
  folder: ../base
  identities: [{ id: agent, kind: agent }]
  sessions: { calls: 3 }
  namespace: Safeconduct
  policies:
    a.cedar: |
      @id("all")
      permit (principal, action, resource);
  catalogue:
    - server: files
      actions: { read: { tier: low, effect: read } }
  tools:
    files: [{ name: read, inputSchema: { type: object } }]
principals:
  agent: { id: agent }
  made: { id: m, kind: workload, groups: [clerks] }
tests:
  - name: a budget ends
    steps:
      - { principal: agent, action: files.read, input: { path: /a }, expect: permit }
      - principal: agent
        credential: second
        session: part
        action: files.read
        now: "2026-11-22T00:00:01Z"
        outcome: failed
        expect: { decision: deny, reason: [budget_spent] }
      - { principal: made, action: files.read, expect: permit }
"#;

#[test]
fn a_case_brings_its_world_and_goes_step_by_step() {
    let suite = parse_with("t.yaml", CASE, Path::new("/cases/x"), &Fixtures::default()).unwrap();
    let world = suite.world.unwrap();
    assert_eq!(world.folder.as_deref(), Some(Path::new("/cases/x/../base")));
    assert_eq!((world.session_calls, world.identities.len()), (Some(3), 1));
    assert_eq!(world.catalogue[0].entries[0].0.name.as_str(), "files.read");
    assert!(world.policies["a.cedar"].contains("permit (principal"));
    assert_eq!(world.tools.values().next().unwrap().len(), 1);
    let steps = &suite.tests[0].steps;
    assert_eq!(suite.tests[0].sessions, Sessions::Shared);
    assert_eq!(steps[0].outcome, Execution::Succeeded);
    assert_eq!(
        (steps[1].outcome, steps[1].credential.as_deref()),
        (Execution::Failed, Some("second"))
    );
    assert_eq!(steps[1].expect.reasons, Some(["budget_spent".to_owned()].into()));
    let Principal::Made(made) = &steps[2].principal else { panic!() };
    assert_eq!((made.kind, made.groups.len()), (IdentityKind::Workload, 1));
}

#[test]
fn shared_fixtures_are_known_and_a_file_s_own_go_before_them() {
    let shared = Fixtures {
        principals: parse_principals("p.yaml", "a: { id: shared }\nb: { id: b }").unwrap(),
        resources: parse_resources("r.yaml", "r: { type: T, id: r }").unwrap(),
    };
    let text = "principals: { a: { id: own } }\n\
                tests: [{ name: n, principals: [a, b], resources: [r], actions: [x] }]";
    let suite = parse_with("t.yaml", text, Path::new(""), &shared).unwrap();
    let ids: Vec<_> = suite.tests[0].steps.iter().map(|s| format!("{:?}", s.principal)).collect();
    assert_eq!(ids, ["Registered(\"own\")", "Registered(\"b\")"]);
}

#[test]
fn what_is_skipped_says_why() {
    let text = "principals: { a: { id: a } }\n\
                tests:\n\
                \x20 - { name: n, principals: [a], actions: [x], skip: true, skipReason: later }\n\
                \x20 - { name: m, principals: [a], actions: [x], skip: true }\n";
    let suite = parse("t.yaml", text).unwrap();
    let skips: Vec<_> = suite.tests.iter().map(|test| test.skip.as_deref()).collect();
    assert_eq!(skips, [Some("later"), Some("no reason given")]);
}

#[test]
fn slips_are_named() {
    let text = "principals: { agent: { id: a }, b: { id: b, kind: agent, type: T }, c: { id: c, by: x } }\n\
                tests: [{ name: x, principals: [agent], actions: [y] }]\n";
    assert_eq!(
        problems(text),
        [
            "t.yaml:1:51: an identity has a `kind`, a subject has a `type`: not both",
            "t.yaml:1:85: `by` needs a `kind` or a `type`",
        ]
    );
    let text = "principals: { agent: { id: a } }\n\
                tests:\n\
                \x20 - { name: a, principals: [agnet], actions: [x] }\n\
                \x20 - { name: b, principals: [agent], actions: [x], expect: [{ principal: agent, actions: { y: permit } }] }\n\
                \x20 - { name: c, steps: [{ principal: agent, action: x, resource: r, expect: permti }] }\n";
    assert_eq!(
        problems(text),
        ["t.yaml:5:76: `permti` is not one of `permit`, `deny` (did you mean `permit`?)"]
    );
    let text = text.replace("permti", "permit") + "  - { name: d }\n";
    assert_eq!(
        problems(&text),
        [
            "t.yaml:3:29: no principal is called `agnet` (did you mean `agent`?)",
            "t.yaml:4:94: `y` is no action of this test",
            "t.yaml:5:65: no resource is called `r` (list it under `resources`)",
            "t.yaml:6:5: a test needs `principals` and `actions`, or `steps`",
        ]
    );
}

#[test]
fn questions_are_bounded() {
    let names: Vec<String> = (0..200).map(|i| format!("a{i}")).collect();
    let fixtures: Vec<String> = names.iter().map(|name| format!("{name}: {{ id: x }}")).collect();
    let text = format!(
        "principals: {{ {} }}\ntests: [{{ name: n, principals: [{}], actions: [{}] }}]",
        fixtures.join(", "),
        names.join(","),
        names.join(",")
    );
    assert_eq!(problems(&text), ["t.yaml:2:9: the file asks more than 20000 questions"]);
}

#[test]
fn a_test_goes_before_its_file() {
    let suite = parse(
        "t.yaml",
        "
options: { quarantined: [s.read], understands: [redact] }
principals: { a: { id: a } }
tests:
  - name: as the file says
    principals: [a]
    actions: [s.read, s.write]
  - name: otherwise
    options: { quarantined: [], understands: [] }
    steps: [{ principal: a, action: s.read, expect: deny }]
",
    )
    .unwrap();
    let all: Vec<_> = suite.tests.iter().flat_map(|test| &test.steps).collect();
    let definitions: Vec<_> = all.iter().map(|step| step.definition).collect();
    assert_eq!(definitions, [Definition::Quarantined, Definition::Approved, Definition::Approved]);
    assert_eq!(all[0].understands, Some(["redact".to_owned()].into()));
    assert_eq!(all[2].understands, Some([].into()));
}

#[test]
fn what_cannot_be_quarantined_is_named() {
    let text = "
options: { quarantined: [''] }
principals: { a: { id: a } }
tests: [{ name: x, principals: [a], actions: [s.read] }]
";
    assert!(problems(text)[0].contains("an action name is empty"), "{:?}", problems(text));
}

const RESULTS: &str = r#"
options: { now: "2026-11-22T00:00:00Z" }
principals: { a: { id: a } }
tests:
  - name: results
    tasks:
      - { name: t, intent: i, agent: a, prompt: "Pay.", trusted: false }
      - { name: u, intent: i, agent: a, parent: t }
      - { name: v, intent: i, agent: a }
    steps:
      - { principal: a, action: s.read, expect: permit, result: { to: x } }
      - { principal: a, action: s.read, after: 90s, expect: permit, result: null }
      - principal: a
        action: s.read
        after: 2h
        expect:
          decision: deny
          flow: { /to: [from_task, from_untrusted] }
          session: { untrusted: true, sensitivity: secret, categories: [pii] }
      - { principal: a, action: s.read, expect: permit }
"#;

#[test]
fn results_time_and_what_was_read_are_understood() {
    let suite = parse("t.yaml", RESULTS).unwrap();
    let test = &suite.tests[0];
    let begun: Vec<_> = test.tasks.iter().map(|task| task.begun_by).collect();
    assert_eq!(begun, [BegunBy::Agent, BegunBy::Agent, BegunBy::Orchestrator]);
    assert_eq!(test.tasks[0].prompt.as_deref(), Some("Pay."));
    let steps = &test.steps;
    assert_eq!(steps[0].result, Some(Value::object([("to", Value::from("x"))])));
    assert_eq!((&steps[1].result, &steps[2].result), (&Some(Value::Null), &None));
    let times: Vec<_> = steps.iter().map(|step| step.now.unwrap().to_string()).collect();
    let at = |time: &str| format!("2026-11-22T{time}.000Z");
    assert_eq!(times, [at("00:00:00"), at("00:01:30"), at("02:01:30"), at("02:01:30")]);
    let expect = &steps[2].expect;
    let seen: Vec<_> = expect.flow["/to"].iter().map(|word| word.as_str()).collect();
    assert_eq!(seen, ["from_task", "from_untrusted"]);
    assert_eq!(expect.session.sensitivity, Some(safeconduct_model::Confidentiality::Secret));
    assert_eq!(steps[3].expect.session, SessionExpect::default());
}

#[test]
fn slips_of_time_and_trust_are_named() {
    let text = RESULTS
        .replace("after: 90s", "after: 90x")
        .replace("after: 2h", "after: 2h\n        now: \"2026-11-22T00:00:00Z\"")
        .replace("parent: t }", "parent: t, trusted: true }");
    assert_eq!(
        problems(&text),
        [
            "t.yaml:8:61: a task with a `parent` is begun by that one's agent: it is not trusted",
            "t.yaml:12:48: `90x` is no length of time (write it as `90s`, `5m`, `2h` or `7d`)",
            "t.yaml:13:9: a step has either `now` or `after`, not both",
        ]
    );
}
