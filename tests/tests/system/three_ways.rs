//! Every decision case three ways: pure engine, AuthZEN over HTTP, MCP through the gateway.

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::sync::Mutex;

use safeconduct_model::{Decision, Execution, Identity, IdentityId, Timestamp, Value};
use safeconduct_tests::answer::Answer;
use safeconduct_tests::case::{self, Case};
use safeconduct_tests::project::Project;
use safeconduct_tests::pure::{Asked, ENFORCEMENT_POINT, Ground, UNDERSTOOD, credential};
use safeconduct_tests::server::{Server, decisions, exported, record_of, verify};
use safeconduct_tests::tasks::{ORCHESTRATOR, beginner};
use safeconduct_tests::traced::Traced;
use safeconduct_tests::{mcp, tools};
use safeconduct_wire::suite::{Approved, Principal, Sessions, Step, Test};
use safeconduct_wire::{intent, json};
use serde_json::{Value as Json, json};

#[test]
fn all_three_ways_give_equal_answers() {
    let cases = Mutex::new(case::all().into_iter().flat_map(apart).collect::<Vec<_>>());
    let problems = Mutex::new(Vec::new());
    let asked = Mutex::new([0; 3]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((case, ways)) = { cases.lock().unwrap().pop() } {
                    let (found, count) = run(&case, ways);
                    problems.lock().unwrap().extend(found);
                    let mut asked = asked.lock().unwrap();
                    asked.iter_mut().zip(count).for_each(|(sum, n)| *sum += n);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    let [pure, http, gateway] = asked.into_inner().unwrap();
    println!("asked {pure} pure, {http} over HTTP, {gateway} through the gateway");
    assert!(http > 100 && gateway > 80, "{http} over HTTP, {gateway} through the gateway");
}

#[test]
fn the_command_line_gives_the_same_answers() {
    let cases = case::all();
    let files = cases.iter().map(|case| &case.file);
    let mut command: Command = tools::command();
    let output = command.args(["policy", "test"]).args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// How a case is asked, besides by the pure engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ways {
    Both,
    Http,
    Gateway,
}

/// A case as it can be asked: what identities remember over all their sessions, what stays
/// approved of them and what was told of them, one test or way would find of another.
fn apart(case: Case) -> Vec<(Case, Ways)> {
    let history = |text: &String| text.contains("@history(\"identity\")");
    let stands = |step: &Step| {
        step.approved.as_ref().is_some_and(|yes| yes.uses.is_some() || yes.for_s.is_some())
    };
    let stands = case.suite.tests.iter().flat_map(|test| &test.steps).any(stands);
    let mut steps = case.suite.tests.iter().flat_map(|test| &test.steps);
    let told = steps.any(|step| !step.signals.is_empty());
    if !(stands || told) && !case.own_world().policies.values().any(history) {
        return vec![(case, Ways::Both)];
    }
    let alone = |test: &Test| {
        let mut one = case.clone();
        one.suite.tests = vec![test.clone()];
        [(one.clone(), Ways::Http), (one, Ways::Gateway)]
    };
    case.suite.tests.iter().flat_map(alone).collect()
}

/// What went wrong in a case, and how often each way was asked.
fn run(case: &Case, ways: Ways) -> (Vec<String>, [usize; 3]) {
    let ground = Ground::of(case);
    let project = Project::of(case);
    let server = Server::start(&project);
    let mut problems = Vec::new();
    let mut count = [0; 3];
    let mut through_gateway = Vec::new();
    let mut over_http = Vec::new();
    for test in &case.suite.tests {
        let pure = ground.run(test);
        // The server has its own clock.
        let timeless = test.steps.iter().all(|step| step.now.is_none());
        if test.skip.is_some() || !timeless {
            continue;
        }
        count[0] += pure.len();
        let http = Http { ground: &ground, server: &server };
        let answers = if ways == Ways::Gateway { Vec::new() } else { http.run(test) };
        let steps = Rc::new(step_names(answers.iter().map(|(_, id)| id.as_str())));
        for ((number, step), (answer, id)) in test.steps.iter().enumerate().zip(answers) {
            count[1] += 1;
            let what = format!("{}: {}, step {}", case.name, test.name, number + 1);
            let pure = &pure[number];
            if case.upstream.live.is_empty() && answer != pure.answer {
                problems.push(format!("{what}: HTTP {answer:?}, pure {:?}", pure.answer));
            }
            problems.extend(unlike(&what, "HTTP", &answer, step, case));
            let traced = case.upstream.live.is_empty().then(|| pure.traced.clone());
            over_http.push((what, answer, id, traced, Rc::clone(&steps)));
        }
        if ways != Ways::Http && test.steps.iter().all(|step| fits_gateway(case, step)) {
            count[2] += test.steps.len();
            ask_gateway(&http, &project, test);
            // Of a call without a result in the case, the gateway's agent has read another.
            let mut known = true;
            for (number, (step, pure)) in test.steps.iter().zip(pure).enumerate() {
                let what = format!("{}: {}, step {}", case.name, test.name, number + 1);
                let executed = pure.answer.decision == "permit" || case.upstream.mode.is_some();
                through_gateway.push(Passed { what, pure, step, number, known });
                known &= !executed || step.result.is_some();
            }
        }
    }
    server.stop();
    verify(&project);
    let lines = exported(&project);
    let recorded = decisions(&lines);
    for (what, answer, id, traced, steps) in over_http {
        let record = recorded.get(&id).map(|record| Answer::of_record(&record["body"]));
        if record.as_ref() != Some(&answer) {
            problems.push(format!("{what}: HTTP {answer:?}, recorded {record:?}"));
        }
        let flow = recorded.get(&id).map(|record| Traced::of_record(&record["body"], &steps));
        if traced.is_some() && traced != flow {
            problems.push(format!("{what}: HTTP {flow:?}, pure {traced:?}"));
        }
    }
    let found: Vec<&Json> = lines
        .iter()
        .map(record_of)
        .filter(|r| r["kind"] == "decision")
        .filter(|r| r["body"]["pep"].as_str().is_some_and(|pep| pep.starts_with("gateway")))
        .collect();
    if found.len() != through_gateway.len() {
        let (found, asked) = (found.len(), through_gateway.len());
        problems.push(format!("{}: {found} decisions of {asked} gateway calls", case.name));
    }
    let mut calls = BTreeMap::<String, usize>::new();
    let mut steps = BTreeMap::new();
    for (passed, record) in through_gateway.into_iter().zip(found) {
        let Passed { what, pure: Asked { answer: pure, traced, .. }, step, number, known } = passed;
        if number == 0 {
            steps.clear();
        }
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        steps.insert(id, format!("step_{}", number + 1));
        let answer = Answer::of_record(&record["body"]);
        if answer != pure || record["body"]["action"] != step.action.as_str() {
            problems.push(format!("{what}: gateway {answer:?}, pure {pure:?}"));
        }
        let flow = Traced::of_record(&record["body"], &steps);
        if known && flow != traced {
            problems.push(format!("{what}: gateway {flow:?}, pure {traced:?}"));
        }
        let goes_ahead = pure.decision == "permit" || case.upstream.mode.is_some();
        if let (true, Some((server, _))) = (goes_ahead, step.action.as_str().split_once('.')) {
            *calls.entry(server.to_owned()).or_default() += 1;
        }
    }
    for (server, expected) in calls {
        let text = std::fs::read_to_string(project.calls_of(&server)).unwrap_or_default();
        if text.lines().count() != expected {
            let reached = text.lines().count();
            problems
                .push(format!("{}: {reached} calls reached `{server}`, not {expected}", case.name));
        }
    }
    (problems, count)
}

/// A step that was asked through the gateway.
struct Passed<'t> {
    what: String,
    pure: Asked,
    step: &'t Step,
    number: usize,
    /// Whether everything that was read before stands in the case.
    known: bool,
}

/// What the pure engine calls the decisions of those ids, one step after the other.
fn step_names<'i>(ids: impl Iterator<Item = &'i str>) -> BTreeMap<String, String> {
    ids.zip(1..).map(|(id, number)| (id.to_owned(), format!("step_{number}"))).collect()
}

fn unlike(what: &str, way: &str, answer: &Answer, step: &Step, case: &Case) -> Vec<String> {
    // Before the gateway has looked, nobody knows that a definition is another.
    if !case.upstream.live.is_empty() {
        return Vec::new();
    }
    let problems = answer.unlike(&step.expect).into_iter();
    problems.map(|problem| format!("{what}: {way}: {problem}")).collect()
}

/// Whether a gateway can be asked this: its callers speak for themselves, and its catalogue says
/// what a call touches.
fn fits_gateway(case: &Case, step: &Step) -> bool {
    let own = matches!(step.principal, Principal::Registered(_) | Principal::Made(_));
    let action = step.action.as_str();
    let server = action.split(['.', '/']).next().unwrap_or_default();
    let served = case.world["tools"].get(server).is_some();
    let answered = matches!(step.outcome, Execution::Succeeded | Execution::Failed);
    own && served && answered && step.resource.is_none() && step.context.is_none()
}

/// The tokens of one test, issued when they are first needed.
struct Tokens<'a> {
    server: &'a Server,
    sessions: Sessions,
    issued: BTreeMap<String, String>,
}

impl<'a> Tokens<'a> {
    fn new(server: &'a Server, test: &Test) -> Self {
        Self { server, sessions: test.sessions, issued: BTreeMap::new() }
    }

    fn of(&mut self, identity: &IdentityId, step: &Step) -> String {
        if self.sessions == Sessions::Apart {
            return self.server.mint(identity.as_str()).1;
        }
        let mint = || self.server.mint(identity.as_str()).1;
        self.issued.entry(format!("{identity} {}", credential(step))).or_insert_with(mint).clone()
    }
}

/// A task that has begun.
struct Handle {
    agent: String,
    task: String,
    handle: String,
}

/// The AuthZEN way.
struct Http<'a> {
    ground: &'a Ground,
    server: &'a Server,
}

impl Http<'_> {
    /// The answers of a test's steps, each with the id of its decision.
    fn run(&self, test: &Test) -> Vec<(Answer, String)> {
        let mut tokens = Tokens::new(self.server, test);
        let handles = self.begin(test, &mut tokens);
        let ask = |step: &Step| {
            self.end(step, &handles);
            self.tell_of(step);
            let (identity, subject) = self.subject(step);
            let token = tokens.of(&identity, step);
            let mut context = step.context.as_ref().map_or_else(|| json!({}), of_value);
            context["supported_obligations"] = json!(UNDERSTOOD);
            let question = json!({
                "subject": subject,
                "action": { "name": step.action.as_str(), "properties": of_value(&step.input) },
                "resource": self.resource(step),
                "context": context,
            });
            let authorization = format!("Bearer {token}");
            let mut headers = vec![
                ("Authorization", authorization.as_str()),
                ("Content-Type", "application/json"),
            ];
            if let Some(name) = &step.session {
                headers.push(("Safeconduct-Session", name.as_str()));
            }
            if let Some(name) = &step.in_task {
                headers.push(("Safeconduct-Task", handles[name].handle.as_str()));
            }
            let body = question.to_string();
            let response = safeconduct_tests::http::Connection::open(self.server.address)
                .and_then(|mut c| {
                    c.request("POST", "/access/v1/evaluation", &headers, body.as_bytes())
                })
                .unwrap();
            assert_eq!(response.status, 200, "{body}: {}", response.text());
            let answer = response.json();
            let id = answer["context"]["decision_id"].as_str().unwrap_or_default().to_owned();
            let answer = Answer::of_authzen(&answer);
            if answer.decision == "permit" {
                self.report(step, &answer, &id, &headers);
            }
            if let Some(approved) = &step.approved {
                let mut asked = question;
                asked["denial"] = json!({ "evaluation_id": id });
                let body = asked.to_string();
                let response = safeconduct_tests::http::Connection::open(self.server.address)
                    .and_then(|mut c| {
                        c.request("POST", "/access/v1/request", &headers, body.as_bytes())
                    })
                    .unwrap();
                assert_eq!(response.status, 202, "{body}: {}", response.text());
                self.approve(response.json()["task"]["id"].as_str().unwrap(), approved);
            }
            (answer, id)
        };
        test.steps.iter().map(ask).collect()
    }

    /// Tells what a step says of people.
    fn tell_of(&self, step: &Step) {
        let told = step.signals.iter().map(|told| {
            json!({
                "about": { "identity": told.about.as_str() },
                "kind": told.kind.as_str(),
                "severity": told.severity.as_str(),
                "confidence": told.confidence.as_percent(),
            })
        });
        let told: Vec<Json> = told.collect();
        if !told.is_empty() {
            let body = json!({ "signals": told });
            self.server.administer("POST", "/v1/signals", &body);
        }
    }

    /// Says what came of a permitted step.
    fn report(&self, step: &Step, answer: &Answer, id: &str, headers: &[(&str, &str)]) {
        let mut body = json!({ "outcome": step.outcome.as_str() });
        if let Some(result) = &step.result {
            body["result"] = of_value(result);
        }
        let edits = answer.obligations.iter().map(|id| json!({ "obligation": id, "values": 1 }));
        body["edits"] = edits.collect();
        let path = format!("/v1/decisions/{id}/outcome");
        let response = safeconduct_tests::http::Connection::open(self.server.address)
            .and_then(|mut c| c.request("POST", &path, headers, body.to_string().as_bytes()))
            .unwrap();
        assert_eq!(response.status, 204, "{path}: {}", response.text());
    }

    /// Has people say yes to a request.
    fn approve(&self, id: &str, approved: &Approved) {
        let path = format!("/v1/access-requests/{id}");
        let at_most: serde_json::Map<String, Json> =
            approved.at_most.iter().map(|(at, most)| (at.to_string(), of_value(most))).collect();
        let mut extent = match approved.uses {
            Some(uses) => json!({ "scope": "task", "uses": uses }),
            None if at_most.is_empty() => json!({ "scope": "once" }),
            None => json!({ "scope": "edited" }),
        };
        if let Some(seconds) = approved.for_s {
            let until = Timestamp::from_millis(unix_ms() + i64::from(seconds) * 1000);
            let uses = approved.uses.unwrap_or(1);
            extent = json!({ "scope": "until", "uses": uses, "until": until.to_string() });
        }
        if !at_most.is_empty() {
            extent["at_most"] = Json::Object(at_most);
        }
        for by in &approved.by {
            let token = self.server.mint(by.as_str()).1;
            let shown = self.server.ask("GET", &path, &token, &Json::Null).json();
            let body = json!({ "approve": extent, "digest": shown["digest"] });
            let answer = self.server.ask("POST", &format!("{path}/answer"), &token, &body);
            assert_eq!(answer.status, 200, "{by}: {}", answer.text());
        }
    }

    /// Ends what a step comes after the end of.
    fn end(&self, step: &Step, handles: &BTreeMap<String, Handle>) {
        for ended in &step.after_end_of {
            let path = format!("/v1/tasks/{}/end", handles[ended].task);
            self.server.administer("POST", &path, &json!({}));
        }
    }

    /// Begins the tasks of a test; each is refused or not as the test says.
    fn begin(&self, test: &Test, tokens: &mut Tokens<'_>) -> BTreeMap<String, Handle> {
        let mut begun: BTreeMap<String, Handle> = BTreeMap::new();
        for case in &test.tasks {
            let mut body = json!({
                "intent": case.intent.as_str(),
                "agent": case.agent.as_str(),
                "parameters": of_value(&Value::Object(case.parameters.clone())),
            });
            let optional = [
                ("version", case.version.map(|version| json!(version))),
                ("prompt", case.prompt.as_ref().map(|prompt| json!(prompt))),
                ("budget", case.budget.as_ref().map(|one| of_value(&intent::budget(one)))),
                (
                    "envelope",
                    case.envelope.as_ref().map(|one| of_value(&intent::envelope_document(one))),
                ),
                (
                    "on_behalf_of",
                    case.on_behalf_of
                        .as_ref()
                        .map(|user| json!({ "token": self.server.mint(user.as_str()).1 })),
                ),
            ];
            for (name, value) in optional {
                if let Some(value) = value {
                    body[name] = value;
                }
            }
            let by = case.parent.as_ref().map(|parent| &begun[parent]);
            let token = match beginner(test, case) {
                Some(step) => tokens.of(&case.agent, step),
                None => self.server.mint(by.map_or(ORCHESTRATOR, |parent| &parent.agent)).1,
            };
            let authorization = format!("Bearer {token}");
            let mut headers = vec![
                ("Authorization", authorization.as_str()),
                ("Content-Type", "application/json"),
            ];
            headers.extend(by.map(|parent| ("Safeconduct-Task", parent.handle.as_str())));
            let response = safeconduct_tests::http::Connection::open(self.server.address)
                .and_then(|mut connection| {
                    connection.request("POST", "/v1/tasks", &headers, body.to_string().as_bytes())
                })
                .unwrap();
            let answer = response.json();
            let code = answer["code"].as_str();
            let expected = case.refused.map(|word| word.as_str());
            assert_eq!(code, expected, "{}: task `{}`: {answer}", test.name, case.name);
            if code.is_none() {
                let text = |name: &str| answer[name].as_str().unwrap().to_owned();
                let (agent, task, handle) = (text("agent"), text("task"), text("handle"));
                begun.insert(case.name.clone(), Handle { agent, task, handle });
            }
        }
        begun
    }

    /// Whose token asks, and about whom.
    fn subject(&self, step: &Step) -> (IdentityId, Json) {
        let own = |identity: &Identity| {
            let subject =
                json!({ "type": identity.kind.entity_type(), "id": identity.id.as_str() });
            (identity.id.clone(), subject)
        };
        match &step.principal {
            Principal::Registered(id) => own(&self.ground.identities[id].identity),
            Principal::Made(identity) => own(identity),
            Principal::Asserted { by, entity } => {
                let by = by.clone().unwrap_or_else(|| IdentityId::new(ENFORCEMENT_POINT).unwrap());
                (by, entity_json(entity))
            }
        }
    }

    /// What is named: the step's resource, or the server, which every question about a call has.
    fn resource(&self, step: &Step) -> Json {
        match &step.resource {
            Some(resource) => entity_json(resource),
            None => {
                let server = step.action.as_str().split(['.', '/']).next();
                json!({ "type": "Server", "id": server })
            }
        }
    }
}

fn entity_json(entity: &safeconduct_model::Entity) -> Json {
    let properties: serde_json::Map<String, Json> =
        entity.attributes.iter().map(|(name, value)| (name.to_string(), of_value(value))).collect();
    json!({
        "type": entity.uid.ty.as_str(),
        "id": entity.uid.id.as_str(),
        "properties": properties,
    })
}

fn of_value(value: &safeconduct_model::Value) -> Json {
    serde_json::from_str(&json::to_text(value)).unwrap()
}

/// Makes the calls of a test through the gateway, each in its task; what came of them is in the
/// ledger.
fn ask_gateway(http: &Http<'_>, project: &Project, test: &Test) {
    let server = http.server;
    let mut tokens = Tokens::new(server, test);
    let handles = http.begin(test, &mut tokens);
    for step in &test.steps {
        http.end(step, &handles);
        http.tell_of(step);
        let handle = step.in_task.as_ref().map(|name| handles[name].handle.as_str());
        let identity = match &step.principal {
            Principal::Registered(id) => id.clone(),
            Principal::Made(identity) => identity.id.clone(),
            Principal::Asserted { .. } => panic!("does not fit a gateway"),
        };
        let token = tokens.of(&identity, step);
        let action = step.action.as_str();
        let input = of_value(&step.input);
        let (name, answer) = match action.split_once('.') {
            Some((name, tool)) => {
                tell(project, name, step);
                (name, client(server, name, &token, handle).call(tool, &input).unwrap())
            }
            None => {
                let (name, method) = action.split_once('/').unwrap();
                (name, client(server, name, &token, handle).ask(method, input.clone()).unwrap())
            }
        };
        if let Some(approved) = &step.approved {
            let ask = json!({ "action": action, "arguments": input });
            let authorization = format!("Bearer {token}");
            let mut headers = vec![
                ("Authorization", authorization.as_str()),
                ("Content-Type", "application/json"),
            ];
            headers.extend(handle.map(|handle| ("Safeconduct-Task", handle)));
            let response = safeconduct_tests::http::Connection::open(server.address)
                .and_then(|mut c| {
                    let body = ask.to_string();
                    c.request("POST", "/v1/access-requests", &headers, body.as_bytes())
                })
                .unwrap();
            // The gateway may have asked at once: then the same request stands.
            assert!([200, 202].contains(&response.status), "{ask}: {}", response.text());
            http.approve(response.json()["id"].as_str().unwrap(), approved);
        }
        let denied = answer["error"].is_object() || answer["result"]["isError"] == json!(true);
        if step.expect.decision == Decision::Permit && step.outcome == Execution::Succeeded {
            assert!(!denied, "{}: {name}: {answer}", test.name);
        }
    }
}

/// Now, by the clock that the server has too.
fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Has a live server answer what the step says.
fn tell(project: &Project, server: &str, step: &Step) {
    let file = project.next_of(server);
    let mut answer = match &step.result {
        None if step.outcome == Execution::Succeeded => {
            let _ = std::fs::remove_file(file);
            return;
        }
        None => json!({ "content": [] }),
        Some(Value::String(text)) => json!({ "content": [{ "type": "text", "text": &**text }] }),
        Some(result) => {
            let text = json::to_text(result);
            let mut answer = json!({ "content": [{ "type": "text", "text": text }] });
            if matches!(result, Value::Object(_)) {
                answer["structuredContent"] = of_value(result);
            }
            answer
        }
    };
    answer["resultType"] = json!("complete");
    if step.outcome != Execution::Succeeded {
        answer["isError"] = json!(true);
    }
    std::fs::write(file, answer.to_string()).unwrap();
}

fn client(server: &Server, name: &str, token: &str, handle: Option<&str>) -> mcp::Client {
    let mut client = server.mcp(name, token);
    handle.into_iter().for_each(|handle| client.act_in(handle));
    client
}
