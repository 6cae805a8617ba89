//! Requests in tasks: by a handle, by a task that the agent began itself, and no longer once
//! that has ended.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use safeconduct_gateway::{Gateway, Limits, UpstreamConfig, list_tools};
use safeconduct_model::{
    Body as Recorded, Decision, Execution, IdentityId, KillScope, SessionScope, TaskId, TaskState,
};
use safeconduct_pep::InProcess;
use safeconduct_service::Ending;
use serde_json::json;
use support::client::{Client, REVISIONS};
use support::{OTHER_TOKEN, Point, TOKEN};
use tower::ServiceExt as _;

const POLICIES: &str = r#"
@id("all") permit (principal, action, resource);
@id("no-forbidden") @message("nobody undertakes that")
forbid (principal, action == Safeconduct::Action::"undertake", resource)
when { resource == Safeconduct::Intent::"forbidden" };"#;

const HEADER: &str = "safeconduct-task";

struct Bench {
    point: Point,
    gateway: Gateway<InProcess>,
    folder: tempfile::TempDir,
}

fn script(arguments: &[&str]) -> UpstreamConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    support::stdio("s", "python3", &[&[path], arguments].concat())
}

async fn bench(arguments: &[&str]) -> Bench {
    let tools: &[&str] = &["echo", "patient", "reveal", "ask"];
    let intents = [("work", tools), ("little", &["echo"]), ("forbidden", tools)];
    bench_with(arguments, &intents).await
}

async fn bench_with(arguments: &[&str], intents: &[(&str, &[&str])]) -> Bench {
    let upstream = script(arguments);
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, POLICIES).await;
    point.intents("s", intents).await;
    // Nothing here may be found out by looking from time to time.
    let limits = Limits { stream_check: Duration::from_secs(3600), ..Limits::default() };
    let gateway = point.gateway(upstream, limits);
    Bench { point, gateway, folder: tempfile::tempdir().unwrap() }
}

impl Bench {
    async fn client(&self, version: &'static str, headers: &[(&'static str, &str)]) -> Client {
        Client::begun_with(&self.gateway, TOKEN, version, headers).await
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn end(&self, task: &TaskId) {
        let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
        self.point.service.end_task(task, ending).await.unwrap();
    }

    async fn kill(&self, scope: KillScope) {
        let by = IdentityId::new("admin").unwrap();
        self.point.service.kill(scope, &by, "test".into()).await.unwrap();
    }

    /// The scopes of all decisions on tools.
    fn scopes(&self) -> Vec<SessionScope> {
        let decided = self.point.bodies().into_iter().filter_map(|body| match body {
            Recorded::Decided(d) if d.action.as_str().starts_with("s.") => Some(d.session.scope),
            _ => None,
        });
        decided.collect()
    }
}

async fn there(path: &str) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !Path::new(path).exists() {
        assert!(tokio::time::Instant::now() < until, "{path} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Much less than any of the gateway's own patience.
async fn at_once<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(2), what).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_puts_each_request_into_its_task() {
    for (arguments, version) in [(&[][..], REVISIONS[1]), (&["modern"][..], REVISIONS[2])] {
        let bench = bench(arguments).await;
        let (one, two) =
            (bench.point.begin("work", "handle-1").await, bench.point.begin("little", "two").await);
        let mut client = bench.client(version, &[]).await;
        assert!(client.call("echo", json!({})).await.succeeded());
        for handle in ["handle-1", "two"] {
            client.headers = vec![(HEADER, handle.to_owned())];
            assert!(client.call("echo", json!({})).await.succeeded(), "{handle}");
        }
        // What one task may do, the other may not, in the same session of the same credential.
        let denied = client.call("reveal", json!({})).await;
        assert!(denied.text().contains("Denied"), "{:?}", denied.messages);
        client.headers[0].1 = "handle-1".to_owned();
        let revealed = client.call("reveal", json!({})).await;
        assert!(revealed.succeeded());
        let (one, two) = (SessionScope::Task(one), SessionScope::Task(two));
        let scopes = bench.scopes();
        assert!(matches!(scopes[0], SessionScope::Credential(_)));
        assert_eq!(scopes[1..], [one.clone(), two.clone(), two, one]);
        // No process of one task serves another.
        let pid =
            |reply: &str| serde_json::from_str::<serde_json::Value>(reply).unwrap()["pid"].clone();
        let in_task = pid(revealed.text());
        assert_eq!(pid(client.call("reveal", json!({})).await.text()), in_task);
        client.headers.clear();
        assert_ne!(pid(client.call("reveal", json!({})).await.text()), in_task);
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_is_not_the_callers_tells_nothing() {
    let bench = bench(&["modern"]).await;
    bench.point.begin("work", "handle-1").await;
    let unknown_token = Client::begun(&bench.gateway, "no-such-token", REVISIONS[2]).await;
    let expected = unknown_token.ask("tools/list", json!({})).await;
    let long = "x".repeat(100_000);
    for (token, handles) in [
        (TOKEN, vec!["another"]),
        (TOKEN, vec![""]),
        (TOKEN, vec!["handle-1", "handle-1"]),
        (TOKEN, vec![long.as_str()]),
        (OTHER_TOKEN, vec!["handle-1"]),
    ] {
        let headers: Vec<_> = handles.iter().map(|handle| (HEADER, *handle)).collect();
        let client = Client::begun_with(&bench.gateway, token, REVISIONS[2], &headers).await;
        let reply = client.ask("tools/list", json!({})).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(reply.messages, expected.messages);
        assert_eq!(reply.headers["www-authenticate"], expected.headers["www-authenticate"]);
    }
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_begins_and_ends_a_task_by_tools() {
    for version in REVISIONS {
        let arguments: &[&str] = if version == REVISIONS[2] { &["modern"] } else { &[] };
        let bench = bench(arguments).await;
        let client = bench.client(version, &[]).await;
        let tools = client.tools().await;
        let named =
            |name: &str| tools.as_array().unwrap().iter().filter(|t| t["name"] == name).count();
        assert_eq!(tools[0]["name"], "safeconduct_begin_task", "{version}");
        assert_eq!((named("safeconduct_end_task"), named("safeconduct_other")), (1, 0));
        let schema = &tools[0]["inputSchema"];
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["properties"]["intent"]["enum"], json!(["forbidden", "little", "work"]));
        let parameters = &schema["properties"]["parameters"]["anyOf"][1];
        assert_eq!(parameters["required"], json!(["case"]));

        let arguments = json!({"intent": "work", "parameters": {"case": "C-1"}});
        let begun = client.call("safeconduct_begin_task", arguments.clone()).await;
        assert!(begun.succeeded(), "{version} {:?}", begun.messages);
        let told = &begun.result()["structuredContent"];
        let task = TaskId::new(told["task"].as_str().unwrap()).unwrap();
        assert!(begun.text().contains(task.as_str()) && begun.text().contains("s.echo"));
        assert_eq!(told["allowances"][0]["action"], "s.echo");
        assert!(told["deadline"].as_str().unwrap().ends_with('Z'), "{told}");
        assert_eq!(client.tools().await, tools, "lists do not vary with the session's state");
        assert!(client.call("echo", json!({})).await.succeeded());
        assert!(!client.call("die", json!({})).await.succeeded(), "it is outside of the intent");
        let again = client.call("safeconduct_begin_task", arguments).await;
        assert!(again.text().contains("already") && !again.succeeded(), "{:?}", again.messages);

        let ended = client.call("safeconduct_end_task", json!({"summary": "all is well"})).await;
        assert_eq!(ended.result()["structuredContent"], json!({"task": task.as_str(), "ended": 1}));
        let none = client.call("safeconduct_end_task", json!({})).await;
        assert!(!none.succeeded(), "{:?}", none.messages);
        assert!(client.call("echo", json!({})).await.succeeded());
        let scopes = bench.scopes();
        let inside = SessionScope::Task(task.clone());
        assert_eq!(scopes[..2], [inside.clone(), inside], "{version}");
        assert!(matches!(scopes[2], SessionScope::Credential(_)), "{version}");
        let reason = bench.point.bodies().into_iter().find_map(|body| match body {
            Recorded::TaskEnded { task: of, state, by, reason } if of == task => {
                Some((state, by.unwrap().to_string(), reason.to_string()))
            }
            _ => None,
        });
        let expected = (TaskState::Completed, "agent".to_owned(), "all is well".to_owned());
        assert_eq!(reason, Some(expected));
        bench.gateway.shutdown().await;
    }
}

const BEGIN: &str = "safeconduct_begin_task";

fn work() -> serde_json::Value {
    json!({"intent": "work", "parameters": {"case": "C-1"}})
}

/// Two runs of one agent under one credential.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_attached_is_its_conversations_own() {
    let bench = bench(&[]).await;
    let one = bench.client(REVISIONS[1], &[]).await;
    let two = bench.client(REVISIONS[0], &[]).await;
    let begun = one.call(BEGIN, work()).await;
    let first = TaskId::new(begun.result()["structuredContent"]["task"].as_str().unwrap()).unwrap();
    assert!(one.call("echo", json!({})).await.succeeded());
    assert!(two.call("echo", json!({})).await.succeeded());
    let scopes = bench.scopes();
    assert_eq!(scopes[0], SessionScope::Task(first.clone()));
    assert!(matches!(scopes[1], SessionScope::Credential(_)), "it is in nobody's task");
    let none = two.call("safeconduct_end_task", json!({})).await;
    assert!(!none.succeeded(), "{:?}", none.messages);
    let begun = two.call(BEGIN, work()).await;
    assert!(begun.succeeded(), "{:?}", begun.messages);
    assert_eq!(bench.point.service.live_tasks(), 2);
    // A credential that names another's session finds nothing.
    let mut thief = Client::begun(&bench.gateway, OTHER_TOKEN, REVISIONS[1]).await;
    thief.session = one.session.clone();
    assert_eq!(thief.call("echo", json!({})).await.status, StatusCode::NOT_FOUND);
    // In a revision without sessions the task is the credential's, and neither of these two.
    let modern = bench.client(REVISIONS[2], &[]).await;
    let begun = modern.call(BEGIN, work()).await;
    assert!(begun.succeeded(), "{:?}", begun.messages);
    let mut named = modern.clone();
    named.headers = vec![("mcp-session-id", one.session.clone().unwrap())];
    assert!(named.call("echo", json!({})).await.succeeded());
    let modern = begun.result()["structuredContent"]["task"].as_str().unwrap().to_owned();
    let last = bench.scopes().pop().unwrap();
    assert_eq!(last, SessionScope::Task(TaskId::new(modern).unwrap()));

    // A conversation that is over takes its task along, and no other.
    let request = Request::delete("/mcp/s")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("mcp-session-id", one.session.clone().unwrap())
        .body(Body::empty())
        .unwrap();
    assert_eq!(one.send(request).await.status, StatusCode::NO_CONTENT);
    let ended = async {
        while bench.point.service.task(&first).unwrap().state == TaskState::Active {
            tokio::task::yield_now().await;
        }
    };
    at_once(ended).await;
    assert_eq!(bench.point.service.live_tasks(), 2);
    bench.gateway.shutdown().await;
    let alive = bench.point.service.live_tasks();
    assert_eq!(alive, 1, "the one that belongs to the credential goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_delegates_by_a_tool() {
    for version in REVISIONS {
        let arguments: &[&str] = if version == REVISIONS[2] { &["modern"] } else { &[] };
        let bench = bench(arguments).await;
        let client = bench.client(version, &[]).await;
        let tools = client.tools().await;
        assert_eq!(tools[2]["name"], "safeconduct_delegate_task", "{version}");
        let delegate = async |arguments: serde_json::Value| {
            client.call("safeconduct_delegate_task", arguments).await
        };
        let child = json!({"agent": "agent", "intent": "work", "parameters": {"case": "C-1"},
                           "budget": {"calls": 2}, "envelope": [{"action": "s.echo"}],
                           "prompt": "Echo it."});
        let none = delegate(child.clone()).await;
        let code = |reply: &support::client::Reply| {
            reply.result()["_meta"]["safeconduct/decision"]["reasons"][0]["code"].clone()
        };
        assert_eq!(code(&none), "no_task", "{:?}", none.messages);
        let begun = client.call(BEGIN, work()).await;
        let parent = begun.result()["structuredContent"]["task"].clone();
        let mut wide = child.clone();
        wide["budget"] = json!({"calls": 1000});
        assert_eq!(code(&delegate(wide).await), "wider");
        for (member, value) in
            [("on_behalf_of", json!({"delegated": "ada"})), ("run_of", json!("nightly"))]
        {
            let mut bad = child.clone();
            bad[member] = value;
            assert_eq!(code(&delegate(bad).await), "arguments", "{member}");
        }
        let mut other = child.clone();
        other["agent"] = json!("other");
        assert_eq!(code(&delegate(other).await), "not_an_undertaker");
        let delegated = delegate(child).await;
        assert!(delegated.succeeded(), "{:?}", delegated.messages);
        let told = &delegated.result()["structuredContent"];
        let (task, handle) =
            (told["task"].as_str().unwrap(), told["handle"].as_str().unwrap().to_owned());
        let view = bench.point.service.task(&TaskId::new(task).unwrap()).unwrap();
        assert_eq!(view.task.parent.as_ref().map(TaskId::as_str), parent.as_str());
        let prompt = bench.point.service.prompt(&view.task.id).unwrap();
        assert_eq!(prompt.integrity, safeconduct_model::Integrity::Untrusted);
        // Its agent acts in it by the handle, within what it was given.
        let mut within = bench.client(version, &[(HEADER, handle.as_str())]).await;
        assert!(within.call("echo", json!({})).await.succeeded());
        assert!(!within.call("reveal", json!({})).await.succeeded());
        within.call("echo", json!({})).await;
        assert!(!within.call("echo", json!({})).await.succeeded(), "two calls were given");
        let ended = client.call("safeconduct_end_task", json!({})).await;
        assert_eq!(ended.result()["structuredContent"]["ended"], json!(2), "{version}");
        within.headers = vec![(HEADER, handle)];
        assert!(!within.call("echo", json!({})).await.succeeded());
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_may_not_begin_is_a_denial_like_others() {
    let bench = bench(&["modern"]).await;
    let client = bench.client(REVISIONS[2], &[]).await;
    let arguments = json!({"intent": "forbidden", "parameters": {"case": "C-1"}});
    let denied = client.call("safeconduct_begin_task", arguments).await;
    assert_eq!(denied.result()["isError"], true);
    for part in ["no-forbidden", "nobody undertakes that", "dec_", "forbidden"] {
        assert!(denied.text().contains(part), "{}", denied.text());
    }
    let told = &denied.result()["_meta"]["safeconduct/decision"];
    assert_eq!(
        (&told["decision"], &told["reasons"][0]["rule"]),
        (&json!("deny"), &json!("no-forbidden"))
    );
    assert!(bench.point.decisions().contains(&("undertake".to_owned(), Decision::Deny)));
    for (arguments, code) in [
        (json!({"intent": "none"}), "unknown_intent"),
        (json!({"intent": "work"}), "parameters"),
        (json!({"intent": "work", "parameters": {"case": "../x"}}), "parameters"),
        (
            json!({"intent": "work", "parameters": {"case": "C-1"}, "on_behalf_of": "ada"}),
            "not_delegated",
        ),
        (json!({"intent": "work", "surprise": 1}), "arguments"),
        (json!({}), "arguments"),
    ] {
        let refused = client.call("safeconduct_begin_task", arguments.clone()).await;
        assert_eq!(refused.result()["isError"], true, "{arguments}");
        let told = &refused.result()["_meta"]["safeconduct/decision"];
        assert_eq!(told["reasons"][0]["code"], code, "{arguments}");
    }
    // Another identity may undertake nothing, and is offered nothing to undertake.
    let other = Client::begun(&bench.gateway, OTHER_TOKEN, REVISIONS[2]).await;
    let tools = other.tools().await;
    assert_eq!(tools[0]["name"], "safeconduct_end_task");
    let arguments = json!({"intent": "work", "parameters": {"case": "C-1"}});
    let refused = other.call("safeconduct_begin_task", arguments).await;
    let told = &refused.result()["_meta"]["safeconduct/decision"];
    assert_eq!(told["reasons"][0]["code"], "not_an_undertaker");
    // What bears such a name and is not ours is called by nobody.
    let hidden = client.call("safeconduct_other", json!({})).await;
    assert_eq!(hidden.last()["error"]["code"], -32602);
    assert_eq!(bench.point.service.live_tasks(), 0);
    bench.gateway.shutdown().await;
}

/// What ends the authority of the call that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    End,
    Tool,
    KillTask,
    KillIdentity,
    KillAll,
    Revoke,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_cut_at_once_when_its_authority_ends() {
    for (number, by) in [By::End, By::Tool, By::KillTask, By::KillIdentity, By::KillAll, By::Revoke]
        .into_iter()
        .enumerate()
    {
        let version = REVISIONS[1 + number % 2];
        let bench = bench(if version == REVISIONS[2] { &["modern"] } else { &[] }).await;
        let task = bench.point.begin("work", "handle-1").await;
        let client = bench.client(version, &[(HEADER, "handle-1")]).await;
        let (started, ended) = (bench.file("started"), bench.file("ended"));
        let arguments = json!({"started": started, "ended": ended});
        let slow = client.clone();
        let call = tokio::spawn(async move { slow.call("patient", arguments).await });
        there(&started).await;
        match by {
            By::End => bench.end(&task).await,
            By::Tool => {
                let ended = client.call("safeconduct_end_task", json!({})).await;
                assert!(ended.succeeded(), "{:?}", ended.messages);
            }
            By::KillTask => bench.kill(KillScope::Task(task.clone())).await,
            By::KillIdentity => {
                bench.kill(KillScope::Identity(IdentityId::new("agent").unwrap())).await;
            }
            By::KillAll => bench.kill(KillScope::All).await,
            By::Revoke => {
                let token = safeconduct_model::TokenId::new("tok_agent").unwrap();
                let by = IdentityId::new("admin").unwrap();
                bench.point.service.revoke_token(&token, &by).await.unwrap();
            }
        }
        let reply = at_once(call).await.unwrap();
        let error = &reply.last()["error"];
        assert_eq!(error["data"], json!({"outcome": "unknown", "detail": "ended"}), "{by:?}");
        assert!(error["message"].as_str().unwrap().contains("has ended"), "{by:?}");
        assert_eq!(
            bench.point.outcomes(),
            [(Execution::Unknown, Some("ended".to_owned()))],
            "{by:?} {version}"
        );
        // The upstream is told, or its process sees its input end.
        at_once(there(&ended)).await;
        let again = client.call("echo", json!({})).await;
        assert!(!again.succeeded(), "{by:?} {:?}", again.messages);
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_rest_on_the_ended_task_goes_on() {
    let bench = bench(&[]).await;
    let task = bench.point.begin("work", "handle-1").await;
    let client = bench.client(REVISIONS[1], &[]).await;
    let (started, ended) = (bench.file("started"), bench.file("ended"));
    let arguments = json!({"started": started, "ended": ended});
    let other = client.clone();
    let mut call = tokio::spawn(async move { other.call("patient", arguments).await });
    there(&started).await;
    bench.end(&task).await;
    let mut inside = client.clone();
    inside.headers = vec![(HEADER, "handle-1".to_owned())];
    assert!(!inside.call("echo", json!({})).await.succeeded());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut call).await.is_err());
    bench.kill(KillScope::All).await;
    assert_eq!(at_once(call).await.unwrap().last()["error"]["data"]["detail"], "ended");
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_close_when_their_authority_ends() {
    let bench = bench(&[]).await;
    let task = bench.point.begin("work", "handle-1").await;
    let client = bench.client(REVISIONS[1], &[(HEADER, "handle-1")]).await;
    let request = Request::get("/mcp/s")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("mcp-session-id", client.session.clone().unwrap())
        .header(HEADER, "handle-1")
        .body(Body::empty())
        .unwrap();
    let response = bench.gateway.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut standing = response.into_body().into_data_stream();
    let reading = tokio::spawn(async move { while standing.next().await.is_some() {} });
    // A line stream that was begun in the task ends with it too, though its client says nothing.
    let (near, far) = tokio::io::duplex(1 << 16);
    let proof = bench.point.service.authenticate(TOKEN).unwrap();
    let handle = safeconduct_service::token_digest("handle-1");
    let proof = bench.point.service.enter_task(proof, &handle).unwrap();
    let gateway = bench.gateway.clone();
    let (read, write) = tokio::io::split(far);
    let server = Arc::new(safeconduct_model::ServerName::new("s").unwrap());
    let lines =
        tokio::spawn(async move { gateway.serve_stream(&server, proof, read, write).await });
    bench.end(&task).await;
    at_once(reading).await.unwrap();
    assert!(at_once(lines).await.unwrap().is_err());
    drop(near);
    bench.gateway.shutdown().await;
}

const WANTS: &[&str] = &["wants", "echo", "sampling/createMessage"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_task_answers_only_what_the_server_has_asked() {
    let bench = bench_with(&["modern"], &[("strict", WANTS), ("work", WANTS)]).await;
    for handle in ["strict", "again", "work"] {
        let intent = if handle == "work" { "work" } else { "strict" };
        bench.point.begin(intent, handle).await;
    }
    let strict = bench.client(REVISIONS[2], &[(HEADER, "strict")]).await;
    let again = bench.client(REVISIONS[2], &[(HEADER, "again")]).await;
    let work = bench.client(REVISIONS[2], &[(HEADER, "work")]).await;
    let outside = bench.client(REVISIONS[2], &[]).await;
    let answer = |tool: &str, name: &str, state: &str| {
        json!({"name": tool, "arguments": {}, "requestState": state,
               "inputResponses": {name: {"content": "a secret"}}})
    };
    let given = async |client: &Client, params| client.ask("tools/call", params).await.succeeded();

    // Nothing was asked yet: as a message to the server it would leave unseen.
    let denied = strict.ask("tools/call", answer("wants", "a", "s")).await;
    assert!(denied.text().contains("Denied"), "{:?}", denied.messages);
    assert!(!given(&strict, json!({"name": "echo", "requestState": "a secret"})).await);
    assert!(given(&work, answer("echo", "a", "s")).await);
    assert!(given(&outside, answer("echo", "a", "s")).await);

    let asked = strict.call("wants", json!({})).await;
    assert!(asked.result()["inputRequests"]["a"].is_object(), "{:?}", asked.messages);
    assert!(!given(&strict, answer("wants", "b", "s")).await);
    assert!(!given(&strict, answer("wants", "a", "another")).await);
    assert!(!given(&strict, answer("echo", "a", "s")).await);
    assert!(!given(&again, answer("wants", "a", "s")).await, "that was another task's");
    assert_eq!(strict.ask("tools/call", answer("wants", "a", "s")).await.text(), "given");
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_is_given_back_counts_as_bytes_that_go_out() {
    let bench = bench_with(&["modern"], &[("few_bytes", WANTS)]).await;
    bench.point.begin("few_bytes", "few").await;
    let client = bench.client(REVISIONS[2], &[(HEADER, "few")]).await;
    let with = |bytes: usize| json!({"name": "wants", "requestState": "x".repeat(bytes)});
    assert!(client.ask("tools/call", with(60)).await.succeeded());
    let denied = client.ask("tools/call", with(60)).await;
    assert!(denied.text().contains("Denied"), "{:?}", denied.messages);
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_protocol_names_does_not_go_upstream_beside_a_call() {
    let bench = bench(&[]).await;
    let client = bench.client(REVISIONS[1], &[]).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let params = json!({"name": "echo", "arguments": {"n": 1}, "_meta": {
        "com.example/note": "a secret", "traceparent": traceparent}});
    let reply = client.ask("tools/call", params).await;
    let received: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(received["_meta"], json!({"traceparent": traceparent}), "{received}");
    assert_eq!(received["arguments"], json!({"n": 1}));
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_one_who_was_killed_reaches_the_upstream() {
    for (version, modern) in [(REVISIONS[1], ""), (REVISIONS[2], "modern")] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let path = log.path().to_str().unwrap().to_owned();
        let bench = bench(&[modern, &format!("log={path}")]).await;
        let client = bench.client(version, &[]).await;
        assert!(client.call("echo", json!({})).await.succeeded());
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(before.contains("tools/call"), "{before}");
        bench.kill(KillScope::All).await;
        for method in ["notifications/roots/list_changed", "notifications/initialized"] {
            client.notify(method).await;
        }
        for method in ["tools/list", "resources/list"] {
            assert!(client.ask(method, json!({})).await.result().is_null(), "{method}");
        }
        // What it tries is still decided on, and recorded.
        let decided = bench.point.decisions().len();
        let denied = client.call("echo", json!({})).await;
        assert!(!denied.succeeded(), "{:?}", denied.messages);
        assert_eq!(bench.point.decisions().len(), decided + 1, "{:?}", denied.messages);
        // A new client of the same credential gets no conversation either.
        let params = json!({"protocolVersion": REVISIONS[1], "capabilities": {},
                            "clientInfo": {"name": "test", "version": "1"}});
        let mut anew = client.clone();
        (anew.session, anew.version) = (None, REVISIONS[1]);
        assert!(anew.ask("initialize", params).await.result().is_null());
        bench.gateway.shutdown().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "{version}");
    }
}
