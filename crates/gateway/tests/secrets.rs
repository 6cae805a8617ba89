//! Secrets that are put into what goes upstream: they get there, and nowhere else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use http::{HeaderMap, StatusCode, Uri};
use safeconduct_credential::inject::{Injection, Place};
use safeconduct_gateway::{
    Gateway, GatewayConfig, Injected, Injections, Limits, NoSecrets, Secrets, UpstreamConfig,
    list_tools,
};
use safeconduct_model::{Authentication, Body as Recorded, Execution, ServerName};
use safeconduct_pep::InProcess;
use safeconduct_service::{Awaited, Secret};
use serde_json::{Value as Json, json};
use support::client::{Client, REVISIONS, Reply};
use support::{PERMIT_ALL, Point, TOKEN};

const KEY: &str = "k3y-of-the-crm+/=0123456789";
const OTHER_KEY: &str = "k3y-of-the-next-day-9876543210";

fn secrets(places: &[(&str, Place)], key: &str) -> Arc<Secrets> {
    let upstream = ServerName::new("s").unwrap();
    let one = |(name, place): &(&str, Place)| Injected {
        name: (*name).into(),
        injection: Injection::new(upstream.clone(), place.clone(), "Key {secret}").unwrap(),
        secret: Arc::new(Secret::new(key.to_owned().into())),
    };
    Arc::new(Secrets::new(places.iter().map(one).collect()).unwrap())
}

/// Gives its secrets to tasks, and nothing outside of them.
struct Store {
    given: Mutex<Result<Arc<Secrets>, NoSecrets>>,
    nothing: Arc<Secrets>,
    asked: Mutex<Vec<Option<Authentication>>>,
}

impl Injections for Store {
    fn concerns(&self, upstream: &ServerName) -> bool {
        upstream.as_str() == "s"
    }

    fn secrets<'a>(
        &'a self,
        _: &'a ServerName,
        of: Option<&'a Authentication>,
    ) -> Awaited<'a, Result<Arc<Secrets>, NoSecrets>> {
        self.asked.lock().unwrap().push(of.cloned());
        let given = match of.and_then(|of| of.task.as_ref()) {
            Some(_) => self.given.lock().unwrap().clone(),
            None => Ok(Arc::clone(&self.nothing)),
        };
        Awaited::of(std::future::ready(given))
    }
}

struct Bench {
    point: Point,
    gateway: Gateway<InProcess>,
    store: Arc<Store>,
}

async fn bench(upstream: UpstreamConfig, places: &[(&str, Place)], modern: bool) -> Bench {
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, PERMIT_ALL).await;
    point.intents("s", &[("work", &["reveal", "echo"])]).await;
    point.begin("work", "handle-1").await;
    let store = Arc::new(Store {
        given: Mutex::new(Ok(secrets(places, KEY))),
        nothing: secrets(&[], KEY),
        asked: Mutex::default(),
    });
    let revision = modern.then_some(safeconduct_gateway::Revision::V2026_07_28);
    let config = GatewayConfig {
        upstreams: vec![UpstreamConfig { revision, ..upstream }],
        injections: Some(Arc::clone(&store) as Arc<dyn Injections>),
        ..GatewayConfig::default()
    };
    let authority = Arc::new(InProcess::new(Arc::clone(&point.service)));
    Bench { gateway: Gateway::new(config, authority).unwrap(), point, store }
}

impl Bench {
    async fn client(&self, version: &'static str) -> Client {
        let headers = [("safeconduct-task", "handle-1")];
        Client::begun_with(&self.gateway, TOKEN, version, &headers).await
    }

    /// No form of a secret stands in what the client got or in what was recorded.
    fn nowhere(&self, replies: &[&Reply]) {
        let mut all: Vec<String> = replies
            .iter()
            .map(|reply| format!("{:?} {:?}", reply.headers, reply.messages))
            .collect();
        for entry in self.point.ledger.entries() {
            all.push(String::from_utf8_lossy(&entry.leaf).into_owned());
            all.push(String::from_utf8_lossy(&entry.attachment.unwrap_or_default()).into_owned());
        }
        all.push(format!("{:?}", self.store.given.lock().unwrap()));
        for text in all {
            clean(&text);
        }
    }

    /// The edits of each outcome.
    fn edits(&self) -> Vec<Vec<(String, u64)>> {
        let executed = self.point.bodies().into_iter().filter_map(|body| match body {
            Recorded::Executed(executed) => Some(executed.edits),
            _ => None,
        });
        let told = executed.map(|edits| {
            edits.iter().map(|edit| (edit.obligation.to_string(), edit.values)).collect()
        });
        told.collect()
    }
}

fn clean(text: &str) {
    for key in [KEY, OTHER_KEY] {
        let encoded = base64::engine::general_purpose::STANDARD.encode(key);
        for form in
            [key, &encoded, &key.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")]
        {
            assert!(!text.contains(form), "{text}");
        }
    }
}

fn script(arguments: &[&str]) -> UpstreamConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    support::stdio("s", "python3", &[&[path], arguments].concat())
}

/// What was logged while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn a_child_process_gets_its_key_and_nobody_else_does() {
    // One thread, so that what is logged by tasks is logged here.
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let places = [
        ("crm-env", Place::Env("API_KEY".into())),
        ("crm-field", Place::Json("/params/arguments/key".into())),
    ];
    for version in [REVISIONS[1], REVISIONS[2]] {
        let modern = version == REVISIONS[2];
        let bench = bench(script(if modern { &["modern"] } else { &[] }), &places, modern).await;
        let client = bench.client(version).await;
        let params = json!({"name": "reveal", "arguments": {}, "_meta": {"progressToken": 1}});
        let told = client.ask("tools/call", params).await;
        assert!(told.succeeded(), "{:?}", told.messages);
        // It arrived in both places, and each was taken out again.
        let revealed = told.text();
        assert!(
            revealed.contains(r#""API_KEY": "[redacted]""#) || revealed.contains("Key [redacted]"),
            "{revealed}"
        );
        let structured = &told.result()["structuredContent"];
        assert_eq!(structured["key"], "Key [redacted]");
        assert_eq!(structured["params"]["arguments"]["key"], "Key [redacted]");
        assert!(told.messages.len() > 1, "progress came too: {:?}", told.messages);
        let failed = client.call("reveal", json!({"fails": true})).await;
        assert_eq!(failed.last()["error"]["data"]["key"], "Key [redacted]");
        let echoed = client.call("echo", json!({"a": 1})).await;
        assert!(echoed.text().contains("Key [redacted]"), "{}", echoed.text());
        // A value of the caller's own in that place is no way to learn or to choose the secret.
        let occupied = client.call("echo", json!({"key": "mine"})).await;
        assert_eq!(occupied.last()["error"]["data"]["detail"], "secret");
        bench.nowhere(&[&told, &failed, &echoed, &occupied]);
        let both = vec![("inject:crm-env".to_owned(), 1), ("inject:crm-field".to_owned(), 1)];
        assert_eq!(bench.edits(), [both.clone(), both.clone(), both, Vec::new()]);
        let last = bench.point.outcomes().pop().unwrap();
        assert_eq!(last, (Execution::NotExecuted, Some("secret".to_owned())));
        // Outside of the task there is no key, and another process.
        let mut outside = client.clone();
        outside.headers.clear();
        let none = outside.call("reveal", json!({})).await;
        assert_eq!(none.result()["structuredContent"]["key"], "none");
        bench.gateway.shutdown().await;
    }
    let log = log.text();
    assert!(log.contains("[redacted] is the key") && log.contains("the rest of"), "{log}");
    clean(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_key_no_call_is_made_and_a_new_one_is_used_at_once() {
    let places = [("crm", Place::Env("API_KEY".into()))];
    let bench = bench(script(&["modern"]), &places, true).await;
    let client = bench.client(REVISIONS[2]).await;
    let pid = |reply: &Reply| serde_json::from_str::<Json>(reply.text()).unwrap()["pid"].clone();
    let first = client.call("reveal", json!({})).await;
    assert_eq!(pid(&first), pid(&client.call("reveal", json!({})).await));
    *bench.store.given.lock().unwrap() = Ok(secrets(&places, OTHER_KEY));
    let second = client.call("reveal", json!({})).await;
    assert_ne!(pid(&first), pid(&second), "a process with the old key serves no more");
    assert_eq!(second.result()["structuredContent"]["key"], "Key [redacted]");
    let why = "the lease of target `crm` was revoked";
    *bench.store.given.lock().unwrap() = Err(NoSecrets(why.into()));
    let calls = bench.point.decisions().len();
    let refused = client.call("reveal", json!({})).await;
    assert!(refused.last()["error"]["message"].as_str().unwrap().contains(why));
    assert_eq!(bench.point.decisions().len(), calls, "nothing was decided, for nothing was done");
    bench.nowhere(&[&first, &second, &refused]);
    bench.gateway.shutdown().await;
}

/// What an upstream over HTTP has seen.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<(Uri, HeaderMap)>>,
    elsewhere: Mutex<usize>,
}

async fn reflect(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() != "/mcp" {
        *seen.elsewhere.lock().unwrap() += 1;
        return StatusCode::OK.into_response();
    }
    seen.requests.lock().unwrap().push((parts.uri.clone(), parts.headers.clone()));
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let Ok(message) = serde_json::from_slice::<Json>(&bytes) else {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    };
    let headers: Vec<_> = parts.headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
    let all = format!("{} {headers:?} {message}", parts.uri);
    let name = message["params"]["name"].as_str().unwrap_or_default();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({"protocolVersion": message["params"]["protocolVersion"],
                               "capabilities": {"tools": {}},
                               "serverInfo": {"name": all, "version": "1"}}),
        "tools/list" => json!({"tools": [
            {"name": "reveal", "description": "d", "inputSchema": {"type": "object"}},
            {"name": "echo", "inputSchema": {"type": "object"}}]}),
        "tools/call" if name == "echo" => {
            let location =
                [("location", format!("/elsewhere?{}", parts.uri.query().unwrap_or("")))];
            return (StatusCode::TEMPORARY_REDIRECT, location, all).into_response();
        }
        "tools/call" => json!({"content": [{"type": "text", "text": all}]}),
        _ if message["id"].is_null() => return StatusCode::ACCEPTED.into_response(),
        _ => return (StatusCode::BAD_REQUEST, all).into_response(),
    };
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    let mut response = Response::new(Body::from(answer.to_string()));
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_http_gets_its_keys_and_nothing_of_the_client() {
    let seen = Arc::new(Seen::default());
    let router = axum::Router::new().fallback(reflect).with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let places = [
        ("crm-header", Place::Header("x-api-key".into())),
        ("crm-query", Place::Query("api_key".into())),
        ("crm-auth", Place::Header("authorization".into())),
    ];
    let bench = bench(support::http("s", &url), &places, false).await;
    let direct = seen.requests.lock().unwrap().len();
    for version in REVISIONS {
        let mut client = bench.client(version).await;
        client.headers.push(("dpop", "proof-of-the-client".into()));
        client.headers.push(("x-client", "header-of-the-client".into()));
        client.headers.push(("cookie", "cookie-of-the-client".into()));
        let told = client.call("reveal", json!({})).await;
        assert!(told.succeeded(), "{version} {:?}", told.messages);
        for part in ["[redacted]", "api_key", "x-api-key"] {
            assert!(told.text().contains(part), "{part}: {}", told.text());
        }
        // A redirect is followed by nobody, least of all with a key.
        let redirected = client.call("echo", json!({})).await;
        assert!(redirected.last()["error"]["message"].as_str().unwrap().contains("307"));
        bench.nowhere(&[&told, &redirected]);
        if version != REVISIONS[2] {
            let params = json!({"protocolVersion": version, "capabilities": {}});
            let greeted = client.ask("initialize", params).await;
            let server = greeted.result()["serverInfo"]["name"].as_str().unwrap();
            assert!(server.contains("[redacted]"), "{server}");
            bench.nowhere(&[&greeted]);
        }
    }
    assert_eq!(*seen.elsewhere.lock().unwrap(), 0);
    let names = ["crm-header", "crm-query", "crm-auth"];
    let three: Vec<_> = names.map(|name| (format!("inject:{name}"), 1)).into();
    assert_eq!(bench.edits(), vec![three; 6]);
    let requests = std::mem::take(&mut *seen.requests.lock().unwrap());
    let (mut with, mut without) = (0, 0);
    for (uri, headers) in requests.into_iter().skip(direct) {
        let all = format!("{uri} {headers:?}");
        for theirs in [TOKEN, "handle-1", "-of-the-client"] {
            assert!(!all.contains(theirs), "{all}");
        }
        for name in ["safeconduct-task", "dpop", "cookie", "x-client"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        match headers.get("x-api-key") {
            None => without += 1,
            Some(key) => {
                assert_eq!(key, &format!("Key {KEY}"));
                assert_eq!(headers["authorization"], format!("Key {KEY}"));
                assert!(uri.query().unwrap().starts_with("api_key=Key%20k3y-of-the-crm%2B%2F%3D"));
                with += 1;
            }
        }
    }
    assert!(with >= 6 && without == 0, "{with} {without}");
    bench.gateway.shutdown().await;
}
